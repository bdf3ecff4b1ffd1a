"""What the dispatcher does in Postgres: which batches are live, their lines in flight, and how they
end."""

from dataclasses import dataclass

import orjson

from app.batches.model import TURNS, Batch, Superseded
from app.batches.store import BATCHES, batch_of
from app.db.connect import Connection
from app.ids import new_id
from app.jobs.model import Draft
from app.jobs.store import admit_group, void

LOCK = 0x6D6F6F6E62
"""Advisory lock of the one dispatcher that works; the bytes spell `moonb`."""

RATE_MEMORY_S = 10.0
GROUP = 500
"""Lines dispatched, or ended, in one transaction at most."""


def lead(connection: Connection) -> bool:
    """Whether this connection is the dispatcher's from now on, until it ends."""
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", (LOCK,)).fetchone()
    return bool(row and row[0])


def live(connection: Connection) -> list[Batch]:
    """The batches that have not ended, oldest first."""
    rows = connection.execute(BATCHES + "WHERE b.ended_at IS NULL ORDER BY b.id")
    return [batch_of(row) for row in rows]


def count(connection: Connection, batch_id: str) -> int:
    """Counts the lines that have ended since the last count; returns how many are in flight."""
    row = connection.execute(
        "SELECT count_lines(%s::text, %s::float8)", (batch_id, RATE_MEMORY_S)
    ).fetchone()
    return int(row[0]) if row else 0


def dispatch(connection: Connection, batch_id: str, wanted: int) -> list[str]:
    """Makes jobs of up to `wanted` waiting lines, GROUP at most; returns their ids."""
    ids = [new_id("job") for _ in range(min(wanted, GROUP))]
    return _made(connection, batch_id, ids, None)


def call_off(connection: Connection, batch_id: str, lines: list[int], by: str) -> list[str]:
    """Makes jobs of these waiting lines that are cancelled before anybody runs them; returns their
    ids."""
    ids = [new_id("job") for _ in lines]
    with connection.transaction():
        made = _made(connection, batch_id, ids, lines)
        if made:
            void(connection, made, "queued", "cancelled", None, by)
    return made


def _made(
    connection: Connection, batch_id: str, ids: list[str], lines: list[int] | None
) -> list[str]:
    row = connection.execute(
        "SELECT dispatch_lines(%s::text, %s::text[], %s::int[])", (batch_id, ids, lines)
    ).fetchone()
    return list(row[0]) if row else []


def ends_as(connection: Connection, batch: Batch, end: str) -> None:
    """Lets nothing more of a batch be dispatched."""
    connection.execute(
        "UPDATE batch SET ends_as = %s WHERE id = %s AND ends_as IS NULL AND ended_at IS NULL",
        (end, batch.id),
    )


def void_lines(connection: Connection, batch: Batch, from_state: str, end_state: str) -> int:
    """Ends jobs of a batch that are `queued` or `running`, GROUP at most, without a charge; returns
    how many. A worker that runs one is told by its next heartbeat, and is refused before that."""
    rows = connection.execute(
        "SELECT o.id FROM batch_flight AS f JOIN open_job AS o ON o.id = f.job_id "
        "WHERE f.batch_id = %s AND o.state = %s LIMIT %s",
        (batch.id, from_state, GROUP),
    )
    ids = [row[0] for row in rows]
    return len(void(connection, ids, from_state, end_state, None, "batches")) if ids else 0


@dataclass(frozen=True, slots=True)
class ChoreEnd:
    """How long ago the chore of a batch ended without ending it, in seconds, and the code of its
    error."""

    ago_s: float
    code: str | None


def chore_end(connection: Connection, batch: Batch) -> ChoreEnd | None:
    """How the chore of a batch ended; None: it is under way."""
    row = connection.execute(
        "SELECT extract(epoch FROM now() - finished_at)::float8, error FROM result WHERE id = %s",
        (batch.chore_id,),
    ).fetchone()
    return None if row is None else ChoreEnd(row[0], orjson.loads(row[1] or "{}").get("code"))


def give_chore(connection: Connection, batch: Batch, chore: Draft) -> bool:
    """Admits the chore that reads a batch's lines anew, or writes its files; False if the lane has
    no room, or the batch another chore by now."""
    try:
        with connection.transaction():
            given = connection.execute(
                "UPDATE batch SET chore_id = %(new)s, turn = (turn / %(turns)s + 1) * %(turns)s, "
                "finalizing_at = CASE status WHEN 'validating' THEN NULL "
                "ELSE coalesce(finalizing_at, now()) END, "
                "status = CASE status WHEN 'in_progress' THEN 'finalizing' ELSE status END "
                "WHERE id = %(id)s AND chore_id = %(old)s AND status = %(status)s "
                "AND ended_at IS NULL",
                {"id": batch.id, "status": batch.status, "new": chore.id, "old": batch.chore_id,
                 "turns": TURNS},
            )  # fmt: skip
            if not given.rowcount or admit_group(connection, [chore]) != ["admitted"]:
                raise Superseded
    except Superseded:
        return False
    return True
