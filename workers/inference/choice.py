"""Which model answers a request that leaves it open: the router's choice, told in the answer."""

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.catalogue.model import Catalogue, Model
from app.db.reads import Reads
from app.embedding.minilm import embedder
from app.embedding.weights import ModelUnfit
from app.settings import Settings
from app.telemetry import log
from app.uniroute.prices import Prices
from app.uniroute.shelf import Routers
from workers.inference.plan import skip_of
from workers.inference.routing import Routing, Way, ways

if TYPE_CHECKING:
    from app.uniroute.decide import Decision, Router

DIGITS = 6
SHARE_LEAST = 0.001
"""Clusters of which a prompt is less than this are not told."""

Found = dict[str, tuple[str, Model]]
"""Candidates by their ids in the catalogue, each with the name that the request has for it."""


@dataclass(frozen=True, slots=True)
class Choice:
    """`model` is to answer, then `fallbacks` in their order, by names of the catalogue; None where
    all that was judged cannot be called here. `routing` is what the answer tells of it."""

    model: Model | None
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
        self._embedder = embedder(settings)
        self._routers = Routers(reads, self._embedder)
        self._prices = Prices(catalogue)

    def of(
        self, told: dict[str, Any], text: str, cost_weight: float,
        catalogue: Catalogue | None = None,
    ) -> Choice | None:  # fmt: skip
        """The choice for a prompt among the candidates that `told` has, as the door found them, at
        the prices of `catalogue` if it is another than that of requests; None if there is nothing
        to choose from. Broken routes are left out unless all are. Of what
        is unavailable none is chosen to answer: without another, the first candidate does."""
        excluded = dict(told["excluded"])
        find = (catalogue or self._catalogue).find
        found = {name: find(name) for name in told["candidates"]}
        models = {model.id: (name, model) for name, model in found.items() if model is not None}
        # A request that another version admitted may tell of none.
        unavailable = told.get("unavailable") or []
        if not told["routed"] and not unavailable:
            return _unrouted(models, excluded)
        # One for all that follows: another profile may become active meanwhile.
        router = self.router()
        left = self._fit(router, models, excluded) if told["routed"] else {}
        unavailable = _profiled(router, unavailable)
        if not left and not unavailable:
            return _unrouted(models, excluded)
        routing = self._judged(router, text, left, unavailable, cost_weight)
        routing["excluded"] = _reasons(excluded)
        if left:
            order = [left[one["model"]] for one in routing["scores"] if one["available"]]
        else:
            order = list(models.values())
        if not order:
            return Choice(None, [], routing)
        if not left:
            routing["reasoning"] += f"; {order[0][1].id} answers"
        return Choice(order[0][1], [name for name, _ in order[1:]], routing)

    def router(self) -> "Router":
        """The router of the active profile."""
        return self._routers.now()

    def decide(
        self,
        router: "Router",
        text: str,
        models: dict[str, Model],
        cost_weight: float = 0.0,
        unavailable: Mapping[str, float] | None = None,
    ) -> "Decision":
        """The decision among models at the prices that a customer pays for them, and those that are
        `unavailable`, at these. One whose prompt cannot be read, since there is no model of
        embeddings, is made by the models' means."""
        absent = unavailable or {}
        own = {name: float(model.price_of().blended) for name, model in models.items()}
        usd = {**own, **absent}
        asked: dict[str, Any] = {
            "models": usd, "cost_weight": cost_weight, "usd": usd, "unavailable": absent,
        }  # fmt: skip
        try:
            return router.decide(text, **asked)
        except (ModelUnfit, OSError) as error:
            log("router").warning("prompt not read", error=str(error))
            return router.decide_unread(**asked)

    def _judged(
        self,
        router: "Router",
        text: str,
        left: Found,
        unavailable: list[str],
        cost_weight: float,
    ) -> dict[str, Any]:
        """The decision among what is left and what is not available, as answers tell it."""
        usd = dict(zip(router.profile.models, router.profile.usd.tolist(), strict=True))
        absent = {name: self._prices.of(name, usd[name]) for name in unavailable}
        # Before the clock starts; what cannot be loaded is told where it is used.
        with suppress(ModelUnfit, OSError):
            self._embedder.load()
        began = time.perf_counter()
        models = {name: model for name, (_, model) in left.items()}
        made = self.decide(router, text, models, cost_weight, absent)
        took_ms = round((time.perf_counter() - began) * 1000, 3)
        provider = _provider(models[made.model]) if models else self._prices.provider(made.model)
        return {
            **_decided(made, provider),
            "profile": made.profile, "decision_ms": took_ms, "cached": made.cached,
        }  # fmt: skip

    def _fit(self, router: "Router", models: Found, excluded: dict[str, str]) -> Found:
        """Those that may be chosen; notes why others may not."""
        known = {name: models[name] for name in _profiled(router, models)}
        for name in sorted(models.keys() - known.keys()):
            excluded[name] = "it has no profile any more"
        well = {name: one for name, one in known.items() if self._well(one[1])}
        if well:
            excluded |= dict.fromkeys(sorted(known.keys() - well.keys()), "its routes are failing")
        return well or known

    def _well(self, model: Model) -> bool:
        """Whether a route of it may be called, now or once it has room."""
        found = ways(self._catalogue, [model])
        skips = [skip_of(self._routing.standing(way)) for way in found]
        return any(skip in (None, "busy") for skip in skips)


def _profiled(router: "Router", names: Iterable[str]) -> list[str]:
    """Those of `names` that the router's profile knows."""
    return [name for name in names if name in router.profile.models]


def _decided(made: "Decision", provider: str | None) -> dict[str, Any]:
    shares = sorted(enumerate(made.clusters), key=lambda one: -one[1])
    return {
        "selected_model": made.model,
        "selected_provider": provider,
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
                "available": one.available,
            }
            for one in made.scores
        ],
        "clusters": {str(at): round(share, 4) for at, share in shares if share >= SHARE_LEAST},
    }


def _unrouted(models: Found, excluded: dict[str, str]) -> Choice | None:
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
        "reasoning": f"there is no model with a routing profile to judge; {model.id} answers",
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
