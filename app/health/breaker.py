"""The circuit breaker of one route: pure. It is told how calls end and what the time is.

Closed, it counts. Open, its route is the last choice until a cool-down is over. Then it is half
open: one call tries the route, and what becomes of that call closes the breaker or opens it again
for twice as long (Nygard, Release It!, 2nd edition 2018, section 5.2, Circuit Breaker).

Times are unix seconds, since processes on several machines tell each other of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["closed", "open", "half_open"]
Look = Literal["up", "due", "down"]
"""What a route is good for: calls, one call that tries it, or nothing while another can answer."""

COUNTED = frozenset({
    "auth", "connect", "incomplete", "protocol", "rate_limited", "timeout", "unavailable",
})  # fmt: skip
"""Kinds of failure that tell of the route. A refused request tells of the request."""

WINDOW_S = 30.0
RATE = 0.5
RATE_CALLS = 20
"""Out of so many calls within the window the share of failures counts, though none be in a row."""

CALM_S = 60.0
"""A breaker that was closed for so long begins again with the shortest cool-down."""

COOL_MAX_S = 300.0
"""A provider that asks for a longer wait than this is asked again after it."""

DENIED_S = 0.5
"""How long the trial of another process is taken for granted before it is asked about again."""


@dataclass(frozen=True, slots=True)
class Rules:
    """When a breaker opens, and for how long: failures in a row, seconds."""

    failures: int = 5
    cooldown_s: float = 1.0
    cooldown_max_s: float = 30.0


class Breaker:
    """One route's breaker, as one process sees it.

    `streak`: failures in a row, `since` when. `heard`: whether other processes have told of a
    streak. `trips`: how often it opened without a calm in between. `cool_until`: the end of a wait
    that the provider asked for, which is no failure; 0 once a call after it was answered. `reason`:
    the kind of the last failure.
    """

    __slots__ = (
        "_bad", "_bad_before", "_ok", "_ok_before", "_turn", "changed_at", "closed_at",
        "cool_until", "heard", "last_ok", "opened_at", "reason", "retry_at", "rules", "since",
        "state", "streak", "trips", "written",
    )  # fmt: skip

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.state: State = "closed"
        self.reason: str | None = None
        self.streak = self.trips = 0
        self.heard = self.written = False
        self.since = self.last_ok = self.cool_until = 0.0
        self.opened_at = self.retry_at = self.closed_at = self.changed_at = 0.0
        self._ok = self._ok_before = self._bad = self._bad_before = 0
        self._turn = 0.0

    def look(self, now: float) -> Look:
        """What the route is good for now."""
        if self.state == "closed":
            # Not all who waited are to come at once.
            return "due" if self.cool_until and now >= self.cool_until else "up"
        return "due" if now >= self.retry_at else "down"

    def cool_s(self, now: float) -> float:
        """Seconds that the provider still wants to be left alone."""
        return max(0.0, self.cool_until - now)

    def counts(self, now: float) -> tuple[int, int]:
        """Calls that ended well and that failed, in the last one to two windows."""
        self._rotate(now)
        return self._ok + self._ok_before, self._bad + self._bad_before

    def succeeded(self, now: float, started: float) -> bool:
        """Takes a whole answer to a call begun at `started`. True if others are to know."""
        if now >= self._turn:
            self._rotate(now)
        self._ok += 1
        self.last_ok = now
        if self.streak or self.heard:
            self.streak, self.heard = 0, False
            self.spoke(now, started)
            return True
        return not self.well and self.spoke(now, started)

    @property
    def well(self) -> bool:
        """Whether there is nothing to tell of it."""
        return self.state == "closed" and not self.cool_until

    def spoke(self, now: float, started: float) -> bool:
        """Takes the first token of a call: ends a wait that is over, and closes a breaker that
        opened before it began. True if this changed something."""
        waited = bool(self.cool_until) and now >= self.cool_until
        if waited:
            self.cool_until, self.changed_at = 0.0, now
        if self.state == "closed" or started < self.opened_at:
            return waited
        self._close(now)
        return True

    def failed(self, now: float, kind: str, retry_after: float | None, trial: bool) -> bool:
        """Takes a failure; `trial`: of the call that tries the route. True if this changed the
        state or began a wait."""
        if kind not in COUNTED:
            if trial:
                # It was read and refused, so the route is there.
                self._close(now)
            return trial
        self.reason = kind
        if kind == "rate_limited" and retry_after is not None:
            self._cool(now, retry_after, trial)
            return True
        self._rotate(now)
        self._bad += 1
        if self.state == "closed":
            if not self.streak:
                self.since = now
            self.streak += 1
            ill = self.streak >= self.rules.failures or self._fails_often()
        else:
            ill = trial or (self.state == "open" and now >= self.retry_at)
        return ill and self.open(now)

    def _fails_often(self) -> bool:
        ok, bad = self._ok + self._ok_before, self._bad + self._bad_before
        return ok + bad >= RATE_CALLS and bad >= RATE * (ok + bad)

    def open(self, now: float) -> bool:
        """Opens the breaker, or opens it again after a trial; True."""
        if self.state == "closed":
            if now - self.closed_at > CALM_S:
                self.trips = 0
            self.opened_at = now
        self.state, self.changed_at = "open", now
        longest = self.rules.cooldown_max_s
        self.retry_at = now + min(longest, self.rules.cooldown_s * 2 ** min(self.trips, 30))
        self.trips += 1
        return True

    def _close(self, now: float) -> None:
        self.state, self.changed_at, self.closed_at = "closed", now, now
        self.streak, self.heard = 0, False
        self._ok = self._ok_before = self._bad = self._bad_before = 0

    def _cool(self, now: float, retry_after: float, trial: bool) -> None:
        until = now + min(retry_after, COOL_MAX_S)
        self.cool_until, self.changed_at = max(self.cool_until, until), now
        if trial:
            self._close(now)

    def trying(self, now: float, lease_s: float) -> None:
        """A call of this process tries the route; it is forgotten after `lease_s`."""
        if self.state == "closed":
            self.opened_at = now
        self.state, self.changed_at, self.retry_at = "half_open", now, now + lease_s

    def denied(self, now: float) -> None:
        """Another process tries the route."""
        self.state, self.retry_at = "open", now + DENIED_S
        # Whatever that process tells of it is newer.
        self.changed_at = 0.0

    def missed(self, now: float) -> None:
        """Takes a failure that is to be counted and nothing else."""
        self._rotate(now)
        self._bad += 1

    def abandoned(self, now: float) -> None:
        """The call that tried the route was given up before it could tell."""
        if self.state == "half_open":
            self.state, self.changed_at, self.retry_at = "open", now, now

    def told(self) -> dict[str, Any] | None:
        """What other processes need to know; None if all is well."""
        if self.well:
            return None
        names = ("state", "since", "opened_at", "retry_at", "trips", "cool_until", "reason")
        return {name: getattr(self, name) for name in names} | {"at": self.changed_at}

    def adopt(self, told: Mapping[str, Any] | None, now: float) -> None:
        """Takes what another process told last, unless this one knows better: it has changed since,
        or has had an answer after those failures began."""
        if told is None:
            if self.written and not self.well:
                self.cool_until = 0.0
                self._close(now)
            self.written = False
            return
        self.written = True
        if told["at"] <= self.changed_at:
            return
        if told["state"] != "closed" and self.state == "closed" and self.last_ok > told["since"]:
            return
        if told["state"] == "closed" and self.state != "closed":
            self._close(now)
        for name in ("state", "since", "opened_at", "retry_at", "trips", "cool_until", "reason"):
            setattr(self, name, told[name])
        self.changed_at = told["at"]

    def _rotate(self, now: float) -> None:
        if now < self._turn:
            return
        late = now - self._turn >= WINDOW_S
        self._ok_before, self._bad_before = (0, 0) if late else (self._ok, self._bad)
        self._ok = self._bad = 0
        self._turn = now + WINDOW_S
