"""The health of routes as all worker processes share it, in Redis.

    health:state              hash: route -> breaker that is not closed, as JSON
    health:streak:{route}     failures in a row over all processes, for `WINDOW_S`
    health:trial:{route}      the process that tries a route, while it does
    health:processes          sorted set: processes by when they last looked
    health:seen:{process}     hash: route -> what the process saw of it, as JSON

No call waits for any of it but the one that is to try a route again. While Redis is away, each
process goes by what it sees itself.
"""

import time
from dataclasses import dataclass, field
from typing import Any

import gevent
import orjson
from gevent.event import Event

from app.health.board import Board
from app.health.breaker import WINDOW_S
from app.redis import RedisGone, ReplyError, Wire
from app.telemetry import log

EXCHANGE_S = 1.0
CLAIM_TIMEOUT_S = 0.25
SEEN_TTL_S = 300
"""What a process saw is shown for so long after its last call."""

ALIVE_S = 5.0
"""Calls of a process that has not looked for so long run no more."""

STATE, PROCESSES = "health:state", "health:processes"

Command = tuple[Any, ...]


def _streak(route: str) -> str:
    return f"health:streak:{route}"


def _trial(route: str) -> str:
    return f"health:trial:{route}"


def _seen(process: str) -> str:
    return f"health:seen:{process}"


class Exchange:
    """Keeps the board of a process and Redis alike, in a greenlet of its own."""

    def __init__(self, url: str, board: Board, process: str) -> None:
        self._url, self._board, self._process = url, board, process
        self._wire: Wire | None = None
        self._wake = Event()
        self._greenlet: Any = None
        self._away = False
        self._next_look = 0.0
        self._told: dict[str, bytes] = {}
        board.wake = self._wake.set

    def start(self) -> None:
        """Begins to share, if it has not begun."""
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)

    def close(self) -> None:
        """Ends the greenlet and the connection."""
        if self._greenlet is not None:
            self._greenlet.kill()
            self._greenlet = None
        self._drop()

    def claim(self, route: str, lease_s: float) -> bool:
        """Whether this process is the one that tries a route; also if Redis does not say."""
        try:
            with gevent.Timeout(CLAIM_TIMEOUT_S, RedisGone("no answer")):
                wire = Wire(self._url, timeout_s=CLAIM_TIMEOUT_S)
                try:
                    lease_ms = max(1, round(lease_s * 1000))
                    [got] = wire.call(("SET", _trial(route), self._process, "NX", "PX", lease_ms))
                finally:
                    wire.close()
        except (RedisGone, ReplyError):
            return True
        return got is not None

    def _run(self) -> None:
        while True:
            self._wake.wait(max(0.0, self._next_look - time.monotonic()))
            self._wake.clear()
            try:
                self._round(time.monotonic() >= self._next_look)
                self._say_back()
            except (RedisGone, ReplyError, LookupError, ValueError) as gone:
                # The last two: another version of this program has written it.
                self._say_away(gone)
                gevent.sleep(EXCHANGE_S)

    def _round(self, look: bool) -> None:
        """Writes what is to be told; once in `EXCHANGE_S` also reads what others told."""
        board, now = self._board, time.time()
        tell, count, calm = board.to_tell, board.to_count, board.to_calm
        board.to_tell, board.to_count, board.to_calm = set(), {}, set()
        states = {route: board.routes[route].breaker.told() for route in tell}
        try:
            written = self._call(*_states(states), *_calms(calm), *_counts(count))
        except (RedisGone, ReplyError):
            board.to_tell |= tell
            raise
        for route, told in states.items():
            board.routes[route].breaker.written = told is not None
        totals = written[len(written) - 2 * len(count) :: 2]
        for route, total in zip(count, totals, strict=True):
            board.routes[route].heard_streak(total, now)
        if look:
            self._next_look = time.monotonic() + EXCHANGE_S
            self._read(now)
            self._show(now)

    def _read(self, now: float) -> None:
        routes = list(self._board.routes.values())
        if not routes:
            return
        streaks = ("MGET", *(_streak(route.key) for route in routes))
        flat, totals, *_ = self._call(
            ("HGETALL", STATE), streaks,
            ("ZADD", PROCESSES, now, self._process),
            ("ZREMRANGEBYSCORE", PROCESSES, "-inf", now - SEEN_TTL_S),
        )  # fmt: skip
        states = _by_name(flat)
        for route, total in zip(routes, totals, strict=True):
            if route.key not in self._board.to_tell:
                route.breaker.adopt(states.get(route.key), now)
            route.heard_streak(int(total or 0), now)

    def _show(self, now: float) -> None:
        """Writes what this process saw of routes, where that has changed."""
        news: list[Any] = []
        for route in self._board.routes.values():
            seen = orjson.dumps(route.seen(now))
            if self._told.get(route.key) != seen:
                self._told[route.key] = seen
                news += (route.key, seen)
        if news:
            key = _seen(self._process)
            self._call(("HSET", key, *news), ("EXPIRE", key, SEEN_TTL_S))

    def _call(self, *commands: Command) -> list[Any]:
        if not commands:
            return []
        if self._wire is None:
            self._wire = Wire(self._url)
        return self._wire.call(*commands)

    def _drop(self) -> None:
        if self._wire is not None:
            self._wire.close()
        self._wire = None

    def _say_away(self, gone: Exception) -> None:
        self._drop()
        # Redis may lose what it was told.
        self._told.clear()
        for route in self._board.routes.values():
            if not route.breaker.well:
                self._board.to_tell.add(route.key)
        if not self._away:
            log("health").warning("Redis away, each process goes by itself", error=str(gone))
        self._away = True

    def _say_back(self) -> None:
        if self._away:
            log("health").warning("Redis is back, health is shared again")
        self._away = False


