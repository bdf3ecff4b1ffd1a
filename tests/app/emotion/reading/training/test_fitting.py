import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from app.emotion.reading.datasets import Named, Rated
from app.emotion.reading.model import EKMAN, LABELS
from app.emotion.reading.training.fitting import fitted, least_squares, platt, threshold

CHANCE = np.random.default_rng(7)


def test_platt_finds_the_line_that_made_the_labels() -> None:
    scores = CHANCE.normal(0, 2, 200_000)
    there = CHANCE.random(200_000) < 1 / (1 + np.exp(-(1.5 * scores - 2)))
    line = platt(scores, there)
    assert line.slope == pytest.approx(1.5, abs=0.03)
    assert line.offset == pytest.approx(-2, abs=0.04)


def test_platt_is_not_sure_of_what_few_texts_say() -> None:
    line = platt(np.array([-1.0, -1.0, 1.0]), np.array([False, False, True]))
    # Platt's targets: one of three for the only text that has it, and one of four for the others.
    assert line.at(1) == pytest.approx(np.log(2), abs=1e-3)
    assert line.at(-1) == pytest.approx(-np.log(3), abs=1e-3)


def test_the_nearest_line_is_found() -> None:
    line = least_squares(np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 5.0]))
    assert line.slope == pytest.approx(2)
    assert line.offset == pytest.approx(1)


@settings(max_examples=50)
@given(arrays(np.float64, st.integers(1, 12), elements=st.floats(0.01, 0.99)))
def test_no_other_threshold_promises_a_higher_f1(probabilities: np.ndarray) -> None:
    def expected(at: float) -> float:
        taken = probabilities >= at
        return float(2 * probabilities[taken].sum() / (taken.sum() + probabilities.sum()))

    best = threshold(probabilities)
    assert all(expected(best) >= expected(at) - 1e-9 for at in probabilities)
    # Lipton et al., theorem 1: the best threshold is half of the best F1.
    assert best >= expected(best) / 2 - 1e-9


def test_every_class_gets_a_line_and_a_threshold() -> None:
    rated = [Rated("", (x, x / 2, -x)) for x in (-0.5, 0.0, 0.5)]
    axes = np.array([row.axes for row in rated])
    named = [Named("", frozenset({LABELS[i % 28]})) for i in range(280)]
    scores = np.array([[3.0 if name in row.labels else -3.0 for name in LABELS] for row in named])
    known = fitted(axes, rated, scores + CHANCE.normal(0, 1, scores.shape), named)
    assert all(line.slope == pytest.approx(1) for line in known.axes.values())
    assert tuple(known.labels) == LABELS
    assert tuple(known.ekman) == tuple(EKMAN)
    assert all(0 < c.threshold < 1 for c in (*known.labels.values(), *known.ekman.values()))
    read = known.reading([0, 0, 0, *(3.0 if name == "fear" else -3.0 for name in LABELS)])
    assert read.primary == "fear"
    assert read.ekman["fear"] > 0.8
