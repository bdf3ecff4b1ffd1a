"""What stands behind the state machine: a line to Postgres that breaks when it is told to, a
publisher for each worker, and the limits in Redis."""

from collections.abc import Callable
from typing import Literal, TypeVar

import psycopg
import pytest

from app.db.connect import Connection, line_connection
from app.events.log import TERMINAL
from app.events.publish import Publisher
from app.jobs import store
from app.jobs.model import Claimed, Draft, Reservation
from app.jobs.service import release, tell_end
from app.limits.limiter import Limiter
from app.limits.model import Ask
from app.redis import Wire
from tests.app.events.parts import Speaker, stream
from tests.app.limits.parts import ask, bucket
from tests.app.line import empty

Told = TypeVar("Told")
Fault = Literal["inside", "before", "after"]
"""A statement that fails within its transaction; a connection that is lost before the commit; one
that is lost after it."""

PLENTY = 10**9
"""The state machine is refused by wallets and budgets, never by limits."""


class World:
    """`fault` befalls the next group, which is then tried again, as those who send it do."""

    def __init__(
        self, books: str, redis: str, admin: Connection, limiter: Limiter,
        publishers: dict[str, Publisher],
    ) -> None:  # fmt: skip
        self.admin, self.fault = admin, None
        self._books, self._redis, self._limiter, self._publishers = (
            books, redis, limiter, publishers,
        )  # fmt: skip
        self.line = line_connection(books, "machine")
        self.wire = Wire(redis)
        self._speakers: dict[tuple[str, int], tuple[Speaker, Reservation]] = {}
        empty(admin)
        self.wire.call(("FLUSHALL",))

    fault: Fault | None

    def close(self) -> None:
        self.line.close()
        self.wire.close()

    def _undone(self, act: Callable[[Connection], object], fail: Callable[[], object]) -> None:
        with self.line.transaction():
            act(self.line)
            fail()

    def _end_backend(self) -> object:
        pid = self.line.info.backend_pid
        return self.admin.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))

    def cut(self) -> None:
        """Ends the line's connection and opens another."""
        self._end_backend()
        self.line.close()
        self.line = line_connection(self._books, "machine")

    def lost_after(self) -> bool:
        """Whether the next group is committed and nobody hears of it; takes the fault away."""
        after = self.fault == "after"
        if after:
            self.fault = None
        return after

    def group(self, act: Callable[[Connection], Told]) -> Told:
        """What a group returns, when it has been tried until its sender hears of it."""
        fault, self.fault = self.fault, None
        if fault == "inside":
            with pytest.raises(psycopg.errors.DivisionByZero):
                self._undone(act, lambda: self.line.execute("SELECT 1 / 0"))
        elif fault == "before":
            with pytest.raises(psycopg.OperationalError):
                self._undone(act, lambda: self._end_backend() and self.line.execute("SELECT 1"))
            self.cut()
        elif fault == "after":
            act(self.line)
            self.cut()
        return act(self.line)

    def take(self, draft: Draft, tokens: int, session: str | None) -> None:
        """Takes what a draft asks of its limits, as its door does."""
        asked = self._asked(draft, tokens, session)
        assert self._limiter.take(asked).refused is None
        draft.reserved, draft.session, draft.holds_session = tokens, session, True

    def give_back(self, draft: Draft) -> None:
        """Gives it back, since no job came of it."""
        asked = self._asked(draft, draft.reserved, draft.session)
        self._limiter.give_back(asked, self._limiter.peek(asked.buckets))

    def _asked(self, draft: Draft, tokens: int, session: str | None) -> Ask:
        buckets = [bucket(None, PLENTY, PLENTY, name) for name in (draft.tenant_id, draft.key_id)]
        return ask(*buckets, tokens=tokens, job_id=draft.id, session=session)

    def begin(self, owner: str, job: Claimed) -> None:
        """An attempt's first event."""
        speaker = Speaker(self._publishers[owner], job.id, job.attempt)
        self._speakers[job.id, job.attempt] = speaker, job.reservation
        speaker.begin()

    def say(self, job_id: str, attempt: int) -> None:
        """A word of an attempt that believes the job its own."""
        if (job_id, attempt) in self._speakers:
            self._speakers[job_id, attempt][0].say(f"{attempt} ")

    def end(self, job_id: str, attempt: int, state: str, used: int) -> None:
        """The end of an attempt that stands, once that is committed."""
        speaker, reservation = self._speakers[job_id, attempt]
        speaker.event("usage")
        speaker.event(state)
        speaker.log.release = release(reservation, used)

    def voided(self, ended: list[Reservation], state: str) -> list[str]:
        """The end of jobs that no worker ended; their ids."""
        for one in ended:
            tell_end(self._redis, one, state)
        return [one.job_id for one in ended]

    def catch_up(self) -> None:
        """Redis takes all that waits for it."""
        self._limiter.peek((bucket(PLENTY),))
        for publisher in self._publishers.values():
            publisher.drain(10)

    def check_log(self, job_id: str, state: str) -> None:
        """An ended job's log: no holes in an attempt, none of an older attempt after a newer began,
        and one end, which is the last."""
        events = stream(self.wire, job_id)
        assert [event.id for event in events] == sorted({event.id for event in events})
        for attempt in {event.id.attempt for event in events}:
            seqs = [event.id.seq for event in events if event.id.attempt == attempt]
            assert seqs == list(range(1, len(seqs) + 1)), (job_id, events)
        ends = [event.name for event in events if event.name in TERMINAL]
        assert ends == [state] == [events[-1].name], (job_id, events)

    def check_limits(self, used: dict[str, int]) -> None:
        """Nobody holds a session, and the day counts what was used, as the books say too."""
        assert self.wire.call(("KEYS", "lim:*:ses*")) == [[]]
        counted = {}
        for tenant, tokens in used.items():
            [keys] = self.wire.call(("KEYS", f"lim:{tenant}:tok:*"))
            counted[tenant] = sum(int(self.wire.call(("GET", key))[0]) for key in keys)
            days = {int(key.rpartition(b":")[2]) for key in keys}
            told = sum(store.tokens_of_day(self.admin, tenant, day) for day in days)
            assert told == tokens
        assert counted == used
