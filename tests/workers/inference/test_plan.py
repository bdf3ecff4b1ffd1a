"""The plan of provider calls: which route next, how long to wait, and when to stop."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalogue.model import Route
from workers.inference.plan import (
    BACKOFF_BASE_S,
    BACKOFF_CAP_S,
    CALLS_PER_ROUTE,
    MAX_CALLS,
    WAIT_MAX_S,
    Step,
    next_step,
)
from workers.providers.base import RETRYABLE, ErrorKind, ProviderError

KINDS: list[ErrorKind] = [
    "connect", "timeout", "rate_limited", "unavailable", "auth", "incomplete", "protocol",
]  # fmt: skip
ERRORS = st.builds(
    lambda kind, after: ProviderError(kind, "no", retry_after=after),
    st.sampled_from([*KINDS, "invalid"]),
    st.none() | st.floats(0, 20),
)


def routes(count: int) -> tuple[Route, ...]:
    return tuple(Route(provider=f"p{n}", model="m") for n in range(count))


def error(kind: ErrorKind = "unavailable", after: float | None = None) -> ProviderError:
    return ProviderError(kind, "no", retry_after=after)


def longest(_: float, most: float) -> float:
    return most


@given(st.integers(1, 9), st.lists(ERRORS, max_size=30), st.randoms(use_true_random=False))
def test_a_whole_course_of_failures(
    count: int, errors: list[ProviderError], random: Random
) -> None:
    """Plays failures until the plan stops, and looks back at what it did."""
    steps: list[Step] = []
    failures: list[tuple[int, ProviderError]] = []
    for failed in errors:
        step = next_step(routes(count), failures, random.uniform)
        if step is None:
            break
        steps.append(step)
        failures.append((step.index, failed))
    calls = [step.index for step in steps]
    assert len(calls) <= max(MAX_CALLS, count)
    assert calls[:count] == list(range(min(count, len(calls)))), "each route first gets one try"
    assert all(calls.count(index) <= CALLS_PER_ROUTE for index in calls)
    assert all(0 <= step.wait_s <= WAIT_MAX_S for step in steps)
    assert all(step.wait_s == 0 for step in steps[:count])
    for at, (index, failed) in enumerate(failures[:-1]):
        assert failed.kind != "invalid", "a refused request is refused anywhere"
        if not failed.retryable:
            assert index not in calls[at + 1 :]
        if index in calls[at + 1 :]:
            again = calls.index(index, at + 1)
            assert steps[again].wait_s >= (failed.retry_after or 0)


def test_the_first_call_is_to_the_first_route_at_once() -> None:
    assert next_step(routes(3), []) == Step(0, 0.0)


def test_without_routes_there_is_nothing_to_call() -> None:
    assert next_step((), []) is None


@pytest.mark.parametrize("kind", KINDS)
def test_another_route_is_tried_before_the_same_one_again(kind: ErrorKind) -> None:
    assert next_step(routes(2), [(0, error(kind))]) == Step(1, 0.0)


def test_a_refused_request_is_not_sent_elsewhere() -> None:
    assert next_step(routes(2), [(0, error("invalid"))]) is None


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_may_pass_is_tried_again(kind: ErrorKind) -> None:
    again = next_step(routes(1), [(0, error(kind))])
    assert (again is not None) == (kind in RETRYABLE)


def test_the_route_tried_least_goes_first() -> None:
    failures = [(0, error()), (1, error()), (0, error())]
    step = next_step(routes(2), failures, longest)
    assert step is not None
    assert step.index == 1


def test_backoff_doubles_with_full_jitter() -> None:
    failures: list[tuple[int, ProviderError]] = []
    for tries in range(1, CALLS_PER_ROUTE):
        failures.append((0, error()))
        most = next_step(routes(1), failures, longest)
        least = next_step(routes(1), failures, lambda low, _: low)
        assert most == Step(0, min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2**tries))
        assert least == Step(0, 0.0)


@pytest.mark.parametrize(
    ("asked", "wait"), [(WAIT_MAX_S, WAIT_MAX_S), (2.0, 2.0), (0.0, 0.5), (None, 0.5)]
)
def test_the_wait_a_provider_asks_for_is_kept(asked: float | None, wait: float) -> None:
    step = next_step(routes(1), [(0, error("rate_limited", asked))], longest)
    assert step == Step(0, wait)


@pytest.mark.parametrize("asked", [WAIT_MAX_S + 0.1, 3600.0, float("inf")])
def test_a_provider_that_asks_for_long_is_left(asked: float) -> None:
    assert next_step(routes(1), [(0, error("rate_limited", asked))]) is None
    step = next_step(routes(2), [(0, error("rate_limited", asked)), (1, error())])
    assert step is not None
    assert step.index == 1


def test_every_one_of_many_routes_is_tried_once() -> None:
    many = routes(MAX_CALLS + 3)
    failures: list[tuple[int, ProviderError]] = []
    while (step := next_step(many, failures)) is not None:
        failures.append((step.index, error("auth")))
    assert [index for index, _ in failures] == list(range(MAX_CALLS + 3))
