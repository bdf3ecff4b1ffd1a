"""The statements of those who keep memories in order: pages of them, deletion, consolidation."""

from dataclasses import asdict
from typing import Any, LiteralString

from app.db.connect import Connection
from app.memory.model import Memory, NewMemory, Scope, Stored
from app.memory.shelf.model import Forgotten, Kept, Which
from app.memory.store import COLUMNS, store

_KEPT: LiteralString = (
    "SELECT " + COLUMNS + ", p.summary_id "
    "FROM memory AS m JOIN memory_use AS u ON u.seq = m.seq "
    "LEFT JOIN memory_summed AS p ON p.seq = m.seq "
)
_NOT_EXPIRED: LiteralString = "(m.expires_at IS NULL OR m.expires_at > now()) "


def page(connection: Connection, which: Which, before: str | None, limit: int) -> list[Kept]:
    """The memories that are meant, newest first, those before the id `before`."""
    # Planned each time: which index is best depends on what is given.
    rows = connection.execute(
        _KEPT
        + "WHERE m.tenant_id = %(tenant_id)s AND "
        + _NOT_EXPIRED
        + "AND (%(user)s::text IS NULL OR m.user_id = %(user)s) "
        "AND (%(session_id)s::text IS NULL OR m.session_id = %(session_id)s) "
        "AND (%(before)s::text IS NULL OR m.id < %(before)s) "
        "AND (%(memory_type)s::text IS NULL OR m.memory_type = %(memory_type)s) "
        "AND (%(put_away)s::bool IS NULL OR %(put_away)s = (m.forgotten_at IS NOT NULL)) "
        "ORDER BY m.id DESC LIMIT %(limit)s",
        {**asdict(which), "before": before, "limit": limit},
        prepare=False,
    )
    return [_kept(row) for row in rows]


def find(connection: Connection, tenant_id: str, memory_id: str) -> Kept | None:
    """A memory, also one that was put away; None if it is another tenant's or expired."""
    row = connection.execute(
        _KEPT + "WHERE m.tenant_id = %s AND m.id = %s AND " + _NOT_EXPIRED, (tenant_id, memory_id)
    ).fetchone()
    return None if row is None else _kept(row)


def delete(connection: Connection, tenant_id: str, ids: list[str]) -> tuple[int, int]:
    """Deletes memories and the summaries that they are part of; how many of each. What else such a
    summary was made of will be summed up anew. Call it in a transaction."""
    # One at a time, since two might take each other's summary; then locked, so that no summary is
    # made of them meanwhile.
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_lock(tenant_id),))
    connection.execute(
        "SELECT 1 FROM memory WHERE tenant_id = %s AND id = ANY (%s) ORDER BY seq FOR UPDATE",
        (tenant_id, ids),
    )
    row = connection.execute(
        "WITH summary AS MATERIALIZED (SELECT DISTINCT s.summary_id AS id FROM memory AS m "
        "JOIN memory_summed AS s ON s.seq = m.seq WHERE m.tenant_id = %(t)s AND m.id = ANY (%(i)s)"
        "), loose AS (DELETE FROM memory_summed WHERE summary_id IN (SELECT id FROM summary)"
        "), gone AS (DELETE FROM memory WHERE tenant_id = %(t)s AND (id = ANY (%(i)s) OR id IN "
        "(SELECT id FROM summary)) RETURNING id) "
        "SELECT count(*) FILTER (WHERE id = ANY (%(i)s)), "
        "count(*) FILTER (WHERE id <> ALL (%(i)s)) FROM gone",
        {"t": tenant_id, "i": ids},
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def restore(connection: Connection, tenant_id: str, memory_id: str) -> bool:
    """Takes a memory back that was put away; it counts as just used. False if the same has been
    remembered since. Call it in a transaction."""
    # Nobody stores the same meanwhile.
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_lock(tenant_id),))
    connection.execute(
        "WITH back AS (UPDATE memory AS m SET forgotten_at = NULL WHERE tenant_id = %s AND id = %s "
        "AND forgotten_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM memory AS o "
        "WHERE o.shelf = m.shelf AND o.session = m.session AND o.memory_type = m.memory_type "
        "AND o.digest = m.digest AND o.forgotten_at IS NULL) RETURNING seq) "
        "UPDATE memory_use AS u SET last_used_at = now() FROM back WHERE u.seq = back.seq",
        (tenant_id, memory_id),
    )
    row = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM memory WHERE tenant_id = %s AND id = %s "
        "AND forgotten_at IS NULL)",
        (tenant_id, memory_id),
    ).fetchone()
    return row == (True,)


