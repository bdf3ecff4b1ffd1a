"""The worker's tests stand on the job line's."""

from collections.abc import Callable, Iterator

import gevent
import pytest

from app.settings import Settings
from tests.app.conftest import (
    books,
    connection,
    fenced,
    gevent_sockets,
    hub,
    limiter,
    line_database,
    line_settings,
    make_hub,
    make_publisher,
    own_redis,
    publisher,
    wire,
)
from tests.app.line import LANE
from workers.inference.desk import Desk

__all__ = [
    "books",
    "connection",
    "fenced",
    "gevent_sockets",
    "hub",
    "limiter",
    "line_database",
    "line_settings",
    "make_hub",
    "make_publisher",
    "own_redis",
    "publisher",
    "wire",
]

MakeDesk = Callable[..., Desk]


@pytest.fixture
def make_desk(
    gevent_sockets: None,
    line_settings: Callable[..., Settings],
) -> Iterator[MakeDesk]:
    """Makes desks, which are emptied at the end: `make_desk(slots_interactive=3)`."""
    made: list[Desk] = []

    def make(**values: object) -> Desk:
        made.append(Desk(line_settings(**values), LANE))
        return made[-1]

    yield make
    for one in made:
        one.drain(0)
        for group in (one._claims, one._settles, one._returns):
            group.close()
        gevent.killall([g for g in [one._parts.publisher._writer] if g is not None])


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    return make_desk()
