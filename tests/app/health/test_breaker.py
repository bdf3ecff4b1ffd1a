"""The breaker of one route, told of calls that never were made."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.health.breaker import (
    CALM_S,
    COOL_MAX_S,
    COUNTED,
    DENIED_S,
    RATE_CALLS,
    WINDOW_S,
    Breaker,
    Rules,
)

RULES = Rules(failures=5, cooldown_s=1.0, cooldown_max_s=30.0)
KINDS = sorted(COUNTED)


def breaker(now: float = 0.0, failures: int = 0, kind: str = "unavailable") -> Breaker:
    """A breaker that has seen so many failures in a row."""
    made = Breaker(RULES)
    for _ in range(failures):
        made.failed(now, kind, None, False)
    return made


def opened(now: float = 0.0) -> Breaker:
    made = breaker(now, RULES.failures)
    assert made.state == "open"
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_it_opens_after_failures_of_each_kind_in_a_row(kind: str) -> None:
    made = breaker(0.0, RULES.failures - 1, kind)
    assert made.look(0.0) == "up"
    assert made.failed(0.0, kind, None, False)
    assert (made.state, made.look(0.5), made.reason) == ("open", "down", kind)


def test_a_refused_request_tells_nothing_of_the_route() -> None:
    assert breaker(0.0, 100, "invalid").state == "closed"


def test_an_answer_ends_the_row() -> None:
    made = breaker(0.0, RULES.failures - 1)
    assert made.succeeded(1.0, 0.0), "others may have counted"
    assert not made.failed(1.0, "timeout", None, False)
    assert made.streak == 1


def test_many_failures_open_it_though_none_are_in_a_row() -> None:
    made = Breaker(RULES)
    for _ in range(RATE_CALLS // 2):
        assert made.state == "closed"
        made.succeeded(0.0, 0.0)
        made.failed(0.0, "unavailable", None, False)
    assert made.state == "open"


def test_failures_of_long_ago_are_forgotten() -> None:
    made = Breaker(RULES)
    for number in range(RATE_CALLS):
        made.succeeded(number * 2 * WINDOW_S, 0.0)
        made.failed(number * 2 * WINDOW_S, "unavailable", None, False)
    assert made.state == "closed"


@pytest.mark.parametrize(("later", "counted"), [(1.0, 9), (WINDOW_S + 1, 9), (2 * WINDOW_S, 0)])
def test_the_last_window_counts_and_none_before_it(later: float, counted: int) -> None:
    made = Breaker(RULES)
    for _ in range(9):
        made.succeeded(100.0, 100.0)
        made.failed(100.0, "unavailable", None, False)
    assert made.counts(100.0 + later) == (counted, counted)


def test_after_its_cool_down_one_call_tries_the_route_and_closes_it() -> None:
    made = opened()
    assert made.look(0.99) == "down"
    assert made.look(1.0) == "due"
    made.trying(1.0, 10.0)
    assert (made.state, made.look(1.1)) == ("half_open", "down")
    assert made.spoke(2.0, 1.0)
    assert (made.state, made.streak, made.look(2.0)) == ("closed", 0, "up")


def test_each_trial_that_fails_doubles_the_cool_down_up_to_its_most() -> None:
    made, now, waits = opened(), 0.0, []
    for _ in range(8):
        waits.append(made.retry_at - now)
        now = made.retry_at
        made.trying(now, 10.0)
        assert made.failed(now, "timeout", None, True)
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
    assert made.opened_at == 0.0


def test_a_route_that_was_well_for_long_begins_with_the_first_cool_down() -> None:
    def reopened_after(calm_s: float) -> float:
        made = opened()
        made.trying(1.0, 10.0)
        made.spoke(1.0, 1.0)
        for _ in range(RULES.failures):
            made.failed(1.0 + calm_s, "connect", None, False)
        return made.retry_at - (1.0 + calm_s)

    assert reopened_after(CALM_S - 1) == 2.0
    assert reopened_after(CALM_S + 1) == 1.0


def test_calls_from_before_it_opened_do_not_close_it() -> None:
    made = opened(10.0)
    assert not made.spoke(11.0, 9.0)
    assert made.state == "open"
    assert made.spoke(11.0, 10.5), "one that was made for want of another route does"


def test_calls_that_end_while_it_is_open_do_not_lengthen_it() -> None:
    made = opened()
    for _ in range(20):
        assert not made.failed(0.5, "unavailable", None, False)
    assert made.retry_at == 1.0


def test_a_trial_that_was_given_up_leaves_the_next_call_to_try() -> None:
    made = opened()
    made.trying(1.0, 10.0)
    made.abandoned(2.0)
    assert (made.state, made.look(2.0)) == ("open", "due")


def test_a_trial_that_nobody_hears_of_is_forgotten() -> None:
    made = opened()
    made.trying(1.0, 10.0)
    assert made.look(11.0) == "due"


def test_the_trial_of_another_process_is_waited_for() -> None:
    made = opened()
    made.trying(1.0, 10.0)
    made.denied(1.0)
    assert (made.state, made.look(1.0), made.look(1.0 + DENIED_S)) == ("open", "down", "due")


def test_a_refused_request_is_proof_that_the_route_is_there() -> None:
    made = opened()
    made.trying(1.0, 10.0)
    assert made.failed(1.5, "invalid", None, True)
    assert made.state == "closed"


def test_a_wait_that_the_provider_asks_for_is_no_failure() -> None:
    made = Breaker(RULES)
    for _ in range(100):
        made.failed(5.0, "rate_limited", 3.0, False)
    assert (made.state, made.streak, made.cool_s(5.0), made.cool_s(8.0)) == ("closed", 0, 3.0, 0)
    made.failed(5.0, "rate_limited", 1.0, False)
    assert made.cool_s(5.0) == 3.0, "a shorter wait does not end a longer one"
    made.failed(5.0, "rate_limited", float("inf"), False)
    assert made.cool_s(5.0) == COOL_MAX_S


def test_after_such_a_wait_one_call_tries_the_route() -> None:
    made = Breaker(RULES)
    made.failed(5.0, "rate_limited", 3.0, False)
    assert (made.look(7.9), made.look(8.0)) == ("up", "due")
    made.trying(8.0, 10.0)
    assert made.look(8.1) == "down"
    assert made.spoke(8.5, 8.0)
    assert (made.look(8.5), made.told()) == ("up", None)
    made.failed(9.0, "rate_limited", 3.0, False)
    assert not made.succeeded(10.0, 8.9), "it was asked before the wait began"
    assert made.look(10.0) == "up"
    assert made.succeeded(12.0, 11.0), "a call that was made all the same"
    assert made.look(12.0) == "up"


def test_a_trial_that_is_asked_to_wait_closes_it_for_after_that() -> None:
    made = opened()
    made.trying(1.0, 10.0)
    assert made.failed(1.5, "rate_limited", 2.0, True)
    assert (made.look(1.5), made.cool_s(1.5)) == ("up", 2.0)


def test_another_process_takes_over_what_is_told() -> None:
    here, there = opened(10.0), Breaker(RULES)
    there.adopt(here.told(), 10.1)
    assert (there.state, there.retry_at, there.reason) == ("open", 11.0, "unavailable")
    there.adopt(None, 12.0)
    assert there.state == "closed", "somebody closed it"


def test_who_has_had_an_answer_since_those_failures_began_knows_better() -> None:
    there = Breaker(RULES)
    there.succeeded(10.05, 10.0)
    told = opened(10.0).told()
    there.adopt(told, 10.1)
    assert there.state == "closed"
    other = Breaker(RULES)
    other.succeeded(9.0, 8.0)
    other.adopt(told, 10.1)
    assert other.state == "open"


def test_what_was_told_before_the_last_change_is_old() -> None:
    made = opened(10.0)
    old = made.told()
    made.trying(11.0, 10.0)
    made.spoke(12.0, 11.5)
    made.adopt(old, 12.1)
    assert made.state == "closed"


def test_what_was_never_told_is_not_closed_by_silence() -> None:
    made = opened(10.0)
    made.adopt(None, 10.5)
    assert made.state == "open"


def test_a_wait_is_told_too() -> None:
    here, there = Breaker(RULES), Breaker(RULES)
    assert here.told() is None
    here.failed(5.0, "rate_limited", 3.0, False)
    there.adopt(here.told(), 5.1)
    assert (there.look(5.1), there.cool_s(6.0)) == ("up", 2.0)


Happening = st.tuples(
    st.sampled_from(["ok", "spoke", "fail", "wait", "try", "give up", "denied", "told", "silence"]),
    st.floats(0, 20),
    st.sampled_from([*KINDS, "invalid"]),
)


@given(st.lists(Happening, max_size=60))
def test_whatever_happens_it_is_tried_again_at_last_and_then_closes(
    story: list[tuple[str, float, str]],
) -> None:
    made, now = Breaker(RULES), 1000.0
    told: dict[str, Any] | None = None
    for what, later, kind in story:
        now += later
        told = made.told() or told
        match what:
            case "ok":
                made.succeeded(now, now)
            case "spoke":
                made.spoke(now, now)
            case "fail":
                made.failed(now, kind, None, made.state == "half_open")
            case "wait":
                made.failed(now, "rate_limited", later, made.state == "half_open")
            case "try" if made.look(now) == "due":
                made.trying(now, 10.0)
            case "give up":
                made.abandoned(now)
            case "denied" if made.look(now) == "due":
                made.trying(now, 10.0)
                made.denied(now)
            case "told":
                made.adopt(told, now)
            case "silence":
                made.adopt(None, now)
        ok, bad = made.counts(now)
        assert ok >= 0
        assert bad >= 0
    assert made.cool_s(now) <= COOL_MAX_S
    later = now + max(RULES.cooldown_max_s, 10.0)
    assert made.look(later) in ("up", "due")
    if made.look(later) == "due":
        made.trying(later, 10.0)
        assert made.spoke(later, later)
    assert made.look(later) == "up"


@given(st.integers(0, 40), st.sampled_from(KINDS))
def test_at_nothing_but_failures_it_opens_within_ten(answers: int, kind: str) -> None:
    made = Breaker(RULES)
    for _ in range(answers):
        made.succeeded(0.0, 0.0)
    failures = 0
    while made.state == "closed":
        made.failed(0.1, kind, None, False)
        failures += 1
    assert failures <= 10
