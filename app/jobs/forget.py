"""Forgetting what ended jobs were asked and answered: first their event logs, then their rows, so
that a job which is marked as forgotten has nothing left. Whoever is interrupted does it all again.

Ledger transfers, usage, times, outcomes and codes of errors stay.
"""

from contextlib import closing

from app.db.connect import Connection
from app.db.reads import Reads
from app.errors import Unavailable
from app.events.log import TERMINAL, from_entry, stream_key
from app.jobs import store
from app.redis import RedisGone, ReplyError, Wire
from app.telemetry import log

UNDELIVERED_S = 3600.0
"""How long after its end a job that is not to be stored waits for whoever fetches its answer."""

WRITTEN_S = 60.0
"""By so long after a job's end its worker has written the end of its log, or is gone."""

SWEEP_MAX = 500


def forget(connection: Connection, wire: Wire, ids: list[str], by: str | None) -> list[str]:
    """Forgets ended jobs; returns the ids that were not forgotten yet. `by`: the deletion job that
    does so, if one does. Raises RedisGone and ReplyError, after which none is forgotten."""
    erase_logs(wire, ids)
    return store.forget(connection, ids, by)


def erase_logs(wire: Wire, ids: list[str]) -> None:
    """Deletes event logs. Raises RedisGone and ReplyError."""
    if ids:
        wire.call(("UNLINK", *map(stream_key, ids)))


def logs_left(wire: Wire, ids: list[str]) -> int:
    """How many of these jobs have an event log. Raises RedisGone and ReplyError."""
    if not ids:
        return 0
    [count] = wire.call(("EXISTS", *map(stream_key, ids)))
    return int(count)


def forget_delivered(reads: Reads, redis: str, job_id: str) -> bool:
    """Forgets one job whose end has been delivered. False if that is left to `sweep_undelivered`:
    while its worker has still to write the end of the log, or Redis is away. Raises Unavailable."""
    try:
        with closing(Wire(redis)) as wire:
            if not _is_written(wire, job_id):
                return False
            return bool(reads.run(lambda c: forget(c, wire, [job_id], None)))
    except (RedisGone, ReplyError) as error:
        log("jobs").warning("not forgotten yet", job_id=job_id, error=str(error))
        return False


def forget_now(reads: Reads, redis: str, job_id: str, ended_ago_s: float) -> None:
    """Forgets one ended job because its owner says so. Raises Unavailable, after which it is not
    forgotten: while its worker has still to write the end of the log, or Redis is away."""
    try:
        with closing(Wire(redis)) as wire:
            if ended_ago_s < WRITTEN_S and not _is_written(wire, job_id):
                raise Unavailable(
                    "The answer has just ended and is still being written. Try again.",
                    retry_after=1,
                )
            reads.run(lambda c: forget(c, wire, [job_id], None))
    except (RedisGone, ReplyError) as error:
        raise Unavailable(
            "The content was not deleted: the event log does not answer. Try again.", retry_after=2
        ) from error


def _is_written(wire: Wire, job_id: str) -> bool:
    """Whether the log has its end, after which no worker writes to it."""
    [last] = wire.call(("XREVRANGE", stream_key(job_id), "+", "-", "COUNT", 1))
    return bool(last) and from_entry(last[0]).name in TERMINAL


def sweep_undelivered(
    connection: Connection, redis: str, after_s: float = UNDELIVERED_S
) -> list[str]:
    """Forgets jobs that were not to be stored and ended `after_s` seconds ago, whether or not
    somebody fetched them; returns their ids."""
    ids = store.undelivered_jobs(connection, after_s, SWEEP_MAX)
    if not ids:
        return []
    try:
        with closing(Wire(redis)) as wire:
            return forget(connection, wire, ids, None)
    except (RedisGone, ReplyError) as error:
        log("jobs").warning("not forgotten yet", count=len(ids), error=str(error))
        return []
