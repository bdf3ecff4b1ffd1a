"""Lunes and their documents in Postgres, as their tenant sees and changes them."""

from collections.abc import Mapping
from typing import Any, LiteralString

import orjson

from app.db.connect import Connection
from app.errors import Conflict, InvalidRequest
from app.ids import new_id
from app.lunes.model import Document, Lune, Passage, State

LUNES_MAX = 1_000
"""Lunes of a tenant."""

_LUNE: LiteralString = """
SELECT l.seq, l.id, l.tenant_id, l.name, l.description, l.metadata, l.fusion, l.passages, l.words,
    l.tokens, l.bytes, l.created_at, l.updated_at, (
        SELECT coalesce(jsonb_object_agg(state, number), '{}') FROM (
            SELECT state, sum(number) AS number FROM (
                SELECT state, count(*) AS number FROM lune_document
                WHERE lune = l.seq AND deleted_at IS NULL AND state IN ('completed', 'failed')
                GROUP BY 1
                UNION ALL
                SELECT state, -count(*) FROM lune_document
                WHERE lune = l.seq AND deleted_at IS NULL AND state IN ('completed', 'failed')
                  AND id IN (SELECT document_id FROM lune_intake)
                GROUP BY 1
                UNION ALL
                SELECT n.state, count(*) FROM lune_document AS d
                JOIN lune_document_now AS n ON n.id = d.id
                WHERE d.lune = l.seq AND d.deleted_at IS NULL
                  AND (d.state IN ('queued', 'in_progress')
                       OR d.id IN (SELECT document_id FROM lune_intake))
                GROUP BY 1
            ) AS one GROUP BY state
        ) AS counted
    )
FROM lune AS l WHERE l.tenant_id = %(tenant)s AND l.deleted_at IS NULL
"""

_DOCUMENT: LiteralString = """
SELECT d.id, d.tenant_id, l.id, d.origin, d.external_id, d.url, d.title, d.media_type, d.metadata,
    n.state, n.error, n.job_id, d.bytes, d.passages, d.tokens, d.pages, d.created_at, n.updated_at
FROM lune_document AS d JOIN lune AS l ON l.seq = d.lune AND l.deleted_at IS NULL
JOIN lune_document_now AS n ON n.id = d.id
WHERE d.tenant_id = %(tenant)s AND d.deleted_at IS NULL
"""

_CHANGES: dict[str, LiteralString] = {
    "name": "UPDATE lune SET name = %(value)s, updated_at = now() WHERE seq = %(seq)s",
    "description": "UPDATE lune SET description = %(value)s, updated_at = now() "
    "WHERE seq = %(seq)s",
    "metadata": "UPDATE lune SET metadata = %(value)s::jsonb, updated_at = now() "
    "WHERE seq = %(seq)s",
    "fusion": "UPDATE lune SET fusion = %(value)s::jsonb, updated_at = now() WHERE seq = %(seq)s",
}


def create(
    connection: Connection, tenant_id: str, name: str, description: str | None,
    metadata: dict[str, Any], fusion: dict[str, float] | None,
) -> Lune:  # fmt: skip
    """Makes an empty lune. Raises Conflict if the tenant has one of this name, and InvalidRequest
    if it has LUNES_MAX. Call it in a transaction."""
    one_at_a_time(connection, tenant_id)
    _free(connection, tenant_id, name)
    row = connection.execute(
        "SELECT count(*) FROM lune WHERE tenant_id = %s AND deleted_at IS NULL", (tenant_id,)
    ).fetchone()
    if row is not None and row[0] >= LUNES_MAX:
        raise InvalidRequest(f"name: there are {LUNES_MAX} lunes already.", param="name")
    lune_id = new_id("lune")
    connection.execute(
        "INSERT INTO lune (id, tenant_id, name, description, metadata, fusion) "
        "VALUES (%s, %s, %s, %s, %s, %s)",
        (lune_id, tenant_id, name, description, as_json(metadata), as_json(fusion)),
    )
    made = find(connection, tenant_id, lune_id)
    assert made is not None
    return made


