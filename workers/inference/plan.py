"""Which route next, and after what wait: pure, and the only place where a call is tried again."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from app.health.breaker import Look
from workers.providers.base import ProviderError

MAX_CALLS = 4
"""Provider calls before the first token in one attempt, over all routes. Where there are more
routes than that, each still gets its one call."""

CALLS_PER_ROUTE = 3
BACKOFF_BASE_S = 0.25
BACKOFF_CAP_S = 4.0
WAIT_MAX_S = 5.0
"""A provider that asks for a longer wait is not waited for: the client is told to come back."""

SLOT_SHARE = 0.5
"""How much of the time left may be spent on waiting for a busy route."""

Uniform = Callable[[float, float], float]
Reason = Literal["first", "next", "retry", "trial", "last_resort", "hedge"]
"""Why a call is made: the first choice; another route after one that failed; the same route again;
to try a route whose breaker is open; because no other route is left; beside one that is slow."""

Skip = Literal["breaker_open", "cooling", "busy"]


@dataclass(frozen=True, slots=True)
class Option:
    """A route that can answer. `group`: 0 for the model's own routes, 1 for those of its first
    fallback, and so on. `price`: what the provider charges, to compare by. See `Route`."""

    group: int = 0
    priority: int = 0
    weight: float | None = None
    price: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """How a route stands at this moment. `cool_s`: how long its provider wants to be left alone;
    `busy`: as many calls run as may; `opened_at`: when its breaker opened; `group`: that of its
    option."""

    look: Look = "up"
    cool_s: float = 0.0
    busy: bool = False
    opened_at: float = 0.0
    group: int = 0

    @property
    def well(self) -> bool:
        """Whether it can be called at once like any other."""
        return self.look == "up" and not self.cool_s and not self.busy


UP = Standing()

History = Sequence[tuple[int, ProviderError | None]]
"""The calls made so far: which option, and its error; None: it runs, or was outpaced."""


@dataclass(frozen=True, slots=True)
class Step:
    """Call the option `index` after `wait_s` seconds, or once it has a slot, for which it waits
    `slot_s` seconds at most."""

    index: int
    wait_s: float
    why: Reason
    slot_s: float = 0.0


def order(options: Sequence[Option], uniform: Uniform = random.uniform) -> list[int]:
    """The options in the order in which they are to be called while all are well.

    By group, then by priority, lower first. Within a priority a draw by weight without replacement
    (Efraimidis and Spirakis, Weighted random sampling with a reservoir, Information Processing
    Letters 97, 2006): no weight is 1, a weight of 0 comes last. Where no option of the priority has
    a weight, the cheapest is first, and of equal ones that which is written first.
    """
    if len(options) == 1:
        return [0]

    def place(index: int) -> tuple[int, int]:
        return options[index].group, options[index].priority

    drawn: list[int] = []
    for _, same in groupby(sorted(range(len(options)), key=place), key=place):
        indices = list(same)
        if any(options[index].weight is not None for index in indices):
            keys = {index: _arrival(options[index].weight, uniform) for index in indices}
            drawn += sorted(indices, key=keys.__getitem__)
        else:
            drawn += sorted(indices, key=lambda index: options[index].price)
    return drawn


def _arrival(weight: float | None, uniform: Uniform) -> float:
    """An exponential clock of this rate: the first to ring is drawn."""
    rate = 1.0 if weight is None else weight
    return -math.log(max(uniform(0.0, 1.0), 1e-300)) / rate if rate else math.inf


def next_step(
    drawn: Sequence[int],
    standings: Sequence[Standing],
    history: History,
    left_s: float,
    may_retry: Callable[[int], bool],
    uniform: Uniform = random.uniform,
) -> Step | None:
    """The next call of an attempt that has `left_s` seconds left, or None if it has failed.

    Options that have not been called come first: those that are well, at once; then a busy one,
    once it has a slot; then one that is to be left alone for a little, after that; then those whose
    breaker is open, the model's own before its fallbacks', and that which opened longest ago first.
    After them come those whose error may pass, with exponential backoff and full jitter (Brooker,
    Exponential Backoff And Jitter, AWS Architecture Blog, 2015) or the wait that the provider asked
    for, if `may_retry` says so of the option. No wait is begun that does not end in time.
    """
    if len(history) >= max(MAX_CALLS, len(drawn)) or left_s <= 0:
        return None
    if any(error is not None and error.kind == "invalid" for _, error in history):
        return None
    called = {index for index, _ in history}
    fresh = [index for index in drawn if index not in called]
    step = _fresh_step(fresh, standings, left_s, "next" if history else "first", uniform)
    return step or _again(standings, history, left_s, may_retry, uniform)


def _fresh_step(
    fresh: list[int], standings: Sequence[Standing], left_s: float, why: Reason, uniform: Uniform
) -> Step | None:
    upright = [index for index in fresh if standings[index].look != "down"]
    busy = None
    for index in upright:
        standing = standings[index]
        if not standing.cool_s and not standing.busy:
            return Step(index, 0.0, "trial" if standing.look == "due" else why)
        if not standing.cool_s and busy is None:
            busy = index
    if busy is not None:
        return Step(busy, 0.0, why, left_s * SLOT_SHARE)
    down = [index for index in fresh if standings[index].look == "down"]
    upright.sort(key=lambda index: standings[index].cool_s)
    down.sort(key=lambda index: (standings[index].group, standings[index].opened_at))
    for index in (*upright, *down):
        wait = standings[index].cool_s
        if wait:
            # All who wait for it would else come back in the same moment.
            wait += uniform(0, BACKOFF_BASE_S)
        if wait <= WAIT_MAX_S and wait < left_s:
            last = standings[index].look == "down"
            return Step(index, wait, "last_resort" if last else why, (left_s - wait) * SLOT_SHARE)
    return None


def _again(
    standings: Sequence[Standing],
    history: History,
    left_s: float,
    may_retry: Callable[[int], bool],
    uniform: Uniform,
) -> Step | None:
    calls = [index for index, _ in history]
    for index in sorted(set(calls), key=lambda index: (calls.count(index), calls.index(index))):
        errors = [error for at, error in history if at == index and error is not None]
        if len(errors) < calls.count(index) or len(errors) >= CALLS_PER_ROUTE:
            continue
        standing, asked = standings[index], errors[-1].retry_after or 0.0
        wait = max(asked, standing.cool_s)
        if not errors[-1].retryable or standing.look != "up" or wait > WAIT_MAX_S:
            continue
        backoff = uniform(0, min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2 ** len(errors)))
        wait = max(wait, backoff)
        if wait < left_s and may_retry(index):
            return Step(index, wait, "retry", (left_s - wait) * SLOT_SHARE)
    return None


def hedge(drawn: Sequence[int], standings: Sequence[Standing], history: History) -> int | None:
    """The option to ask beside the one that is slow to speak: the first that is well and has not
    been called. None if there is no such, or all calls have been made."""
    if len(history) >= max(MAX_CALLS, len(drawn)):
        return None
    called = {index for index, _ in history}
    return next((i for i in drawn if i not in called and standings[i].well), None)


def passed_over(
    drawn: Sequence[int], standings: Sequence[Standing], history: History, chosen: int
) -> list[tuple[int, Skip]]:
    """The options that would have been called before `chosen`, and why they were not."""
    called = {index for index, _ in history}
    over = drawn[: drawn.index(chosen)]
    return [
        (index, why)
        for index in over
        if index not in called and (why := skip_of(standings[index])) is not None
    ]


def skip_of(standing: Standing) -> Skip | None:
    """Why a route that stands so is passed over; None if it is not."""
    if standing.look == "down":
        return "breaker_open"
    if standing.cool_s:
        return "cooling"
    return "busy" if standing.busy else None
