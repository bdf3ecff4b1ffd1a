"""Which route next, and after what wait: pure, and the only place where a call is tried again."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from app.catalogue.model import Route
from workers.providers.base import ProviderError

MAX_CALLS = 4
"""Provider calls before the first token in one attempt, over all routes. Where there are more
routes than that, each still gets its one call."""

CALLS_PER_ROUTE = 3
BACKOFF_BASE_S = 0.25
BACKOFF_CAP_S = 4.0
WAIT_MAX_S = 5.0
"""A provider that asks for a longer wait is not waited for: the client is told to come back."""


@dataclass(frozen=True, slots=True)
class Step:
    """Call `route`, one of the routes given, after `wait_s` seconds."""

    index: int
    wait_s: float


def next_step(
    routes: tuple[Route, ...],
    failures: list[tuple[int, ProviderError]],
    uniform: Callable[[float, float], float] = random.uniform,
) -> Step | None:
    """The next call after `failures` (route index, error), or None if the job has failed.

    Routes that have not been tried come first and at once; then those whose error may pass, with
    exponential backoff and full jitter (Brooker, Exponential Backoff And Jitter, AWS Architecture
    Blog, 2015) or the wait that the provider asked for.
    """
    if len(failures) >= max(MAX_CALLS, len(routes)):
        return None
    if failures and failures[-1][1].kind == "invalid":
        return None
    tried = {index for index, _ in failures}
    for index in range(len(routes)):
        if index not in tried:
            return Step(index, 0.0)
    for index in _by_least_tried(failures):
        errors = [error for at, error in failures if at == index]
        wait = errors[-1].retry_after or 0.0
        if errors[-1].retryable and len(errors) < CALLS_PER_ROUTE and wait <= WAIT_MAX_S:
            backoff = uniform(0, min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2 ** len(errors)))
            return Step(index, max(wait, backoff))
    return None


def _by_least_tried(failures: list[tuple[int, ProviderError]]) -> list[int]:
    order = [index for index, _ in failures]
    return sorted(set(order), key=lambda index: (order.count(index), index))
