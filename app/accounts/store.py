"""API keys in Postgres. A key is shown once; only its sha256 is kept."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, LiteralString

from app.accounts import audit
from app.accounts.scopes import TENANT_SCOPES
from app.db.connect import Connection
from app.errors import InvalidRequest
from app.ids import new_id

Mode = Literal["live", "test"]
PREFIXES: dict[str, str] = {"live": "pk_live_", "test": "pk_test_"}
SHOWN = len("pk_live_") + 6
SESSION_PREFIX = "pk_sess_"
"""What a console user's session begins with."""


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
    """A key as it is listed: `prefix` is what may be shown of it. A limit of None is the
    tenant's."""

    id: str
    prefix: str
    name: str
    tenant_id: str
    tenant: str
    mode: Mode
    scopes: list[str]
    app_id: str | None
    requests_per_minute: int | None
    tokens_per_day: int | None
    sessions: int | None
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    rotated_to: str | None


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A live key with what its tenant sets."""

    id: str
    tenant_id: str
    mode: Mode
    scopes: list[str]
    app_id: str | None
    limits: tuple[int | None, int | None, int | None]
    tier: str
    tenant_limits: tuple[int | None, int | None, int | None]
    valid_s: float | None


def key_hash(key: str) -> bytes:
    """sha256 of a key. A fast hash is right here: a key holds 256 random bits, nothing to guess."""
    return hashlib.sha256(key.encode()).digest()


def create_key(
    connection: Connection, tenant_id: str, name: str, *, mode: Mode = "live",
    scopes: Sequence[str] = tuple(sorted(TENANT_SCOPES)), app_id: str | None = None,
    limits: tuple[int | None, int | None, int | None] = (None, None, None),
    expires_in_s: float | None = None, expires_at_s: int | None = None,
    user_id: str | None = None, actor: str = audit.CLI,
) -> NewKey:  # fmt: skip
    """Creates a key of 256 random bits for a tenant. `limits`: requests per minute, tokens per day,
    sessions. It ends at the unix time `expires_at_s`, or after `expires_in_s` seconds. Whether the
    creator may give these scopes is the caller's to check. Raises InvalidRequest for a time that
    has passed."""
    key = (SESSION_PREFIX if user_id else PREFIXES[mode]) + secrets.token_urlsafe(32)
    made = NewKey(new_id("key"), key, key[:SHOWN], tenant_id, name)
    with connection.transaction():
        row = connection.execute(
            "INSERT INTO api_key (id, tenant_id, name, prefix, hash, mode, scopes, app_id, "
            "requests_per_minute, tokens_per_day, sessions, expires_at, user_id, created_by) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, "
            "coalesce(to_timestamp(%s::float8), now() + %s * interval '1 s'), %s, %s) "
            "RETURNING expires_at <= now()",
            (made.id, tenant_id, name, made.prefix, key_hash(key), mode, list(scopes), app_id,
             *limits, expires_at_s, expires_in_s, user_id, actor),
        ).fetchone()  # fmt: skip
        if row is not None and row[0]:
            raise InvalidRequest("expires_at has passed already.", param="expires_at")
        detail = {"name": name, "mode": mode, "scopes": list(scopes), "prefix": made.prefix}
        audit.record(connection, actor, "key.create", made.id, tenant_id, detail)
    return made


_KEYS: LiteralString = """
    SELECT k.id, k.prefix, k.name, k.tenant_id, t.name, k.mode, k.scopes, k.app_id,
           k.requests_per_minute, k.tokens_per_day, k.sessions, k.created_at, k.created_by,
           k.expires_at, k.revoked_at, k.last_used_at, k.rotated_to
    FROM api_key AS k JOIN tenant AS t ON t.id = k.tenant_id
