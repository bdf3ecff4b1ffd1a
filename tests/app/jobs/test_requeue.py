"""Claims, jobs that go back to their lane, and jobs that end without a worker."""

from dataclasses import replace

import pytest

from app.db.connect import Connection
from app.jobs import store
from app.jobs.model import HandedBack, Reservation
from tests.app.line import (
    LANE,
    admit,
    assert_proven,
    claim_one,
    draft,
    funds,
    outcome,
    running,
    state,
    tenant,
    transfers,
    voided,
)


def strikes(connection: Connection, job_id: str) -> int:
    row = connection.execute("SELECT strikes FROM open_job WHERE id = %s", (job_id,)).fetchone()
    assert row is not None
    return int(row[0])


def test_a_claim_gives_what_a_worker_needs(connection: Connection) -> None:
    mine = tenant(connection)
    [job_id] = admit(connection, mine, hold=7, door="stream", deadline_s=50, request='{"x":1}')
    job = claim_one(connection, "wrk_a")
    assert (job.id, job.attempt, job.strikes, job.tenant_id) == (job_id, 1, 0, mine)
    assert (job.kind, job.door, job.model) == ("chat.completion", "stream", "m")
    assert (job.request, job.hold) == ('{"x":1}', 7)
    assert 0 <= job.age_ms < 50_000
    assert 0 < job.left_s <= 50
    [attempt] = store.attempts_of(connection, job_id)
    assert (attempt["attempt"], attempt["worker"], attempt["outcome"]) == (1, "wrk_a", "running")


def test_a_claim_gives_what_the_job_has_reserved(connection: Connection) -> None:
    mine = tenant(connection)
    one = draft(mine)
    one.key_id, one.reserved, one.session, one.holds_session = "key_a", 700, "chat", True
    assert store.admit_group(connection, [one]) == ["admitted"]
    job = claim_one(connection)
    assert (job.key_id, job.reserved, job.session, job.holds_session) == (
        "key_a", 700, "chat", True,
    )  # fmt: skip
    assert job.reservation == Reservation(
        job.id, mine, "key_a", 700, "chat", True, job.created_s, 1
    )  # fmt: skip
    store.requeue(connection, [HandedBack(job.id, 1, None)], "lost")
    again = claim_one(connection, "wrk_b").reservation
    assert again == replace(job.reservation, attempt=2)
    [ended] = store.void(connection, [job.id], "running", "failed", {}, "reaper")
    assert ended == again


def test_a_job_is_claimed_once(connection: Connection) -> None:
    ids = admit(connection, tenant(connection), 5)
    first = store.claim(connection, LANE, "wrk_a", 3)
    second = store.claim(connection, LANE, "wrk_b", 3)
    assert sorted(job.id for job in first + second) == sorted(ids)
    assert store.claim(connection, LANE, "wrk_a", 3) == []


def test_a_claim_takes_nothing_from_another_lane(connection: Connection) -> None:
    admit(connection, tenant(connection), lane="batch")
    assert store.claim(connection, LANE, "wrk_a", 1) == []
    assert len(store.claim(connection, "batch", "wrk_a", 9)) == 1


@pytest.mark.parametrize(("how", "struck"), [("lost", 1), ("interrupted", 1), ("released", 0)])
def test_a_job_goes_back_with_its_attempt_told(
    connection: Connection, how: str, struck: int
) -> None:
    mine = tenant(connection, 1000)
    job = running(connection, mine)
    assert store.requeue(connection, [HandedBack(job.id, 1, '[{"provider":"p"}]')], how) == [
        (job.id, LANE)
    ]
    assert state(connection, job.id) == "queued"
    assert strikes(connection, job.id) == struck
    assert funds(connection, mine) == (900, 100)
    [attempt] = store.attempts_of(connection, job.id)
    assert (attempt["outcome"], attempt["worker"]) == (how, "wrk_a")
    assert attempt["calls"] == [{"provider": "p"}]
    again = claim_one(connection, "wrk_b")
    assert (again.id, again.attempt, again.strikes) == (job.id, 2, struck)
    assert_proven(connection)


