"""What one process knows of the routes that it has called: pure, but for whom it tells."""

from collections import deque
from collections.abc import Callable
from typing import Any

from app.health.breaker import Breaker, Rules

SAMPLES = 32
"""Calls whose times are kept for each route."""


def route_key(provider: str, model: str) -> str:
    """The name of a route in a process and in Redis: `provider/model`, the provider's own name of
    the model."""
    return f"{provider}/{model}"


class Watched:
    """One route: its breaker, the calls that run, and the times of the last ones in ms, newest
    last. Every call that has `entered` ends in `completed`, `failed` or `left`. The breaker of one
    that is not `guarded` never opens: it is answered within the process and cannot be away."""

    __slots__ = ("_board", "breaker", "guarded", "in_flight", "key", "latency_ms", "ttft_ms")

    def __init__(self, board: "Board", key: str, guarded: bool) -> None:
        self._board, self.key, self.guarded = board, key, guarded
        self.breaker = Breaker(board.rules)
        self.in_flight = 0
        self.latency_ms: deque[float] = deque(maxlen=SAMPLES)
        self.ttft_ms: deque[float] = deque(maxlen=SAMPLES)

    def entered(self) -> None:
        """A call begins."""
        self.in_flight += 1

    def spoke(self, now: float, started: float) -> None:
        """A stream said its first token."""
        self.ttft_ms.append((now - started) * 1000)
        if not self.breaker.well and self.breaker.spoke(now, started):
            self._board.changed(self)

    def completed(self, now: float, started: float) -> None:
        """A call was answered whole."""
        self.in_flight -= 1
        self.latency_ms.append((now - started) * 1000)
        if self.breaker.succeeded(now, started):
            self._board.changed(self)
            self._board.calmed(self)

    def failed(self, now: float, kind: str, retry_after: float | None, trial: bool) -> None:
        """A call failed."""
        self.in_flight -= 1
        if not self.guarded:
            self.breaker.missed(now)
            return
        streak = self.breaker.streak
        if self.breaker.failed(now, kind, retry_after, trial):
            self._board.changed(self)
        elif self.breaker.streak > streak:
            self._board.failing(self)

    def left(self, now: float, trial: bool) -> None:
        """A call was given up before it told anything of its route."""
        self.in_flight -= 1
        if trial:
            self.breaker.abandoned(now)
            self._board.changed(self)

    def heard_streak(self, streak: int, now: float) -> None:
        """All processes together have seen so many failures in a row."""
        breaker = self.breaker
        breaker.heard = streak > 0
        if streak >= breaker.rules.failures and breaker.state == "closed" and breaker.streak:
            breaker.open(now)
            self._board.changed(self)

    def seen(self, now: float) -> dict[str, Any]:
        """What this process tells of the route to whoever looks."""
        ok, bad = self.breaker.counts(now)
        return {
            "in_flight": self.in_flight,
            "ok": ok,
            "bad": bad,
            "streak": self.breaker.streak,
            "latency_ms": [round(ms, 1) for ms in self.latency_ms],
            "ttft_ms": [round(ms, 1) for ms in self.ttft_ms],
        }


class Board:
    """The routes of a process by key. `to_tell`, `to_count` and `to_calm` gather what others are to
    hear of: changed states, failures in a row, and ends of such rows; `wake` is called when there
    is something to tell."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.routes: dict[str, Watched] = {}
        self.to_tell: set[str] = set()
        self.to_count: dict[str, int] = {}
        self.to_calm: set[str] = set()
        self.wake: Callable[[], None] = _nobody

    def watch(self, key: str, guarded: bool = True) -> Watched:
        """The route of this key, which is known from now on."""
        found = self.routes.get(key)
        if found is None:
            found = self.routes[key] = Watched(self, key, guarded)
        return found

    def changed(self, route: Watched) -> None:
        """A route's state is to be told."""
        self.to_tell.add(route.key)
        self.wake()

    def failing(self, route: Watched) -> None:
        """A failure is to be counted together with those of others."""
        self.to_count[route.key] = self.to_count.get(route.key, 0) + 1
        self.to_calm.discard(route.key)
        self.wake()

    def calmed(self, route: Watched) -> None:
        """A row of failures is over."""
        self.to_count.pop(route.key, None)
        self.to_calm.add(route.key)


def _nobody() -> None: ...
