"""One attempt of a job that asks no provider: claimed, fenced, cancelled and settled as any other.

A chore may be interrupted between any two of its steps and begun anew by another worker, so its
steps are committed one by one and may be done twice.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import gevent
import orjson

from app.errors import DeadlinePassed, MoonpoolError, Unavailable
from app.jobs.model import MAX_STRIKES, Claimed, EndState, Outcome
from app.jobs.service import release
from app.limits.release import Release
from app.redis import RedisGone, ReplyError
from app.telemetry import log
from workers.chores.places import NoPlace
from workers.inference.relay import Relay
from workers.inference.run import Cancelled, Ended, Lost, Parts, Released

REDIS_RETRY_S = 1.0
POSTGRES_RETRY_S = 1.0
Result = TypeVar("Result")


class ChoreRelay(Relay):
    """A chore's event log: it begins and ends as an answer's does, with `progress` in between
    and no `usage`."""

    def progress(self, **counts: int) -> None:
        """Writes a `progress` event."""
        self._log.event("progress", orjson.dumps(counts))
        self._publisher.wrote(self._log)

    def last_seq(self) -> int:
        return self._log.last_seq_after(1)

    def closed(self, state: str, error: bytes, release: Release) -> None:
        """Writes the terminal event, after `release`; call it after the commit."""
        data = b'{"job_id":"%b","status":"%b","error":%b,"usage":null}'
        self._log.event(state, data % (self._job.id.encode(), state.encode(), error))
        self._log.release = release
        self._publisher.wrote(self._log)


class Chore:
    """Subclasses say what is to be done in `work`."""

    def __init__(self, parts: Parts, job: Claimed) -> None:
        self.job, self.relay, self.parts = job, ChoreRelay(parts.publisher, job), parts
        self._error = b"null"

    def work(self) -> dict[str, Any]:
        """Does the job; returns its result. A MoonpoolError that it raises ends the job, any other
        error its attempt."""
        raise MoonpoolError("There is nothing to do.")

    def place(self) -> AbstractContextManager[None]:
        """What the job holds while it works, and waits for before it begins. Raises NoPlace."""
        return nullcontext()

    def run(self) -> Ended:
        """Runs the job to its end. Raises nothing."""
        job = self.job
        try:
            with gevent.Timeout(max(job.left_s, 0.001)), self.place():
                self.relay.started()
                return self._end("completed", None, self.work())
        except NoPlace as full:
            return Ended(None, "released", later_s=full.later_s)
        except gevent.Timeout:
            return self._end("failed", DeadlinePassed("The job did not finish in time."))
        except Cancelled:
            return self._end("cancelled", None)
        except Released:
            return self._hand_back("released")
        except Lost:
            return self._hand_back("lost")
        except MoonpoolError as error:
            return self._end("failed", error)
        except Exception as error:
            log("worker").error("attempt broke", job_id=job.id, error=repr(error), exc_info=True)
            if job.strikes + 1 >= MAX_STRIKES:
                return self._end("failed", MoonpoolError("The job failed unexpectedly."))
            return self._hand_back("interrupted")

    def tell(self, outcome: Outcome) -> None:
        """Writes the terminal event of an attempt that stands."""
        self.relay.closed(outcome.state, self._error, release(self.job.reservation, 0))

    def without_answer(self, outcome: Outcome) -> None:
        """Makes `outcome` a failure without a result."""
        self._error = orjson.dumps(MoonpoolError("The result could not be stored.").body())
        outcome.state, outcome.body, outcome.error = "failed", None, self._error.decode()

    def with_redis(self, work: Callable[[], Result]) -> Result:
        """What `work` returns once Redis is there for it: its absence costs time, never the job."""
        while True:
            try:
                return work()
            except (RedisGone, ReplyError) as error:
                log("worker").warning("chore waits for redis", error=str(error))
                gevent.sleep(REDIS_RETRY_S)

    def with_postgres(self, work: Callable[[], Result]) -> Result:
        """As `with_redis`, for what Postgres is to do, and for rows that others lock for long. What
        is done twice must be done once."""
        while True:
            try:
                return work()
            except Unavailable as error:
                log("worker").warning("chore waits for postgres", error=error.message)
                gevent.sleep(POSTGRES_RETRY_S)

    def _end(
        self, state: EndState, error: MoonpoolError | None, result: dict[str, Any] | None = None
    ) -> Ended:
        told = error.body() if error is not None else None
        self._error = orjson.dumps(told)
        return Ended(
            Outcome(
                id=self.job.id,
                attempt=self.job.attempt,
                state=state,
                last_seq=self.relay.last_seq(),
                body=orjson.dumps(result).decode() if result is not None else None,
                error=self._error.decode() if told is not None else None,
                usage=None,
                cost=0,
                calls="[]",
            )
        )

    def _hand_back(self, how: str) -> Ended:
        self.relay.flush()
        return Ended(None, how)
