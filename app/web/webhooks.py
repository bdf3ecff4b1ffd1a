"""`/v1/webhook_endpoints`: where a tenant is told of its events."""

import secrets
from base64 import b64encode
from typing import Any, get_args

from flask import Blueprint, Response, request

from app.db.connect import Connection
from app.errors import InvalidRequest, NotFound
from app.outbound import Guard, Refused, Resolver, resolve
from app.settings import listed
from app.vault import Vault
from app.web.accounts import unix
from app.web.auth import caller
from app.web.front import Front
from app.web.paging import after, json_answer, limit, page, plain_ids
from app.web.posting import changed, posted, read_json
from app.web.schemas.accounts import NothingBody
from app.web.schemas.webhooks import EndpointChangeBody, NewEndpointBody
from app.webhooks import store
from app.webhooks.model import Delivery, Endpoint, State

SECRET_BYTES = 32


def webhook_routes(front: Front, resolver: Resolver = resolve) -> Blueprint:
    """The blueprint of webhook endpoints."""
    routes = Blueprint("webhooks", __name__, url_prefix="/v1/webhook_endpoints")
    routes.url_value_preprocessor(plain_ids)
    guard = Guard(listed(front.settings.webhook_allow), resolver)
    vault = Vault(front.settings)

    @routes.get("")
    def list_endpoints() -> Response:
        tenant_id, start, size = caller().tenant_id, after(), limit()
        found = front.reads.run(lambda c: store.list_endpoints(c, tenant_id, start, size + 1))
        return json_answer(page([endpoint_object(endpoint) for endpoint in found], size))

    @routes.post("")
    def create_endpoint() -> Response:
        wanted = read_json(front, NewEndpointBody)
        url = _checked(guard, wanted.url)
        who = caller()

        def work(connection: Connection) -> tuple[int, dict[str, Any]]:
            secret = "whsec_" + b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
            made = store.create_endpoint(
                connection, who.tenant_id, url, wanted.description, list(wanted.events),
                vault.seal(secret.encode()), actor=who.key_id,
            )  # fmt: skip
            return 201, {**endpoint_object(made), "secret": secret}

        return posted(front, work)

    @routes.get("/<endpoint_id>")
    def get_endpoint(endpoint_id: str) -> Response:
        tenant_id = caller().tenant_id
        found = front.reads.run(lambda c: store.find_endpoint(c, tenant_id, endpoint_id))
        return json_answer(endpoint_object(_there(found)))

    @routes.post("/<endpoint_id>")
    def change_endpoint(endpoint_id: str) -> Response:
        who = caller()
        # Before its body is read: what is not there cannot be asked for wrongly.
        _there(front.reads.run(lambda c: store.find_endpoint(c, who.tenant_id, endpoint_id)))
        changes = read_json(front, EndpointChangeBody).given()
        if "url" in changes:
            changes["url"] = _checked(guard, changes["url"])

        def work(connection: Connection) -> tuple[int, dict[str, Any]]:
            now = store.change_endpoint(
                connection, who.tenant_id, endpoint_id, changes, actor=who.key_id
            )
            return 200, endpoint_object(_there(now))

        return posted(front, work)

    @routes.delete("/<endpoint_id>")
    def delete_endpoint(endpoint_id: str) -> Response:
        who = caller()
        if not changed(
            front,
            lambda c: store.delete_endpoint(c, who.tenant_id, endpoint_id, actor=who.key_id),
        ):
            _there(None)
        return json_answer({"id": endpoint_id, "object": "webhook_endpoint", "deleted": True})

    _delivery_routes(routes, front)
    return routes


def _delivery_routes(routes: Blueprint, front: Front) -> None:
    @routes.post("/<endpoint_id>/test")
    def test_endpoint(endpoint_id: str) -> Response:
        tenant_id = caller().tenant_id
        _there(front.reads.run(lambda c: store.find_endpoint(c, tenant_id, endpoint_id)))
        read_json(front, NothingBody)

        def work(connection: Connection) -> tuple[int, dict[str, Any]]:
            _there(store.find_endpoint(connection, tenant_id, endpoint_id))
            return 202, delivery_object(store.send_test(connection, tenant_id, endpoint_id))

        return posted(front, work)

    @routes.get("/<endpoint_id>/deliveries")
    def list_deliveries(endpoint_id: str) -> Response:
        tenant_id, start, size, state = caller().tenant_id, after(), limit(), _state()

        def read(connection: Connection) -> list[Delivery] | None:
            if store.find_endpoint(connection, tenant_id, endpoint_id) is None:
                return None
            return store.list_deliveries(connection, endpoint_id, state, start, size + 1)

        found = front.reads.run(read)
        if found is None:
            _there(None)
        return json_answer(page([delivery_object(delivery) for delivery in found or []], size))


def endpoint_object(endpoint: Endpoint) -> dict[str, Any]:
    """The endpoint as JSON; never its secret."""
    return {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "url": endpoint.url,
        "description": endpoint.description,
        "events": endpoint.events,
        "status": "enabled" if endpoint.disabled_at is None else "disabled",
        "created_at": unix(endpoint.created_at),
        "disabled_at": unix(endpoint.disabled_at),
    }


def delivery_object(delivery: Delivery) -> dict[str, Any]:
    """The delivery as JSON. `event_id` is what the receiver gets as `webhook-id`."""
    return {
        "id": delivery.id,
        "object": "webhook_delivery",
        "event_id": delivery.event_id,
        "event_type": delivery.event_type,
        "status": delivery.state,
        "attempts": delivery.attempts,
        "next_attempt_at": unix(delivery.next_at),
        "response_status": delivery.status,
        "error": delivery.error,
        "created_at": unix(delivery.created_at),
        "ended_at": unix(delivery.ended_at),
    }


def _checked(guard: Guard, url: str) -> str:
    """The URL in its one spelling. Raises InvalidRequest for one that may not be asked."""
    try:
        return str(guard.check(url).url)
    except Refused as refused:
        raise InvalidRequest(f"url: {refused}.", param="url") from None


def _there(found: Endpoint | None) -> Endpoint:
    if found is None:
        raise NotFound("There is no webhook endpoint by that id.")
    return found


def _state() -> State | None:
    status = request.args.get("status")
    known: tuple[State, ...] = get_args(State)
    if status is None:
        return None
    if status not in known:
        raise InvalidRequest(f"status must be one of {', '.join(known)}", param="status")
    return status
