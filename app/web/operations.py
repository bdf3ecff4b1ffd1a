"""Health and figures, for whoever runs the platform."""

import orjson
from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.errors import Unavailable
from app.jobs import store
from app.queue import LANES
from app.redis import RedisGone, ReplyError, Wire
from app.web.front import Front


def operation_routes(front: Front) -> Blueprint:
    """`/healthz`, `/readyz`, `/metrics`."""
    routes = Blueprint("operations", __name__)

    @routes.get("/healthz")
    def health() -> Response:
        return _json({"status": "ok"}, 200)

    @routes.get("/readyz")
    def ready() -> Response:
        parts = {"postgres": _workers(front), "redis": _redis(front)}
        workers = parts["postgres"] or {}
        lanes = {lane: workers.get(lane, 0) for lane in LANES}
        fine = parts["postgres"] is not None and parts["redis"] is not None and lanes["interactive"]
        body = {
            "status": "ready" if fine else "not ready",
            "postgres": parts["postgres"] is not None,
            "redis": parts["redis"] is not None,
            "workers": lanes,
        }
        return _json(body, 200 if fine else 503)

    @routes.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(), mimetype=CONTENT_TYPE_LATEST)

    return routes


def _workers(front: Front) -> dict[str, int] | None:
    try:
        return front.reads.run(store.live_workers)
    except Unavailable:
        return None


def _redis(front: Front) -> dict[str, int] | None:
    try:
        wire = Wire(front.settings.redis, timeout_s=1)
        try:
            wire.call(("PING",))
        finally:
            wire.close()
        return {}
    except (RedisGone, ReplyError):
        return None


def _json(body: object, status: int) -> Response:
    return Response(orjson.dumps(body), status, mimetype="application/json")
