"""The statements of consolidation: which episodes are to be summed up, what is put away, what has
been put away for long enough."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from app.db.connect import Connection
from app.memory.model import Scope


@dataclass(frozen=True, slots=True)
class Episode:
    """What of an episode goes into a summary."""

    seq: int
    content: str
    importance: float
    created_at: datetime


def sessions_due(connection: Connection, quiet_days: float, least: int, limit: int) -> list[Scope]:
    """Sessions with at least so many episodes that are in no summary, all of them older than
    `quiet_days`, the oldest first. Episodes that expire are never summed up: the summary would
    outlive them."""
    rows = connection.execute(
        "SELECT m.tenant_id, m.user_id, m.session_id FROM memory AS m "
        "LEFT JOIN memory_summed AS s ON s.seq = m.seq WHERE m.memory_type = 'episodic' "
        "AND m.session_id IS NOT NULL AND m.forgotten_at IS NULL AND m.expires_at IS NULL "
        "AND s.seq IS NULL GROUP BY 1, 2, 3 HAVING count(*) >= %s "
        "AND max(m.created_at) < now() - %s * interval '1 day' ORDER BY min(m.seq) LIMIT %s",
        (least, quiet_days, limit),
    )
    return [Scope(*row) for row in rows]


def episodes_of(connection: Connection, scope: Scope, limit: int) -> list[Episode]:
    """The first episodes of a session that are in no summary, in their order."""
    rows = connection.execute(
        "SELECT m.seq, m.content, u.importance, m.created_at FROM memory AS m "
        "JOIN memory_use AS u ON u.seq = m.seq LEFT JOIN memory_summed AS s ON s.seq = m.seq "
        "WHERE m.shelf = %s AND m.session = %s AND m.memory_type = 'episodic' "
        "AND m.forgotten_at IS NULL AND m.expires_at IS NULL AND s.seq IS NULL "
        "ORDER BY m.seq LIMIT %s",
        (scope.shelf, scope.session, limit),
    )
    return [Episode(*row) for row in rows]


def still_unsummed(connection: Connection, seqs: list[int]) -> bool:
    """Whether all of these episodes are there and in no summary; locks them until the end of the
    transaction, so that this stays so."""
    rows = connection.execute(
        "SELECT m.seq FROM memory AS m WHERE m.seq = ANY (%s) AND m.forgotten_at IS NULL "
        "ORDER BY m.seq FOR UPDATE",
        (seqs,),
    ).fetchall()
    row = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM memory_summed WHERE seq = ANY (%s))", (seqs,)
    ).fetchone()
    return len(rows) == len(seqs) and row == (False,)


def note_summary(connection: Connection, seqs: list[int], summary_id: str) -> None:
    """Notes which summary these episodes are part of."""
    connection.execute(
        "INSERT INTO memory_summed (seq, summary_id) SELECT unnest(%s::bigint[]), %s",
        (seqs, summary_id),
    )


def put_away(
    connection: Connection, half_lives: Mapping[str, float], floor: float, idle_days: float,
    limit: int,
) -> int:  # fmt: skip
    """Puts away memories that were not used for `idle_days` and whose strength is under `floor`;
    how many. `half_lives`: days, by type, in which half the importance of one is lost that was
    never recalled."""
    return connection.execute(
        """
        WITH weak AS (
            SELECT m.seq FROM memory AS m JOIN memory_use AS u ON u.seq = m.seq
            JOIN unnest(%s::text[], %s::float8[]) AS h (memory_type, days)
              ON h.memory_type = m.memory_type
            WHERE m.forgotten_at IS NULL AND u.last_used_at < now() - %s * interval '1 day'
              AND u.importance * 0.5 ^ least(100, extract(epoch FROM now() - u.last_used_at)
                                                  / (86400 * h.days * (1 + u.uses))) < %s
            LIMIT %s FOR UPDATE OF m SKIP LOCKED
        )
        UPDATE memory AS m SET forgotten_at = now() FROM weak WHERE weak.seq = m.seq
        """,
        (list(half_lives), list(half_lives.values()), idle_days, floor, limit),
    ).rowcount


def drop_gone(connection: Connection, kept_days: float, limit: int) -> int:
    """Deletes what has expired, and what was put away `kept_days` ago; how many."""
    return connection.execute(
        # Not a subquery: a nested loop would run it again for each row, past the limit.
        "WITH gone AS MATERIALIZED (SELECT seq FROM memory WHERE expires_at < now() "
        "OR forgotten_at < now() - %s * interval '1 day' LIMIT %s FOR UPDATE SKIP LOCKED) "
        "DELETE FROM memory USING gone WHERE memory.seq = gone.seq",
        (kept_days, limit),
    ).rowcount


def drop_forgettings(connection: Connection, kept_days: float) -> None:
    """Deletes notes of what was forgotten on request, once no job from before it can run."""
    connection.execute(
        "DELETE FROM memory_forgetting WHERE asked_at < now() - %s * interval '1 day'",
        (kept_days,),
    )
