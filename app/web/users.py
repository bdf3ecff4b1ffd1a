"""`/v1/sessions` and `/v1/me`: people sign in to the console, and anybody asks who they are.

A session is a key of twelve hours with the scopes of its user's role, so that it passes the same
authentication as every other. Signing in keeps no Idempotency-Key: nobody is known before it, and a
second session does no harm.
"""

import hashlib
import math
from typing import Any

from flask import Blueprint, Response, request

from app.accounts import store, tenants, users
from app.accounts.keys import Principal
from app.accounts.store import SESSION_PREFIX, KeyRow
from app.accounts.tenants import TenantRow
from app.accounts.users import UserRow
from app.catalogue.tiers import Limits
from app.db.connect import Connection
from app.errors import NotFound, RateLimited, Unauthorized
from app.limits.model import Ask, Bucket
from app.web.accounts import LIMITS, key_object, unix, user_object
from app.web.auth import caller, credential
from app.web.front import Front
from app.web.paging import json_answer
from app.web.passwords import fits
from app.web.posting import changed, read_json
from app.web.schemas.accounts import SignInBody

TRIES = Limits(requests_per_minute=10)
"""Tries to sign in, for an e-mail address and from a network address."""


def sign_in_routes(front: Front) -> Blueprint:
    """The public blueprint that opens sessions."""
    routes = Blueprint("sessions", __name__, url_prefix="/v1/sessions")

    @routes.post("")
    def create_session() -> Response:
        asked = read_json(front, SignInBody)
        email = asked.email.strip().lower()
        _try(front, email, request.remote_addr or "")
        user = front.reads.run(lambda c: users.user_by_email(c, email))
        fitting = fits(asked.password, None if user is None else user.password_hash)
        if user is None or not fitting:
            raise _refused()
        session = changed(front, lambda c: users.open_session(c, user))
        if session is None:
            raise _refused()
        body = {
            "object": "session",
            "token": session.token,
            "expires_at": unix(session.expires_at),
            "scopes": session.scopes,
            "user": user_object(user),
        }
        return json_answer(body, 201)

    return routes


def session_routes(front: Front) -> Blueprint:
    """The blueprint of whoever is signed in, whatever they may do."""
    routes = Blueprint("session", __name__, url_prefix="/v1")

    @routes.delete("/sessions/current")
    def end_session() -> Response:
        if not credential().startswith(SESSION_PREFIX):
            raise NotFound("A key is no session: revoke it at /v1/keys.")
        who = caller()
        changed(front, lambda c: store.revoke_key(c, who.key_id, actor=who.key_id))
        return json_answer({"object": "session", "ended": True})

    @routes.get("/me")
    def who_am_i() -> Response:
        who = caller()

        def read(connection: Connection) -> tuple[TenantRow | None, KeyRow | None, UserRow | None]:
            return (
                tenants.tenant(connection, who.tenant_id),
                store.key_by_id(connection, who.key_id),
                users.user_of_session(connection, who.key_id),
            )

        return json_answer(_me(who, *front.reads.run(read)))

    return routes


def _me(
    who: Principal, tenant: TenantRow | None, key: KeyRow | None, user: UserRow | None
) -> dict[str, Any]:
    home = {} if tenant is None else {"id": tenant.id, "name": tenant.name, "tier": tenant.tier}
    return {
        "object": "me",
        "tenant": home,
        "key": None if key is None else key_object(key),
        "user": None if user is None else user_object(user),
        "scopes": sorted(who.scopes),
        "mode": who.mode,
        "app_id": who.app_id,
        "limits": {name: _least(who, name) for name in LIMITS},
    }


def _least(who: Principal, name: str) -> int | None:
    caps = [getattr(bucket.limits, name) for bucket in who.buckets]
    return min((cap for cap in caps if cap is not None), default=None)


def _try(front: Front, email: str, address: str) -> None:
    """Counts a try to sign in. Raises RateLimited."""
    buckets = tuple(
        Bucket(f"login:{hashlib.sha256(name.encode()).hexdigest()[:16]}", TRIES)
        for name in (f"email {email}", f"address {address}")
    )
    standing = front.limiter.take(Ask(buckets, 0, "", None, False, 0.0))
    if standing.refused is not None:
        wait_s = math.ceil(standing.retry_after_s)
        raise RateLimited("Too many tries to sign in.", retry_after=wait_s)


def _refused() -> Unauthorized:
    """The same for a wrong password and for nobody, so that addresses cannot be found out."""
    return Unauthorized("The e-mail address or the password is wrong.", code="wrong_password")
