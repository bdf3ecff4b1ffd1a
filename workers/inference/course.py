"""The calls of one attempt as the plan and the record of attempts see them: which is next, how each
ended."""

import math
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import gevent

from app.health.board import Watched
from app.settings import Settings
from workers.inference.plan import Standing, Step, hedge, next_step, order, passed_over
from workers.inference.routing import Routing, Way
from workers.providers.base import Call, ProviderError

TRIAL_SPARE_S = 1.0
OF_THE_KEY = frozenset({"auth", "rate_limited"})
"""Failures that tell of the key with which a provider was called."""


class AllFailed(Exception):
    """No route gave a first token; `failures` says why."""

    def __init__(self, failures: list[tuple[str, ProviderError]]) -> None:
        super().__init__("all providers failed")
        self.failures = failures


@dataclass(slots=True)
class Ongoing:
    """A call, while it runs: of the way `index`. `note` is what `made` tells of it; `trial`: it
    tries a route whose breaker is open; `slot`: what it gives back at its end."""

    index: int
    way: Way
    call: Call
    note: dict[str, Any]
    route: Watched
    trial: bool
    slot: Any
    over: bool = False


@dataclass(slots=True)
class Course:
    """Begins calls as the plan says and notes each in `made`; `tried` holds the way of each.
    `deadline`: when all must be over, as `time.monotonic` tells it; `own_keys`: providers that are
    called with a key of the client's own, whose limits are not those of others."""

    settings: Settings
    ways: list[Way]
    request: dict[str, Any]
    attempt: int
    routing: Routing
    deadline: float = math.inf
    own_keys: Collection[str] = ()
    made: list[dict[str, Any]] = field(default_factory=list)
    tried: list[Way] = field(default_factory=list)
    _drawn: list[int] = field(default_factory=list)
    _history: list[tuple[int, ProviderError | None]] = field(default_factory=list)

    def next(self) -> Ongoing:
        """Waits as the plan says and begins its next call. Raises AllFailed, and gevent.Timeout if
        the time was over before anything could be called."""
        routing = self.routing
        if not self._drawn:
            self._drawn = self._draw()
        while True:
            standings = self._standings()
            step = next_step(
                self._drawn,
                standings,
                self._history,
                self.deadline - time.monotonic(),
                lambda index: routing.may_retry(self.ways[index]),
                routing.uniform,
            )
            if step is None:
                raise AllFailed(self._failures(standings))
            if step.wait_s:
                gevent.sleep(step.wait_s)
            way = self.ways[step.index]
            slot = routing.slot(way)
            if slot is not None and not self._took(slot, step):
                continue
            if step.why == "trial" and not routing.claim(way, self._lease_s()):
                if slot is not None:
                    slot.release()
                continue
            return self._begin(step, standings, slot)

    def second(self) -> Ongoing | None:
        """A call beside one that is slow to speak, if there is a route and a retry for it."""
        standings = self._standings()
        index = hedge(self._drawn, standings, self._history)
        if index is None:
            return None
        way = self.ways[index]
        slot, budget = self.routing.slot(way), self.routing.budget(way)
        if slot is not None and not slot.acquire(blocking=False):
            return None
        if budget is not None and not budget.spend(time.monotonic()):
            if slot is not None:
                slot.release()
            return None
        return self._begin(Step(index, 0.0, "hedge"), standings, slot)

    def spoke(self, ongoing: Ongoing, whole: bool = False) -> None:
        """A call gave its first token, or a `whole` answer at once."""
        now, started = time.time(), ongoing.note["started_at"]
        ongoing.note["ttft_ms"] = round((now - started) * 1000, 1)
        if not whole:
            ongoing.route.spoke(now, started)

    def completed(self, ongoing: Ongoing, usage: dict[str, Any] | None) -> None:
        """A call was answered whole."""
        now = _end(ongoing, "completed", 200, None, usage)
        ongoing.route.completed(now, ongoing.note["started_at"])

    def failed(self, ongoing: Ongoing, error: ProviderError, usage: dict[str, Any] | None) -> None:
        """A call failed; `usage` is what it had told by then."""
        # Of the calls of a way, it is the last that has ended.
        at = max(i for i, (index, _) in enumerate(self._history) if index == ongoing.index)
        self._history[at] = (ongoing.index, error)
        now = _end(ongoing, error.kind, error.status, error.message, usage)
        if error.kind in OF_THE_KEY and ongoing.way.route.provider in self.own_keys:
            ongoing.route.left(now, ongoing.trial)
        else:
            ongoing.route.failed(now, error.kind, error.retry_after, ongoing.trial)

    def outpaced(self, ongoing: Ongoing) -> None:
        """Another call spoke first."""
        now = _end(ongoing, "outpaced", None, None, None)
        ongoing.route.left(now, ongoing.trial)

    def leave(self, ongoing: Ongoing) -> None:
        """Gives a call up that has not ended, as when its job is cancelled."""
        if not ongoing.over:
            _over(ongoing)
            ongoing.route.left(time.time(), ongoing.trial)

    def _draw(self) -> list[int]:
        if len(self.ways) == 1:
            return [0]
        return order([way.option() for way in self.ways], self.routing.uniform)

    def _standings(self) -> list[Standing]:
        return [self.routing.standing(way) for way in self.ways]

    def _took(self, slot: Any, step: Step) -> bool:
        """Whether a call got its slot; one that waited for it in vain has failed."""
        if not step.slot_s:
            return bool(slot.acquire(blocking=False))
        if slot.acquire(timeout=step.slot_s):
            return True
        route = self.ways[step.index].route
        message = f"{route.max_concurrent} calls of {route.model} run, and no more may"
        busy = ProviderError("rate_limited", message, retryable=False, retry_after=1.0)
        self._history.append((step.index, busy))
        return False

    def _lease_s(self) -> float:
        settings = self.settings
        return settings.connect_timeout + settings.first_token_timeout + TRIAL_SPARE_S

    def _failures(self, standings: list[Standing]) -> list[tuple[str, ProviderError]]:
        """Why no route answered: routes that are to be left alone, then errors of calls. Raises
        gevent.Timeout if there is nothing to tell."""
        called = {index for index, _ in self._history}
        told = [
            (index, ProviderError("rate_limited", "asked to be left alone", retry_after=one.cool_s))
            for index, one in enumerate(standings)
            if one.cool_s and index not in called
        ]
        told += [(index, error) for index, error in self._history if error is not None]
        if not told:
            raise gevent.Timeout
        return [(self.ways[index].route.provider, error) for index, error in told]

    def _begin(self, step: Step, standings: list[Standing], slot: Any) -> Ongoing:
        way = self.ways[step.index]
        note: dict[str, Any] = {
            "provider": way.route.provider,
            "model": way.route.model,
            "why": step.why,
            "started_at": time.time(),
        }
        if len(self.ways) > 1 and step.why != "hedge":
            over = passed_over(self._drawn, standings, self._history, step.index)
            if over:
                note["skipped"] = [self._skipped(index, why) for index, why in over]
        call, trial = self._call(way), step.why == "trial"
        if trial and any(one.well for at, one in enumerate(standings) if at != step.index):
            call.first_token_timeout = self.routing.patience_s(way, call.first_token_timeout)
        self._pay(way, step)
        self.tried.append(way)
        self.made.append(note)
        self._history.append((step.index, None))
        route = self.routing.watch(way)
        route.entered()
        return Ongoing(step.index, way, call, note, route, trial, slot)

    def _call(self, way: Way) -> Call:
        settings = self.settings
        parameters = {**way.route.parameters, "attempt": self.attempt + len(self.made)}
        return Call(
            self.request,
            way.route.model,
            parameters,
            way.model.spec.max_output,
            settings.connect_timeout,
            settings.first_token_timeout,
            settings.idle_timeout,
        )

    def _pay(self, way: Way, step: Step) -> None:
        budget = self.routing.budget(way)
        if budget is None or step.why == "hedge":
            return
        if step.why == "retry":
            budget.spend(time.monotonic())
        else:
            budget.first()

    def _skipped(self, index: int, why: str) -> dict[str, Any]:
        route = self.ways[index].route
        return {"provider": route.provider, "model": route.model, "why": why}


def _end(
    ongoing: Ongoing,
    outcome: str,
    status: int | None,
    error: str | None,
    usage: dict[str, Any] | None,
) -> float:
    now, note = time.time(), ongoing.note
    note["outcome"] = outcome
    note["status"] = status
    note["error"] = error
    note["latency_ms"] = round((now - note["started_at"]) * 1000, 1)
    note["usage"] = usage
    _over(ongoing)
    return now


def _over(ongoing: Ongoing) -> None:
    ongoing.over = True
    if ongoing.slot is not None:
        ongoing.slot.release()
