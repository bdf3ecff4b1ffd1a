"""`/v1/providers`: the routes of a model, and how they stand."""

import time
from collections.abc import Mapping
from statistics import median
from typing import Any

from flask import Blueprint, Response, request
from gevent.lock import BoundedSemaphore

from app.catalogue.model import Catalogue, Model, Route
from app.errors import ModelNotFound
from app.health.board import route_key
from app.health.exchange import Standing, standings
from app.redis import RedisGone, ReplyError
from app.web.front import Front
from app.web.models import pricing
from app.web.paging import json_answer

FRESH_S = 1.0
"""Workers tell of their routes once in so long."""


def provider_routes(front: Front) -> Blueprint:
    """The blueprint of providers."""
    routes = Blueprint("providers", __name__)
    known = Known(front.settings.redis)

    @routes.get("/v1/providers")
    @routes.get("/providers")
    def list_providers() -> Response:
        name = request.args.get("model") or None
        model = front.catalogue.find(name)
        if model is None:
            raise ModelNotFound(f"The model {name!r} does not exist here.", param="model")
        return json_answer(provider_list(front.catalogue, model, known.now(), time.time()))

    return routes


class Known:
    """What workers told of routes, read from Redis once a second at most; None while Redis is
    away."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._read_at = -FRESH_S
        self._standings: Mapping[str, Standing] | None = None
        self._lock = BoundedSemaphore()

    def now(self) -> Mapping[str, Standing] | None:
        """How routes stand, by key."""
        with self._lock:
            if time.monotonic() - self._read_at >= FRESH_S:
                try:
                    self._standings = standings(self._url)
                except (RedisGone, ReplyError):
                    self._standings = None
                self._read_at = time.monotonic()
            return self._standings


def provider_list(
    catalogue: Catalogue, model: Model, known: Mapping[str, Standing] | None, now: float
) -> list[dict[str, Any]]:
    """The routes of a model as objects: those that can be called, by priority, then those whose
    provider is not configured."""
    first = model.first_choices()
    shown = []
    for route in sorted(model.routes, key=lambda route: (route not in first, route.priority)):
        kind = "primary" if route in first else "backup"
        standing = None
        if known is not None:
            standing = known.get(route_key(route.provider, route.model), Standing())
        told = _described(route, kind, enabled=True)
        told |= _stands(standing, now) | {"pricing": pricing(model.price_of(route))}
        shown.append(told)
    written = catalogue.models[model.stands_on or model.id].spec.routes
    if model is catalogue.models.get(model.id):
        absent = [route for route in written if route.provider not in catalogue.providers]
        shown += [_described(route, "backup", enabled=False) for route in absent]
    return shown


def _described(route: Route, kind: str, enabled: bool) -> dict[str, Any]:
    return {
        "id": route.provider,
        "type": kind,
        "enabled": enabled,
        "params": route.parameters,
        "model": route.model,
        "priority": route.priority,
        "weight": 1.0 if route.weight is None else route.weight,
        "max_concurrent": route.max_concurrent,
    }


def _stands(standing: Standing | None, now: float) -> dict[str, Any]:
    """The state of a route as workers see it; null where nobody can say."""
    if standing is None:
        names = (
            "state", "reason", "failures", "opened_at", "retry_at", "in_flight", "success_rate",
            "latency_ms", "ttft_ms",
        )  # fmt: skip
        return dict.fromkeys(names)
    calls = standing.ok + standing.bad
    return {
        **_state(standing.told, now),
        "failures": standing.streak,
        "in_flight": standing.in_flight,
        "success_rate": round(standing.ok / calls, 4) if calls else None,
        "latency_ms": _middle(standing.latency_ms),
        "ttft_ms": _middle(standing.ttft_ms),
    }


def _state(told: Mapping[str, Any], now: float) -> dict[str, Any]:
    state, opened, retry = told.get("state", "closed"), None, None
    if state != "closed":
        opened, retry = told["opened_at"], told["retry_at"]
        if now >= retry:
            state = "half_open"
    elif told.get("cool_until"):
        opened, retry = told["at"], told["cool_until"]
        state = "open" if now < retry else "half_open"
    reason = None if state == "closed" else told["reason"]
    return {"state": state, "reason": reason, "opened_at": opened, "retry_at": retry}


def _middle(times: list[float]) -> float | None:
    return round(median(times), 1) if times else None