"""


def list_keys(
    connection: Connection, tenant_id: str | None = None, after: str = "", limit: int | None = None
) -> list[KeyRow]:
    """Keys, oldest first, revoked ones too: of one tenant, or of all."""
    rows = connection.execute(
        _KEYS + "WHERE (%(t)s::text IS NULL OR k.tenant_id = %(t)s) AND k.id > %(after)s "
        "AND k.user_id IS NULL ORDER BY k.id LIMIT %(limit)s",
        {"t": tenant_id, "after": after, "limit": limit},
    )
    return [KeyRow(*row) for row in rows]


def key_by_id(connection: Connection, key_id: str, tenant_id: str | None = None) -> KeyRow | None:
    """The key with this id, of this tenant if one is given, or None. A session is no key."""
    row = connection.execute(
        _KEYS + "WHERE k.id = %(k)s AND (%(t)s::text IS NULL OR k.tenant_id = %(t)s) "
        "AND k.user_id IS NULL",
        {"k": key_id, "t": tenant_id},
    ).fetchone()
    return KeyRow(*row) if row else None


KEY_FIELDS = ("name", "app_id", "requests_per_minute", "tokens_per_day", "sessions")
"""What `change_key` sets."""


def change_key(
    connection: Connection, key_id: str, changes: dict[str, Any], *, actor: str = audit.CLI
) -> KeyRow | None:
    """Sets some of KEY_FIELDS; returns the key as it is then, or None if it is not there."""
    with connection.transaction():
        connection.execute(
            "UPDATE api_key SET name = coalesce(%(name)s, name), "
            "app_id = CASE WHEN 'app_id' = ANY (%(set)s::text[]) "
            "THEN %(app_id)s ELSE app_id END, "
            "requests_per_minute = CASE WHEN 'requests_per_minute' = ANY (%(set)s::text[]) "
            "THEN %(requests_per_minute)s ELSE requests_per_minute END, "
            "tokens_per_day = CASE WHEN 'tokens_per_day' = ANY (%(set)s::text[]) "
            "THEN %(tokens_per_day)s ELSE tokens_per_day END, "
            "sessions = CASE WHEN 'sessions' = ANY (%(set)s::text[]) "
            "THEN %(sessions)s ELSE sessions END "
            "WHERE id = %(id)s AND user_id IS NULL",
            {**dict.fromkeys(KEY_FIELDS), **changes, "set": list(changes), "id": key_id},
        )
        now = key_by_id(connection, key_id)
        if now is not None and changes:
            audit.record(connection, actor, "key.change", key_id, now.tenant_id, changes)
    return now


def rotate_key(
    connection: Connection, key_id: str, grace_s: float = 0, *, actor: str = audit.CLI
) -> NewKey | None:
    """Makes a key with everything of a live one but its secret; the old one ends after `grace_s`
    seconds. None if there is no such live key."""
    with connection.transaction():
        row = connection.execute(
            "SELECT tenant_id, name, mode, scopes, app_id, requests_per_minute, tokens_per_day, "
            "sessions, extract(epoch FROM expires_at - now())::float8 FROM api_key "
            "WHERE id = %s AND user_id IS NULL AND revoked_at IS NULL AND rotated_to IS NULL "
            "AND (expires_at IS NULL OR expires_at > now()) FOR UPDATE",
            (key_id,),
        ).fetchone()
        if row is None:
            return None
        made = create_key(
            connection, row[0], row[1], mode=row[2], scopes=row[3], app_id=row[4],
            limits=(row[5], row[6], row[7]), expires_in_s=row[8], actor=actor,
        )  # fmt: skip
        connection.execute(
            "UPDATE api_key SET rotated_to = %s, revoked_at = CASE WHEN %s <= 0 THEN now() END, "
            "expires_at = least(expires_at, now() + %s * interval '1 s') WHERE id = %s",
            (made.id, grace_s, grace_s, key_id),
        )
        detail = {"rotated_to": made.id, "grace_seconds": grace_s}
        audit.record(connection, actor, "key.rotate", key_id, row[0], detail)
    return made


def revoke_key(connection: Connection, key_id: str, *, actor: str = audit.CLI) -> bool:
    """Revokes a key for good; False if there is no such key or it is revoked already."""
    with connection.transaction():
        done = connection.execute(
            "UPDATE api_key SET revoked_at = now() WHERE id = %s AND revoked_at IS NULL "
            "RETURNING tenant_id",
            (key_id,),
        ).fetchone()
        if done is not None:
            audit.record(connection, actor, "key.revoke", key_id, done[0])
    return done is not None


def find_key(connection: Connection, key: str) -> FoundKey | None:
    """The live key of a tenant that is not disabled, or None. Notes its use.

    Looked up by the part that may be known and compared by the whole hash in constant time, so that
    neither a query nor its duration tells how much of a guess was right.
    """
    digest = key_hash(key)
    rows = connection.execute(
        "SELECT k.hash, k.id, k.tenant_id, k.mode, k.scopes, k.app_id, "
        "k.requests_per_minute, k.tokens_per_day, k.sessions, "
        "t.tier, t.requests_per_minute, t.tokens_per_day, t.sessions, "
        "extract(epoch FROM k.expires_at - now())::float8 "
        "FROM api_key AS k JOIN tenant AS t ON t.id = k.tenant_id "
        "WHERE k.prefix = %s AND k.revoked_at IS NULL AND t.disabled_at IS NULL "
        "AND (k.expires_at IS NULL OR k.expires_at > now())",
        (key[:SHOWN],),
    ).fetchall()
    found = None
    for row in rows:
        if hmac.compare_digest(row[0], digest):
            _, key_id, tenant_id, mode, scopes, app_id, rpm, tokens, sessions, *of_tenant = row
            tier, *caps, valid_s = of_tenant
            limits = (rpm, tokens, sessions)
            found = FoundKey(
                key_id, tenant_id, mode, scopes, app_id, limits, tier, (caps[0], caps[1], caps[2]),
                valid_s,
            )  # fmt: skip
    if found is not None:
        connection.execute("UPDATE api_key SET last_used_at = now() WHERE id = %s", (found.id,))
    return found
