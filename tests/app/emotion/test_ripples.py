"""How a ripple fades, and how far it reaches."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.emotion.ripples import NEIGHBOURS, Ripple, caught, contribution, kernel, vector_of
from app.emotion.state import REST, Pad, length
from app.emotion.traits import TRAITS, expressiveness
from tests.app.emotion.feelings import near, ripples, seconds

traits = st.dictionaries(st.sampled_from(sorted(TRAITS)), st.floats(0, 1), max_size=5)


@pytest.mark.parametrize(
    ("part", "left"), [(0.0, 1.0), (0.25, 0.75), (0.5, 0.5), (1.0, 0.0), (7.0, 0.0), (-0.1, 0.0)]
)
def test_the_kernel_falls_in_a_line_from_one_to_nothing(part: float, left: float) -> None:
    assert kernel(part) == left


def test_half_is_left_after_half_the_duration() -> None:
    ripple = Ripple(Pad(0.4, 0.2, 0.1), 1000.0, 300.0)
    assert contribution(ripple, 1000.0) == ripple.vector
    assert near(contribution(ripple, 1150.0), Pad(0.2, 0.1, 0.05))
    assert contribution(ripple, ripple.end) == contribution(ripple, 1e9) == REST


def test_one_that_is_read_before_its_start_is_whole() -> None:
    assert contribution(Ripple(Pad(1, 0, 0), 10.0, 5.0), 9.9) == Pad(1, 0, 0)


@given(ripples, seconds, seconds)
def test_a_ripple_never_grows_and_never_turns_round(
    ripple: Ripple, first: float, more: float
) -> None:
    early = contribution(ripple, ripple.start + first)
    late = contribution(ripple, ripple.start + first + more)
    assert length(late) <= length(early) <= length(ripple.vector) + 1e-12
    assert all(a * b >= 0 for a, b in zip(ripple.vector, late, strict=True))


@given(ripples, st.floats(0, 1000))
def test_nothing_is_left_at_its_end(ripple: Ripple, later: float) -> None:
    assert near(contribution(ripple, ripple.end + later), REST, 1e-6)


def test_a_ripple_points_where_its_emotion_lies() -> None:
    assert near(vector_of("joy", 0.8), Pad(0.32, 0.16, 0.08))


def test_what_is_caught_is_the_product_of_the_three() -> None:
    sender, receiver = {"extraversion": 0.8}, {"empathetic": 0.9}
    assert caught(sender, receiver) == pytest.approx(0.8 * NEIGHBOURS * 0.9)
    assert caught(sender, {"empathetic": 0.0}) == 0
    assert caught({"extraversion": 0.0}, receiver) == 0


@given(traits, traits)
def test_less_is_caught_than_there_is(sender: dict[str, float], receiver: dict[str, float]) -> None:
    assert 0 <= caught(sender, receiver) <= NEIGHBOURS * expressiveness(sender)
