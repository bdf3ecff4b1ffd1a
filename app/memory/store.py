"""Memories in Postgres: written once, or merged with what says the same.

A vector is passed as pgvector's text, `[0.1,…]`.
"""

from typing import Any, LiteralString

import orjson

from app.db.connect import Connection
from app.errors import Conflict
from app.memory.model import NewMemory, Scope, Stored, gist

COLUMNS: LiteralString = (
    "m.id, m.tenant_id, m.user_id, m.session_id, m.memory_type, m.content, u.importance, "
    "m.emotional_context, m.metadata, m.created_at, u.last_used_at, u.uses, m.expires_at, "
    "m.forgotten_at, (SELECT min(s.job_id) FROM memory_source AS s "
    "WHERE s.seq = m.seq AND NOT s.merged) "
)
"""The fields of a Memory, of `memory AS m` and `memory_use AS u`."""

SAME = 0.97
"""The cosine from which two texts of one scope and type may be one memory. They are if their words
are the same too: "Call 555-1234" and "Call 555-1235" are as near, as are a sentence and its
negation, and all texts that the model's vocabulary lacks."""

NEAREST = 8
"""How many of those that are so near are compared by their words."""

TWINS_MAX = 2000
"""How many of the latest memories of a scope and type are looked at for one that means the same."""


def store(
    connection: Connection, scope: Scope, new: NewMemory, vector: str, job_id: str, place: int
) -> Stored:
    """Writes a memory down, or merges it into the one of its scope and type that says the same:
    the greater importance, the longer life, both metadata, of which the new ones win. The second
    run of the same `place` of a job changes nothing and returns what the first did. Raises Conflict
    if what it merges with is deleted over and over."""
    try:
        with connection.transaction():
            known = _known(connection, job_id, place)
            if known is not None:
                return known
            seq, stored = _written(connection, scope, new, vector)
            done = connection.execute(
                "INSERT INTO memory_source (job_id, place, seq, merged) VALUES (%s, %s, %s, %s) "
                "ON CONFLICT DO NOTHING",
                (job_id, place, seq, stored.merged),
            )
            if not done.rowcount:
                raise _StoredMeanwhile
            return stored
    except _StoredMeanwhile:
        known = _known(connection, job_id, place)
    if known is None:
        raise Conflict("The memory was stored and deleted at the same time; try again.")
    return known


class _StoredMeanwhile(Exception):
    """The same job runs twice at once, and the other run was first: this one is undone."""


def _known(connection: Connection, job_id: str, place: int) -> Stored | None:
    row = connection.execute(
        "SELECT m.id, s.merged FROM memory_source AS s JOIN memory AS m USING (seq) "
        "WHERE s.job_id = %s AND s.place = %s",
        (job_id, place),
    ).fetchone()
    return Stored(*row) if row else None


def _written(
    connection: Connection, scope: Scope, new: NewMemory, vector: str
) -> tuple[int, Stored]:
    for _ in range(3):
        twin = _twin(connection, scope, new, vector)
        if twin is not None:
            _merge(connection, twin[0], new)
            return twin[0], Stored(twin[1], merged=True)
        seq = insert(connection, scope, new, vector)
        if seq is not None:
            return seq, Stored(new.id, merged=False)
    raise Conflict("The memory was stored and deleted at the same time; try again.")


