"""`/v1/webhook_endpoints/{id}/replay`: deliveries that are sent once more."""

from typing import Any

from flask import Blueprint, Response

from app.db.connect import Connection
from app.errors import NotFound
from app.web.auth import caller
from app.web.front import Front
from app.web.paging import plain_ids
from app.web.posting import posted, read_json
from app.web.schemas.accounts import NothingBody
from app.web.schemas.webhooks import ReplayBody
from app.web.webhooks import delivery_object, endpoint_there, there
from app.webhooks.model import Delivery
from app.webhooks.replay import store
from app.webhooks.store import find_delivery


def replay_routes(front: Front) -> Blueprint:
    """The blueprint of replays."""
    routes = Blueprint("replays", __name__, url_prefix="/v1/webhook_endpoints/<endpoint_id>")
    routes.url_value_preprocessor(plain_ids)

    @routes.post("/deliveries/<delivery_id>/replay")
    def replay_delivery(endpoint_id: str, delivery_id: str) -> Response:
        who = caller()
        _found(front.reads.run(lambda c: find_delivery(c, who.tenant_id, endpoint_id, delivery_id)))
        read_json(front, NothingBody)

        def work(connection: Connection) -> tuple[int, dict[str, Any]]:
            now = store.replay_one(
                connection, who.tenant_id, endpoint_id, delivery_id, actor=who.key_id
            )
            return 202, delivery_object(_found(now))

        return posted(front, work)

    @routes.post("/replay")
    def replay_deliveries(endpoint_id: str) -> Response:
        who = caller()
        endpoint_there(front, endpoint_id)
        body = read_json(front, ReplayBody)
        wanted = store.Wanted(body.since, body.until, body.types, body.state)

        def work(connection: Connection) -> tuple[int, dict[str, Any]]:
            done = store.replay_many(
                connection, who.tenant_id, endpoint_id, wanted, body.limit, actor=who.key_id
            )
            if done is None:
                there(None)
            count, more = done or (0, False)
            told = {"endpoint_id": endpoint_id, "replayed": count, "has_more": more}
            return 202, {"object": "webhook_replay", **told}

        return posted(front, work)

    return routes


def _found(delivery: Delivery | None) -> Delivery:
    if delivery is None:
        raise NotFound("There is no webhook delivery by that id.")
    return delivery