def note_forgetting(connection: Connection, job_id: str, which: Which, asked_s: float) -> None:
    """Notes that what is meant is forgotten: what jobs admitted before `asked_s`, unix seconds,
    come to store of it is not stored."""
    with connection.transaction():
        # Waits for those who have just seen that nothing is forgotten, and are storing.
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_lock(which.tenant_id),))
        connection.execute(
            "INSERT INTO memory_forgetting (job_id, tenant_id, user_id, session_id, asked_at) "
            "VALUES (%s, %s, %s, %s, to_timestamp(%s)) ON CONFLICT DO NOTHING",
            (job_id, which.tenant_id, which.user, which.session_id, asked_s),
        )


def count_forgotten(
    connection: Connection, job_id: str, memories: int, summaries: int, jobs: int
) -> None:
    """Adds to what a forgetting has deleted. Call it in the transaction that deletes."""
    connection.execute(
        "UPDATE memory_forgetting SET memories = memories + %s, summaries = summaries + %s, "
        "jobs = jobs + %s WHERE job_id = %s",
        (memories, summaries, jobs, job_id),
    )


def forgotten_so_far(connection: Connection, job_id: str) -> Forgotten:
    """What all attempts of a forgetting have deleted."""
    row = connection.execute(
        "SELECT memories, summaries, jobs, extract(epoch FROM now())::float8 "
        "FROM memory_forgetting WHERE job_id = %s",
        (job_id,),
    ).fetchone()
    assert row is not None
    return Forgotten(*row)


def store_unless_forgotten(
    connection: Connection, scope: Scope, new: NewMemory, vector: str, job_id: str, place: int,
    admitted_s: float,
) -> Stored | None:  # fmt: skip
    """As `app.memory.store.store` for a job admitted at `admitted_s`, unix seconds; None if what is
    in this scope has been forgotten since, so that nothing comes back when a job runs late."""
    with connection.transaction():
        if _is_forgotten(connection, scope, admitted_s):
            return None
        return store(connection, scope, new, vector, job_id, place)


def _is_forgotten(connection: Connection, scope: Scope, admitted_s: float) -> bool:
    # A forgetting waits for this lock, so that the answer holds until the transaction ends.
    connection.execute("SELECT pg_advisory_xact_lock_shared(%s)", (_lock(scope.tenant_id),))
    row = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM memory_forgetting WHERE tenant_id = %s "
        "AND asked_at >= to_timestamp(%s) AND (user_id IS NULL OR user_id = %s) "
        "AND (session_id IS NULL OR session_id = %s))",
        (scope.tenant_id, admitted_s, scope.user, scope.session_id),
    ).fetchone()
    return bool(row and row[0])


def forgettable(
    connection: Connection, which: Which, asked_s: float, limit: int
) -> tuple[list[str], list[str]]:
    """Some memories that are meant, put away or not, but for those that a job stored which was
    admitted after `asked_s`, unix seconds; and the jobs that still tell them, whose own purpose was
    to store them."""
    row = connection.execute(
        """
        WITH found AS (
            SELECT m.seq, m.id FROM memory AS m
            WHERE m.tenant_id = %(tenant_id)s
              AND (%(user)s::text IS NULL OR m.user_id = %(user)s)
              AND (%(session_id)s::text IS NULL OR m.session_id = %(session_id)s)
              AND NOT EXISTS (
                SELECT 1 FROM memory_source AS o JOIN job AS j ON j.id = o.job_id
                WHERE o.seq = m.seq AND j.created_at > to_timestamp(%(asked_s)s)
              )
            LIMIT %(limit)s
        )
        SELECT (SELECT coalesce(array_agg(id), '{}') FROM found), (
            SELECT coalesce(array_agg(DISTINCT o.job_id), '{}')
            FROM found AS f JOIN memory_source AS o ON o.seq = f.seq
            JOIN job AS j ON j.id = o.job_id
            WHERE j.kind = 'memory.store' AND j.forgotten_at IS NULL
        )
        """,
        {**asdict(which), "asked_s": asked_s, "limit": limit},
        prepare=False,
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def _lock(tenant_id: str) -> int:
    return Scope(tenant_id, "forgetting", "forgetting").shelf


def _kept(row: tuple[Any, ...]) -> Kept:
    return Kept(Memory(*row[:-1]), row[-1])
