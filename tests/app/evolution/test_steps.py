"""What feedback wishes of which trait."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.evolution.drift import MILLION, Drift
from app.evolution.model import NewFeedback, TraitState
from app.evolution.steps import NAMED_STEP, PLAIN_STEP, WORDS, steps

RATINGS = st.floats(-1, 1)


def traits(**drifts: int) -> dict[str, TraitState]:
    """Traits with a baseline of a half that have drifted so far."""
    return {name: TraitState(name, 500_000, Drift(now, now)) for name, now in drifts.items()}


THREE = traits(curious=0, empathetic=0, protective=0)


def said(rating: float, reason: str) -> dict[str, int]:
    return steps(NewFeedback(rating, reason), THREE, {})


def test_a_named_trait_moves_whatever_the_rating_says() -> None:
    for rating in (-1.0, 0.0, 1.0):
        new = NewFeedback(rating, None, None, {"curious": "less", "empathetic": "more"})
        assert steps(new, traits(curious=9, empathetic=0), {}) == {
            "curious": -NAMED_STEP,
            "empathetic": NAMED_STEP,
        }


@pytest.mark.parametrize(
    ("rating", "reason", "moved"),
    [
        (1.0, "So curious!", {"curious": NAMED_STEP}),
        (-1.0, "It was curious and cold.", {"curious": -NAMED_STEP, "empathetic": NAMED_STEP}),
        (0.5, "kindly meant, and CARING", {"empathetic": NAMED_STEP // 2}),
        (-1.0, "not empathetic enough", {"empathetic": NAMED_STEP}),
        (-1.0, "it isn’t very curious", {"curious": NAMED_STEP}),
        (-1.0, "Please be more curious", {"curious": NAMED_STEP}),
        (-1.0, "too protective", {"protective": -NAMED_STEP}),
        (1.0, "a bit less protective next time", {"protective": -NAMED_STEP}),
        (-1.0, "too cold", {"empathetic": NAMED_STEP}),
        (1.0, "not too protective", {}),
        (1.0, "caring and cold", {}),
        (1.0, "caring, understanding, empathetic", {"empathetic": NAMED_STEP}),
        (0.0, "curious", {}),
        (0.0, "more curious", {"curious": NAMED_STEP}),
        (1.0, "curiouser", {}),
    ],
)
def test_words_of_the_reason_stand_for_traits(
    rating: float, reason: str, moved: dict[str, int]
) -> None:
    assert said(rating, reason) == moved


def test_what_is_named_stands_over_what_is_said() -> None:
    new = NewFeedback(1.0, "so curious and caring", None, {"curious": "less"})
    assert steps(new, THREE, {}) == {"curious": -NAMED_STEP, "empathetic": NAMED_STEP}


def test_words_for_traits_that_are_not_the_operators_say_nothing() -> None:
    assert said(1.0, "playful and patient") == {}


def test_praise_moves_on_what_has_drifted_and_blame_moves_it_back() -> None:
    drifted = traits(curious=30_000, empathetic=-1_000, protective=0)
    assert steps(NewFeedback(1.0), drifted, {}) == {
        "curious": PLAIN_STEP,
        "empathetic": -PLAIN_STEP,
    }
    assert steps(NewFeedback(-1.0), drifted, {}) == {"curious": -PLAIN_STEP, "empathetic": 1_000}
    assert steps(NewFeedback(-0.2), drifted, {}) == {"curious": -500, "empathetic": 500}
    assert steps(NewFeedback(0.0), drifted, {}) == {}


def test_praise_moves_towards_what_was_asked_for_and_not_past_it() -> None:
    now = traits(curious=0, empathetic=9_000, protective=40_000)
    asked = {"curious": 800_000, "empathetic": 510_000, "protective": 510_000, "patient": 0}
    assert steps(NewFeedback(1.0), now, asked) == {"curious": PLAIN_STEP, "empathetic": 1_000}


def test_blame_for_what_was_asked_for_moves_back_a_drift_of_its_direction_alone() -> None:
    now = traits(curious=0, empathetic=9_000, protective=-9_000)
    asked = {"curious": 800_000, "empathetic": 900_000, "protective": 900_000}
    assert steps(NewFeedback(-1.0), now, asked) == {"empathetic": -PLAIN_STEP}


@given(
    RATINGS, st.lists(st.sampled_from(["too", "not", "more", "so", *THREE, "cold", "it"])),
    st.dictionaries(st.sampled_from([*THREE]), st.integers(-200_000, 200_000)),
    st.dictionaries(st.sampled_from([*THREE]), st.integers(0, MILLION)),
)  # fmt: skip
def test_no_feedback_moves_a_trait_by_more_than_a_step(
    rating: float, words: list[str], drifts: dict[str, int], asked: dict[str, int]
) -> None:
    now = traits(**drifts)
    wished = steps(NewFeedback(rating, " ".join(words)), now, asked)
    assert set(wished) <= set(now)
    assert all(0 < abs(step) <= NAMED_STEP for step in wished.values())


@given(RATINGS.filter(lambda rating: rating < 0), st.integers(-200_000, 200_000))
def test_blame_alone_never_moves_a_trait_past_its_baseline(rating: float, drift: int) -> None:
    step = steps(NewFeedback(rating), traits(curious=drift), {}).get("curious", 0)
    assert abs(drift + step) <= abs(drift)
    assert (drift + step) * drift >= 0


def test_no_word_stands_for_two_traits() -> None:
    words = [word for words in WORDS.values() for word in words]
    assert len(words) == len(set(words))
    assert all(words.get(name) == 1 for name, words in WORDS.items())
