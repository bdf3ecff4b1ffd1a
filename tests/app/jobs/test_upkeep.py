"""The re-ringer and the reaper: bells again, deadlines, and the jobs of dead workers."""

import signal
import subprocess
import sys
from collections.abc import Callable

import orjson
import pytest

from app.db.connect import Connection
from app.events.log import Event, EventId
from app.jobs import store
from app.jobs.model import MAX_STRIKES, HandedBack
from app.jobs.upkeep import Upkeep
from app.limits.limiter import Limiter
from app.redis import Wire
from app.settings import Settings
from tests.app.events.parts import stream
from tests.app.line import (
    LANE,
    admit,
    assert_proven,
    claim_one,
    draft,
    funds,
    running,
    state,
    tenant,
    transfers,
)
from tests.app.taking import take, taken
from tests.waiting import wait_for

LATER = "UPDATE open_job SET ring_at = now() - interval '1 ms'"


@pytest.fixture
def upkeep(line_settings: Callable[..., Settings]) -> Upkeep:
    return Upkeep(line_settings(lease_seconds=0.05))


def bells(wire: Wire, lane: str = LANE) -> int:
    [count] = wire.call(("LLEN", lane))
    return int(count)


def next_ring(connection: Connection) -> float:
    row = connection.execute(
        "SELECT extract(epoch FROM ring_at - now())::float8 FROM open_job"
    ).fetchone()
    assert row is not None
    return float(row[0])


def test_the_bell_is_rung_again_after_2_s_then_10_s_then_each_minute(
    connection: Connection,
) -> None:
    [job_id] = admit(connection, tenant(connection))
    assert 1 < next_ring(connection) <= 2
    assert store.due_bells(connection, 10) == []
    for wait in (10, 60, 60):
        connection.execute(LATER)
        assert store.due_bells(connection, 10) == [(job_id, LANE)]
        assert wait - 1 < next_ring(connection) <= wait
        assert store.due_bells(connection, 10) == []


def test_no_bell_is_rung_for_a_job_that_runs(connection: Connection) -> None:
    job = running(connection, tenant(connection))
    connection.execute(LATER)
    assert store.due_bells(connection, 10) == []
    store.requeue(connection, [HandedBack(job.id, 1, None)], "lost")
    assert 1 < next_ring(connection) <= 2


def test_a_job_queued_again_is_rung_for_as_often_as_a_new_one(connection: Connection) -> None:
    [job_id] = admit(connection, tenant(connection))
    for _ in range(3):
        connection.execute(LATER)
        store.due_bells(connection, 10)
    store.requeue(connection, [HandedBack(job_id, claim_one(connection).attempt, None)], "lost")
    connection.execute(LATER)
    store.due_bells(connection, 10)
    assert 9 < next_ring(connection) <= 10


def test_due_bells_have_a_limit(connection: Connection) -> None:
    admit(connection, tenant(connection), 5)
    connection.execute(LATER)
    assert [len(store.due_bells(connection, 2)) for _ in range(4)] == [2, 2, 1, 0]


def test_a_round_rings_each_lane_for_what_is_due(
    connection: Connection, upkeep: Upkeep, wire: Wire
) -> None:
    mine = tenant(connection)
    admit(connection, mine, 20)
    admit(connection, mine, 1, lane="batch")
    connection.execute(LATER)
    upkeep.round(connection)
    assert (bells(wire), bells(wire, "batch"), bells(wire, "system")) == (2, 1, 0)
    upkeep.round(connection)
    assert bells(wire) == 2


def test_a_queued_job_past_its_deadline_expires(
    connection: Connection, upkeep: Upkeep, wire: Wire
) -> None:
    mine = tenant(connection, 1000)
    [late] = admit(connection, mine, deadline_s=0)
    [early] = admit(connection, mine, deadline_s=60)
    upkeep.round(connection)
    assert (state(connection, late), state(connection, early)) == ("expired", "queued")
    assert funds(connection, mine) == (900, 100)
    [event] = stream(wire, late)
    assert (event.id, event.name) == (EventId(1, 1), "expired")
    assert orjson.loads(event.data)["error"]["code"] == "deadline_exceeded"
    assert_proven(connection)


