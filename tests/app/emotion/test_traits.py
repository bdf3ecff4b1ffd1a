"""From traits to a baseline, by the numbers of Mehrabian 1996."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.emotion.state import REST, Pad
from app.emotion.traits import (
    TRAITS,
    BigFive,
    baseline_of,
    big_five,
    expressiveness,
    susceptibility,
    temperament,
    unknown_trait,
)
from tests.app.emotion.feelings import SHIPPED, in_bounds, near


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        ("openness", Pad(0, 0.15, 0.25)),
        ("conscientiousness", Pad(0, 0, 0.17)),
        ("extraversion", Pad(0.21, 0, 0.60)),
        ("agreeableness", Pad(0.59, 0.30, -0.32)),
        ("emotional_stability", Pad(0.19, -0.57, 0)),
    ],
)
def test_each_factor_has_the_weights_of_the_source(factor: str, expected: Pad) -> None:
    assert near(baseline_of({factor: 1.0}), expected)
    assert near(baseline_of({factor: 0.0}), Pad(*(-axis for axis in expected)))
    assert baseline_of({factor: 0.5}) == REST


def test_a_sample_of_all_five_factors() -> None:
    """The example of Gebhard 2005: slightly relaxed, at .38, -.08 and .50."""
    assert near(temperament(BigFive(0.4, 0.8, 0.6, 0.3, 0.4)), Pad(0.379, -0.078, 0.5), 1e-9)


def test_a_stable_personality_is_pleasant_and_calm_and_a_neurotic_one_the_opposite() -> None:
    stable, neurotic = baseline_of({"emotional_stability": 1}), baseline_of({"neuroticism": 1})
    assert stable.valence > 0 > stable.arousal
    assert neurotic.valence < 0 < neurotic.arousal


def test_the_shipped_personality_is_pleasant_and_awake() -> None:
    baseline = baseline_of(SHIPPED)
    assert baseline.valence > 0.4
    assert 0 < baseline.arousal < 0.5
    assert baseline.dominance > 0


@given(st.dictionaries(st.sampled_from(sorted(TRAITS)), st.floats(0, 1)))
def test_whatever_is_named_the_baseline_is_in_bounds(traits: dict[str, float]) -> None:
    assert all(-1 <= factor <= 1 for factor in big_five(traits))
    assert in_bounds(baseline_of(traits))
    assert 0 <= expressiveness(traits) <= 1
    assert 0 <= susceptibility(traits) <= 1


def test_neutral_traits_move_nothing() -> None:
    assert baseline_of(dict.fromkeys(TRAITS, 0.5)) == baseline_of({}) == REST


@pytest.mark.parametrize("name", sorted(TRAITS))
def test_a_trait_is_of_some_factor_and_of_none_more_than_whole(name: str) -> None:
    assert any(TRAITS[name])
    assert all(-1 <= weight <= 1 for weight in TRAITS[name])


def test_the_first_unknown_trait_is_named() -> None:
    assert unknown_trait(["curious", "frobnicating", "evil"]) == "frobnicating"
    assert unknown_trait(SHIPPED) is None
    assert unknown_trait(["empathetic", "supportive", "playful", "confident", "warm"]) is None


def test_a_name_that_is_no_trait_counts_for_nothing() -> None:
    assert baseline_of({"frobnicating": 1.0, "curious": 0.9}) == baseline_of({"curious": 0.9})


def test_the_empathetic_are_open_and_the_extraverted_expressive() -> None:
    assert susceptibility({"empathetic": 0.88}) == 0.88
    assert susceptibility({}) == 0.5
    assert expressiveness({}) == 0.5
    assert expressiveness({"extraversion": 1.0}) == 1.0
    assert expressiveness({"shy": 1.0}) == pytest.approx(0.15)
