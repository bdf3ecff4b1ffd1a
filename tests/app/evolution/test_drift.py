"""The invariant of drift, for any bounds, baselines and orders of what may happen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.evolution.drift import (
    MILLION,
    NONE,
    Bounds,
    Drift,
    held,
    keeps,
    millionths,
    moved,
    open_today,
    returned,
    share,
    within,
)

BASELINES = st.integers(0, MILLION)
BOUNDS = st.builds(Bounds, st.integers(0, MILLION), st.integers(0, MILLION))
STEPS = st.integers(-2 * MILLION, 2 * MILLION)
SMALL = Bounds(200_000, 50_000)


@st.composite
def standings(draw: st.DrawFn) -> tuple[Drift, int, Bounds]:
    """A drift that keeps the invariant, with its terms."""
    baseline, bounds = draw(BASELINES), draw(BOUNDS)
    start = draw(st.integers(*within(baseline, bounds)))
    return (
        Drift(draw(st.integers(*open_today(start, baseline, bounds))), start),
        baseline,
        bounds,
    )


@given(BASELINES, BOUNDS)
def test_a_tenant_begins_within_the_bounds(baseline: int, bounds: Bounds) -> None:
    assert keeps(NONE, baseline, bounds)


@given(standings())
def test_what_is_open_today_is_never_empty(standing: tuple[Drift, int, Bounds]) -> None:
    drift, baseline, bounds = standing
    low, high = open_today(drift.day_start, baseline, bounds)
    assert low <= drift.day_start <= high


@given(standings(), STEPS)
def test_feedback_keeps_the_invariant(standing: tuple[Drift, int, Bounds], step: int) -> None:
    drift, baseline, bounds = standing
    after = moved(drift, step, baseline, bounds)
    assert keeps(after, baseline, bounds)
    assert after.day_start == drift.day_start
    # It goes its way or stays, and no further than it wishes.
    assert 0 <= (after.now - drift.now) * (1 if step > 0 else -1) <= abs(step)


@given(standings(), BASELINES, BOUNDS, st.booleans())
def test_new_terms_and_new_days_keep_the_invariant(
    standing: tuple[Drift, int, Bounds], baseline: int, bounds: Bounds, new_day: bool
) -> None:
    drift, *_ = standing
    after = held(drift, baseline, bounds, new_day=new_day)
    assert keeps(after, baseline, bounds)
    assert held(after, baseline, bounds) == after
    assert not new_day or after.day_start == after.now


@given(standings(), st.booleans())
def test_the_same_terms_change_nothing(standing: tuple[Drift, int, Bounds], new_day: bool) -> None:
    drift, baseline, bounds = standing
    assert held(drift, baseline, bounds, new_day=new_day).now == drift.now


@given(standings(), STEPS)
def test_rollbacks_keep_the_invariant_and_reach_what_is_within_the_total(
    standing: tuple[Drift, int, Bounds], wish: int
) -> None:
    drift, baseline, bounds = standing
    after = returned(drift, wish, baseline, bounds)
    assert keeps(after, baseline, bounds)
    low, high = within(baseline, bounds)
    assert after.now == max(low, min(high, wish))


@given(BASELINES, BOUNDS, st.lists(st.lists(STEPS, max_size=20), max_size=10))
def test_feedback_of_n_days_moves_a_trait_by_n_daily_bounds_and_never_by_more_than_the_total(
    baseline: int, bounds: Bounds, days: list[list[int]]
) -> None:
    drift = NONE
    for number, steps in enumerate(days, 1):
        drift = held(drift, baseline, bounds, new_day=True)
        for step in steps:
            drift = moved(drift, step, baseline, bounds)
            assert abs(drift.now - drift.day_start) <= bounds.daily
            assert abs(drift.now) <= min(bounds.total, number * bounds.daily)
            assert 0 <= baseline + drift.now <= MILLION


def test_numbers() -> None:
    baseline = millionths(0.92)
    day = NONE
    for expected in (30_000, 50_000, 50_000):
        day = moved(day, 30_000, baseline, SMALL)
        assert day == Drift(expected, 0)
    tomorrow = held(day, baseline, SMALL, new_day=True)
    # A trait ends at 1, wherever its bounds do.
    assert moved(tomorrow, 50_000, baseline, SMALL) == Drift(80_000, 50_000)
    assert share(baseline + 80_000) == 1.0
    assert moved(tomorrow, -MILLION, baseline, SMALL) == Drift(0, 50_000)


def test_a_rollback_far_from_the_days_start_is_a_new_start() -> None:
    drift = Drift(150_000, 120_000)
    assert returned(drift, 0, 500_000, SMALL) == Drift(0, 0)
    assert returned(drift, 130_000, 500_000, SMALL) == Drift(130_000, 120_000)
    assert moved(returned(drift, 0, 500_000, SMALL), MILLION, 500_000, SMALL).now == 50_000


@pytest.mark.parametrize(
    ("drift", "baseline"),
    [
        (Drift(200_001, 160_000), 500_000),
        (Drift(50_001, 0), 500_000),
        (Drift(-1, 0), 0),
        (Drift(150_000, 200_001), 500_000),
    ],
)
def test_a_broken_invariant_is_seen(drift: Drift, baseline: int) -> None:
    assert not keeps(drift, baseline, SMALL)