def find(connection: Connection, tenant_id: str, lune: str) -> Lune | None:
    """The tenant's lune of this id or name."""
    row = connection.execute(
        _LUNE + "AND (l.id = %(lune)s OR l.name = %(lune)s)", {"tenant": tenant_id, "lune": lune}
    ).fetchone()
    return None if row is None else Lune(*row)


def page(connection: Connection, tenant_id: str, before: str | None, limit: int) -> list[Lune]:
    """Lunes, newest first, those before the id `before`."""
    rows = connection.execute(
        _LUNE + "AND (%(before)s::text IS NULL OR l.id < %(before)s) "
        "ORDER BY l.id DESC LIMIT %(limit)s",
        {"tenant": tenant_id, "before": before, "limit": limit},
        prepare=False,
    )
    return [Lune(*row) for row in rows]


def change(
    connection: Connection, tenant_id: str, lune: Lune, changes: Mapping[str, Any]
) -> Lune | None:
    """Changes some of name, description, metadata and fusion; the lune as it is then, None if it is
    gone. Raises Conflict for a name that is taken. Call it in a transaction."""
    if changes.get("name", lune.name) != lune.name:
        one_at_a_time(connection, tenant_id)
        _free(connection, tenant_id, changes["name"])
    for field, value in changes.items():
        plain = value if field in ("name", "description") else as_json(value)
        connection.execute(_CHANGES[field], {"value": plain, "seq": lune.seq})
    return find(connection, tenant_id, lune.id)


def find_document(
    connection: Connection, tenant_id: str, document_id: str, lune_id: str | None = None
) -> Document | None:
    """A tenant's document, in a lune if one is named."""
    row = connection.execute(
        _DOCUMENT + "AND d.id = %(id)s AND (%(lune)s::text IS NULL OR l.id = %(lune)s)",
        {"tenant": tenant_id, "id": document_id, "lune": lune_id},
    ).fetchone()
    return None if row is None else Document(*row)


def document_page(
    connection: Connection, lune: Lune, state: State | None, before: str | None, limit: int
) -> list[Document]:
    """Documents of a lune, newest first, those before the id `before`, in one state or in any."""
    rows = connection.execute(
        _DOCUMENT + "AND d.lune = %(lune)s AND (%(before)s::text IS NULL OR d.id < %(before)s) "
        "AND (%(state)s::text IS NULL OR n.state = %(state)s) "
        "ORDER BY d.id DESC LIMIT %(limit)s",
        {"tenant": lune.tenant_id, "lune": lune.seq, "before": before, "state": state,
         "limit": limit},
        prepare=False,
    )  # fmt: skip
    return [Document(*row) for row in rows]


def passage_page(
    connection: Connection, document_id: str, after: int | None, limit: int
) -> list[Passage]:
    """The passages of a document that can be found, in their order, those after a number."""
    rows = connection.execute(
        "SELECT p.ordinal, p.heading, p.content, p.start_at, p.end_at, p.page, p.tokens "
        "FROM lune_document AS d JOIN lune_passage AS p ON p.version = d.version "
        "WHERE d.id = %s AND p.ordinal > %s ORDER BY p.ordinal LIMIT %s",
        (document_id, -1 if after is None else after, limit),
    )
    return [Passage(*row) for row in rows]


def one_at_a_time(connection: Connection, tenant_id: str) -> None:
    """Until the transaction ends nobody else names a lune of this tenant, or counts the bytes in
    them. Call it after a document is locked, and before a lune is."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (tenant_id,))


def as_json(value: object) -> str | None:
    """A value for a column of jsonb; None stays NULL."""
    return None if value is None else orjson.dumps(value).decode()


def _free(connection: Connection, tenant_id: str, name: str) -> None:
    taken = connection.execute(
        "SELECT id FROM lune WHERE tenant_id = %s AND name = %s AND deleted_at IS NULL",
        (tenant_id, name),
    ).fetchone()
    if taken is not None:
        raise Conflict(f"name: the lune {taken[0]} is called {name!r}.", param="name")
