"""The rows of files."""

from dataclasses import dataclass
from typing import Literal, LiteralString

from app.db.connect import Connection
from app.files.model import CONVERSED, FileRow, Purpose

Order = Literal["asc", "desc"]

BUSY_S = 900
"""After how long without a word a writer or remover counts as lost."""

_COLUMNS: LiteralString = (
    "f.id, f.tenant_id, f.purpose, f.filename, f.bytes, f.sha256, f.media_type, "
    "extract(epoch FROM f.created_at)::float8, extract(epoch FROM f.expires_at)::float8, f.app_id "
)
_VISIBLE: LiteralString = "f.state = 'kept' AND (f.expires_at IS NULL OR f.expires_at > now()) "
_KEEP: LiteralString = (
    "UPDATE file AS f SET state = 'kept', busy_until = NULL, created_at = now(), "  # noqa: S608
    "purpose = %(purpose)s, filename = %(filename)s, media_type = %(media_type)s, "
    "bytes = %(bytes)s, sha256 = %(sha256)s, "
    "expires_at = least(now() + %(expires_s)s::float8 * interval '1 second', CASE WHEN "
    "%(conversed)s THEN now() + coalesce(t.retention_days, %(days)s) * interval '1 day' END) "
    "FROM tenant AS t WHERE f.id = %(id)s AND f.state = 'arriving' AND t.id = f.tenant_id "
    "RETURNING " + _COLUMNS
)
_FIND: LiteralString = (
    "SELECT " + _COLUMNS + "FROM file AS f WHERE f.id = %s AND f.tenant_id = %s AND " + _VISIBLE
)
_PAGE: LiteralString = (
    "SELECT " + _COLUMNS + "FROM file AS f WHERE f.tenant_id = %(tenant)s AND " + _VISIBLE
    + "AND (%(purpose)s::text IS NULL OR f.purpose = %(purpose)s) "
)  # fmt: skip
_PAGES: dict[Order, LiteralString] = {
    "asc": _PAGE + "AND f.id > %(after)s ORDER BY f.id LIMIT %(limit)s",
    "desc": _PAGE + "AND (%(after)s = '' OR f.id < %(after)s) ORDER BY f.id DESC LIMIT %(limit)s",
}


@dataclass(frozen=True, slots=True)
class Description:
    """What is known of a file once it has come whole. `expires_s`: after how many seconds it
    expires; None: as its purpose says."""

    purpose: Purpose
    filename: str
    media_type: str
    bytes: int
    sha256: str
    expires_s: int | None


def begin(connection: Connection, file_id: str, tenant_id: str, app_id: str | None) -> None:
    """Adds the row of a file that arrives."""
    connection.execute(
        "INSERT INTO file (id, tenant_id, app_id, busy_until) "
        "VALUES (%s, %s, %s, now() + %s * interval '1 second')",
        (file_id, tenant_id, app_id, BUSY_S),
    )


def used(connection: Connection, tenant_id: str, file_id: str) -> int:
    """Bytes of all a tenant's files but this one. Whoever asks in a transaction is alone with the
    answer until it ends, among all who ask."""
    # Weak enough for the job line, whose rows refer to the tenant's.
    connection.execute("SELECT 1 FROM tenant WHERE id = %s FOR NO KEY UPDATE", (tenant_id,))
    row = connection.execute(
        "SELECT coalesce(sum(bytes), 0)::bigint FROM file WHERE tenant_id = %s AND id <> %s "
        "AND (state = 'arriving' OR state = 'kept' AND (expires_at IS NULL OR expires_at > now()))",
        (tenant_id, file_id),
    ).fetchone()
    assert row is not None
    return int(row[0])


def grow(connection: Connection, file_id: str, size: int) -> bool:
    """Notes how many bytes of a file have arrived, and that its writer is alive. False if it had
    counted as lost, and the file is none any more."""
    return (
        connection.execute(
            "UPDATE file SET bytes = %s, busy_until = now() + %s * interval '1 second' "
            "WHERE id = %s AND state = 'arriving'",
            (size, BUSY_S, file_id),
        ).rowcount
        == 1
    )