def test_a_running_job_past_its_deadline_is_its_workers_to_end(
    connection: Connection, upkeep: Upkeep
) -> None:
    job = running(connection, tenant(connection), deadline_s=0)
    assert job.left_s <= 0
    assert store.overdue_jobs(connection, 10) == []
    store.register_worker(connection, "wrk_a", LANE, "host", 1, 60)
    upkeep.round(connection)
    assert state(connection, job.id) == "running"


def test_a_lost_job_is_queued_again_with_a_strike_and_a_bell(
    connection: Connection, upkeep: Upkeep, wire: Wire
) -> None:
    mine = tenant(connection, 1000)
    job = running(connection, mine, owner="wrk_dead")
    upkeep.reap(connection)
    assert state(connection, job.id) == "queued"
    assert funds(connection, mine) == (900, 100)
    assert bells(wire) == 1
    again = claim_one(connection, "wrk_b")
    assert (again.id, again.attempt, again.strikes) == (job.id, 2, 1)
    told = [(a["outcome"], a["worker"]) for a in store.attempts_of(connection, job.id)]
    assert told == [("lost", "wrk_dead"), ("running", "wrk_b")]


def test_a_job_of_a_live_worker_is_left_alone(
    connection: Connection, upkeep: Upkeep, wire: Wire
) -> None:
    store.register_worker(connection, "wrk_a", LANE, "host", 1, 60)
    job = running(connection, tenant(connection), owner="wrk_a")
    upkeep.reap(connection)
    assert state(connection, job.id) == "running"
    assert bells(wire) == 0


def test_at_the_third_strike_a_job_is_given_up(
    connection: Connection, upkeep: Upkeep, wire: Wire
) -> None:
    mine = tenant(connection, 1000)
    [job_id] = admit(connection, mine)
    for _ in range(MAX_STRIKES):
        assert state(connection, job_id) == "queued"
        claim_one(connection, "wrk_dead")
        upkeep.reap(connection)
    assert MAX_STRIKES == 3
    assert state(connection, job_id) == "failed"
    assert funds(connection, mine) == (1000, 0)
    assert transfers(connection, job_id) == {"hold": 100, "settle": 0, "release": 100}
    found = store.find_job(connection, job_id, mine)
    assert found is not None
    assert found.error["code"] == "max_attempts"
    [event] = stream(wire, job_id)
    assert (event.id, event.name) == (EventId(MAX_STRIKES + 1, 1), "failed")
    assert orjson.loads(event.data) == {
        "job_id": job_id, "status": "failed", "error": found.error,
    }  # fmt: skip
    assert_proven(connection)


def test_a_released_job_gets_no_strike(connection: Connection, upkeep: Upkeep) -> None:
    job = running(connection, tenant(connection))
    for _ in range(MAX_STRIKES + 1):
        store.requeue(connection, [HandedBack(job.id, job.attempt, None)], "released")
        job = claim_one(connection, "wrk_dead")
    upkeep.reap(connection)
    assert state(connection, job.id) == "queued"


def test_a_lost_job_that_was_to_be_cancelled_is_cancelled(
    connection: Connection, upkeep: Upkeep, wire: Wire
) -> None:
    mine = tenant(connection, 1000)
    job = running(connection, mine, owner="wrk_dead")
    store.ask_cancel(connection, job.id)
    upkeep.reap(connection)
    assert state(connection, job.id) == "cancelled"
    assert funds(connection, mine) == (1000, 0)
    assert [event.name for event in stream(wire, job.id)] == ["cancelled"]
    assert_proven(connection)


