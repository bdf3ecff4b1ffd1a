"""Lines that wait and are not to be run, since what they ask is deleted."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app.batches import store
from app.batches.dispatch import Dispatcher
from app.batches.forgetting import store as forgetting
from app.batches.forgetting.store import WaitingLines, forget_waiting
from app.db.connect import Connection
from app.settings import Settings
from tests.app.batches.parts import COST, finish, line, made, now, run_to_end, started
from tests.app.line import assert_proven, funds, tenant

CREDIT = 1_000_000
LATER = 9e9


@pytest.fixture
def dispatcher(gevent_sockets: None, line_settings: Callable[..., Settings]) -> Dispatcher:
    return Dispatcher(line_settings())


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "GROUP", 2)


def asking(connection: Connection) -> int:
    """How many lines still tell what they ask."""
    row = connection.execute("SELECT count(*) FROM batch_line WHERE request <> ''").fetchone()
    forgotten = connection.execute("SELECT FROM job WHERE batch_id IS NOT NULL AND request <> ''")
    return (row[0] if row else 0) + forgotten.rowcount


def test_lines_that_wait_are_forgotten_and_their_batch_ends_with_its_books_right(
    connection: Connection, dispatcher: Dispatcher
) -> None:
    mine, other = tenant(connection, CREDIT), tenant(connection, CREDIT)
    batch, spared = started(connection, mine, 5), started(connection, other, 1)
    assert forget_waiting(connection, WaitingLines(mine, before=1.0), "job_d") == 0
    assert forget_waiting(connection, WaitingLines(mine, LATER, app="x"), "job_d") == 0
    assert forget_waiting(connection, WaitingLines(mine, LATER), "job_d") == 5
    assert asking(connection) == spared.total
    assert funds(connection, mine) == (CREDIT, 0)
    assert_proven(connection)
    run_to_end(connection, dispatcher, batch)
    finish(connection, batch)
    ended = now(connection, batch)
    assert (ended.status, ended.completed, ended.failed) == ("completed", 0, 5)
    assert_proven(connection)


@pytest.mark.parametrize("which", [{"user": "u1"}, {"session": "s1"}])
def test_only_lines_of_a_user_or_session_are_forgotten_and_the_others_run(
    connection: Connection, dispatcher: Dispatcher, which: dict[str, Any]
) -> None:
    mine = tenant(connection, CREDIT)
    batch = made(connection, mine)
    theirs = {
        number: replace(line(number), session="s1", request='{"user":"u1","text":"\\u0000"}')
        for number in (2, 4, 5)
    }
    store.add_lines(connection, batch, [theirs.get(n) or line(n) for n in range(1, 7)])
    assert forget_waiting(connection, WaitingLines(mine, LATER, **which), "job_d") == 0
    assert store.start(connection, batch, "m") == "started"
    assert forget_waiting(connection, WaitingLines(mine, LATER, **which), "job_d") == 3
    assert asking(connection) == 3
    run_to_end(connection, dispatcher, batch)
    ended = now(connection, batch)
    assert (ended.completed, ended.failed, ended.cost) == (3, 3, 3 * COST)
    finish(connection, batch)
    assert_proven(connection)


def test_lines_that_are_being_read_and_those_of_a_cancelled_batch_are_blanked(
    connection: Connection, dispatcher: Dispatcher
) -> None:
    mine = tenant(connection, CREDIT)
    reading, cancelled = made(connection, mine), started(connection, mine, 3)
    store.add_lines(connection, reading, [line(1)])
    store.cancel(connection, cancelled.id)
    assert forget_waiting(connection, WaitingLines(mine, LATER), "job_d") == 0
    assert asking(connection) == 0
    dispatcher.round(connection)
    assert now(connection, reading).status == "cancelled"
    run_to_end(connection, dispatcher, cancelled)
    finish(connection, cancelled)
    assert funds(connection, mine) == (CREDIT, 0)
    assert_proven(connection)
