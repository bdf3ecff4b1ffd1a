"""A chore ends as any other job: cancelled, too late, refused, broken or handed back."""

from collections.abc import Callable
from typing import Any

import gevent
import orjson
import psycopg
import pytest

from app.db.connect import Connection
from app.errors import InvalidRequest
from app.jobs import store
from app.redis import Wire
from app.retention.model import LANE
from tests.app.events.parts import names, until
from tests.app.line import assert_proven, state, tenant
from tests.workers.chores.conftest import MakeDesk
from tests.workers.chores.parts import deletion_of
from tests.workers.inference.desks import log_of, request
from workers.chores.deletion import Deletion
from workers.inference import desk as room
from workers.inference.desk import Desk

Work = Callable[[Deletion], Any]


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Callable[[Work], None]:
    """Has chores do something else."""
    return lambda done: monkeypatch.setattr(Deletion, "work", done)


def waits(chore: Deletion) -> Any:
    gevent.sleep(60)


def begun(desk: Desk, job_id: str) -> Any:
    """A greenlet that answers, once the chore is at work."""
    greenlet = gevent.spawn(desk.answer, LANE, 1)
    until(lambda: job_id in desk.running)
    gevent.sleep(0)
    return greenlet


def test_a_cancel_ends_it(
    desk: Desk, connection: Connection, wire: Wire, work: Callable[[Work], None]
) -> None:
    work(waits)
    job_id = deletion_of(connection, tenant(connection), user="u")
    answering = begun(desk, job_id)
    desk.cancel(job_id)
    answering.join(10)
    assert state(connection, job_id) == "cancelled"
    assert names(log_of(desk, wire, job_id)) == ["started", "cancelled"]
    assert_proven(connection)


def test_a_stopping_worker_hands_it_back(
    make_desk: MakeDesk, connection: Connection, wire: Wire, work: Callable[[Work], None]
) -> None:
    desk = make_desk()
    work(waits)
    job_id = deletion_of(connection, tenant(connection), user="u")
    begun(desk, job_id)
    desk.drain(0.01)
    assert state(connection, job_id) == "queued"
    [attempt] = store.attempts_of(connection, job_id)
    assert attempt["outcome"] == "released"
    work(lambda _: {"done": True})
    again = make_desk()
    again.answer(LANE, 1)
    assert names(log_of(again, wire, job_id))[-2:] == ["restarted", "completed"]


def test_its_deadline_ends_it(
    desk: Desk, connection: Connection, wire: Wire, work: Callable[[Work], None]
) -> None:
    work(waits)
    mine = tenant(connection)
    job_id = deletion_of(connection, mine, user="u")
    connection.execute("UPDATE open_job SET deadline = now() + interval '50 ms'")
    desk.answer(LANE, 1)
    job = store.find_job(connection, job_id, mine)
    assert job is not None
    assert (job.state, job.error["code"]) == ("failed", "deadline_exceeded")


def test_an_error_for_the_client_ends_it_and_is_told(
    desk: Desk, connection: Connection, wire: Wire, work: Callable[[Work], None]
) -> None:
    def refuses(_: Deletion) -> Any:
        raise InvalidRequest("not like this", code="no")

    work(refuses)
    mine = tenant(connection)
    job_id = deletion_of(connection, mine, user="u")
    desk.answer(LANE, 1)
    job = store.find_job(connection, job_id, mine)
    assert job is not None
    assert (job.state, job.error["message"]) == ("failed", "not like this")
    last = log_of(desk, wire, job_id)[-1]
    assert orjson.loads(last.data)["error"] == job.error


def test_an_error_of_ours_costs_a_strike_until_the_last(
    desk: Desk, connection: Connection, wire: Wire, work: Callable[[Work], None]
) -> None:
    work(lambda _: 1 / 0)
    mine = tenant(connection)
    job_id = deletion_of(connection, mine, user="u")
    for outcomes in (["interrupted"], ["interrupted"] * 2, ["interrupted"] * 2 + ["failed"]):
        desk.answer(LANE, 1)
        assert [a["outcome"] for a in store.attempts_of(connection, job_id)] == outcomes
    assert state(connection, job_id) == "failed"
    assert_proven(connection)


def test_a_result_that_postgres_refuses_becomes_a_failure(
    desk: Desk,
    connection: Connection,
    wire: Wire,
    work: Callable[[Work], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "SETTLE_RETRY_S", (0.001,))
    settle = store.settle_group

    def picky(line: Connection, owner: str, outcomes: list[Any]) -> list[bool]:
        if any(outcome.body for outcome in outcomes):
            raise psycopg.errors.UntranslatableCharacter("no")
        return settle(line, owner, outcomes)

    monkeypatch.setattr(store, "settle_group", picky)
    work(lambda _: {"done": True})
    mine = tenant(connection)
    job_id = deletion_of(connection, mine, user="u")
    desk.answer(LANE, 1)
    job = store.find_job(connection, job_id, mine)
    assert job is not None
    assert (job.state, job.body) == ("failed", None)
    last = log_of(desk, wire, job_id)[-1]
    assert (last.name, orjson.loads(last.data)["error"]) == ("failed", job.error)


def test_a_kind_without_a_chore_is_answered_by_a_provider(
    make_desk: MakeDesk, connection: Connection, wire: Wire
) -> None:
    mine = tenant(connection)
    job_id = deletion_of(connection, mine, user="u")
    connection.execute(
        "UPDATE job SET kind = 'chat.completion', request = %s WHERE id = %s",
        (request(tokens=2), job_id),
    )
    make_desk().answer(LANE, 1)
    job = store.find_job(connection, job_id, mine)
    assert job is not None
    assert orjson.loads(job.body or "{}")["object"] == "chat.completion"
