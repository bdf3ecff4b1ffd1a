"""The job line in any order of admissions, claims, crashes, zombies, cancels and settlements:
at every step the books are right and Postgres stands as the model does."""

from typing import Any, ClassVar

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app.db.connect import Connection
from app.jobs import store
from app.jobs.model import TRANSITIONS, Outcome
from app.ledger.verify import CHECKS
from tests.app.jobs.machine import Known, Model
from tests.app.line import LANE, assert_proven, draft, empty, tenant

WORKERS = ("wrk_a", "wrk_b")
EACH_STEP = (
    "every job is open or ended, and not both",
    "held = holds of open jobs",
    "balance = sum of transfers, and not below zero",
)
CREDIT = 300
PICK = st.integers(0, 1_000_000)


class JobLine(RuleBasedStateMachine):
    """Every rule acts on Postgres and on the model; the invariants compare them."""

    connection: ClassVar[Connection]

    def __init__(self) -> None:
        super().__init__()
        empty(self.connection)
        self.tenants = [tenant(self.connection, CREDIT) for _ in range(3)]
        self.model = Model(dict.fromkeys(self.tenants, CREDIT))
        self.stalled: set[str] = set()
        self.seen: dict[str, str] = {}
        for worker in WORKERS:
            store.register_worker(self.connection, worker, LANE, "host", 1, 3600)

    def has(self, *states: str) -> bool:
        return bool(self.model.of(*states))

    def one_of(self, ids: list[str], pick: int) -> tuple[str, Known]:
        job_id = ids[pick % len(ids)]
        return job_id, self.model.jobs[job_id]

    def settle(self, owner: str, job_id: str, attempt: int, cost: int) -> bool:
        outcome = Outcome(job_id, attempt, "completed", 2, "{}", None, None, cost, "[]")
        [stands] = store.settle_group(self.connection, owner, [outcome])
        return stands

    @rule(
        asked=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 150)), min_size=1, max_size=5),
        backlog=st.sampled_from([3, 100]),
    )
    def admit(self, asked: list[tuple[int, int]], backlog: int) -> None:
        drafts = [draft(self.tenants[who], hold, backlog=backlog) for who, hold in asked]
        assert store.admit_group(self.connection, drafts) == self.model.admit(drafts)

    @precondition(lambda self: self.model.jobs)
    @rule(pick=PICK)
    def admit_one_again(self, pick: int) -> None:
        job_id, known = self.one_of(sorted(self.model.jobs), pick)
        twin = draft(known.tenant, 0)
        twin.id = job_id
        with pytest.raises(psycopg.errors.UniqueViolation):
            store.admit_group(self.connection, [draft(self.tenants[0], 0), twin])

    @rule(owner=st.sampled_from(WORKERS), wanted=st.integers(1, 4))
    def claim(self, owner: str, wanted: int) -> None:
        jobs = store.claim(self.connection, LANE, owner, wanted)
        assert {job.id: job.attempt for job in jobs} == self.model.claim(owner, wanted)

    @precondition(lambda self: self.has("running"))
    @rule(pick=PICK, cost=st.integers(0, 200))
    def settle_current(self, pick: int, cost: int) -> None:
        job_id, known = self.one_of(self.model.of("running"), pick)
        assert self.settle(str(known.owner), job_id, known.attempt, cost) is True
        self.model.end(job_id, "completed", cost, settled=True)

    @precondition(lambda self: self.has("completed"))
    @rule(pick=PICK, cost=st.integers(0, 200))
    def settle_twice(self, pick: int, cost: int) -> None:
        job_id, known = self.one_of(self.model.of("completed"), pick)
        assert self.settle(str(known.owner), job_id, known.attempt, cost) is True

    @precondition(lambda self: any(job.past for job in self.model.jobs.values()))
    @rule(pick=PICK, cost=st.integers(0, 200))
    def zombie_settles_late(self, pick: int, cost: int) -> None:
        with_past = sorted(i for i, job in self.model.jobs.items() if job.past)
        job_id, known = self.one_of(with_past, pick)
        owner, attempt = known.past[pick % len(known.past)]
        assert self.settle(owner, job_id, attempt, cost) is False

    @precondition(lambda self: any(job.past for job in self.model.jobs.values()))
    @rule(pick=PICK, how=st.sampled_from(["lost", "released", "interrupted"]))
    def zombie_gives_back_late(self, pick: int, how: str) -> None:
        with_past = sorted(i for i, job in self.model.jobs.items() if job.past)
        job_id, known = self.one_of(with_past, pick)
        _, attempt = known.past[pick % len(known.past)]
        assert store.requeue(self.connection, [(job_id, attempt, None)], how) == []

    @precondition(lambda self: self.has("running"))
    @rule(pick=PICK, how=st.sampled_from(["released", "interrupted"]))
    def give_back(self, pick: int, how: str) -> None:
        job_id, known = self.one_of(self.model.of("running"), pick)
        lost: list[tuple[str, int, str | None]] = [(job_id, known.attempt, None)]
        assert store.requeue(self.connection, lost, how) == [(job_id, LANE)]
        self.model.requeue(job_id, how)

    @precondition(lambda self: self.model.jobs)
    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        job_id, known = self.one_of(sorted(self.model.jobs), pick)
        gone = store.void(self.connection, [job_id], "queued", "cancelled", None, "client")
        if known.state == "queued":
            assert gone == [job_id]
            self.model.end(job_id, "cancelled")
            return
        assert gone == []
        owner = store.ask_cancel(self.connection, job_id)
        assert owner == (known.owner if known.state == "running" else None)
        known.cancel = known.state == "running"

    @precondition(lambda self: self.has("queued"))
    @rule(pick=PICK)
    def expire(self, pick: int) -> None:
        job_id, known = self.one_of(self.model.of("queued"), pick)
        self.connection.execute(
            "UPDATE open_job SET deadline = now() - interval '1 s' WHERE id = %s", (job_id,)
        )
        overdue = store.overdue_jobs(self.connection, 10)
        assert overdue == {job_id: known.attempt}
        assert store.void(
            self.connection, list(overdue), "queued", "expired", {}, "upkeep"
        ) == [job_id]  # fmt: skip
        self.model.end(job_id, "expired")

    @rule(worker=st.sampled_from(WORKERS))
    def stall(self, worker: str) -> None:
        self.connection.execute(
            "UPDATE worker SET lease_until = now() - interval '1 s' WHERE id = %s", (worker,)
        )
        self.stalled.add(worker)

    @rule()
    def reap(self) -> None:
        cancel, fail, again = self.model.reap(self.stalled)
        lost = {row[0]: row for row in store.lost_jobs(self.connection, 100)}
        assert sorted(lost) == sorted([*cancel, *fail, *again])
        for ids, state in ((cancel, "cancelled"), (fail, "failed")):
            ended = store.void(self.connection, ids, "running", state, None, "reaper")
            assert sorted(ended) == ids
            for job_id in ids:
                self.model.end(job_id, state)
        back = store.requeue(self.connection, [(i, lost[i][1], None) for i in again], "lost")
        assert sorted(back) == [(job_id, LANE) for job_id in again]
        for job_id in again:
            self.model.requeue(job_id, "lost")

    @rule(worker=st.sampled_from(WORKERS))
    def beat(self, worker: str) -> None:
        """A worker that was stalled keeps what the reaper has not taken from it."""
        owned = store.heartbeat(self.connection, worker, 3600)
        jobs = [(i, self.model.jobs[i]) for i in self.model.of("running")]
        mine = [(i, job.attempt, job.cancel) for i, job in jobs if job.owner == worker]
        assert sorted(owned or []) == mine
        self.stalled.discard(worker)

    @invariant()
    def postgres_stands_as_the_model_does(self) -> None:
        rows = self.rows("SELECT id, state, attempt, strikes, owner, start_tag FROM open_job")
        jobs = [(i, self.model.jobs[i]) for i in self.model.of("queued", "running")]
        assert rows == [(i, j.state, j.attempt, j.strikes, j.owner, j.start) for i, j in jobs]
        rows = self.rows("SELECT id, state, attempt FROM result")
        jobs = [(i, self.model.jobs[i]) for i in self.model.ended()]
        assert rows == [(i, job.state, job.attempt) for i, job in jobs]
        wallets = self.rows("SELECT tenant_id, balance FROM account WHERE kind = 'wallet'")
        assert dict(wallets) == self.model.wallets

    @invariant()
    def every_step_is_a_transition(self) -> None:
        rows = self.rows("SELECT id, state FROM open_job UNION ALL SELECT id, state FROM result")
        for job_id, state in rows:
            before = self.seen.get(job_id, "queued")
            assert state == before or state in TRANSITIONS[before]
            self.seen[job_id] = state

    @invariant()
    def the_books_hold(self) -> None:
        for check in EACH_STEP:
            assert self.connection.execute(CHECKS[check]).fetchall() == [], check

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return sorted(self.connection.execute(query.encode()).fetchall())

    def teardown(self) -> None:
        assert_proven(self.connection)
        settled = self.rows(
            "SELECT job_id, count(*) FROM transfer WHERE kind = 'settle' GROUP BY job_id"
        )
        assert settled == [(job_id, 1) for job_id in self.model.ended()]


def test_the_books_hold_whatever_happens(connection: Connection) -> None:
    class Here(JobLine):
        pass

    Here.connection = connection
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=40,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
