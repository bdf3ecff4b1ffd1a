"""Places for chores of which a worker process does only a few at once.

A chore that finds none, and no room to wait for one, goes back into its lane a little later: it
must not hold up what else its worker could run meanwhile.
"""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from gevent.event import Event

LATER_S = 2.0
"""Seconds, at least, until a chore that found no place comes again."""

APART_S = 0.05
"""Between those of one tenant, so that thousands that come again take no more than a few do."""


class NoPlace(Exception):
    """There is no place now. `later_s`: when to come again, in seconds."""

    def __init__(self, later_s: float) -> None:
        super().__init__(f"no place for {later_s:.1f} seconds")
        self.later_s = later_s


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    tenant_id: str
    turn: Event = field(default_factory=Event)


class Places:
    """`at_once` places, which go to those who wait in turn: first to tenants that have the fewest.
    `of_tenant`: how many of one tenant may wait."""

    def __init__(self, at_once: int, of_tenant: int) -> None:
        self._at_once, self._of_tenant = at_once, of_tenant
        self._taken: Counter[str] = Counter()
        self._waiters: list[_Waiter] = []
        self._again: dict[str, float] = {}

    @contextmanager
    def place(self, tenant_id: str, waiting: int) -> Iterator[None]:
        """Holds a place once there is one. Raises NoPlace where `waiting` others wait already, or
        too many of the tenant's."""
        waiter = _Waiter(tenant_id)
        if self._taken.total() < self._at_once:
            self._give(waiter)
        else:
            same = sum(other.tenant_id == tenant_id for other in self._waiters)
            if len(self._waiters) >= waiting or same >= self._of_tenant:
                raise NoPlace(self._later(tenant_id))
            self._waiters.append(waiter)
        try:
            waiter.turn.wait()
            yield
        finally:
            self._leave(waiter)

    def _give(self, waiter: _Waiter) -> None:
        self._taken[waiter.tenant_id] += 1
        waiter.turn.set()

    def _leave(self, waiter: _Waiter) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)
            return
        self._taken -= Counter({waiter.tenant_id: 1})
        if self._waiters:
            following = min(self._waiters, key=lambda other: self._taken[other.tenant_id])
            self._waiters.remove(following)
            self._give(following)

    def _later(self, tenant_id: str) -> float:
        now = time.monotonic()
        self._again = {who: at for who, at in self._again.items() if at > now}
        at = max(now + LATER_S, self._again.get(tenant_id, 0.0) + APART_S)
        self._again[tenant_id] = at
        return at - now
