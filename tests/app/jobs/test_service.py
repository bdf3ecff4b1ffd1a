"""The doors' side of jobs: admission with its bell, doubt, lookups and cancels."""

from collections.abc import Callable

import gevent.event
import orjson
import pytest

from app.db.connect import Connection
from app.errors import KeyReused, NoCredit, NotFound, OverBudget, Overloaded, Unavailable
from app.events.hub import Hub
from app.events.log import EventId
from app.ids import new_id
from app.jobs import service, store
from app.jobs.model import Draft, HandedBack, JobFilter
from app.jobs.service import BULKY_LENGTH, Admission, Jobs, control_channel
from app.ledger.budgets import create_budget
from app.limits.limiter import Limiter
from app.redis import Wire
from tests.app.events.parts import stream, until
from tests.app.line import (
    LANE,
    admit,
    assert_proven,
    draft,
    funds,
    outcome,
    running,
    state,
    tenant,
)
from tests.app.taking import take, taken

MakeJobs = Callable[..., Jobs]


def test_an_admitted_job_is_committed_and_its_bell_rung(
    jobs: Jobs, connection: Connection, wire: Wire
) -> None:
    one = draft(tenant(connection))
    jobs.admit(one)
    assert state(connection, one.id) == "queued"
    until(lambda: wire.call(("LLEN", LANE)) == [1])


def test_a_job_without_credit_is_refused_with_its_price(
    jobs: Jobs, connection: Connection, wire: Wire
) -> None:
    with pytest.raises(NoCredit, match=r"\$12\.50") as refused:
        jobs.admit(draft(tenant(connection, 0), 12_500_000_000))
    assert refused.value.status == 402
    assert wire.call(("LLEN", LANE)) == [0]


def test_a_budget_warns_first_and_then_refuses(jobs: Jobs, connection: Connection) -> None:
    mine = tenant(connection, 1000)
    budget = create_budget(connection, mine, "tenant", mine, "day", 30, 100)
    job = running(connection, mine, hold=30)
    one = draft(mine, 20)
    assert jobs.admit(one) == Admission(one.id)
    store.settle_group(connection, "wrk_a", [outcome(job, cost=30)])
    two = draft(mine, 20)
    assert jobs.admit(two) == Admission(two.id, budget.id)
    with pytest.raises(OverBudget, match=r"\$0\.00000003.*" + budget.id) as refused:
        jobs.admit(draft(mine, 31))
    assert (refused.value.status, refused.value.extra) == (402, {"budget_id": budget.id})
    assert funds(connection, mine) == (930, 40)
    assert_proven(connection)


def test_a_key_that_stands_for_a_job_admits_that_job(jobs: Jobs, connection: Connection) -> None:
    mine = tenant(connection)
    one, again, other = (draft(mine) for _ in range(3))
    for given, body in ((one, "b"), (again, "b"), (other, "c")):
        given.idempotency_key, given.body_hash = "k", body
    assert jobs.admit(one) == jobs.admit(again) == Admission(one.id)
    with pytest.raises(KeyReused) as refused:
        jobs.admit(other)
    assert (refused.value.status, refused.value.param) == (422, "Idempotency-Key")


def test_a_full_lane_is_refused_with_a_time_to_come_back(
    jobs: Jobs, connection: Connection
) -> None:
    with pytest.raises(Overloaded, match="interactive") as refused:
        jobs.admit(draft(tenant(connection), backlog=0))
    assert (refused.value.status, refused.value.retry_after) == (503, 1)


