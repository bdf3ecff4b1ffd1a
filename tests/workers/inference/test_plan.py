"""The plan of provider calls: which route next, how long to wait, and when to stop."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.inference.plan import (
    BACKOFF_BASE_S,
    BACKOFF_CAP_S,
    CALLS_PER_ROUTE,
    MAX_CALLS,
    SLOT_SHARE,
    UP,
    WAIT_MAX_S,
    Option,
    Standing,
    Step,
    hedge,
    next_step,
    order,
    passed_over,
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
STANDINGS = st.builds(
    Standing,
    st.sampled_from(["up", "due", "down"]),
    st.just(0.0) | st.floats(0, 20),
    st.booleans(),
    st.floats(0, 100),
    st.integers(0, 2),
)
OPTIONS = st.builds(
    Option,
    st.integers(0, 2),
    st.integers(-2, 2),
    st.none() | st.floats(0, 10),
    st.integers(0, 9),
)
Failures = list[tuple[int, ProviderError | None]]


def error(kind: ErrorKind = "unavailable", after: float | None = None) -> ProviderError:
    return ProviderError(kind, "no", retry_after=after)


def longest(_: float, most: float) -> float:
    return most


def step(
    standings: int | list[Standing],
    history: Failures | None = None,
    left_s: float = 60.0,
    budget: bool = True,
) -> Step | None:
    """The next step for routes that stand so, or for so many that are well."""
    known = [UP] * standings if isinstance(standings, int) else standings
    drawn = list(range(len(known)))
    return next_step(drawn, known, history or [], left_s, lambda _: budget, longest)


@given(
    st.lists(STANDINGS, min_size=1, max_size=9),
    st.lists(ERRORS, max_size=30),
    st.floats(0, 30),
    st.integers(0, 5),
    st.randoms(use_true_random=False),
)
def test_a_whole_course_of_failures(
    standings: list[Standing],
    errors: list[ProviderError],
    left_s: float,
    budget: int,
    random: Random,
) -> None:
    """Plays failures until the plan stops, and looks back at what it did."""
    drawn = list(range(len(standings)))
    steps: list[Step] = []
    history: Failures = []

    def may_retry(_: int) -> bool:
        return sum(one.why == "retry" for one in steps) < budget

    for failed in errors:
        found = next_step(drawn, standings, history, left_s, may_retry, random.uniform)
        if found is None:
            break
        assert 0 <= found.wait_s <= WAIT_MAX_S
        assert found.wait_s < left_s, "no wait goes beyond the deadline"
        assert found.slot_s <= left_s - found.wait_s
        left_s -= found.wait_s
        steps.append(found)
        history.append((found.index, failed))
    calls = [one.index for one in steps]
    assert len(calls) <= max(MAX_CALLS, len(standings))
    assert sum(one.why == "retry" for one in steps) <= budget
    fresh = [one.index for one in steps if one.why != "retry"]
    assert len(set(fresh)) == len(fresh)
    assert steps == sorted(steps, key=lambda one: one.why == "retry"), "first each, then again"
    assert max(Counter(calls).values(), default=0) <= CALLS_PER_ROUTE
    for at, (index, told) in enumerate(history[:-1]):
        assert told is not None
        assert told.kind != "invalid", "a refused request is refused anywhere"
        if index in calls[at + 1 :]:
            assert told.retryable
            assert standings[index].look == "up"
            again = calls.index(index, at + 1)
            assert steps[again].wait_s >= (told.retry_after or 0)


@given(st.lists(STANDINGS, min_size=1, max_size=9), st.randoms(use_true_random=False))
def test_every_route_that_may_be_called_is_called_before_the_job_fails(
    standings: list[Standing], random: Random
) -> None:
    drawn = list(range(len(standings)))
    history: Failures = []
    while True:
        found = next_step(drawn, standings, history, 1e9, lambda _: False, random.uniform)
        if found is None:
            break
        history.append((found.index, error()))
    called = {index for index, _ in history}
    able = {index for index, one in enumerate(standings) if one.cool_s < WAIT_MAX_S - 1}
    assert able <= called


@given(st.lists(STANDINGS, min_size=2, max_size=9))
def test_an_open_breaker_is_last(standings: list[Standing]) -> None:
    found = step(standings, left_s=1e9)
    callable_ = [s for s in standings if s.look != "down" and s.cool_s <= WAIT_MAX_S - 1]
    if found is not None and callable_:
        assert standings[found.index].look != "down"


@given(st.lists(OPTIONS, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_groups_then_priorities_then_weights_or_prices(
    options: list[Option], random: Random
) -> None:
    drawn = order(options, random.uniform)
    assert sorted(drawn) == list(range(len(options)))
    places = [(options[index].group, options[index].priority) for index in drawn]
    assert places == sorted(places)
    for place in set(places):
        same = [i for i in drawn if (options[i].group, options[i].priority) == place]
        if all(options[index].weight is None for index in same):
            by_price = sorted(same, key=lambda index: (options[index].price, index))
            assert same == by_price
        zeros = [options[index].weight == 0 for index in same]
        assert zeros == sorted(zeros), "a weight of 0 comes last"


def test_weights_are_shares() -> None:
    random = Random(7)
    options = [Option(weight=3), Option(weight=None), Option(weight=0), Option(weight=1, price=9)]
    firsts = Counter(order(options, random.uniform)[0] for _ in range(5000))
    assert firsts[2] == 0
    assert abs(firsts[0] / 5000 - 0.6) < 0.03
    assert abs(firsts[1] / 5000 - 0.2) < 0.03


def test_the_same_draw_gives_the_same_order() -> None:
    options = [Option(weight=w) for w in (1, 2, 3, 4)]
    draws = [order(options, Random(3).uniform) for _ in range(5)]
    assert all(drawn == draws[0] for drawn in draws)


def test_the_first_call_is_to_the_first_route_at_once() -> None:
    assert step(3) == Step(0, 0.0, "first")


def test_without_routes_there_is_nothing_to_call() -> None:
    assert step(0) is None


@pytest.mark.parametrize("kind", KINDS)
def test_another_route_is_tried_before_the_same_one_again(kind: ErrorKind) -> None:
    assert step(2, [(0, error(kind))]) == Step(1, 0.0, "next")


def test_a_refused_request_is_not_sent_elsewhere() -> None:
    assert step(2, [(0, error("invalid"))]) is None
    assert step(3, [(0, error("invalid")), (1, error())]) is None


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_may_pass_is_tried_again(kind: ErrorKind) -> None:
    assert (step(1, [(0, error(kind))]) is not None) == (kind in RETRYABLE)


def test_without_budget_nothing_is_tried_again_but_all_is_tried_once() -> None:
    assert step(1, [(0, error())], budget=False) is None
    assert step(2, [(0, error())], budget=False) == Step(1, 0.0, "next")


def test_a_route_whose_breaker_has_opened_is_not_tried_again() -> None:
    assert step([Standing("down")], [(0, error())]) is None


def test_the_route_tried_least_goes_first() -> None:
    found = step(2, [(0, error()), (1, error()), (0, error())])
    assert found is not None
    assert found.index == 1


def test_backoff_doubles_with_full_jitter() -> None:
    history: Failures = []
    for tries in range(1, CALLS_PER_ROUTE):
        history.append((0, error()))
        most = step(1, history)
        least = next_step([0], [UP], history, 60.0, lambda _: True, lambda low, _: low)
        assert most is not None
        assert least is not None
        assert most.wait_s == min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2**tries)
        assert least.wait_s == 0.0


@pytest.mark.parametrize(
    ("asked", "wait"), [(WAIT_MAX_S, WAIT_MAX_S), (2.0, 2.0), (0.0, 0.5), (None, 0.5)]
)
def test_the_wait_a_provider_asks_for_is_kept(asked: float | None, wait: float) -> None:
    found = step(1, [(0, error("rate_limited", asked))])
    assert found is not None
    assert (found.wait_s, found.why) == (wait, "retry")


@pytest.mark.parametrize("asked", [WAIT_MAX_S + 0.1, 3600.0, float("inf")])
def test_a_provider_that_asks_for_long_is_left(asked: float) -> None:
    assert step(1, [(0, error("rate_limited", asked))]) is None
    found = step(2, [(0, error("rate_limited", asked)), (1, error())])
    assert found is not None
    assert found.index == 1


@pytest.mark.parametrize("left_s", [0.0, -1.0])
def test_after_the_deadline_nothing_is_called(left_s: float) -> None:
    assert step(2, left_s=left_s) is None


def test_a_wait_that_ends_after_the_deadline_is_not_begun() -> None:
    history: Failures = [(0, error("rate_limited", 3.0))]
    assert step(1, history, left_s=3.0) is None
    assert step(1, history, left_s=3.1) is not None


def test_a_route_that_cools_is_waited_for_if_there_is_no_other() -> None:
    cooling = Standing(cool_s=2.0)
    assert step([cooling, UP]) == Step(1, 0.0, "first")
    found = step([cooling])
    assert found is not None
    assert 2.0 <= found.wait_s <= 2.0 + BACKOFF_BASE_S
    assert step([Standing(cool_s=WAIT_MAX_S + 1)]) is None


def test_a_busy_route_is_passed_by_and_waited_for_if_there_is_no_other() -> None:
    busy = Standing(busy=True)
    assert step([busy, UP]) == Step(1, 0.0, "first")
    assert step([busy, Standing("down")]) == Step(0, 0.0, "first", 60.0 * SLOT_SHARE)


def test_a_broken_route_whose_time_has_come_is_tried_in_its_place() -> None:
    assert step([Standing("due"), UP]) == Step(0, 0.0, "trial")


def test_if_all_are_open_the_one_that_opened_longest_ago_is_called() -> None:
    late, early = Standing("down", opened_at=9.0), Standing("down", opened_at=5.0)
    found = step([late, early])
    assert found is not None
    assert (found.index, found.why) == (1, "last_resort")
    fallback = Standing("down", opened_at=1.0, group=1)
    found = step([late, early, fallback])
    assert found is not None
    assert found.index == 1, "fallbacks stay behind the model's own"


def test_every_one_of_many_routes_is_tried_once() -> None:
    history: Failures = []
    while (found := step(MAX_CALLS + 3, history)) is not None:
        history.append((found.index, error("auth")))
    assert [index for index, _ in history] == list(range(MAX_CALLS + 3))


def test_a_call_that_runs_is_not_made_again() -> None:
    assert step(1, [(0, None)]) is None


def test_beside_a_slow_call_the_next_route_that_is_well_is_asked() -> None:
    drawn, running = [0, 1, 2, 3], [(0, None)]
    standings = [UP, Standing("due"), Standing(busy=True), UP]
    assert hedge(drawn, standings, running) == 3
    assert hedge([0], [UP], running) is None
    assert hedge([0, 1], [UP, Standing(cool_s=1.0)], running) is None
    many: Failures = [(0, error()), (1, error()), (0, error()), (0, None)]
    assert hedge([0, 1, 2], [UP] * 3, many) is None, "all calls have been made"


def test_what_was_passed_over_is_told_with_its_reason() -> None:
    standings = [Standing("down"), Standing(cool_s=1.0), Standing(busy=True), UP, Standing("down")]
    assert passed_over([0, 1, 2, 3, 4], standings, [], 3) == [
        (0, "breaker_open"), (1, "cooling"), (2, "busy"),
    ]  # fmt: skip
    assert passed_over([0, 1, 2, 3, 4], standings, [(0, error()), (1, error())], 3) == [(2, "busy")]