def keep(
    connection: Connection, file_id: str, described: Description, retention_days: int
) -> FileRow | None:
    """Makes an arrived file visible. None if its writer had counted as lost."""
    row = connection.execute(
        _KEEP,
        {
            "id": file_id, "purpose": described.purpose, "filename": described.filename,
            "media_type": described.media_type, "bytes": described.bytes,
            "sha256": described.sha256, "expires_s": described.expires_s,
            "conversed": described.purpose in CONVERSED, "days": retention_days,
        },
    ).fetchone()  # fmt: skip
    return None if row is None else FileRow(*row)


def find(connection: Connection, tenant_id: str, file_id: str) -> FileRow | None:
    """A tenant's file that is whole and has not expired."""
    row = connection.execute(_FIND, (file_id, tenant_id)).fetchone()
    return None if row is None else FileRow(*row)


def page(
    connection: Connection, tenant_id: str, purpose: str | None, order: Order, after: str | None,
    limit: int,
) -> list[FileRow]:  # fmt: skip
    """A tenant's files, by the time at which they began to arrive, those after the id `after`."""
    given = {"tenant": tenant_id, "purpose": purpose, "after": after or "", "limit": limit}
    return [FileRow(*row) for row in connection.execute(_PAGES[order], given)]


def drop(connection: Connection, file_id: str) -> bool:
    """Gives a file up that arrives; whether its bytes are to be removed. They are not if it is kept
    after all."""
    connection.execute(
        "UPDATE file SET state = 'leaving', busy_until = now() + %s * interval '1 second' "
        "WHERE id = %s AND state = 'arriving'",
        (BUSY_S, file_id),
    )
    kept = connection.execute("SELECT 1 FROM file WHERE id = %s AND state = 'kept'", (file_id,))
    return kept.fetchone() is None


def delete(connection: Connection, tenant_id: str, file_id: str) -> bool:
    """Takes a file from its tenant, and lets it be removed. False if it has none by this id."""
    return (
        connection.execute(
            "UPDATE file SET state = 'leaving', busy_until = now() + %s * interval '1 second' "
            "WHERE id = %s AND tenant_id = %s AND state = 'kept' "
            "AND (expires_at IS NULL OR expires_at > now())",
            (BUSY_S, file_id, tenant_id),
        ).rowcount
        == 1
    )


def delete_before(
    connection: Connection, tenant_id: str, app_id: str | None, before_s: float, limit: int
) -> list[str]:
    """As `delete`, for up to `limit` files that were there before `before_s` (unix seconds), of
    one app where `app_id` is given; returns their ids."""
    rows = connection.execute(
        "UPDATE file SET state = 'leaving', busy_until = now() + %s * interval '1 second' "
        "WHERE id IN (SELECT id FROM file WHERE tenant_id = %s AND state = 'kept' "
        "AND created_at < to_timestamp(%s) AND (%s::text IS NULL OR app_id = %s) "
        "ORDER BY id LIMIT %s FOR UPDATE) RETURNING id",
        (BUSY_S, tenant_id, before_s, app_id, app_id, limit),
    )
    return [row[0] for row in rows]


def claim_due(connection: Connection, retention_days: int, limit: int) -> list[str]:
    """Takes up to `limit` files that are to be removed, and that nobody else removes now: expired,
    older than their tenant keeps prompts and answers, or left by a writer or remover that is
    lost."""
    rows = connection.execute(
        """
        UPDATE file SET state = 'leaving', busy_until = now() + %(busy)s * interval '1 second'
        WHERE id IN (
            SELECT f.id FROM file AS f JOIN tenant AS t ON t.id = f.tenant_id
            WHERE f.busy_until < now() OR f.state = 'kept' AND (f.expires_at <= now()
                OR f.purpose = ANY (%(conversed)s) AND f.created_at
                    < now() - coalesce(t.retention_days, %(days)s) * interval '1 day')
            LIMIT %(limit)s FOR UPDATE OF f SKIP LOCKED
        ) RETURNING id
        """,
        {"busy": BUSY_S, "conversed": list(CONVERSED), "days": retention_days, "limit": limit},
    )
    return [row[0] for row in rows]


def forget(connection: Connection, file_id: str) -> None:
    """Deletes the row of a file whose bytes are gone."""
    connection.execute("DELETE FROM file WHERE id = %s AND state = 'leaving'", (file_id,))
