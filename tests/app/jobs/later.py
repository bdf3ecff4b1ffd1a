"""The state machine's rules of jobs that wait for their time, and of those that are made again."""

import time

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from app.jobs import store
from app.jobs.model import Draft, Plan
from app.jobs.planned.store import due
from app.jobs.retries.again import DEAD, draft_again
from app.jobs.retries.store import find_origin
from tests.app.jobs.rules import PICK, Rules
from tests.app.line import LANE

LATER_S = 3600.0


class Later(Rules):
    """Scheduled jobs come into their lane at their time; dead ones come again as new ones."""

    def named(self, draft: Draft, tokens: int, session: str | None) -> Draft:
        """A draft with an id that is the same in each run, and with what it takes of its limits."""
        raise AssertionError("the machine has ids")

    def scheduled(self, drafts: list[Draft]) -> list[Draft]:
        """The drafts, each for a time to come."""
        for one in drafts:
            one.plan = Plan(run_at_s=time.time() + LATER_S)
        return drafts

    @precondition(lambda self: self.has("scheduled"))
    @rule(pick=PICK, count=st.integers(1, 4), limit=st.integers(1, 4))
    def their_time_comes(self, pick: int, count: int, limit: int) -> None:
        waiting = self.model.of("scheduled")
        begin = pick % len(waiting)
        ids = waiting[begin : begin + count]
        self.world.admin.execute(
            "UPDATE open_job SET run_at = '2026-01-01' WHERE id = ANY (%s)", (ids,)
        )
        late = sorted({*ids, *self.model.late})
        expected = [late[:limit]]
        if self.world.fault == "after":
            # The first time was committed and nobody heard of it.
            expected.append(late[limit : 2 * limit])
        told = self.world.group(lambda c: due(c, limit))
        assert sorted(told) == [(job_id, LANE) for job_id in expected[-1]]
        self.model.late = set(late)
        for group in expected:
            self.model.due(group)

    @precondition(lambda self: self.has(*DEAD))
    @rule(pick=PICK, force=st.booleans())
    def make_again(self, pick: int, force: bool) -> None:
        job_id, known = self.one_of(self.model.of(*DEAD), pick)
        origin = find_origin(self.world.line, job_id, known.tenant)
        assert origin is not None
        one = draft_again(
            origin, key_id=f"key_{known.tenant}", deadline_s=600, backlog=100, force=force
        )
        one.lane = LANE
        self.named(one, one.reserved, one.session)
        if self.world.fault == "after":
            self.world.fault = "before"
        [told] = self.world.group(lambda c: store.admit_group(c, [one]))
        before = None if force else self.model.retried(job_id)
        assert told == (f"retried {before}" if before else self.model.admit([one])[0])
        if told.startswith("admitted"):
            self.model.jobs[one.id].retry_of = job_id
        else:
            self.world.give_back(one)
