"""The audit log: who changed what, written in the transaction of the change itself."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from app.db.connect import Connection

CLI = "cli"
"""The actor of a command on this machine, whose user may do everything anyway."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change. `target`: the id of what changed; `detail`: what it is now, without secrets."""

    seq: int
    at: datetime
    actor: str
    tenant_id: str | None
    action: str
    target: str
    detail: Any


def record(
    connection: Connection, actor: str, action: str, target: str, tenant_id: str | None,
    detail: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    """Notes a change, such as `key.revoke`, within the caller's transaction."""
    text = orjson.dumps(detail, default=str).decode() if detail is not None else None
    connection.execute(
        "INSERT INTO audit (actor, tenant_id, action, target, detail) VALUES (%s, %s, %s, %s, %s)",
        (actor, tenant_id, action, target, text),
    )


def audit_page(
    connection: Connection, tenant_id: str | None, before: int | None, limit: int
) -> list[AuditEntry]:
    """Changes, newest first, those before the entry `before`; of one tenant, or of all if None."""
    rows = connection.execute(
        "SELECT seq, at, actor, tenant_id, action, target, detail FROM audit "
        "WHERE (%(tenant)s::text IS NULL OR tenant_id = %(tenant)s) "
        "AND (%(before)s::bigint IS NULL OR seq < %(before)s) ORDER BY seq DESC LIMIT %(limit)s",
        {"tenant": tenant_id, "before": before, "limit": limit},
    )
    return [
        AuditEntry(seq, at, actor, tenant, action, target, orjson.loads(text) if text else None)
        for seq, at, actor, tenant, action, target, text in rows
    ]
