"""What the dispatcher does in Postgres: which batches are live, their lines in flight, and how they
end."""

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
    row = connection.execute("SELECT dispatch_lines(%s::text, %s::text[])", (batch_id, ids))
    made = row.fetchone()
    return list(made[0]) if made else []


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


def chore_ended_ago_s(connection: Connection, batch: Batch) -> float | None:
    """How long ago the chore of a batch ended without ending it; None: it is under way."""
    row = connection.execute(
        "SELECT extract(epoch FROM now() - finished_at)::float8 FROM result WHERE id = %s",
        (batch.chore_id,),
    ).fetchone()
    return None if row is None else float(row[0])


def give_chore(connection: Connection, batch: Batch, chore: Draft) -> bool:
    """Admits the chore that writes a batch's files; False if the lane has no room, or the batch
    another chore by now."""
    try:
        with connection.transaction():
            given = connection.execute(
                "UPDATE batch SET chore_id = %(new)s, turn = (turn / %(turns)s + 1) * %(turns)s, "
                "finalizing_at = coalesce(finalizing_at, now()), "
                "status = CASE status WHEN 'in_progress' THEN 'finalizing' ELSE status END "
                "WHERE id = %(id)s AND chore_id = %(old)s AND ended_at IS NULL",
                {"id": batch.id, "new": chore.id, "old": batch.chore_id, "turns": TURNS},
            )
            if not given.rowcount or admit_group(connection, [chore]) != ["admitted"]:
                raise Superseded
    except Superseded:
        return False
    return True
