"""Fading composes, impulses commute, and what is shown keeps its bounds."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.emotion.state import (
    REST,
    Pad,
    bounded,
    clamped,
    faded,
    length,
    scaled,
    shown,
    total,
)
from tests.app.emotion.feelings import half_lives, in_bounds, near, pads, seconds


def test_half_is_left_after_a_half_life_and_a_quarter_after_two() -> None:
    begun = Pad(0.8, -0.4, 0.2)
    assert near(faded(begun, 600, 600), Pad(0.4, -0.2, 0.1))
    assert near(faded(begun, 1200, 600), Pad(0.2, -0.1, 0.05))


@given(pads, seconds, seconds, half_lives)
def test_fading_twice_is_fading_for_the_sum(
    pad: Pad, first: float, second: float, half_life: float
) -> None:
    twice = faded(faded(pad, first, half_life), second, half_life)
    assert near(twice, faded(pad, first + second, half_life))


@given(pads, seconds, half_lives)
def test_fading_never_turns_round_and_never_grows(pad: Pad, after: float, half_life: float) -> None:
    left = faded(pad, after, half_life)
    for begun, now in zip(pad, left, strict=True):
        assert abs(now) <= abs(begun)
        assert begun * now >= 0


@given(pads, half_lives)
def test_nothing_fades_in_no_time_nor_before_its_own(pad: Pad, half_life: float) -> None:
    assert faded(pad, 0, half_life) == faded(pad, -5, half_life) == pad


@given(st.lists(pads, min_size=1, max_size=4))
def test_impulses_of_one_moment_may_come_in_any_order(impulses: list[Pad]) -> None:
    assert all(near(total(order), total(impulses)) for order in permutations(impulses))


@given(st.lists(st.tuples(pads, st.floats(0, 3600)), min_size=2, max_size=4), half_lives)
def test_impulses_of_different_times_may_be_added_up_in_any_order(
    impulses: list[tuple[Pad, float]], half_life: float
) -> None:
    """Each fades from its own time on: one after the other or all apart, the sum is the same."""
    end = 3600.0
    apart = total(faded(pad, end - at, half_life) for pad, at in impulses)
    deviation, last = REST, 0.0
    for pad, at in sorted(impulses, key=lambda it: it[1]):
        deviation, last = total((faded(deviation, at - last, half_life), pad)), at
    assert near(faded(deviation, end - last, half_life), apart)


@given(pads, st.lists(pads, max_size=20))
def test_what_is_shown_is_in_bounds(baseline: Pad, parts: list[Pad]) -> None:
    assert in_bounds(shown(baseline, *parts))


@given(pads)
def test_what_is_in_bounds_is_shown_as_it_is(pad: Pad) -> None:
    assert shown(pad) == clamped(pad) == pad


@given(pads, st.floats(0.01, 2))
def test_a_bound_shortens_and_keeps_the_direction(pad: Pad, most: float) -> None:
    short = bounded(pad, most)
    assert length(short) <= most + 1e-12
    assert near(scaled(short, length(pad)), scaled(pad, length(short)))


@pytest.mark.parametrize(
    ("pad", "expected"), [(Pad(3, 4, 0), 5.0), (REST, 0.0), (Pad(0, 0, -2), 2.0)]
)
def test_length_is_that_of_euclid(pad: Pad, expected: float) -> None:
    assert length(pad) == expected