def _twin(
    connection: Connection, scope: Scope, new: NewMemory, vector: str
) -> tuple[int, str] | None:
    """The memory that says the same, locked: by its text, or else one that is near in meaning and
    has the same words."""
    given = {"shelf": scope.shelf, "session": scope.session, "type": new.memory_type,
             "digest": new.digest, "vector": vector, "most": TWINS_MAX, "apart": 1 - SAME,
             "tenant": scope.tenant_id, "nearest": NEAREST}  # fmt: skip
    row = connection.execute(
        "SELECT seq, id, expires_at <= now() FROM memory WHERE shelf = %(shelf)s "
        "AND session = %(session)s AND memory_type = %(type)s AND digest = %(digest)s "
        "AND forgotten_at IS NULL AND tenant_id = %(tenant)s FOR NO KEY UPDATE",
        given,
    ).fetchone()
    if row is not None:
        seq, memory_id, expired = row
        if not expired:
            return seq, memory_id
        # Nothing of what has expired comes back.
        connection.execute("DELETE FROM memory WHERE seq = %s", (seq,))
    near = connection.execute(
        "SELECT m.seq, m.content FROM ("
        "SELECT m.seq, m.vector <=> %(vector)s::halfvec AS away FROM live_memory AS m "
        "WHERE m.shelf = %(shelf)s AND m.session = %(session)s AND m.tenant_id = %(tenant)s "
        "AND m.memory_type = %(type)s ORDER BY m.seq DESC LIMIT %(most)s) AS near "
        "JOIN memory AS m USING (seq) WHERE near.away <= %(apart)s "
        "ORDER BY near.away, m.seq LIMIT %(nearest)s",
        given,
        # A plan that was made for few memories would sort all of many.
        prepare=False,
    )
    said = gist(new.content)
    same = [seq for seq, content in near if said and gist(content) == said]
    return connection.execute(
        "SELECT seq, id FROM memory WHERE seq = ANY (%s) AND forgotten_at IS NULL "
        "ORDER BY seq LIMIT 1 FOR NO KEY UPDATE",
        (same,),
    ).fetchone()


def _merge(connection: Connection, seq: int, new: NewMemory) -> None:
    # Written only where something changes: a changed row is entered into the vectors' index anew.
    connection.execute(
        """
        UPDATE memory AS m SET metadata = new.metadata, emotional_context = new.feeling,
            expires_at = new.expires_at
        FROM (
            SELECT metadata || %(metadata)s::jsonb AS metadata,
                coalesce(%(feeling)s::jsonb, emotional_context) AS feeling,
                CASE WHEN expires_at IS NOT NULL AND later.at IS NOT NULL
                    THEN greatest(expires_at, later.at) END AS expires_at
            FROM memory, (SELECT now() + %(ttl)s::float8 * interval '1 s' AS at) AS later
            WHERE seq = %(seq)s
        ) AS new
        WHERE m.seq = %(seq)s AND (m.metadata, m.emotional_context, m.expires_at)
            IS DISTINCT FROM (new.metadata, new.feeling, new.expires_at)
        """,
        {"seq": seq, "metadata": _json(new.metadata), "feeling": _json(new.emotional_context),
         "ttl": new.ttl_s},
    )  # fmt: skip
    connection.execute(
        "UPDATE memory_use SET importance = greatest(importance, %s), uses = uses + 1, "
        "last_used_at = now() WHERE seq = %s",
        (new.importance, seq),
    )


def insert(connection: Connection, scope: Scope, new: NewMemory, vector: str) -> int | None:
    """Writes a memory down as it is; its number, or None if the same text is there already."""
    row = connection.execute(
        "WITH made AS (INSERT INTO memory (id, tenant_id, user_id, session_id, shelf, session, "
        "memory_type, content, digest, vector, emotional_context, metadata, expires_at) "
        "VALUES (%(id)s, %(tenant)s, %(user)s, %(session_id)s, %(shelf)s, %(session)s, %(type)s, "
        "%(content)s, %(digest)s, %(vector)s, %(feeling)s, %(metadata)s, "
        "now() + %(ttl)s::float8 * interval '1 s') ON CONFLICT DO NOTHING RETURNING seq) "
        "SELECT seq FROM made",
        {"id": new.id, "tenant": scope.tenant_id, "user": scope.user,
         "session_id": scope.session_id, "shelf": scope.shelf, "session": scope.session,
         "type": new.memory_type, "content": new.content, "digest": new.digest, "vector": vector,
         "feeling": _json(new.emotional_context), "metadata": _json(new.metadata),
         "ttl": new.ttl_s},
    ).fetchone()  # fmt: skip
    if row is None:
        return None
    connection.execute(
        "INSERT INTO memory_use (seq, importance) VALUES (%s, %s)", (row[0], new.importance)
    )
    return int(row[0])


def _json(value: dict[str, Any] | None) -> str | None:
    return None if value is None else orjson.dumps(value).decode()