def _states(states: dict[str, dict[str, Any] | None]) -> list[Command]:
    commands: list[Command] = []
    for route, told in states.items():
        if told is None:
            commands.append(("HDEL", STATE, route))
        else:
            commands.append(("HSET", STATE, route, orjson.dumps(told)))
        if told is None or told["state"] != "half_open":
            commands.append(("DEL", _trial(route)))
    return commands


def _counts(failures: dict[str, int]) -> list[Command]:
    commands: list[Command] = []
    for route, more in failures.items():
        commands.append(("INCRBY", _streak(route), more))
        commands.append(("PEXPIRE", _streak(route), round(WINDOW_S * 1000)))
    return commands


def _calms(routes: set[str]) -> list[Command]:
    return [("DEL", _streak(route)) for route in routes]


def _by_name(flat: list[bytes]) -> dict[str, dict[str, Any]]:
    pairs = zip(flat[::2], flat[1::2], strict=True)
    return {name.decode(): orjson.loads(told) for name, told in pairs}


@dataclass(slots=True)
class Standing:
    """How a route stands over all processes; `told`: its breaker where that is not closed. Times in
    ms, of the last calls of each process."""

    told: dict[str, Any] = field(default_factory=dict)
    in_flight: int = 0
    ok: int = 0
    bad: int = 0
    streak: int = 0
    latency_ms: list[float] = field(default_factory=list)
    ttft_ms: list[float] = field(default_factory=list)

    def add(self, seen: dict[str, Any], alive: bool) -> None:
        """Adds what one process saw."""
        self.in_flight += seen["in_flight"] if alive else 0
        self.ok += seen["ok"]
        self.bad += seen["bad"]
        self.streak = max(self.streak, seen["streak"])
        self.latency_ms += seen["latency_ms"]
        self.ttft_ms += seen["ttft_ms"]


def standings(url: str) -> dict[str, Standing]:
    """How all routes stand that workers have called lately. Raises RedisGone."""
    wire = Wire(url, timeout_s=1.0)
    try:
        now = time.time()
        processes = ("ZRANGEBYSCORE", PROCESSES, now - SEEN_TTL_S, "+inf", "WITHSCORES")
        flat, scored = wire.call(("HGETALL", STATE), processes)
        found = {route: Standing(told) for route, told in _by_name(flat).items()}
        every = [("HGETALL", _seen(process.decode())) for process in scored[::2]]
        for seen, at in zip(wire.call(*every) if every else (), scored[1::2], strict=True):
            for route, told in _by_name(seen).items():
                found.setdefault(route, Standing()).add(told, now - float(at) < ALIVE_S)
    finally:
        wire.close()
    return found
