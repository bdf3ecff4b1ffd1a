"""`/v1/webhook_endpoints`: where a tenant is told of its events."""

from datetime import UTC, datetime
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
from app.web.schemas.webhooks import EndpointChangeBody, NewEndpointBody, RotateSecretBody
from app.webhooks import store
from app.webhooks.model import Delivery, Endpoint, JobSecret, State, new_secret
from app.webhooks.secrets import store as secrets


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
        url = checked_url(guard, wanted.url)
        who = caller()

        def work(connection: Connection) -> tuple[int, dict[str, Any]]:
            secret = new_secret()
            made = store.create_endpoint(
                connection, who.tenant_id, url, wanted.description, list(wanted.events),
                vault.seal(secret.encode()), actor=who.key_id,
            )  # fmt: skip
            return 201, {**endpoint_object(made), "secret": secret, "signing_secret": secret}

        return posted(front, work)

    @routes.get("/<endpoint_id>")
    def get_endpoint(endpoint_id: str) -> Response:
        return json_answer(endpoint_object(endpoint_there(front, endpoint_id)))

    @routes.post("/<endpoint_id>")
    def change_endpoint(endpoint_id: str) -> Response:
        who = caller()
        # Before its body is read: what is not there cannot be asked for wrongly.
        endpoint_there(front, endpoint_id)
        changes = read_json(front, EndpointChangeBody).given()
        if "url" in changes:
            changes["url"] = checked_url(guard, changes["url"])

        def work(connection: Connection) -> tuple[int, dict[str, Any]]:
            now = store.change_endpoint(
                connection, who.tenant_id, endpoint_id, changes, actor=who.key_id
            )
            return 200, endpoint_object(there(now))

        return posted(front, work)

    @routes.delete("/<endpoint_id>")
    def delete_endpoint(endpoint_id: str) -> Response:
        who = caller()
        if not changed(
            front,
            lambda c: store.delete_endpoint(c, who.tenant_id, endpoint_id, actor=who.key_id),
        ):
            there(None)
        return json_answer({"id": endpoint_id, "object": "webhook_endpoint", "deleted": True})

    _secret_routes(routes, front, vault)
    _delivery_routes(routes, front)
    return routes


def _secret_routes(routes: Blueprint, front: Front, vault: Vault) -> None:
    def sealed(secret: str) -> str:
        return vault.seal(secret.encode())

    def shown(secret: JobSecret) -> dict[str, Any]:
        return {
            "object": "webhook_secret",
            "secret": vault.open(secret.secret).decode(),
            "created_at": unix(secret.created_at),
            "old_secret_until": unix(secret.old_until),
        }

    @routes.post("/<endpoint_id>/rotate_secret")
    def rotate_secret(endpoint_id: str) -> Response:
        who = caller()
        endpoint_there(front, endpoint_id)
        overlap_s = read_json(front, RotateSecretBody).overlap_s()

        def work(connection: Connection) -> tuple[int, dict[str, Any]]:
            new = new_secret()
            if not secrets.rotate(
                connection, who.tenant_id, endpoint_id, sealed(new), overlap_s, actor=who.key_id
            ):
                there(None)
            now = there(store.find_endpoint(connection, who.tenant_id, endpoint_id))
            return 200, {**endpoint_object(now), "secret": new, "signing_secret": new}

        return posted(front, work)

    @routes.get("/job_secret")
    def get_job_secret() -> Response:
        tenant_id = caller().tenant_id
        found = changed(
            front, lambda c: secrets.job_secret(c, tenant_id, lambda: sealed(new_secret()))
        )
        return json_answer(shown(found))

    @routes.post("/job_secret/rotate_secret")
    def rotate_job_secret() -> Response:
        who = caller()
        overlap_s = read_json(front, RotateSecretBody).overlap_s()

        def work(connection: Connection) -> tuple[int, dict[str, Any]]:
            now = secrets.rotate_job_secret(
                connection, who.tenant_id, sealed(new_secret()), overlap_s, actor=who.key_id
            )
            return 200, shown(now)

        return posted(front, work)


def _delivery_routes(routes: Blueprint, front: Front) -> None:
    @routes.post("/<endpoint_id>/test")
    def test_endpoint(endpoint_id: str) -> Response:
        tenant_id = caller().tenant_id
        endpoint_there(front, endpoint_id)
        read_json(front, NothingBody)

        def work(connection: Connection) -> tuple[int, dict[str, Any]]:
            there(store.find_endpoint(connection, tenant_id, endpoint_id))
            return 202, delivery_object(store.send_test(connection, tenant_id, endpoint_id))

        return posted(front, work)

    @routes.get("/<endpoint_id>/deliveries")
    def list_deliveries(endpoint_id: str) -> Response:
        start, size, state = after(), limit(), _state()
        endpoint_there(front, endpoint_id)
        found = front.reads.run(
            lambda c: store.list_deliveries(c, endpoint_id, state, start, size + 1)
        )
        return json_answer(page([delivery_object(delivery) for delivery in found], size))


def endpoint_object(endpoint: Endpoint) -> dict[str, Any]:
    """The endpoint as JSON, also by the names that OpenAI has for its fields; never its secret."""
    return {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "kind": endpoint.kind,
        "url": endpoint.url,
        "name": endpoint.description,
        "description": endpoint.description,
        "events": endpoint.events,
        "event_types": endpoint.events,
        "status": "enabled" if endpoint.disabled_at is None else "disabled",
        "breaker": breaker_object(endpoint),
        "old_secret_until": unix(endpoint.old_until),
        "created_at": unix(endpoint.created_at),
        "disabled_at": unix(endpoint.disabled_at),
    }


def breaker_object(endpoint: Endpoint) -> dict[str, Any]:
    """Whether deliveries wait: `open` until `retry_at`, then `half_open` for one that is tried."""
    state = "closed"
    if endpoint.paused_until is not None:
        state = "open" if endpoint.paused_until > datetime.now(UTC) else "half_open"
    retry_at = unix(endpoint.paused_until)
    return {"state": state, "failures": endpoint.failures, "retry_at": retry_at}


def delivery_object(delivery: Delivery) -> dict[str, Any]:
    """The delivery as JSON. `event_id` is what the receiver gets as `webhook-id`."""
    return {
        "id": delivery.id,
        "object": "webhook_delivery",
        "event_id": delivery.event_id,
        "event_type": delivery.event_type,
        "url": delivery.url,
        "status": delivery.state,
        "attempts": delivery.attempts,
        "attempt_list": delivery.attempt_list,
        "next_attempt_at": unix(delivery.next_at),
        "response_status": delivery.status,
        "error": delivery.error,
        "created_at": unix(delivery.created_at),
        "ended_at": unix(delivery.ended_at),
    }


def checked_url(guard: Guard, url: str, param: str = "url") -> str:
    """The URL in its one spelling. Raises InvalidRequest for one that may not be asked."""
    try:
        return str(guard.check(url).url)
    except Refused as refused:
        raise InvalidRequest(f"{param}: {refused}.", param=param) from None


def endpoint_there(front: Front, endpoint_id: str) -> Endpoint:
    """The caller's endpoint. Raises NotFound."""
    tenant_id = caller().tenant_id
    return there(front.reads.run(lambda c: store.find_endpoint(c, tenant_id, endpoint_id)))


def there(found: Endpoint | None) -> Endpoint:
    """What was found. Raises NotFound for what was not."""
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
