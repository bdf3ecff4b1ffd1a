"""What the doors do with jobs: admit, look up, cancel. The bell is rung after the commit."""

import time
from functools import partial
from typing import Any, NamedTuple

import gevent
import psycopg

from app.db.connect import Connection
from app.db.group import GroupCommit, GroupFailed
from app.db.reads import Reads
from app.errors import (
    Conflict,
    KeyReused,
    MoonpoolError,
    NoCredit,
    NotFound,
    OverBudget,
    Overloaded,
    Unavailable,
)
from app.events.log import ENDED_TTL_S, Event, EventId, encode, stream_key
from app.ids import is_job_id
from app.jobs import store
from app.jobs.model import END_STATES, Draft, JobFilter, JobRow, Reservation
from app.limits.model import day_of
from app.limits.release import Release
from app.money import usd_text
from app.queue import Bell
from app.redis import RedisGone, ReplyError, Wire, pack
from app.telemetry import log

ADMIT_TIMEOUT_S = 3.0
BULKY_LENGTH = 1_000_000
"""Requests that are longer, recordings mostly, go in groups and over a connection of their own:
Postgres takes a second to write one of 30 MB, for which the others shall not wait."""

BULKY_AT_ONCE = 4
BULKY_TIMEOUT_S = 20.0
DOUBT_RETRY_S = 1.0
DOUBT_S = 35.0
"""Longer than a connection's statement_timeout: by then Postgres has committed or never will."""


class Admission(NamedTuple):
    """The job that stands for a draft: its own, or the one of its Idempotency-Key. `warning`: the
    id of a budget whose soft limit is reached."""

    job_id: str
    warning: str | None = None


def control_channel(worker_id: str) -> str:
    """The channel on which a worker process is told `cancel {job}` or `snapshot {job}`."""
    return f"worker:{worker_id}"


class Jobs:
    """The jobs of all tenants, as a web process sees them."""

    def __init__(self, postgres: str, redis: str, bell: Bell, reads: Reads) -> None:
        self._redis, self._bell, self._reads = redis, bell, reads
        self._admissions: GroupCommit[Draft, str] = GroupCommit(
            postgres, "admit", self._admit_group, timeout_s=ADMIT_TIMEOUT_S
        )
        self._bulky: GroupCommit[Draft, str] = GroupCommit(
            postgres, "admit", self._admit_group, limit=BULKY_AT_ONCE, timeout_s=BULKY_TIMEOUT_S
        )
        self._planned: GroupCommit[Draft, str] = GroupCommit(
            postgres, "admit", self._admit_group, timeout_s=ADMIT_TIMEOUT_S
        )
        self._doubtful: dict[str, tuple[Draft, float]] = {}
        self._doubter: Any = None

    def _admit_group(self, connection: Connection, drafts: list[Draft]) -> list[str]:
        verdicts = store.admit_group(connection, drafts)
        lanes: dict[str, list[str]] = {}
        for draft, verdict in zip(drafts, verdicts, strict=True):
            if verdict.startswith("admitted") and not _waits(draft):
                lanes.setdefault(draft.lane, []).append(draft.id)
        for lane, ids in lanes.items():
            self._bell.ring(lane, ids)
        return verdicts

    def admit(self, draft: Draft) -> Admission:
        """Returns once the job and its hold are committed; the job is another than the draft's if
        the draft's Idempotency-Key stands for one already. Raises NoCredit, OverBudget, Overloaded,
        KeyReused or Conflict, after which there is no job; or Unavailable, after which a job whose
        commit is in doubt is looked for and cancelled."""
        try:
            verdict = self._group(draft).submit(draft)
        except GroupFailed as failed:
            if failed.in_doubt and draft.idempotency_key is None:
                # With a key the client finds the job by asking again.
                self._doubt(draft)
            away = Unavailable(
                "The job was not accepted: the database does not answer. Try again.", retry_after=2
            )
            away.in_doubt = failed.in_doubt
            raise away from failed
        word, _, other = verdict.partition(" ")
        if word == "admitted":
            return Admission(draft.id, other or None)
        if word == "replayed":
            return Admission(other)
        raise refusal(draft, verdict)

    def _group(self, draft: Draft) -> GroupCommit[Draft, str]:
        """Bulky requests and those with plans, whose groups take longer, go beside all others."""
        if len(draft.request) > BULKY_LENGTH:
            return self._bulky
        return self._admissions if draft.plan is None else self._planned

    def close(self) -> None:
        """Ends the groups of admissions; items still waiting get GroupFailed."""
        for group in (self._admissions, self._bulky, self._planned):
            group.close()

    def _doubt(self, draft: Draft) -> None:
        self._doubtful[draft.id] = draft, time.monotonic() + DOUBT_S
        if self._doubter is None or self._doubter.dead:
            self._doubter = gevent.spawn(self._resolve_doubts)

    def _resolve_doubts(self) -> None:
        """Cancels what was committed although its client was told that it was not. A Postgres that
        was frozen may still commit when it goes on, so each job is looked for again and again."""
        while self._doubtful:
            gevent.sleep(DOUBT_RETRY_S)
            try:
                for draft, until in list(self._doubtful.values()):
                    find = partial(store.find_job, job_id=draft.id, tenant_id=draft.tenant_id)
                    job = self._reads.run(find)
                    if job is not None:
                        self.cancel(job)
                    if job is not None or time.monotonic() > until:
                        del self._doubtful[draft.id]
            except (Unavailable, psycopg.Error) as error:
                log("jobs").warning("doubt stays", count=len(self._doubtful), error=str(error))

    def ring(self, lane: str, job_ids: list[str]) -> None:
        """Rings for jobs that were admitted in a transaction of the caller's own."""
        self._bell.ring(lane, job_ids)

    def find(self, job_id: str, tenant_id: str) -> JobRow:
        """A tenant's job. Raises NotFound, for another tenant's too."""
        job = None
        if is_job_id(job_id):
            job = self._reads.run(lambda c: store.find_job(c, job_id, tenant_id))
        if job is None:
            raise NotFound(f"There is no job {job_id!r}.", param="job_id")
        return job

    def page(
        self, tenant_id: str, before: str | None, wanted: JobFilter, limit: int
    ) -> list[JobRow]:
        """A tenant's jobs, newest first, those before the id `before`."""
        return self._reads.run(lambda c: store.list_jobs(c, tenant_id, before, wanted, limit))

    def attempts(self, job: JobRow) -> list[dict[str, Any]]:
        """A job's attempts with their provider calls."""
        return self.attempts_of_all([job.id])[job.id]

    def attempts_of_all(self, ids: list[str]) -> dict[str, list[dict[str, Any]]]:
        """As `attempts`, for jobs that the caller has found to be its own."""
        return self._reads.run(lambda c: store.attempts_of_all(c, ids))

    def cancel(self, job: JobRow) -> None:
        """Asks that a job ends: at once if it waits, within a second if it runs. Does nothing to
        one that has ended."""
        if job.state in END_STATES:
            return
        # In this order, since that is how a job goes.
        for state in ("scheduled", "queued"):
            voided = self._reads.run(partial(_cancel_waiting, job_id=job.id, state=state))
            if voided:
                tell_end(self._redis, voided[0], "cancelled")
                return
        owner = self._reads.run(lambda c: store.ask_cancel(c, job.id))
        if owner is not None:
            self.tell_worker(owner, f"cancel {job.id}")

    def tell_worker(self, worker_id: str, message: str) -> None:
        """Sends a worker a message now; its next heartbeat brings cancellations anyway."""
        _with_redis(self._redis, pack("PUBLISH", control_channel(worker_id), message))


