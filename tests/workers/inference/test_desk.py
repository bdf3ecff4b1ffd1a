"""A worker process's desk over real Postgres and Redis, its jobs answered by the simulator."""

from functools import partial
from typing import Any

import gevent
import orjson
import psycopg
import pytest

from app.db.connect import Connection
from app.jobs import store
from app.jobs.model import Claimed, HandedBack
from app.redis import Wire
from tests.app.events.parts import names, stream, text_of, until
from tests.app.line import (
    LANE,
    assert_proven,
    claim_one,
    funds,
    running,
    state,
    tenant,
    transfers,
)
from tests.workers.inference.conftest import MakeDesk
from tests.workers.inference.desks import (
    CREDIT,
    HOLD,
    finished,
    jobs_of,
    log_of,
    request,
    started,
)
from workers.inference import desk as room
from workers.inference.desk import Desk
from workers.inference.run import Attempt, Ended


def test_answers_what_waits_and_settles_it(desk: Desk, connection: Connection, wire: Wire) -> None:
    mine = tenant(connection, CREDIT)
    ids = jobs_of(connection, mine, 30, tokens=20)
    desk.answer(LANE, 30)
    assert {state(connection, job_id) for job_id in ids} == {"completed"}
    assert desk.running == {}
    wallet, held = funds(connection, mine)
    paid = sum(transfers(connection, job_id)["settle"] for job_id in ids)
    assert (held, wallet) == (0, CREDIT - paid)
    assert paid > 0
    for job_id in ids:
        found = store.find_job(connection, job_id, mine)
        assert found is not None
        assert found.body is not None
        events = log_of(desk, wire, job_id)
        answer = orjson.loads(found.body)["choices"][0]["message"]["content"]
        assert text_of(events) == answer
        assert (names(events)[-1], events[-1].id.seq) == ("completed", found.last_seq)
    assert_proven(connection)


def test_answers_no_more_than_it_was_asked_to(desk: Desk, connection: Connection) -> None:
    jobs_of(connection, tenant(connection, CREDIT), 5)
    desk.answer(LANE, 2)
    assert connection.execute("SELECT count(*) FROM result").fetchone() == (2,)


def spoke(desk: Desk, job_id: str) -> bool:
    return job_id in desk.running and desk.running[job_id].attempt.relay.spoke


def test_an_empty_lane_is_answered_at_once_and_keeps_the_slots(desk: Desk) -> None:
    before = desk.free_slots
    desk.answer(LANE, 64)
    assert desk.free_slots == before


def test_no_more_jobs_run_at_once_than_there_are_slots(
    make_desk: MakeDesk, connection: Connection
) -> None:
    desk = make_desk(slots_interactive=3)
    ids = jobs_of(connection, tenant(connection, CREDIT), 5, tokens=4, stall_after=2)
    answers = [gevent.spawn(desk.answer, LANE, 5) for _ in range(2)]
    until(lambda: len(desk.running) == 3)
    assert desk.free_slots == 0
    gevent.sleep(0)
    assert len(desk.running) == 3
    for job_id in ids:
        until(partial(spoke, desk, job_id))
        desk.cancel(job_id)
    gevent.joinall(answers, 10, raise_error=True)
    until(lambda: desk.free_slots == 3)
    assert {state(connection, job_id) for job_id in ids} == {"cancelled"}
    assert_proven(connection)


def test_a_cancel_ends_the_call_and_bills_what_was_said(
    desk: Desk, connection: Connection, wire: Wire
) -> None:
    mine = tenant(connection, CREDIT)
    [job_id] = jobs_of(connection, mine, door="stream", tokens=9, stall_after=3)
    answering = started(desk, 1)
    desk.cancel(job_id)
    desk.cancel(job_id)
    finished(answering)
    assert state(connection, job_id) == "cancelled"
    paid = transfers(connection, job_id)
    assert 0 < paid["settle"] < HOLD
    assert names(log_of(desk, wire, job_id))[-1] == "cancelled"
    assert_proven(connection)


@pytest.mark.parametrize("how", ["cancel", "lose"])
def test_a_job_thrown_out_before_it_began_leaves_its_slot(
    desk: Desk, connection: Connection, how: str
) -> None:
    job = running(connection, tenant(connection, CREDIT), owner=desk.worker_id, request=request())
    before = desk.free_slots
    desk._take_slots(1)
    greenlet = desk._start(job)
    getattr(desk, how)(job.id)
    greenlet.join(10)
    assert desk.running == {}
    assert desk.free_slots == before


