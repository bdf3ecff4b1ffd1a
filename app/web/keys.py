"""`/v1/keys`, `/v1/apps` and `/v1/audit`: a tenant manages its own access.

Nobody gives away more than they have: a key that is made or handled here stays within its creator's
scopes, mode and limits.
"""

from collections.abc import Iterable
from typing import Any

from flask import Blueprint, Response

from app.accounts import apps, store
from app.accounts.audit import audit_page
from app.accounts.keys import Principal
from app.accounts.scopes import TENANT_SCOPES, granted
from app.accounts.store import KeyRow, NewKey
from app.catalogue.tiers import Limits
from app.db.connect import Connection
from app.errors import Conflict, Forbidden, NotFound
from app.ledger.budgets import pass_on_budgets
from app.web.accounts import LIMITS, app_object, audit_object, key_object
from app.web.auth import caller
from app.web.front import Front
from app.web.paging import after, after_number, json_answer, limit, page, plain_ids
from app.web.posting import changed, posted, read_json
from app.web.schemas.accounts import KeyChangeBody, NewAppBody, NewKeyBody, RotateBody

Answer = tuple[int, dict[str, Any]]
NO_LIMITS = Limits()


def key_routes(front: Front) -> Blueprint:
    """The blueprint of keys, apps and the audit log."""
    routes = Blueprint("keys", __name__, url_prefix="/v1")
    routes.url_value_preprocessor(plain_ids)
    _keys(routes, front)
    _apps(routes, front)

    @routes.get("/audit")
    def list_audit() -> Response:
        return audit_answer(front, caller().tenant_id)

    return routes


def _keys(routes: Blueprint, front: Front) -> None:
    @routes.get("/keys")
    def list_keys() -> Response:
        return keys_answer(front, caller().tenant_id)

    @routes.post("/keys")
    def create_key() -> Response:
        asked, who = read_json(front, NewKeyBody), caller()
        limits = own_limits(who)
        return posted(front, lambda c: make_key(c, who.tenant_id, asked, who, who.scopes, limits))

    @routes.get("/keys/<key_id>")
    def get_key(key_id: str) -> Response:
        row = front.reads.run(lambda c: store.key_by_id(c, key_id, caller().tenant_id))
        return json_answer(key_object(_there(row)))

    @routes.post("/keys/<key_id>")
    def change_key(key_id: str) -> Response:
        who = caller()
        changed(front, lambda c: _reach(c, key_id, who))
        changes = read_json(front, KeyChangeBody).given()

        def work(connection: Connection) -> Answer:
            _reach(connection, key_id, who)
            _cap({name: changes[name] for name in LIMITS if name in changes}, own_limits(who))
            row = store.change_key(connection, key_id, changes, actor=who.key_id)
            return 200, key_object(_there(row))

        return posted(front, work)

    @routes.post("/keys/<key_id>/rotate")
    def rotate_key(key_id: str) -> Response:
        who = caller()
        changed(front, lambda c: _reach(c, key_id, who))
        asked = read_json(front, RotateBody)

        def work(connection: Connection) -> Answer:
            row = _reach(connection, key_id, who)
            _cap({name: getattr(row, name) for name in LIMITS}, own_limits(who))
            made = store.rotate_key(connection, key_id, asked.grace_seconds, actor=who.key_id)
            if made is None:
                raise Conflict("Only a live key that was not rotated before can be rotated.")
            pass_on_budgets(connection, who.tenant_id, key_id, made.id)
            return 201, _shown_once(connection, made)

        return posted(front, work)

    @routes.delete("/keys/<key_id>")
    def revoke_key(key_id: str) -> Response:
        def work(connection: Connection) -> dict[str, Any]:
            _reach(connection, key_id, caller())
            return revoke(connection, key_id, caller())

        return json_answer(changed(front, work))


def _apps(routes: Blueprint, front: Front) -> None:
    @routes.get("/apps")
    def list_apps() -> Response:
        size, begin = limit(), after() or ""
        rows = front.reads.run(lambda c: apps.list_apps(c, caller().tenant_id, begin, size + 1))
        return json_answer(page([app_object(row) for row in rows], size))

    @routes.post("/apps")
    def create_app() -> Response:
        asked, who = read_json(front, NewAppBody), caller()

        def work(connection: Connection) -> Answer:
            app = apps.create_app(connection, who.tenant_id, asked.id, asked.name, actor=who.key_id)
            return 201, app_object(app)

        return posted(front, work)

    @routes.get("/apps/<app_id>")
    def get_app(app_id: str) -> Response:
        row = front.reads.run(lambda c: apps.app_by_id(c, caller().tenant_id, app_id))
        if row is None:
            raise NotFound(f"There is no app {app_id!r}.", param="app_id")
        return json_answer(app_object(row))