def test_an_old_attempt_does_not_give_the_job_back(connection: Connection) -> None:
    job = running(connection, tenant(connection))
    store.requeue(connection, [HandedBack(job.id, 1, None)], "lost")
    claim_one(connection, "wrk_b")
    assert store.requeue(connection, [HandedBack(job.id, 1, None)], "lost") == []
    assert state(connection, job.id) == "running"
    assert strikes(connection, job.id) == 1


def test_giving_back_twice_counts_once(connection: Connection) -> None:
    job = running(connection, tenant(connection))
    assert len(store.requeue(connection, [HandedBack(job.id, 1, None)], "lost")) == 1
    assert store.requeue(connection, [HandedBack(job.id, 1, None)], "lost") == []
    assert strikes(connection, job.id) == 1


def test_a_group_gives_back_those_that_are_current(connection: Connection) -> None:
    mine = tenant(connection)
    jobs = [running(connection, mine) for _ in range(3)]
    store.settle_group(connection, "wrk_a", [outcome(jobs[1])])
    back = store.requeue(connection, [HandedBack(j.id, j.attempt, None) for j in jobs], "lost")
    assert {job_id for job_id, _ in back} == {jobs[0].id, jobs[2].id}
    assert_proven(connection)


@pytest.mark.parametrize("was", ["queued", "running"])
@pytest.mark.parametrize("end", ["cancelled", "expired", "failed"])
def test_a_void_gives_the_whole_hold_back(connection: Connection, was: str, end: str) -> None:
    mine = tenant(connection, 1000)
    job = running(connection, mine)
    if was == "queued":
        store.requeue(connection, [HandedBack(job.id, 1, None)], "released")
    assert voided(connection, [job.id], was, end, {"code": "x"}, "reaper") == [job.id]
    assert state(connection, job.id) == end
    assert funds(connection, mine) == (1000, 0)
    assert transfers(connection, job.id) == {"hold": 100, "settle": 0, "release": 100}
    found = store.find_job(connection, job.id, mine)
    assert found is not None
    assert (found.state, found.error, found.attempt, found.last_seq) == (end, {"code": "x"}, 1, 0)
    told = [attempt["outcome"] for attempt in store.attempts_of(connection, job.id)]
    assert told == (["lost"] if was == "running" else ["released"])
    assert_proven(connection)


def test_a_void_is_for_the_state_that_it_was_asked_for(connection: Connection) -> None:
    """A cancel that comes after the claim does not end the job under its worker."""
    mine = tenant(connection)
    runs = running(connection, mine)
    [waits] = admit(connection, mine)
    ids = [runs.id, waits, "job_nobody"]
    assert voided(connection, ids, "queued", "cancelled", None, "client") == [waits]
    assert state(connection, runs.id) == "running"
    assert voided(connection, ids, "queued", "cancelled", None, "client") == []
    assert_proven(connection)


def test_a_voided_attempt_does_not_settle(connection: Connection) -> None:
    mine = tenant(connection, 1000)
    job = running(connection, mine)
    store.void(connection, [job.id], "running", "failed", {}, "reaper")
    assert store.settle_group(connection, "wrk_a", [outcome(job)]) == [False]
    assert funds(connection, mine) == (1000, 0)
    assert_proven(connection)


def test_a_cancel_stays_with_a_job_that_changes_hands(connection: Connection) -> None:
    job = running(connection, tenant(connection), owner="wrk_a")
    assert store.ask_cancel(connection, job.id) == "wrk_a"
    store.requeue(connection, [HandedBack(job.id, 1, None)], "released")
    store.register_worker(connection, "wrk_b", LANE, "host", 1, 60)
    claim_one(connection, "wrk_b")
    assert store.heartbeat(connection, "wrk_b", 60) == [(job.id, 2, True)]


def test_a_cancel_that_meets_a_job_between_two_workers_is_kept(connection: Connection) -> None:
    """The door saw it running, and by its second statement the job was queued again."""
    job = running(connection, tenant(connection), owner="wrk_a")
    store.requeue(connection, [HandedBack(job.id, 1, None)], "lost")
    assert store.ask_cancel(connection, job.id) is None
    store.register_worker(connection, "wrk_b", LANE, "host", 1, 60)
    claim_one(connection, "wrk_b")
    assert store.heartbeat(connection, "wrk_b", 60) == [(job.id, 2, True)]
