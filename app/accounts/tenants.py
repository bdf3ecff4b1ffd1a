"""Tenants: who pays, within which limits, and for how long content is kept."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from app.accounts import audit
from app.db.connect import Connection
from app.errors import Conflict, InvalidRequest
from app.ids import new_id
from app.money import FUNDS_MAX, usd_text

ID_PREFIX = "ten"


@dataclass(frozen=True, slots=True)
class TenantRow:
    """A tenant. A limit of None is the tier's; `retention_days` of None is the setting's;
    `overdraft`: nano-dollars that a postpaid tenant may owe."""

    id: str
    name: str
    tier: str
    requests_per_minute: int | None
    tokens_per_day: int | None
    sessions: int | None
    retention_days: int | None
    overdraft: int
    created_at: datetime
    disabled_at: datetime | None


FIELDS = (
    "name", "tier", "requests_per_minute", "tokens_per_day", "sessions", "retention_days",
    "disabled",
)  # fmt: skip
"""What `change_tenant` sets in the tenant's own row."""

_TENANTS: LiteralString = """
    SELECT t.id, t.name, t.tier, t.requests_per_minute, t.tokens_per_day, t.sessions,
           t.retention_days, a.overdraft, t.created_at, t.disabled_at
    FROM tenant AS t JOIN account AS a ON a.id = t.id || '/wallet'
"""


def create_tenant(
    connection: Connection, name: str, *, tier: str = "enterprise", actor: str = audit.CLI
) -> str:
    """Creates a tenant with an empty wallet; returns its id. Raises Conflict for a name that is
    taken, and InvalidRequest for one that could be an id."""
    tenant_id = new_id(ID_PREFIX)
    with connection.transaction():
        _take_name(connection, name, tenant_id)
        connection.execute(
            "INSERT INTO tenant (id, name, tier) VALUES (%s, %s, %s)", (tenant_id, name, tier)
        )
        connection.execute(
            "INSERT INTO account (id, tenant_id, kind) SELECT %(t)s || '/' || kind, %(t)s, kind "
            "FROM unnest(ARRAY['wallet', 'held']) AS kind",
            {"t": tenant_id},
        )
        detail = {"name": name, "tier": tier}
        audit.record(connection, actor, "tenant.create", tenant_id, tenant_id, detail)
    return tenant_id


def find_tenant(connection: Connection, name_or_id: str) -> str | None:
    """The id of the tenant with this name or id, or None."""
    row = connection.execute(
        "SELECT id FROM tenant WHERE name = %(n)s OR id = %(n)s", {"n": name_or_id}
    ).fetchone()
    return row[0] if row else None


def tenant(connection: Connection, tenant_id: str) -> TenantRow | None:
    """The tenant with this id, or None."""
    row = connection.execute(_TENANTS + "WHERE t.id = %s", (tenant_id,)).fetchone()
    return TenantRow(*row) if row else None


def live_tenant(connection: Connection, name_or_id: str) -> TenantRow | None:
    """The tenant with this name or id, unless it is not there or disabled."""
    row = connection.execute(
        _TENANTS + "WHERE (t.name = %(n)s OR t.id = %(n)s) AND t.disabled_at IS NULL",
        {"n": name_or_id},
    ).fetchone()
    return TenantRow(*row) if row else None


def list_tenants(connection: Connection, after: str | None, limit: int) -> list[TenantRow]:
    """Tenants, oldest first, those after the id `after`."""
    rows = connection.execute(
        _TENANTS + "WHERE t.id > %s ORDER BY t.id LIMIT %s", (after or "", limit)
    )
    return [TenantRow(*row) for row in rows]


def change_tenant(
    connection: Connection, tenant_id: str, changes: dict[str, Any], *, actor: str = audit.CLI
) -> TenantRow | None:
    """Sets some of FIELDS and `overdraft`; returns the tenant as it is then, or None if it is not
    there. Raises as `create_tenant` does, Conflict for an overdraft below what is owed, and
    InvalidRequest for one above FUNDS_MAX."""
    with connection.transaction():
        if tenant(connection, tenant_id) is None:
            return None
        if "name" in changes:
            _take_name(connection, changes["name"], tenant_id)
        connection.execute(
            "UPDATE tenant SET name = coalesce(%(name)s, name), tier = coalesce(%(tier)s, tier), "
            "requests_per_minute = CASE WHEN 'requests_per_minute' = ANY (%(set)s::text[]) "
            "THEN %(requests_per_minute)s ELSE requests_per_minute END, "
            "tokens_per_day = CASE WHEN 'tokens_per_day' = ANY (%(set)s::text[]) "
            "THEN %(tokens_per_day)s ELSE tokens_per_day END, "
            "sessions = CASE WHEN 'sessions' = ANY (%(set)s::text[]) "
            "THEN %(sessions)s ELSE sessions END, "
            "retention_days = CASE WHEN 'retention_days' = ANY (%(set)s::text[]) "
            "THEN %(retention_days)s ELSE retention_days END, "
            "disabled_at = CASE %(disabled)s::bool WHEN true THEN coalesce(disabled_at, now()) "
            "WHEN false THEN NULL ELSE disabled_at END WHERE id = %(id)s",
            {**dict.fromkeys(FIELDS), **changes, "set": list(changes), "id": tenant_id},
        )
        if "overdraft" in changes:
            _set_overdraft(connection, tenant_id, changes["overdraft"])
        if changes:
            audit.record(connection, actor, "tenant.change", tenant_id, tenant_id, changes)
        return tenant(connection, tenant_id)


def _take_name(connection: Connection, name: str, tenant_id: str) -> None:
    """Makes sure, until the transaction ends, that a name is nobody else's."""
    if name.startswith(f"{ID_PREFIX}_"):
        # Tenants are found by name or id, and one must never be found by the other's.
        raise InvalidRequest(f"A tenant's name does not begin with {ID_PREFIX}_.", param="name")
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (name,))
    taken = connection.execute(
        "SELECT 1 FROM tenant WHERE name = %s AND id <> %s", (name, tenant_id)
    ).fetchone()
    if taken is not None:
        raise Conflict(f"There is a tenant of the name {name!r} already.", param="name")


def _set_overdraft(connection: Connection, tenant_id: str, overdraft: int) -> None:
    if overdraft > FUNDS_MAX:
        raise InvalidRequest(
            f"A tenant may owe {usd_text(FUNDS_MAX)} at most.", param="postpaid_limit_usd"
        )
    done = connection.execute(
        "UPDATE account SET overdraft = %(o)s WHERE id = %(t)s || '/wallet' AND balance >= -%(o)s",
        {"o": overdraft, "t": tenant_id},
    )
    if done.rowcount != 1:
        raise Conflict("The tenant owes more than that.", param="postpaid_limit_usd")