def test_jobs_that_come_during_a_commit_share_the_next_and_a_bell(
    jobs: Jobs, connection: Connection, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, commit = tenant(connection), store.admit_group
    entered, leave = gevent.event.Event(), gevent.event.Event()

    def slow(line: Connection, drafts: list[Draft]) -> list[str]:
        entered.set()
        leave.wait(10)
        return commit(line, drafts)

    monkeypatch.setattr(store, "admit_group", slow)
    doors = [gevent.spawn(jobs.admit, draft(mine, lane="batch"))]
    entered.wait(10)
    doors += [gevent.spawn(jobs.admit, draft(mine)) for _ in range(4)]
    until(lambda: len(jobs._admissions._waiting) == 4)
    leave.set()
    gevent.joinall(doors, 10, raise_error=True)
    times = connection.execute(
        "SELECT count(DISTINCT created_at), count(*) FROM job WHERE lane = %s", (LANE,)
    ).fetchone()
    assert times == (1, 4)
    until(lambda: wire.call(("LLEN", LANE)) == [1])


def test_a_long_request_does_not_hold_up_the_short_ones(
    jobs: Jobs, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, commit = tenant(connection), store.admit_group
    leave = gevent.event.Event()

    def slow(line: Connection, drafts: list[Draft]) -> list[str]:
        if any(len(one.request) > BULKY_LENGTH for one in drafts):
            leave.wait(10)
        return commit(line, drafts)

    monkeypatch.setattr(store, "admit_group", slow)
    long, short = draft(mine, request=f'"{"x" * BULKY_LENGTH}"'), draft(mine)
    door = gevent.spawn(jobs.admit, long)
    gevent.sleep(0)
    jobs.admit(short)
    assert state(connection, short.id) == "queued"
    leave.set()
    door.get(timeout=10)
    assert state(connection, long.id) == "queued"


def test_admission_does_not_need_redis(make_jobs: MakeJobs, connection: Connection) -> None:
    one = draft(tenant(connection))
    make_jobs(redis_url="unix:///nowhere/redis.sock").admit(one)
    assert state(connection, one.id) == "queued"


def test_without_postgres_a_job_is_not_accepted(make_jobs: MakeJobs) -> None:
    away = make_jobs(database_url="postgresql:///x?host=/nowhere")
    with pytest.raises(Unavailable) as refused:
        away.admit(draft("ten_x"))
    assert (refused.value.status, refused.value.retry_after) == (503, 2)


def test_a_commit_in_doubt_is_undone_once_it_is_seen(
    jobs: Jobs, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client was told 503, so the job that was committed after all must not run."""
    mine = tenant(connection, 1000)
    commit = store.admit_group

    def cut_off(line: Connection, drafts: list[Draft]) -> list[str]:
        commit(line, drafts)
        connection.execute("SELECT pg_terminate_backend(%s, 5000)", (line.info.backend_pid,))
        line.execute("SELECT 1")
        raise AssertionError("a connection that was ended answers")

    monkeypatch.setattr(service, "DOUBT_RETRY_S", 0.01)
    monkeypatch.setattr(store, "admit_group", cut_off)
    one = draft(mine)
    with pytest.raises(Unavailable):
        jobs.admit(one)
    until(lambda: state(connection, one.id) == "cancelled")
    assert funds(connection, mine) == (1000, 0)
    assert_proven(connection)


def test_a_job_is_found_by_its_tenant_alone(jobs: Jobs, connection: Connection) -> None:
    mine, other = tenant(connection), tenant(connection)
    [job_id] = admit(connection, mine)
    assert jobs.find(job_id, mine).id == job_id
    assert [job.id for job in jobs.page(mine, None, JobFilter(), 10)] == [job_id]
    for asked, who in ((job_id, other), (new_id("job"), mine), ("job_1", mine), ("", mine)):
        with pytest.raises(NotFound):
            jobs.find(asked, who)


def test_a_queued_job_is_cancelled_at_once(jobs: Jobs, connection: Connection, wire: Wire) -> None:
    mine = tenant(connection, 1000)
    [job_id] = admit(connection, mine)
    jobs.cancel(jobs.find(job_id, mine))
    assert state(connection, job_id) == "cancelled"
    assert funds(connection, mine) == (1000, 0)
    [event] = stream(wire, job_id)
    assert (event.id, event.name) == (EventId(1, 1), "cancelled")
    assert orjson.loads(event.data) == {"job_id": job_id, "status": "cancelled", "error": None}
    assert wire.call(("TTL", f"ev:{job_id}"))[0] > 0


def test_a_queued_job_that_is_cancelled_gives_back_its_tokens_and_its_session(
    jobs: Jobs, connection: Connection, wire: Wire, limiter: Limiter
) -> None:
    mine = tenant(connection)
    for tokens, session in ((300, None), (200, "chat")):
        jobs.admit(take(limiter, draft(mine), tokens, session))
    assert taken(limiter, wire, mine) == (500, 2)
    named, plain = jobs.page(mine, None, JobFilter(), 10)
    jobs.cancel(plain)
    assert taken(limiter, wire, mine) == (200, 1)
    jobs.cancel(plain)
    assert taken(limiter, wire, mine) == (200, 1)
    jobs.cancel(named)
    assert taken(limiter, wire, mine) == (0, 0)
    assert wire.call(("KEYS", "lim:*:ses*")) == [[]]


def test_a_cancel_is_told_to_the_worker_that_runs_the_job(
    jobs: Jobs, connection: Connection, hub: Hub, wire: Wire
) -> None:
    mine = tenant(connection)
    job = running(connection, mine, owner="wrk_a")
    control = hub.watch(control_channel("wrk_a"))
    until(lambda: wire.call(("PUBSUB", "NUMSUB", control_channel("wrk_a")))[0][1])
    control.lost = False
    jobs.cancel(jobs.find(job.id, mine))
    assert control.get(10) == f"cancel {job.id}".encode()
    assert state(connection, job.id) == "running"
    assert jobs.find(job.id, mine).cancel


def test_cancelling_twice_or_too_late_changes_nothing(
    jobs: Jobs, connection: Connection, wire: Wire
) -> None:
    mine = tenant(connection)
    [waits] = admit(connection, mine)
    before = jobs.find(waits, mine)
    for _ in range(2):
        jobs.cancel(before)
    done = running(connection, mine)
    seen = jobs.find(done.id, mine)
    store.settle_group(connection, "wrk_a", [outcome(done)])
    jobs.cancel(seen)
    jobs.cancel(jobs.find(done.id, mine))
    assert (state(connection, waits), state(connection, done.id)) == ("cancelled", "completed")
    assert len(stream(wire, waits)) == 1
    assert_proven(connection)


def test_a_cancel_does_not_need_redis(make_jobs: MakeJobs, connection: Connection) -> None:
    alone = make_jobs(redis_url="unix:///nowhere/redis.sock")
    mine = tenant(connection)
    runs = running(connection, mine)
    [waits] = admit(connection, mine)
    for job_id in (waits, runs.id):
        alone.cancel(alone.find(job_id, mine))
    assert state(connection, waits) == "cancelled"
    assert alone.find(runs.id, mine).cancel


def test_attempts_are_told_with_their_calls(jobs: Jobs, connection: Connection) -> None:
    mine = tenant(connection)
    job = running(connection, mine)
    store.requeue(connection, [HandedBack(job.id, 1, '[{"provider":"p"}]')], "interrupted")
    [attempt] = jobs.attempts(jobs.find(job.id, mine))
    assert (attempt["outcome"], attempt["calls"]) == ("interrupted", [{"provider": "p"}])
