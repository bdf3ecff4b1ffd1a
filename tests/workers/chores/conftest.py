"""Desks of the system lane, over what the worker's tests stand on."""

from collections.abc import Callable, Iterator

import gevent
import pytest

from app.jobs.model import Lane
from app.settings import Settings
from tests.app.conftest import (
    books,
    connection,
    gevent_sockets,
    line_database,
    line_settings,
    wire,
)
from workers.chores.registry import CHORES
from workers.inference.desk import Desk

__all__ = ["books", "connection", "gevent_sockets", "line_database", "line_settings", "wire"]

MakeDesk = Callable[..., Desk]


def closed(desk: Desk) -> None:
    """Empties a desk and closes its connections."""
    desk.drain(0)
    for group in (desk._claims, desk._settles, desk._returns):
        group.close()
    gevent.killall([g for g in [desk._parts.publisher._writer] if g is not None])


@pytest.fixture
def make_desk(gevent_sockets: None, line_settings: Callable[..., Settings]) -> Iterator[MakeDesk]:
    """Makes desks with chores, which are emptied at the end: `make_desk("system")`."""
    made: list[Desk] = []

    def make(lane: Lane = "system", **values: object) -> Desk:
        made.append(Desk(line_settings(**values), lane, CHORES))
        return made[-1]

    yield make
    for one in made:
        closed(one)


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    return make_desk()