def keys_answer(front: Front, tenant_id: str) -> Response:
    """A page of a tenant's keys, oldest first."""
    size, begin = limit(), after() or ""
    rows = front.reads.run(lambda c: store.list_keys(c, tenant_id, begin, size + 1))
    return json_answer(page([key_object(row) for row in rows], size))


def audit_answer(front: Front, tenant_id: str | None) -> Response:
    """A page of changes, newest first: to what is a tenant's, or with None to anything."""
    size, begin = limit(), after_number()
    rows = front.reads.run(lambda c: audit_page(c, tenant_id, begin, size + 1))
    return json_answer(page([audit_object(row) for row in rows], size))


def own_limits(who: Principal) -> Limits:
    """The limits that the caller's key has beside its tenant's."""
    return next((one.limits for one in who.buckets if one.name == who.key_id), NO_LIMITS)


def make_key(
    connection: Connection, tenant_id: str, asked: NewKeyBody, who: Principal,
    may_give: frozenset[str], within: Limits,
) -> Answer:  # fmt: skip
    """Makes a key for a tenant: at most the scopes `may_give`, by default the tenant's own among
    them; `within` these limits, which it gets where it names none. Raises Forbidden."""
    scopes: Iterable[str] = asked.scopes if asked.scopes is not None else may_give & TENANT_SCOPES
    mode = asked.mode or who.mode
    live_or_test(who, mode)
    limits = {name: getattr(asked, name) for name in LIMITS}
    for name in set(LIMITS) - asked.model_fields_set:
        limits[name] = getattr(within, name)
    _cap(limits, within)
    made = store.create_key(
        connection, tenant_id, asked.name, mode=mode, scopes=granted(scopes, may_give),
        app_id=asked.app_id, expires_in_s=asked.expires_in_seconds, expires_at_s=asked.expires_at,
        limits=(limits[LIMITS[0]], limits[LIMITS[1]], limits[LIMITS[2]]), actor=who.key_id,
    )  # fmt: skip
    return 201, _shown_once(connection, made)


def revoke(connection: Connection, key_id: str, who: Principal) -> dict[str, Any]:
    """Revokes a key, if it is not revoked already; the key as it is then. Raises NotFound."""
    store.revoke_key(connection, key_id, actor=who.key_id)
    return key_object(_there(store.key_by_id(connection, key_id)))


def live_or_test(who: Principal, mode: str) -> None:
    """Keeps test keys among themselves. Raises Forbidden."""
    if who.mode == "test" and mode != "test":
        raise Forbidden("A test key makes and manages test keys only.", param="mode")


def live_alone(who: Principal) -> None:
    """Keeps test keys from money and from tenants. Raises Forbidden."""
    if who.mode == "test":
        raise Forbidden("A test key moves no money and changes no tenant.")


def _reach(connection: Connection, key_id: str, who: Principal) -> KeyRow:
    """A key of the caller's tenant that may do no more than the caller's. Raises NotFound and
    Forbidden."""
    row = _there(store.key_by_id(connection, key_id, who.tenant_id))
    if beyond := set(row.scopes) - who.scopes:
        raise Forbidden(f"That key has scopes that yours lacks: {', '.join(sorted(beyond))}.")
    live_or_test(who, row.mode)
    return row


def _cap(limits: dict[str, int | None], within: Limits) -> None:
    for name, value in limits.items():
        most = getattr(within, name)
        if most is not None and (value is None or value > most):
            raise Forbidden(f"Your own key's limit is {most:,}: give no more.", param=name)


def _there(row: KeyRow | None) -> KeyRow:
    if row is None:
        raise NotFound("There is no such key.", param="key_id")
    return row


def _shown_once(connection: Connection, made: NewKey) -> dict[str, Any]:
    return key_object(_there(store.key_by_id(connection, made.id)), made.key)
