"""`/v1/admin`: the operator manages every tenant, its keys and its users."""

from typing import Any

from flask import Blueprint, Response, request

from app.accounts import store, tenants, users
from app.accounts.scopes import TENANT_SCOPES
from app.accounts.tenants import TenantRow
from app.db.connect import Connection
from app.errors import InvalidRequest, NotFound
from app.ledger.store import balance
from app.web.accounts import tenant_object, user_object
from app.web.auth import caller
from app.web.billing import balance_object
from app.web.front import Front
from app.web.keys import (
    NO_LIMITS,
    audit_answer,
    keys_answer,
    live_alone,
    live_or_test,
    make_key,
    revoke,
)
from app.web.paging import after, json_answer, limit, page, plain_ids
from app.web.passwords import hashed
from app.web.posting import posted, read_json
from app.web.schemas.accounts import (
    NewKeyBody,
    NewTenantBody,
    NewUserBody,
    NothingBody,
    TenantChangeBody,
    UserChangeBody,
)

Answer = tuple[int, dict[str, Any]]


def admin_routes(front: Front) -> Blueprint:
    """The blueprint of the operator's tenants, keys, users, tiers and audit log."""
    routes = Blueprint("admin", __name__, url_prefix="/v1/admin")
    routes.url_value_preprocessor(plain_ids)
    _tenants(routes, front)
    _keys(routes, front)
    _users(routes, front)

    @routes.get("/tiers")
    def list_tiers() -> Response:
        models = front.catalogue
        data = [
            {"id": name, "object": "tier", "limits": limits.model_dump(),
             "default": name == models.default_tier}
            for name, limits in models.tiers.items()
        ]  # fmt: skip
        return json_answer(page(data, len(data)))

    @routes.get("/audit")
    def list_audit() -> Response:
        tenant_id = request.args.get("tenant_id")
        if tenant_id is not None:
            plain_ids(None, {"tenant_id": tenant_id})
        return audit_answer(front, tenant_id)

    return routes


def _tenants(routes: Blueprint, front: Front) -> None:
    @routes.post("/tenants")
    def create_tenant() -> Response:
        asked, actor = read_json(front, NewTenantBody), caller().key_id
        tier = front.catalogue.default_tier if asked.tier is None else asked.tier
        _known_tier(front, tier)
        changes = _changes(asked.given())

        def work(connection: Connection) -> Answer:
            tenant_id = tenants.create_tenant(connection, asked.name, tier=tier, actor=actor)
            more = {name: changes[name] for name in changes if name not in ("name", "tier")}
            row = tenants.change_tenant(connection, tenant_id, more, actor=actor)
            return 201, tenant_object(_there(row), front.catalogue)

        return posted(front, work)

    @routes.get("/tenants")
    def list_tenants() -> Response:
        size, begin = limit(), after()
        rows = front.reads.run(lambda c: tenants.list_tenants(c, begin, size + 1))
        return json_answer(page([tenant_object(row, front.catalogue) for row in rows], size))

    @routes.get("/tenants/<tenant_id>")
    def get_tenant(tenant_id: str) -> Response:
        row, has = front.reads.run(lambda c: (tenants.tenant(c, tenant_id), balance(c, tenant_id)))
        told = tenant_object(_there(row), front.catalogue)
        return json_answer({**told, "balance": balance_object(has)})

    @routes.post("/tenants/<tenant_id>")
    def change_tenant(tenant_id: str) -> Response:
        live_alone(caller())
        given, actor = read_json(front, TenantChangeBody).given(), caller().key_id
        if "tier" in given:
            _known_tier(front, given["tier"])

        def work(connection: Connection) -> Answer:
            row = tenants.change_tenant(connection, tenant_id, _changes(given), actor=actor)
            return 200, tenant_object(_there(row), front.catalogue)

        return posted(front, work)


def _keys(routes: Blueprint, front: Front) -> None:
    @routes.get("/tenants/<tenant_id>/keys")
    def list_keys(tenant_id: str) -> Response:
        _there(front.reads.run(lambda c: tenants.tenant(c, tenant_id)))
        return keys_answer(front, tenant_id)

    @routes.post("/tenants/<tenant_id>/keys")
    def create_key(tenant_id: str) -> Response:
        asked, who = read_json(front, NewKeyBody), caller()

        def work(connection: Connection) -> Answer:
            _there(tenants.tenant(connection, tenant_id))
            # Who manages every tenant may give what any tenant has, whatever else its key may do.
            may_give = who.scopes | TENANT_SCOPES
            return make_key(connection, tenant_id, asked, who, may_give, NO_LIMITS)

        return posted(front, work)

    @routes.post("/keys/<key_id>/revoke")
    def revoke_key(key_id: str) -> Response:
        read_json(front, NothingBody)
        who = caller()

        def work(connection: Connection) -> Answer:
            row = store.key_by_id(connection, key_id)
            live_or_test(who, "test" if row is None else row.mode)
            return 200, revoke(connection, key_id, who)

        return posted(front, work)


def _users(routes: Blueprint, front: Front) -> None:
    @routes.get("/tenants/<tenant_id>/users")
    def list_users(tenant_id: str) -> Response:
        size, begin = limit(), after() or ""
        _there(front.reads.run(lambda c: tenants.tenant(c, tenant_id)))
        rows = front.reads.run(lambda c: users.list_users(c, tenant_id, begin, size + 1))
        return json_answer(page([user_object(row) for row in rows], size))

    @routes.post("/tenants/<tenant_id>/users")
    def create_user(tenant_id: str) -> Response:
        asked, who = read_json(front, NewUserBody), caller()
        # Their sessions are live.
        live_or_test(who, "live")
        kept = hashed(asked.password)

        def work(connection: Connection) -> Answer:
            _there(tenants.tenant(connection, tenant_id))
            made = users.create_user(
                connection, tenant_id, asked.email, asked.role, kept, actor=who.key_id
            )
            return 201, user_object(made)

        return posted(front, work)

    @routes.post("/users/<user_id>")
    def change_user(user_id: str) -> Response:
        changes, who = read_json(front, UserChangeBody).given(), caller()
        live_or_test(who, "live")
        if "password" in changes:
            changes["password_hash"] = hashed(changes.pop("password"))

        def work(connection: Connection) -> Answer:
            row = users.change_user(connection, user_id, changes, actor=who.key_id)
            if row is None:
                raise NotFound("There is no such user.", param="user_id")
            return 200, user_object(row)

        return posted(front, work)


def _changes(given: dict[str, Any]) -> dict[str, Any]:
    """The fields of a body as `change_tenant` takes them. Raises Forbidden for credit that a test
    key would give."""
    changes = dict(given)
    if "postpaid_limit_usd" in changes:
        live_alone(caller())
        changes["overdraft"] = changes.pop("postpaid_limit_usd") or 0
    return changes


def _known_tier(front: Front, tier: str) -> None:
    if tier not in front.catalogue.tiers:
        there = ", ".join(front.catalogue.tiers)
        raise InvalidRequest(f"There is no tier {tier!r}; there are {there}.", param="tier")


def _there(row: TenantRow | None) -> TenantRow:
    if row is None:
        raise NotFound("There is no such tenant.", param="tenant_id")
    return row