def test_a_cancel_that_comes_as_the_answer_ends_leaves_its_settlement_alone(
    desk: Desk, connection: Connection, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Attempt.run

    def cancelled_at_the_end(attempt: Attempt) -> Ended:
        ended = run(attempt)
        desk.cancel(attempt.job.id)
        return ended

    monkeypatch.setattr(Attempt, "run", cancelled_at_the_end)
    [job_id] = jobs_of(connection, tenant(connection, CREDIT))
    desk.answer(LANE, 1)
    assert state(connection, job_id) == "completed"
    assert names(log_of(desk, wire, job_id))[-1] == "completed"
    assert_proven(connection)


def test_a_lost_job_is_dropped_without_a_word(
    desk: Desk, connection: Connection, wire: Wire
) -> None:
    mine = tenant(connection, CREDIT)
    [job_id] = jobs_of(connection, mine, tokens=9, stall_after=3)
    answering = started(desk, 1)
    store.requeue(connection, [HandedBack(job_id, 1, None)], "lost")
    heir = claim_one(connection, "wrk_heir")
    desk.lose(job_id)
    finished(answering)
    assert state(connection, job_id) == "running"
    assert [a["outcome"] for a in store.attempts_of(connection, job_id)] == ["lost", "running"]
    assert names(log_of(desk, wire, job_id)) == ["started", "delta"]
    assert heir.attempt == 2


def test_a_fenced_log_drops_the_job(desk: Desk, connection: Connection, wire: Wire) -> None:
    """Redis refuses what an attempt writes after a later one has, so the worker hears of it."""
    [job_id] = jobs_of(
        connection, tenant(connection, CREDIT), tokens=50, tokens_per_second=200, ttft_ms=1
    )
    answering = started(desk, 1)
    wire.call(("XADD", f"ev:{job_id}", "2-1", "e", "restarted", "d", "{}"))
    finished(answering)
    assert state(connection, job_id) == "running"
    assert names(stream(wire, job_id))[-1] == "restarted"


def test_a_draining_desk_hands_back_what_does_not_finish(
    desk: Desk, connection: Connection, wire: Wire
) -> None:
    mine = tenant(connection, CREDIT)
    [slow] = jobs_of(connection, mine, tokens=9, stall_after=3)
    answering = started(desk, 1)
    desk.drain(0.01)
    finished(answering)
    assert state(connection, slow) == "queued"
    [attempt] = store.attempts_of(connection, slow)
    assert attempt["outcome"] == "released"
    until(lambda: wire.call(("LLEN", LANE)) == [1])
    assert claim_one(connection).strikes == 0
    jobs_of(connection, mine)
    desk.answer(LANE, 1)
    assert desk.running == {}, "a desk that drains claims no more"
    assert_proven(connection)


def test_a_draining_desk_lets_jobs_finish(desk: Desk, connection: Connection) -> None:
    [quick] = jobs_of(
        connection, tenant(connection, CREDIT), tokens=10, tokens_per_second=200, ttft_ms=1
    )
    answering = started(desk, 1)
    desk.drain(10)
    finished(answering)
    assert state(connection, quick) == "completed"


def test_a_snapshot_is_written_for_a_job_that_runs(
    desk: Desk, connection: Connection, wire: Wire
) -> None:
    [job_id] = jobs_of(connection, tenant(connection, CREDIT), tokens=9, stall_after=3)
    answering = started(desk, 1)
    desk._parts.publisher.drain(10)
    desk.snapshot(job_id)
    desk.snapshot("job_nobody")
    events = log_of(desk, wire, job_id)
    assert names(events) == ["started", "delta", "snapshot"]
    assert text_of(events) == text_of(events[:2]) != ""
    desk.cancel(job_id)
    finished(answering)


def test_a_cut_background_job_goes_back_with_its_bell(
    desk: Desk, connection: Connection, wire: Wire
) -> None:
    [job_id] = jobs_of(connection, tenant(connection, CREDIT), tokens=9, cut_after=3)
    desk.answer(LANE, 1)
    assert state(connection, job_id) == "queued"
    [attempt] = store.attempts_of(connection, job_id)
    assert attempt["outcome"] == "interrupted"
    assert attempt["calls"][0]["outcome"] == "incomplete"
    until(lambda: wire.call(("LLEN", LANE)) == [1])
    assert claim_one(connection).strikes == 1


def test_a_settlement_that_meets_an_outage_is_made_once_after_it(
    desk: Desk, connection: Connection, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks with the commit in doubt; the job is settled once and told once."""
    monkeypatch.setattr(room, "SETTLE_RETRY_S", (0.001,))
    mine = tenant(connection, CREDIT)
    ids = jobs_of(connection, mine, 3)
    settle, cuts = store.settle_group, [False, True]

    def cut_off(line: Connection, owner: str, outcomes: list[Any]) -> list[bool]:
        before_commit = cuts.pop() if cuts else None
        if before_commit is False:
            settle(line, owner, outcomes)
        if before_commit is not None:
            connection.execute("SELECT pg_terminate_backend(%s, 5000)", (line.info.backend_pid,))
        return settle(line, owner, outcomes)

    monkeypatch.setattr(store, "settle_group", cut_off)
    desk.answer(LANE, 3)
    assert cuts == []
    assert {state(connection, job_id) for job_id in ids} == {"completed"}
    for job_id in ids:
        assert names(log_of(desk, wire, job_id)).count("completed") == 1
    assert_proven(connection)


def test_a_settlement_that_postgres_refuses_becomes_a_failure(
    desk: Desk, connection: Connection, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "SETTLE_RETRY_S", (0.001,))
    mine = tenant(connection, CREDIT)
    [job_id] = jobs_of(connection, mine)
    settle = store.settle_group

    def picky(line: Connection, owner: str, outcomes: list[Any]) -> list[bool]:
        if any(outcome.body for outcome in outcomes):
            raise psycopg.errors.UntranslatableCharacter("no")
        return settle(line, owner, outcomes)

    monkeypatch.setattr(store, "settle_group", picky)
    desk.answer(LANE, 1)
    assert state(connection, job_id) == "failed"
    assert funds(connection, mine) == (CREDIT, 0)
    assert names(log_of(desk, wire, job_id))[-1] == "failed"
    assert_proven(connection)


def test_claims_made_together_are_shared_out(desk: Desk, connection: Connection) -> None:
    ids = jobs_of(connection, tenant(connection, CREDIT), 10)
    asked: list[tuple[str, int]] = [(LANE, 3), (LANE, 4), ("batch", 2), (LANE, 5)]
    shares = desk._claim_group(connection, asked)
    assert [len(share) for share in shares] == [3, 4, 0, 3]
    got: list[Claimed] = [job for share in shares for job in share]
    assert sorted(job.id for job in got) == sorted(ids)