@pytest.mark.parametrize("how", ["expired", "cancelled", "failed"])
def test_a_job_that_ends_without_a_worker_gives_back_what_it_reserved(
    connection: Connection, upkeep: Upkeep, wire: Wire, limiter: Limiter, how: str
) -> None:
    mine = tenant(connection)
    other = take(limiter, draft(mine), 100, "chat")
    one = take(limiter, draft(mine, deadline_s=0 if how == "expired" else 60), 700, "chat")
    assert store.admit_group(connection, [one]) == ["admitted"]
    for _ in range(0 if how == "expired" else 1 if how == "cancelled" else MAX_STRIKES):
        claim_one(connection, "wrk_dead")
        if how == "cancelled":
            store.ask_cancel(connection, one.id)
        assert taken(limiter, wire, mine) == (800, 1)
        upkeep.reap(connection)
    upkeep.round(connection)
    assert state(connection, one.id) == how
    [event] = stream(wire, one.id)
    assert event.name == how
    assert taken(limiter, wire, mine) == (100, 1), "the session's other job is still open"
    assert wire.call(("ZRANGE", f"lim:{mine}:ses:chat", 0, -1)) == [[other.id.encode()]]


def test_a_lost_job_that_is_queued_again_keeps_what_it_reserved(
    connection: Connection, upkeep: Upkeep, wire: Wire, limiter: Limiter
) -> None:
    mine = tenant(connection)
    one = take(limiter, draft(mine), 700)
    assert store.admit_group(connection, [one]) == ["admitted"]
    claim_one(connection, "wrk_dead")
    upkeep.reap(connection)
    assert state(connection, one.id) == "queued"
    assert taken(limiter, wire, mine) == (700, 1)


def test_the_end_is_newer_than_all_that_the_lost_attempt_wrote(
    connection: Connection, upkeep: Upkeep, wire: Wire
) -> None:
    job = running(connection, tenant(connection), owner="wrk_dead")
    wire.call(("XADD", f"ev:{job.id}", "1-999", "e", "delta", "d", "{}"))
    store.ask_cancel(connection, job.id)
    upkeep.reap(connection)
    assert [event.id for event in stream(wire, job.id)] == [EventId(1, 999), EventId(2, 1)]


def test_a_round_reaps_only_after_a_lease_without_a_gap(
    connection: Connection, upkeep: Upkeep
) -> None:
    job = running(connection, tenant(connection), owner="wrk_dead")
    connection.execute("UPDATE reaper SET last_run = now() - interval '1 hour'")
    upkeep.round(connection)
    assert state(connection, job.id) == "running"

    def reaped() -> bool:
        upkeep.round(connection)
        return state(connection, job.id) == "queued"

    wait_for(reaped)


def test_a_round_without_redis_does_all_the_rest(
    connection: Connection, line_settings: Callable[..., Settings]
) -> None:
    mine = tenant(connection)
    lost = running(connection, mine, owner="wrk_dead")
    [late] = admit(connection, mine, deadline_s=0)
    connection.execute(LATER)
    alone = Upkeep(line_settings(redis_url="unix:///nowhere/redis.sock"))
    alone.round(connection)
    alone.reap(connection)
    assert state(connection, late) == "expired"
    assert state(connection, lost.id) == "queued"


def test_the_process_runs_rounds_until_it_is_stopped(
    connection: Connection, books: str, redis: str, wire: Wire
) -> None:
    [late] = admit(connection, tenant(connection), deadline_s=0)
    env = {"MOONPOOL_DATABASE_URL": books, "MOONPOOL_REDIS_URL": redis}
    code = "from app.jobs.upkeep import main; main()"
    with subprocess.Popen([sys.executable, "-c", code], env=env) as process:
        try:
            wait_for(lambda: state(connection, late) == "expired")
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    event: Event = wait_for(lambda: stream(wire, late))[0]
    assert event.name == "expired"
