"""The job line and the money in any order of admissions, repeats, claims, crashes, zombies,
cancels, settlements, corrections and faults of Postgres: at every step the books are right and
Postgres stands as the model does; when all has ended, nothing is left over anywhere."""

import sys
from collections import Counter
from collections.abc import Callable
from itertools import count
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app.db.connect import Connection
from app.events.publish import Publisher
from app.ids import new_id
from app.jobs import store
from app.jobs.model import END_STATES, TRANSITIONS, Claimed, Draft, EndState, HandedBack
from app.ledger.verify import CHECKS
from app.limits.limiter import Limiter
from tests.app.jobs.later import Later
from tests.app.jobs.rules import APPS, OWED, PICK, TOKENS, WORKERS
from tests.app.jobs.world import World
from tests.app.line import LANE, assert_proven, draft

EACH_STEP = (
    "every job is open or ended, and not both",
    "held = holds of open jobs",
    "balance = sum of transfers, and not below zero",
)
ENDS: list[EndState] = ["completed", "completed", "cancelled", "failed"]
ASKED = st.tuples(
    st.integers(0, 2),
    st.one_of(st.just(0), st.integers(1, 20), st.integers(30, 150)),
    st.sampled_from(APPS),
    st.sampled_from([None, None, "k", "l"]),
    st.sampled_from(["a", "a", "b"]),
    st.sampled_from([None, "chat"]),
)
"""Tenant, hold, app, Idempotency-Key, body, session."""


