"""What the calls of a worker process know together: how routes stand, slots, retry budgets."""

import random
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gevent.lock import BoundedSemaphore

from app.catalogue.model import BUILTIN_KINDS, Catalogue, Model, Route
from app.health.board import Board, Watched, route_key
from app.health.breaker import Rules
from app.health.exchange import Exchange
from app.ids import new_id
from app.settings import Settings
from workers.inference.budget import Budget
from workers.inference.plan import UP, Option, Standing, Uniform

TRIAL_S = 2.0
"""How long the first call that tries a route may take where another could answer; each further one
gets twice as long, so that a slow route that is well again is believed at last."""


@dataclass(slots=True)
class Way:
    """A route and the model that is billed if it answers. `group`: 0 for the model asked for, 1
    for its first fallback, and so on; `builtin`: the worker answers it itself."""

    model: Model
    route: Route
    group: int = 0
    builtin: bool = False

    def option(self) -> Option:
        """The way as the plan sees it."""
        route = self.route
        price = self.model.cost_of(route).blended
        return Option(self.group, route.priority, route.weight, price)

    @property
    def hedge_after_s(self) -> float | None:
        """How long its first token is waited for before another route is asked too."""
        after_ms = self.route.hedge_after_ms or self.model.spec.hedge_after_ms
        return None if after_ms is None else after_ms / 1000


def ways(catalogue: Catalogue, models: Iterable[Model]) -> list[Way]:
    """All routes of models, in the order in which they are written."""
    kinds = catalogue.providers
    return [
        Way(model, route, group, kinds[route.provider].kind in BUILTIN_KINDS)
        for group, model in enumerate(models)
        for route in model.routes
    ]


class Routing:
    """One a worker process. Without `settings` it shares nothing with others."""

    def __init__(self, settings: Settings | None = None, uniform: Uniform = random.uniform) -> None:
        self.uniform = uniform
        self._ratio, rules = 0.2, Rules()
        if settings is not None:
            self._ratio = settings.retry_budget
            rules = Rules(
                settings.breaker_failures,
                settings.breaker_cooldown,
                settings.breaker_cooldown_max,
            )
        self.board = Board(rules)
        self._exchange: Exchange | None = None
        if settings is not None:
            self._exchange = Exchange(settings.redis, self.board, new_id("proc"))
        self._slots: dict[str, Any] = {}
        self._budgets: dict[str, Budget] = {}

    def close(self) -> None:
        """Ends what runs beside the calls."""
        if self._exchange is not None:
            self._exchange.close()

    def watch(self, way: Way) -> Watched:
        """What is known of a way's route."""
        key = route_key(way.route.provider, way.route.model)
        found = self.board.routes.get(key)
        if found is None:
            found = self.board.watch(key, not way.builtin)
            if self._exchange is not None:
                self._exchange.start()
        return found

    def standing(self, way: Way) -> Standing:
        """How a way's route stands now."""
        watched = self.watch(way)
        breaker, slot = watched.breaker, self.slot(way)
        busy = slot is not None and slot.locked()
        if breaker.well and not busy and not way.group:
            return UP
        now = time.time()
        return Standing(
            breaker.look(now), breaker.cool_s(now), busy, breaker.opened_at, way.group
        )  # fmt: skip

    def slot(self, way: Way) -> Any:
        """The semaphore of a way's route, or None if it takes all calls."""
        most = way.route.max_concurrent
        if most is None:
            return None
        key = route_key(way.route.provider, way.route.model)
        found = self._slots.get(key)
        if found is None:
            found = self._slots[key] = BoundedSemaphore(most)
        return found

    def budget(self, way: Way) -> Budget | None:
        """The retry budget of a way's provider; None for one whose outage nobody can multiply."""
        if way.builtin:
            return None
        found = self._budgets.get(way.route.provider)
        if found is None:
            found = self._budgets[way.route.provider] = Budget(self._ratio, time.monotonic())
        return found

    def may_retry(self, way: Way) -> bool:
        """Whether the budget has a retry for this way."""
        budget = self.budget(way)
        return budget is None or budget.allows(time.monotonic())

    def claim(self, way: Way, lease_s: float) -> bool:
        """Whether a call of this process is the one that tries the way's broken route; the trial is
        forgotten after `lease_s`."""
        watched, now = self.watch(way), time.time()
        watched.breaker.trying(now, lease_s)
        if self._exchange is not None and not self._exchange.claim(watched.key, lease_s):
            watched.breaker.denied(time.time())
            return False
        self.board.changed(watched)
        return True

    def patience_s(self, way: Way, first_token_s: float) -> float:
        """How long a trial of a way may take where another could answer."""
        watched = self.watch(way)
        seen_ms = max((*watched.latency_ms, *watched.ttft_ms), default=0.0)
        trials = max(0, min(watched.breaker.trips - 1, 30))
        return min(first_token_s, max(TRIAL_S * 2.0**trials, 2 * seen_ms / 1000))
