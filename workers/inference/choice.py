"""Which model answers a request that leaves it open: the router's choice, told in the answer."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.catalogue.model import Catalogue, Model
from app.db.reads import Reads
from app.embedding.minilm import embedder
from app.embedding.weights import ModelUnfit
from app.settings import Settings
from app.telemetry import log
from app.uniroute.shelf import Routers
from workers.inference.plan import skip_of
from workers.inference.routing import Routing, Way, ways

if TYPE_CHECKING:
    from app.uniroute.decide import Decision, Router

DIGITS = 6
SHARE_LEAST = 0.001
"""Clusters of which a prompt is less than this are not told."""


@dataclass(frozen=True, slots=True)
class Choice:
    """`model` is to answer, then `fallbacks` in their order, by names of the catalogue. `routing`
    is what the answer tells of it."""

    model: Model
    fallbacks: list[str]
    routing: dict[str, Any]

    def told(self, way: Way) -> dict[str, Any]:
        """`routing` of the answer that came by `way`."""
        answered = {"answered_model": way.model.id, "answered_provider": way.route.provider}
        return {**self.routing, **answered}


class Choices:
    """Makes the choices of a worker process. The router is made, and its model loaded, when the
    first is asked for."""

    def __init__(
        self, settings: Settings, catalogue: Catalogue, reads: Reads, routing: Routing
    ) -> None:
        self._catalogue, self._routing = catalogue, routing
        self._routers = Routers(reads, embedder(settings))

    def of(self, told: dict[str, Any], text: str, cost_weight: float) -> Choice | None:
        """The choice for a prompt among the candidates that `told` has, as the door found them;
        None if none of them is in the catalogue. Broken routes are left out unless all are."""
        excluded = dict(told["excluded"])
        found = {name: self._catalogue.find(name) for name in told["candidates"]}
        models = {model.id: (name, model) for name, model in found.items() if model is not None}
        if not told["routed"]:
            return _unrouted(models, excluded)
        router = self.router()
        for name in sorted(models.keys() - set(router.profile.models)):
            excluded[name] = "it has no profile any more"
        known = {name: one for name, one in models.items() if name not in excluded}
        if not known:
            return _unrouted(models, excluded)
        well = {name: one for name, one in known.items() if self._well(one[1])}
        if well:
            excluded |= dict.fromkeys(sorted(known.keys() - well.keys()), "its routes are failing")
        left = well or known
        began = time.perf_counter()
        made = self.decide(router, text, {name: one[1] for name, one in left.items()}, cost_weight)
        took_ms = round((time.perf_counter() - began) * 1000, 3)
        ordered = [left[score.model] for score in made.scores]
        routing = {**_decided(made, ordered[0][1]), "excluded": _reasons(excluded)}
        routing |= {"profile": made.profile, "decision_ms": took_ms, "cached": made.cached}
        return Choice(ordered[0][1], [name for name, _ in ordered[1:]], routing)

    def router(self) -> "Router":
        """The router of the active profile."""
        return self._routers.now()

    def decide(
        self, router: "Router", text: str, models: dict[str, Model], cost_weight: float = 0.0
    ) -> "Decision":
        """The decision among models at the prices that a customer pays for them. One whose prompt
        cannot be read, since there is no model of embeddings, is made by the models' means."""
        usd = {name: float(model.price_of().blended) for name, model in models.items()}
        try:
            return router.decide(text, models=models, cost_weight=cost_weight, usd=usd)
        except (ModelUnfit, OSError) as error:
            log("router").warning("prompt not read", error=str(error))
            return router.decide_unread(models=models, cost_weight=cost_weight, usd=usd)

    def _well(self, model: Model) -> bool:
        """Whether a route of it may be called, now or once it has room."""
        found = ways(self._catalogue, [model])
        skips = [skip_of(self._routing.standing(way)) for way in found]
        return any(skip in (None, "busy") for skip in skips)


def _decided(made: "Decision", model: Model) -> dict[str, Any]:
    shares = sorted(enumerate(made.clusters), key=lambda one: -one[1])
    return {
        "selected_model": made.model,
        "selected_provider": _provider(model),
        "expected_error": round(made.expected_error, DIGITS),
        "cost_adjusted_score": round(made.cost_adjusted_score, DIGITS),
        "cluster_id": made.cluster_id,
        "reasoning": made.reasoning,
        "scores": [
            {
                "model": one.model,
                "expected_error": round(one.expected_error, DIGITS),
                "cost": round(one.cost, DIGITS),
                "score": round(one.score, DIGITS),
            }
            for one in made.scores
        ],
        "clusters": {str(at): round(share, 4) for at, share in shares if share >= SHARE_LEAST},
    }


def _unrouted(models: dict[str, tuple[str, Model]], excluded: dict[str, str]) -> Choice | None:
    """The first of them, without a decision."""
    if not models:
        return None
    (_, model), *rest = models.values()
    routing: dict[str, Any] = {
        "selected_model": model.id,
        "selected_provider": _provider(model),
        "expected_error": None,
        "cost_adjusted_score": None,
        "cluster_id": None,
        "reasoning": f"no model with a routing profile is configured; {model.id} answers",
        "scores": [],
        "clusters": {},
        "excluded": _reasons(excluded),
        "profile": None,
        "decision_ms": 0.0,
        "cached": False,
    }
    return Choice(model, [name for name, _ in rest], routing)


def _provider(model: Model) -> str:
    return model.first_choices()[0].provider


def _reasons(excluded: dict[str, str]) -> list[dict[str, str]]:
    return [{"model": name, "reason": reason} for name, reason in excluded.items()]
