import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.emotion.reading.calibration import (
    Calibration,
    Class,
    Line,
    any_of,
    as_json,
    from_json,
    logistic,
    passing,
)
from app.emotion.reading.model import AXES, EKMAN, LABELS

PLAIN = Class(Line(1, 0), 0.5)
KNOWN = Calibration(
    {name: Line(1, 0) for name in AXES}, dict.fromkeys(LABELS, PLAIN), dict.fromkeys(EKMAN, PLAIN)
)
numbers = st.floats(-1e4, 1e4)


def row(**odds: float) -> list[float]:
    """What the network gives when it is unsure of nothing but the labels named."""
    return [0.0, 0.0, 0.0, *(odds.get(name, -9.0) for name in LABELS)]


def test_the_primary_label_is_the_likeliest_that_passes() -> None:
    read = KNOWN.reading(row(joy=1.0, love=2.0))
    assert read.primary == "love"
    assert read.confidence == read.labels["love"] == pytest.approx(1 / (1 + math.exp(-2)))


def test_a_likelier_label_below_its_own_threshold_does_not_count() -> None:
    strict = dict(KNOWN.labels) | {"love": Class(Line(1, 0), 0.9)}
    read = Calibration(KNOWN.axes, strict, KNOWN.ekman).reading(row(joy=1.0, love=2.0))
    assert read.primary == "joy"


def test_when_nothing_passes_it_is_neutral_with_the_probability_of_that() -> None:
    read = KNOWN.reading(row(joy=-1.0, neutral=-2.0))
    assert read.primary == "neutral"
    assert read.confidence == pytest.approx(1 / (1 + math.exp(2)))


def test_a_class_of_ekman_is_there_when_one_of_its_labels_is() -> None:
    read = KNOWN.reading(row(fear=0.0, nervousness=0.0))
    assert read.ekman["fear"] == pytest.approx(0.75)
    assert read.ekman["joy"] < 0.01


def test_lines_are_applied_to_axes_and_log_odds() -> None:
    axes = {"valence": Line(2, 0.1), "arousal": Line(1, -3), "dominance": Line(0, 0.5)}
    labels = dict(KNOWN.labels) | {"joy": Class(Line(2, -1), 0.5)}
    known = Calibration(axes, labels, KNOWN.ekman)
    read = known.reading([0.2, 0.4, 9.0, *row(joy=0.5)[3:]])
    assert read.valence == pytest.approx(0.5)
    assert (read.arousal, read.dominance) == (-1, 0.5)
    assert read.labels["joy"] == 0.5


@given(st.lists(numbers, min_size=31, max_size=31))
def test_readings_are_within_their_bounds(given_row: list[float]) -> None:
    read = KNOWN.reading(given_row)
    assert all(-1 <= x <= 1 for x in (read.valence, read.arousal, read.dominance))
    assert tuple(read.labels) == LABELS
    assert tuple(read.ekman) == tuple(EKMAN)
    assert all(0 <= p <= 1 for p in (*read.labels.values(), *read.ekman.values()))
    assert read.confidence == read.labels[read.primary]


@given(numbers)
def test_logistic_undoes_log_odds(x: float) -> None:
    p = logistic(x)
    assert 0 <= p <= 1
    assert logistic(-x) == pytest.approx(1 - p)
    if abs(x) < 15:
        assert math.log(p / (1 - p)) == pytest.approx(x, abs=1e-6)


def test_any_of_several_is_at_least_as_likely_as_each() -> None:
    assert any_of([0.5]) == pytest.approx(0)
    assert logistic(any_of([0.5, 0.2])) == pytest.approx(0.6)
    assert logistic(any_of([1.0, 1.0])) == pytest.approx(1)
    assert logistic(any_of([0.0])) == pytest.approx(0, abs=1e-8)


def test_what_passes_reaches_its_threshold_or_is_neutral() -> None:
    classes = {"joy": PLAIN, "fear": PLAIN, "neutral": PLAIN}
    assert passing({"joy": 0.5, "fear": 0.49, "neutral": 0.1}, classes) == {"joy"}
    assert passing({"joy": 0.1, "fear": 0.1, "neutral": 0.1}, classes) == {"neutral"}


def test_a_calibration_comes_back_from_its_file() -> None:
    known = Calibration(
        {name: Line(1.25, -0.5) for name in AXES},
        {name: Class(Line(0.5, i / 8), 0.25) for i, name in enumerate(LABELS)},
        {name: Class(Line(2.0, -i / 8), 0.75) for i, name in enumerate(EKMAN)},
    )
    assert from_json(json.loads(json.dumps(as_json(known)))) == known