def _waits(draft: Draft) -> bool:
    """Whether a job is scheduled, so that no worker is to be told of it yet."""
    plan = draft.plan
    return plan is not None and plan.run_at_s is not None and plan.run_at_s > time.time()


def _cancel_waiting(connection: Connection, job_id: str, state: str) -> list[Reservation]:
    return store.void(connection, [job_id], state, "cancelled", None, "client")


def refusal(draft: Draft, verdict: str) -> MoonpoolError:
    """The error that a verdict of `store.admit_group` stands for."""
    word, _, other = verdict.partition(" ")
    at_most = f"This request may cost up to {usd_text(draft.hold)}"
    if word == "no_credit":
        return NoCredit(
            f"{at_most}, which your credit does not cover. Add credit, or lower max_tokens."
        )
    if word == "over_budget":
        return OverBudget(
            f"{at_most}, which is more than the budget {other} leaves. Raise the budget, lower "
            "max_tokens, or wait for its next period.",
            extra={"budget_id": other},
        )
    if word == "overloaded":
        return Overloaded(
            f"Too many {draft.lane} jobs are waiting; this one was not accepted.", retry_after=1
        )
    if word == "retried":
        return Conflict(
            f"This job is made again already, as {other}; send force to make it once more.",
            code="already_retried", extra={"job_id": other},
        )  # fmt: skip
    return KeyReused(
        "This Idempotency-Key came with another body before; use a new key.",
        param="Idempotency-Key",
    )


def release(reservation: Reservation, used: int) -> Release:
    """What corrects the limits of a job that has ended with `used` tokens."""
    return Release(
        (reservation.tenant_id, reservation.key_id),
        day_of(reservation.created_s),
        used - reservation.reserved,
        reservation.job_id if reservation.holds_session else "",
        reservation.session,
    )


def tell_end(redis: str, ended: Reservation, state: str, error: bytes = b"null") -> None:
    """Writes the terminal event of a job that ended without a worker, and frees what it had
    reserved. The event stands at the start of the attempt that did not come, so it is newer than
    all that the log holds."""
    job_id = ended.job_id
    data = b'{"job_id":"%b","status":"%b","error":%b}' % (job_id.encode(), state.encode(), error)
    event = Event(EventId(ended.attempt + 1, 1), state, data)
    key = stream_key(job_id)
    _with_redis(
        redis,
        release(ended, 0).packed(),
        pack("XADD", key, str(event.id), "e", state, "d", data),
        pack("EXPIRE", key, ENDED_TTL_S),
        pack("PUBLISH", key, encode([event])),
    )


def _with_redis(url: str, *commands: bytes) -> None:
    try:
        wire = Wire(url, timeout_s=1.0)
    except RedisGone:
        return
    try:
        wire.replies(b"".join(commands), len(commands))
    except (RedisGone, ReplyError) as error:
        log("jobs").warning("redis away", error=str(error))
    finally:
        wire.close()
