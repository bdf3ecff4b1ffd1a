"""Providers' keys that tenants bring: their calls to a provider are made with their own key and
billed to them by that provider."""

from dataclasses import dataclass
from datetime import datetime

from app.accounts import audit
from app.db.connect import Connection
from app.ids import new_id

HINT_CHARACTERS = 4


@dataclass(frozen=True, slots=True)
class ProviderKey:
    """A kept key as a person may see it; `hint` are its last characters."""

    id: str
    provider: str
    hint: str
    created_at: datetime


def hint_of(secret: str) -> str:
    """What may be shown of a key: its end, and nothing of one too short to hide the rest."""
    return secret[-HINT_CHARACTERS:] if len(secret) >= 4 * HINT_CHARACTERS else ""


def bring_key(
    connection: Connection, tenant_id: str, provider: str, sealed: str, hint: str, *, actor: str
) -> ProviderKey:
    """Keeps a sealed key (app/vault.py) for a provider, in the place of the one before it."""
    with connection.transaction():
        row = connection.execute(
            "INSERT INTO provider_key (id, tenant_id, provider, sealed, hint) "
            "VALUES (%s, %s, %s, %s, %s) ON CONFLICT (tenant_id, provider) DO UPDATE SET "
            "id = EXCLUDED.id, sealed = EXCLUDED.sealed, hint = EXCLUDED.hint, created_at = now() "
            "RETURNING id, provider, hint, created_at",
            (new_id("pvk"), tenant_id, provider, sealed, hint),
        ).fetchone()
        assert row is not None
        audit.record(
            connection, actor, "provider_key.bring", row[0], tenant_id, {"provider": provider}
        )
    return ProviderKey(*row)


def list_provider_keys(
    connection: Connection, tenant_id: str, after: str, limit: int
) -> list[ProviderKey]:
    """A tenant's keys by id, those after the id `after`."""
    rows = connection.execute(
        "SELECT id, provider, hint, created_at FROM provider_key "
        "WHERE tenant_id = %s AND id > %s ORDER BY id LIMIT %s",
        (tenant_id, after, limit),
    )
    return [ProviderKey(*row) for row in rows]


def remove_provider_key(connection: Connection, tenant_id: str, key_id: str, *, actor: str) -> bool:
    """Deletes a tenant's key; whether there was one."""
    with connection.transaction():
        row = connection.execute(
            "DELETE FROM provider_key WHERE tenant_id = %s AND id = %s RETURNING provider",
            (tenant_id, key_id),
        ).fetchone()
        if row is None:
            return False
        audit.record(
            connection, actor, "provider_key.remove", key_id, tenant_id, {"provider": row[0]}
        )
    return True


def sealed_keys(connection: Connection) -> list[tuple[str, str, str]]:
    """All keys that tenants brought: (tenant, provider, sealed key)."""
    rows = connection.execute("SELECT tenant_id, provider, sealed FROM provider_key")
    return [(row[0], row[1], row[2]) for row in rows]
