"""Figures against those worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.emotion.reading import metrics

FOUND = [{"joy"}, {"joy", "fear"}, {"fear"}, {"anger"}]
WANTED = [{"joy"}, {"joy"}, {"joy", "fear"}, {"fear"}]


def test_f1_weighs_what_is_found_and_what_is_missed() -> None:
    # joy: two right, none wrong, one missed; fear: one right, one wrong, one missed.
    assert metrics.f1(FOUND, WANTED, "joy") == pytest.approx(4 / 5)
    assert metrics.f1(FOUND, WANTED, "fear") == pytest.approx(2 / 4)
    assert metrics.f1(FOUND, WANTED, "anger") == 0
    assert metrics.f1(FOUND, WANTED, "grief") == 0


def test_macro_f1_is_the_mean_over_the_classes() -> None:
    names = ("joy", "fear", "anger")
    assert metrics.macro_f1(FOUND, WANTED, names) == pytest.approx((0.8 + 0.5 + 0) / 3)


def test_pearson_is_that_of_the_textbook() -> None:
    assert metrics.pearson([1, 2, 3, 4], [2, 4, 6, 8]) == pytest.approx(1)
    assert metrics.pearson([1, 2, 3], [1, 3, 2]) == pytest.approx(0.5)
    assert metrics.pearson([1, 1, 1], [1, 2, 3]) == 0
    assert metrics.pearson([1], [2]) == 0


def test_the_calibration_error_weighs_the_bins_by_their_cases() -> None:
    # Two bins: 0.95 and 0.97 with one hit of two, 0.1 with none.
    error = metrics.calibration_error([0.95, 0.97, 0.1], [True, False, False])
    assert error == pytest.approx((abs(0.95 + 0.97 - 1) + 0.1) / 3)


def test_cases_of_one_bin_make_up_for_each_other_and_those_of_two_do_not() -> None:
    assert metrics.calibration_error([0.5, 0.5], [True, False]) == pytest.approx(0)
    assert metrics.calibration_error([0.3, 0.7], [True, False]) == pytest.approx(0.7)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1))
def test_the_calibration_error_is_a_share(cases: list[tuple[float, bool]]) -> None:
    error = metrics.calibration_error([p for p, _ in cases], [hit for _, hit in cases])
    assert 0 <= error <= 1
