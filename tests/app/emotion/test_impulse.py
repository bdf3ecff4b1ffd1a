"""What a turn does to a session."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.emotion.impulse import (
    IMPULSE_MAX,
    NAMED_SHARE,
    TALK,
    contagion_strength,
    direction,
    impulse_of,
    trigger_of,
)
from app.emotion.reading.model import LABELS, NEUTRAL, Reading
from app.emotion.state import REST, Pad, length, scaled, total
from tests.app.emotion.feelings import SHIPPED, near, pads, reading

probabilities = st.fixed_dictionaries({label: st.floats(0, 1) for label in LABELS})


@st.composite
def readings(draw: st.DrawFn) -> Reading:
    labels = draw(probabilities)
    primary = max(labels, key=lambda label: labels[label])
    return Reading(*draw(pads), labels, {}, primary, labels[primary])


def test_a_joyful_text_moves_by_the_stated_formula() -> None:
    read = reading("joy", 0.8, Pad(0.5, 0.2, 0.1))
    expected = total((
        scaled(Pad(0.4, 0.2, 0.1), 0.8 * NAMED_SHARE), scaled(Pad(0.5, 0.2, 0.1), 1 - NAMED_SHARE)
    ))  # fmt: skip
    assert near(direction(read), expected)
    impulse = impulse_of(read, {"empathetic": 0.9})
    assert near(impulse.vector, scaled(expected, TALK * 0.9))
    assert impulse.emotion == "joy"
    assert impulse.intensity == pytest.approx(length(impulse.vector) / IMPULSE_MAX)


def test_a_sure_neutral_text_moves_nothing() -> None:
    assert impulse_of(reading(NEUTRAL, 1.0), SHIPPED) == (REST, NEUTRAL, 0.0)


def test_several_labels_share_what_they_are_sure_of() -> None:
    both = direction(reading("joy", 1.0, fear=1.0))
    halves = total((scaled(Pad(0.4, 0.2, 0.1), 0.5), scaled(Pad(-0.64, 0.60, -0.43), 0.5)))
    assert near(both, scaled(halves, NAMED_SHARE))


@pytest.mark.parametrize(
    ("label", "sign"),
    [("joy", 1), ("gratitude", 1), ("sadness", -1), ("anger", -1), ("fear", -1), ("grief", -1)],
)
def test_what_the_user_feels_is_caught(label: str, sign: int) -> None:
    assert impulse_of(reading(label), SHIPPED).vector.valence * sign > 0.1


def test_the_more_empathetic_is_moved_more() -> None:
    cold, warm = (
        length(impulse_of(reading("joy"), {"empathetic": level}).vector) for level in (0.2, 0.8)
    )
    assert warm == pytest.approx(4 * cold)
    assert impulse_of(reading("joy"), {"empathetic": 0.0}).vector == REST


@given(readings(), st.floats(0, 1))
def test_no_turn_moves_further_than_the_bound(read: Reading, empathetic: float) -> None:
    impulse = impulse_of(read, {"empathetic": empathetic})
    assert length(impulse.vector) <= IMPULSE_MAX + 1e-12
    assert 0 <= impulse.intensity <= 1


def test_contagion_needs_all_three_of_its_factors() -> None:
    assert contagion_strength(0.5, 0.4, 0.5) == pytest.approx(0.1)
    assert contagion_strength(0, 1, 1) == contagion_strength(1, 0, 1) == 0
    assert contagion_strength(1, 1, 0) == 0


@pytest.mark.parametrize(
    ("text", "trigger"),
    [
        ("Hello!", "user_greeting"),
        ("good morning to you", "user_greeting"),
        ("¡Hey there!", "user_greeting"),
        ("Hello! How are you feeling today?", "user_question"),
        ("what is the weather like", "user_question"),
        ("Could you help me", "user_question"),
        ("你好吗？", "user_question"),
        ("Thank you so much, that was it.", "user_thanks"),
        ("I'm feeling a bit overwhelmed with my project.", "user_statement"),
        ("Hi, here is all that has happened since we last spoke.", "user_statement"),
        ("history is boring", "user_statement"),
        ("Whatever", "user_statement"),
        ("", "user_statement"),
    ],
)
def test_a_turn_has_a_trigger(text: str, trigger: str) -> None:
    assert trigger_of(text) == trigger