class JobLine(Later):
    """Every rule acts on Postgres and on the model; the invariants compare them."""

    def __init__(self) -> None:
        super().__init__()
        self.stalled: set[str] = set()
        self.seen: dict[str, str] = {}
        self.first_id, self.numbers = new_id("job"), count()

    @initialize(
        asked=st.lists(ASKED, min_size=4, max_size=8), wanted=st.integers(0, 6),
        done=st.lists(st.tuples(st.sampled_from(ENDS), TOKENS, OWED), max_size=3),
    )  # fmt: skip
    def begin(self, asked: list[tuple[Any, ...]], wanted: int, done: list[Any]) -> None:
        """Some jobs wait, run and have ended before anything else happens."""
        self.admit(asked, 100)
        if wanted:
            self.claim(WORKERS[0], wanted)
        self.every_step_is_a_transition()
        for job_id, how in zip(self.model.of("running"), done, strict=False):
            self.end_running(job_id, *how)

    @rule(kind=st.sampled_from(["inside", "before", "after"]))
    def postgres_fails_the_next_group(self, kind: Any) -> None:
        self.world.fault = kind

    @rule(
        asked=st.lists(ASKED, min_size=1, max_size=5), backlog=st.sampled_from([3, 100]),
        later=st.sampled_from([False, False, False, True]),
    )  # fmt: skip
    def admit(self, asked: list[tuple[Any, ...]], backlog: int, later: bool = False) -> None:
        drafts = [self.drafted(*one, backlog=backlog) for one in asked]
        if later:
            self.scheduled(drafts)
        unheard = self.world.lost_after()
        told = self.world.group(lambda c: store.admit_group(c, drafts))
        expected = self.model.admit(drafts)
        assert told == expected
        accepted = [d for d, v in zip(drafts, told, strict=True) if v.startswith("admitted")]
        for one in drafts:
            if one not in accepted:
                self.world.give_back(one)
            elif later:
                self.model.schedule(one.id)
        if unheard:
            self.world.cut()
            self.resolve_doubts(accepted)

    def drafted(
        self, who: int, hold: int, app: str, key: str | None, body: str, session: str | None, *,
        backlog: int = 100,
    ) -> Draft:  # fmt: skip
        one = draft(self.tenants[who], hold, backlog=backlog)
        one.app_id, one.key_id, one.path = app, f"key_{self.tenants[who]}", "/x"
        one.idempotency_key, one.body_hash = key, body if key else None
        return self.named(one, hold + 1, session)

    def named(self, draft: Draft, tokens: int, session: str | None) -> Draft:
        # Ids of one millisecond are in no order; hypothesis wants the same order in each run.
        draft.id = f"{self.first_id[:-8]}{next(self.numbers):08d}"
        self.world.take(draft, tokens, session)
        return draft

    def resolve_doubts(self, unheard: list[Draft]) -> None:
        """Admissions were committed and nobody heard: who has a key asks again, and what has none
        is cancelled."""
        for one in unheard:
            if one.idempotency_key is None:
                self.end_waiting(one.id, "cancelled")
            else:
                again = draft(one.tenant_id, one.hold)
                again.path, again.body_hash = one.path, one.body_hash
                again.idempotency_key = one.idempotency_key
                assert store.admit_group(self.world.line, [again]) == [f"replayed {one.id}"]

    @precondition(lambda self: self.model.jobs)
    @rule(pick=PICK)
    def admit_one_again(self, pick: int) -> None:
        job_id, known = self.one_of(sorted(self.model.jobs), pick)
        twin = draft(known.tenant, 0)
        twin.id = job_id
        with pytest.raises(psycopg.errors.UniqueViolation):
            store.admit_group(self.world.line, [draft(self.tenants[1], 0), twin])

    @rule(owner=st.sampled_from(WORKERS), wanted=st.integers(1, 4))
    def claim(self, owner: str, wanted: int) -> None:
        unheard = self.world.lost_after()
        jobs: list[Claimed] = self.world.group(lambda c: store.claim(c, LANE, owner, wanted))
        assert {job.id: job.attempt for job in jobs} == self.model.claim(owner, wanted)
        if not unheard:
            for job in jobs:
                self.world.begin(owner, job)
            return
        self.world.cut()
        for job in jobs:
            # At its second heartbeat the worker hands back what it has never heard of.
            assert self.hand_back(job.id, job.attempt, "released", {}) == [(job.id, LANE)]
            self.model.requeue(job.id, "released")

    @precondition(lambda self: self.model.jobs)
    @rule(pick=PICK, at=st.integers(1, 3))
    def speak(self, pick: int, at: int) -> None:
        """An attempt says something, whether or not it still has the job."""
        job_id, _ = self.one_of(sorted(self.model.jobs), pick)
        if self.model.jobs[job_id].state not in END_STATES or at in {
            attempt for _, attempt in self.model.jobs[job_id].past
        }:
            self.world.say(job_id, at)

    @rule()
    def redis_catches_up(self) -> None:
        self.world.catch_up()

    @precondition(lambda self: self.has("running"))
    @rule(pick=PICK, state=st.sampled_from(ENDS), tokens=TOKENS, owed=OWED)
    def settle_current(
        self, pick: int, state: EndState, tokens: tuple[int, int, int], owed: dict[str, int]
    ) -> None:
        job_id, known = self.one_of(self.model.of("running"), pick)
        self.end_running(job_id, state, tokens, owed)
        assert known.state == state

    def end_running(
        self, job_id: str, state: EndState, tokens: tuple[int, int, int], owed: dict[str, int]
    ) -> None:
        known = self.model.jobs[job_id]
        stands, cost = self.settle(
            str(known.owner), job_id, known.attempt, state, tokens, owed
        )  # fmt: skip
        assert stands is True
        self.model.end(job_id, state, cost, settled=True)
        known.used = tokens[0] + tokens[2]
        self.world.end(job_id, known.attempt, state, known.used)

    @precondition(lambda self: self.has("completed"))
    @rule(pick=PICK, tokens=TOKENS)
    def settle_twice(self, pick: int, tokens: tuple[int, int, int]) -> None:
        job_id, known = self.one_of(self.model.of("completed"), pick)
        stands, _ = self.settle(str(known.owner), job_id, known.attempt, "completed", tokens, {})
        assert stands is True

    @precondition(lambda self: any(job.past for job in self.model.jobs.values()))
    @rule(pick=PICK, tokens=TOKENS, owed=OWED)
    def zombie_settles_late(
        self, pick: int, tokens: tuple[int, int, int], owed: dict[str, int]
    ) -> None:
        job_id, owner, attempt = self.zombie(pick)
        assert self.settle(owner, job_id, attempt, "completed", tokens, owed)[0] is False

    @precondition(lambda self: any(job.past for job in self.model.jobs.values()))
    @rule(pick=PICK, how=st.sampled_from(["lost", "released", "interrupted"]), owed=OWED)
    def zombie_gives_back_late(self, pick: int, how: str, owed: dict[str, int]) -> None:
        job_id, _, attempt = self.zombie(pick)
        assert self.hand_back(job_id, attempt, how, owed) == []

    def zombie(self, pick: int) -> tuple[str, str, int]:
        """An attempt that is over, if there is one then one that has not told yet what it owes."""
        over = [(i, *past) for i, job in sorted(self.model.jobs.items()) for past in job.past]
        untold = [one for one in over if (one[0], one[2]) not in self.model.owed]
        among = untold or over
        return among[pick % len(among)]

    @precondition(lambda self: self.has("running"))
    @rule(pick=PICK, how=st.sampled_from(["released", "interrupted"]), owed=OWED)
    def give_back(self, pick: int, how: str, owed: dict[str, int]) -> None:
        job_id, known = self.one_of(self.model.of("running"), pick)
        unheard = self.world.fault == "after"
        back = self.hand_back(job_id, known.attempt, how, owed)
        assert back == ([] if unheard else [(job_id, LANE)])
        self.model.requeue(job_id, how)

    def end_waiting(self, job_id: str, state: str) -> None:
        self.void([job_id], self.model.jobs[job_id].state, state)

    def void(self, ids: list[str], was: str, state: str) -> None:
        """Ends jobs without a worker. A commit in doubt is not tried here: nobody asks again."""
        if self.world.fault == "after":
            self.world.fault = "before"
        ended = self.world.group(lambda c: store.void(c, ids, was, state, None, "test"))
        assert sorted(self.world.voided(ended, state)) == sorted(ids)
        for job_id in ids:
            self.model.end(job_id, state)

    @precondition(lambda self: self.model.jobs)
    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        job_id, known = self.one_of(sorted(self.model.jobs), pick)
        if known.state in ("scheduled", "queued"):
            self.end_waiting(job_id, "cancelled")
            return
        line = self.world.line
        assert store.void(line, [job_id], "queued", "cancelled", None, "client") == []
        owner = store.ask_cancel(line, job_id)
        assert owner == (known.owner if known.state == "running" else None)
        known.cancel = known.state == "running"

    @precondition(lambda self: self.has("queued"))
    @rule(pick=PICK)
    def expire(self, pick: int) -> None:
        job_id, _ = self.one_of(self.model.of("queued"), pick)
        self.world.admin.execute(
            "UPDATE open_job SET deadline = now() - interval '1 s' WHERE id = %s", (job_id,)
        )
        overdue = store.overdue_jobs(self.world.line, 10)
        assert overdue == [job_id]
        self.end_waiting(job_id, "expired")

    @rule(worker=st.sampled_from(WORKERS))
    def stall(self, worker: str) -> None:
        self.world.admin.execute(
            "UPDATE worker SET lease_until = now() - interval '1 s' WHERE id = %s", (worker,)
        )
        self.stalled.add(worker)

    @rule(dead=st.sampled_from([None, *WORKERS]))
    def reap(self, dead: str | None) -> None:
        if dead is not None:
            self.stall(dead)
        cancel, fail, again = self.model.reap(self.stalled)
        lost = {row[0]: row[1] for row in store.lost_jobs(self.world.line, 100)}
        assert sorted(lost) == sorted([*cancel, *fail, *again])
        for ids, state in ((cancel, "cancelled"), (fail, "failed")):
            if ids:
                self.void(ids, "running", state)
        unheard = self.world.fault == "after"
        handed = [HandedBack(job_id, lost[job_id], None) for job_id in again]
        back = self.world.group(lambda c: store.requeue(c, handed, "lost"))
        assert sorted(back) == ([] if unheard else [(job_id, LANE) for job_id in again])
        for job_id in again:
            self.model.requeue(job_id, "lost")

    @rule(worker=st.sampled_from(WORKERS))
    def beat(self, worker: str) -> None:
        """A worker that was stalled keeps what the reaper has not taken from it."""
        owned = store.heartbeat(self.world.line, worker, 3600)
        jobs = [(i, self.model.jobs[i]) for i in self.model.of("running")]
        mine = [(i, job.attempt, job.cancel) for i, job in jobs if job.owner == worker]
        assert sorted(owned or []) == mine
        self.stalled.discard(worker)

    @invariant()
    def postgres_stands_as_the_model_does(self) -> None:
        rows = self.rows("SELECT id, state, attempt, strikes, owner, start_tag FROM open_job")
        jobs = [(i, self.model.jobs[i]) for i in self.model.of("scheduled", "queued", "running")]
        assert rows == [(i, j.state, j.attempt, j.strikes, j.owner, j.start) for i, j in jobs]
        rows = self.rows("SELECT id, state, attempt, cost FROM result")
        jobs = [(i, self.model.jobs[i]) for i in self.model.ended()]
        assert rows == [(i, job.state, job.attempt, job.cost) for i, job in jobs]
        wallets = self.rows("SELECT tenant_id, balance FROM account WHERE kind = 'wallet'")
        assert dict(wallets) == self.model.wallets
        budgets = self.rows("SELECT id, spent, held FROM budget")
        assert budgets == [(i, b.spent, b.held) for i, b in sorted(self.model.budgets.items())]
        assert self.rows("SELECT count(*) FROM webhook_event") == [(self.model.warnings,)]

    @invariant()
    def every_step_is_a_transition(self) -> None:
        rows = self.rows("SELECT id, state FROM open_job UNION ALL SELECT id, state FROM result")
        for job_id, state in rows:
            before = self.seen.get(job_id, "scheduled" if state == "scheduled" else "queued")
            assert state == before or state in TRANSITIONS[before]
            self.seen[job_id] = state

    @invariant()
    def the_books_hold(self) -> None:
        for check in EACH_STEP:
            assert self.world.admin.execute(CHECKS[check]).fetchall() == [], check

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return sorted(self.world.admin.execute(query.encode()).fetchall())

    def teardown(self) -> None:
        """All that is open ends, and then nothing is left over."""
        try:
            if sys.exception() is not None:
                return
            self.world.fault = None
            for job_id in self.model.of("scheduled"):
                self.end_waiting(job_id, "cancelled")
            while self.has("queued"):
                self.claim("wrk_a", 100)
            for job_id in self.model.of("running"):
                self.end_running(job_id, "completed", (9, 3, 5), {"p": 4})
            self.check_books()
            self.world.catch_up()
            self.check_logs_and_limits()
        finally:
            self.world.close()

    def check_books(self) -> None:
        assert_proven(self.world.admin)
        settled = self.rows(
            "SELECT job_id, count(*) FROM transfer WHERE kind = 'settle' GROUP BY job_id"
        )
        assert settled == [(i, 1) for i in self.model.ended() if self.model.jobs[i].hold > 0]
        assert self.rows("SELECT sum(balance) FROM account WHERE kind = 'held'") == [(0,)]
        free = [i for i in self.model.ended() if self.model.jobs[i].hold == 0]
        moved = self.world.admin.execute(
            "SELECT 1 FROM transfer WHERE job_id = ANY (%s) AND kind <> 'cost'", (free,)
        )
        assert moved.fetchall() == []
        owed = sorted(
            (job_id, attempt, f"provider/{provider}", nanos)
            for (job_id, attempt), owed in self.model.owed.items()
            for provider, nanos in owed.items()
            if nanos
        )
        assert owed == self.rows(
            "SELECT job_id, attempt, credit, amount FROM transfer WHERE kind = 'cost'"
        )

    def check_logs_and_limits(self) -> None:
        used: Counter[str] = Counter(dict.fromkeys(self.tenants, 0))
        for job_id, known in self.model.jobs.items():
            self.world.check_log(job_id, known.state)
            used[known.tenant] += known.used
        self.world.check_limits(used)


def test_the_books_hold_whatever_happens(
    books: str, redis: str, connection: Connection, limiter: Limiter,
    make_publisher: Callable[[str], Publisher],
) -> None:  # fmt: skip
    publishers = {worker: make_publisher(redis) for worker in WORKERS}

    class Here(JobLine):
        @staticmethod
        def make_world() -> World:
            return World(books, redis, connection, limiter, publishers)

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=30,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
