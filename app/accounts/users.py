"""People who sign in to the console, and their passwords.

A password is kept as `scrypt$log2(N)$r$p$salt$hash`. Its cost is what the OWASP Password Storage
Cheat Sheet asks of scrypt at least: N = 2^17, r = 8, p = 1, which takes 128 MiB and some tenths of
a second. Who hashes must not hold up others: outside the event loop, a few at once.
"""

import base64
import hashlib
import hmac
import os
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, LiteralString

from app.accounts import audit
from app.accounts.scopes import ROLES, SCOPES
from app.accounts.store import create_key
from app.db.connect import Connection
from app.errors import Conflict
from app.ids import new_id

Role = Literal["admin", "owner", "member", "viewer"]
SESSION_S = 12 * 3600
LOG2_N, BLOCK, PARALLEL = 17, 8, 1
SALT_BYTES, HASH_BYTES = 16, 32


@dataclass(frozen=True, slots=True)
class UserRow:
    """A person. Who is disabled has no sessions and gets none."""

    id: str
    tenant_id: str
    email: str
    role: Role
    password_hash: str
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Session:
    """A session as it is opened: the only time that `token` is known."""

    token: str
    scopes: list[str]
    expires_at: datetime


def hash_password(password: str) -> str:
    """A password as it is kept."""
    salt = os.urandom(SALT_BYTES)
    found = _scrypt(password, salt, LOG2_N, BLOCK, PARALLEL)
    return _kept(salt, found)


def password_fits(password: str, kept: str | None) -> bool:
    """Whether a password is the one that is kept; None, nobody's, takes as long to refuse."""
    _, log2_n, block, parallel, salt, known = (kept or _kept(bytes(SALT_BYTES), b"")).split("$")
    found = _scrypt(password, base64.b64decode(salt), int(log2_n), int(block), int(parallel))
    return hmac.compare_digest(found, base64.b64decode(known))


def _kept(salt: bytes, found: bytes) -> str:
    told = "$".join(base64.b64encode(part).decode() for part in (salt, found))
    return f"scrypt${LOG2_N}${BLOCK}${PARALLEL}${told}"


def _scrypt(password: str, salt: bytes, log2_n: int, block: int, parallel: int) -> bytes:
    # OpenSSL refuses by default what takes over 32 MiB; this takes 128 * N * r bytes and a little.
    room = 2 * 128 * 2**log2_n * block
    return hashlib.scrypt(
        password.encode(), salt=salt, n=2**log2_n, r=block, p=parallel, maxmem=room,
        dklen=HASH_BYTES,
    )  # fmt: skip


_USERS: LiteralString = """
    SELECT u.id, u.tenant_id, u.email, u.role, u.password_hash, u.created_at, u.disabled_at
    FROM console_user AS u
"""


def create_user(
    connection: Connection, tenant_id: str, email: str, role: Role, password_hash: str,
    *, actor: str = audit.CLI,
) -> UserRow:  # fmt: skip
    """Creates a user; an e-mail address is one user's, in small letters. Raises Conflict if it is
    taken."""
    with connection.transaction():
        row = connection.execute(
            "INSERT INTO console_user AS u (id, tenant_id, email, role, password_hash) "
            "VALUES (%s, %s, %s, %s, %s) ON CONFLICT (lower(email)) DO NOTHING "
            "RETURNING u.id, u.tenant_id, u.email, u.role, u.password_hash, u.created_at, "
            "u.disabled_at",
            (new_id("user"), tenant_id, email.lower(), role, password_hash),
        ).fetchone()
        if row is None:
            raise Conflict("There is a user with this e-mail address already.", param="email")
        made = UserRow(*row)
        detail = {"email": made.email, "role": role}
        audit.record(connection, actor, "user.create", made.id, tenant_id, detail)
    return made


def user_by_id(connection: Connection, user_id: str) -> UserRow | None:
    """The user with this id, or None."""
    row = connection.execute(_USERS + "WHERE u.id = %s", (user_id,)).fetchone()
    return UserRow(*row) if row else None


def user_by_email(connection: Connection, email: str) -> UserRow | None:
    """The user with this e-mail address, or None."""
    row = connection.execute(_USERS + "WHERE lower(u.email) = %s", (email.lower(),)).fetchone()
    return UserRow(*row) if row else None


def user_of_session(connection: Connection, key_id: str) -> UserRow | None:
    """The user whose session this key is, or None."""
    row = connection.execute(
        _USERS + "JOIN api_key AS k ON k.user_id = u.id WHERE k.id = %s", (key_id,)
    ).fetchone()
    return UserRow(*row) if row else None


def list_users(connection: Connection, tenant_id: str, after: str, limit: int) -> list[UserRow]:
    """A tenant's users, oldest first, those after the id `after`."""
    rows = connection.execute(
        _USERS + "WHERE u.tenant_id = %s AND u.id > %s ORDER BY u.id LIMIT %s",
        (tenant_id, after, limit),
    )
    return [UserRow(*row) for row in rows]


def change_user(
    connection: Connection, user_id: str, changes: dict[str, Any], *, actor: str = audit.CLI
) -> UserRow | None:
    """Sets `role`, `disabled` or `password_hash`, and ends the user's sessions, which were opened
    with what was before. Returns the user as it is then, or None if it is not there."""
    with connection.transaction():
        connection.execute(
            "UPDATE console_user SET role = coalesce(%(role)s, role), "
            "password_hash = coalesce(%(password_hash)s, password_hash), "
            "disabled_at = CASE %(disabled)s::bool WHEN true THEN coalesce(disabled_at, now()) "
            "WHEN false THEN NULL ELSE disabled_at END WHERE id = %(id)s",
            {"role": None, "password_hash": None, "disabled": None, **changes, "id": user_id},
        )
        now = user_by_id(connection, user_id)
        if now is not None and changes:
            ended = connection.execute(
                "UPDATE api_key SET revoked_at = now() WHERE user_id = %s AND revoked_at IS NULL",
                (user_id,),
            ).rowcount
            detail = {name: value for name, value in changes.items() if name != "password_hash"}
            detail |= {"new_password": "password_hash" in changes, "sessions_ended": ended}
            audit.record(connection, actor, "user.change", user_id, now.tenant_id, detail)
    return now


def open_session(connection: Connection, user: UserRow) -> Session | None:
    """Opens a session with the scopes of the user's role; None if the user is no longer as it was
    when its password was checked, or its tenant is disabled."""
    with connection.transaction():
        row = connection.execute(
            "SELECT u.role, now() + %s * interval '1 s' "
            "FROM console_user AS u JOIN tenant AS t ON t.id = u.tenant_id "
            "WHERE u.id = %s AND u.password_hash = %s AND u.disabled_at IS NULL "
            "AND t.disabled_at IS NULL FOR SHARE OF u",
            (SESSION_S, user.id, user.password_hash),
        ).fetchone()
        if row is None:
            return None
        scopes = [scope for scope in SCOPES if scope in ROLES[row[0]]]
        made = create_key(
            connection, user.tenant_id, user.email, scopes=scopes, expires_in_s=SESSION_S,
            user_id=user.id, actor=user.id,
        )  # fmt: skip
    return Session(made.key, scopes, row[1])
