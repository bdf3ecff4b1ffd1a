"""Tenants and their API keys. A key is shown once; only its sha256 is kept."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

from app.db.connect import Connection
from app.ids import new_id

KEY_PREFIX = "pk_live_"
SHOWN = len(KEY_PREFIX) + 6


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key at its creation: the only time that `key` itself is known."""

    id: str
    key: str
    prefix: str
    tenant_id: str
    name: str


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key as it is listed: `prefix` is what may be shown of it."""

    id: str
    prefix: str
    name: str
    tenant_id: str
    tenant: str
    created_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


def key_hash(key: str) -> bytes:
    """sha256 of a key. A fast hash is right here: a key holds 256 random bits, nothing to guess."""
    return hashlib.sha256(key.encode()).digest()


def create_tenant(connection: Connection, name: str) -> str:
    """Creates a tenant with an empty wallet; returns its id. Raises psycopg's UniqueViolation."""
    tenant_id = new_id("ten")
    with connection.transaction():
        connection.execute("INSERT INTO tenant (id, name) VALUES (%s, %s)", (tenant_id, name))
        connection.execute(
            "INSERT INTO account (id, tenant_id, kind) SELECT %(t)s || '/' || kind, %(t)s, kind "
            "FROM unnest(ARRAY['wallet', 'held']) AS kind",
            {"t": tenant_id},
        )
    return tenant_id


def find_tenant(connection: Connection, name_or_id: str) -> str | None:
    """The id of the tenant with this name or id, or None."""
    row = connection.execute(
        "SELECT id FROM tenant WHERE name = %(n)s OR id = %(n)s", {"n": name_or_id}
    ).fetchone()
    return row[0] if row else None


def create_key(connection: Connection, tenant_id: str, name: str) -> NewKey:
    """Creates a live key of 256 random bits for a tenant."""
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    made = NewKey(new_id("key"), key, key[:SHOWN], tenant_id, name)
    connection.execute(
        "INSERT INTO api_key (id, tenant_id, name, prefix, hash) VALUES (%s, %s, %s, %s, %s)",
        (made.id, tenant_id, name, made.prefix, key_hash(key)),
    )
    return made


def list_keys(connection: Connection) -> list[KeyRow]:
    """All keys, oldest first, revoked ones too."""
    rows = connection.execute(
        "SELECT k.id, k.prefix, k.name, k.tenant_id, t.name, k.created_at, k.revoked_at, "
        "k.last_used_at FROM api_key AS k JOIN tenant AS t ON t.id = k.tenant_id ORDER BY k.id"
    )
    return [KeyRow(*row) for row in rows]


def revoke_key(connection: Connection, key_id: str) -> bool:
    """Revokes a key for good; False if there is no such key or it is revoked already."""
    done = connection.execute(
        "UPDATE api_key SET revoked_at = now() WHERE id = %s AND revoked_at IS NULL", (key_id,)
    )
    return done.rowcount == 1


def find_key(connection: Connection, digest: bytes) -> tuple[str, str] | None:
    """The (key id, tenant id) of the live key with this sha256, or None. Notes its use."""
    row = connection.execute(
        "UPDATE api_key SET last_used_at = now() WHERE hash = %s AND revoked_at IS NULL "
        "RETURNING id, tenant_id",
        (digest,),
    ).fetchone()
    return (row[0], row[1]) if row else None
