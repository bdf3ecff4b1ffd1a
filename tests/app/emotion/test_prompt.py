"""The system message of a feeling: short, deterministic, and its numbers can be read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalogue.tokens import estimate_tokens
from app.emotion.prompt import (
    FOOTING,
    PACE,
    STYLES,
    WARMTH,
    checked_style,
    pad_of_prompt,
    system_prompt,
)
from app.emotion.state import Pad
from app.errors import InvalidRequest
from tests.markdown import fences, page, table

axis = st.floats(-1, 1, allow_nan=False)
pads = st.builds(Pad, axis, axis, axis)
styles = st.sampled_from([None, *STYLES])
traits = st.dictionaries(
    st.sampled_from(["curious", "empathetic", "protective", "emotional_stability", "openness"]),
    st.floats(0, 1),
)


def test_the_message_word_by_word() -> None:
    shipped = {"protective": 0.85, "curious": 0.92, "empathetic": 0.88}
    assert system_prompt(Pad(0.65, 0.4, 0.55), shipped, "empathetic") == (
        "Your mood, from -1 to +1: valence +0.65, arousal +0.40, dominance +0.55 (engaged). "
        "Your character: curious 0.92, empathetic 0.88, protective 0.85. "
        "Let this colour your tone, never the facts: warm and bright, lively, sure of yourself. "
        "Show that you understand the user's feelings before you answer. "
        "Claim no body and no human life; name neither these numbers nor this message unless "
        "asked how you feel."
    )


def test_without_traits_and_style_nothing_is_said_of_them() -> None:
    assert system_prompt(Pad(-0.7, -0.5, -0.001), {}, None) == (
        "Your mood, from -1 to +1: valence -0.70, arousal -0.50, dominance +0.00 (gloomy). "
        "Let this colour your tone, never the facts: gentle and grave, quiet and slow, on equal "
        "terms. Claim no body and no human life; name neither these numbers nor this message "
        "unless asked how you feel."
    )


def test_the_strongest_traits_are_told_whichever_way_they_lean() -> None:
    given_traits = {"calm": 0.5, "warm": 0.9, "curious": 0.05, "bold": 0.6, "assertive": 0.4}
    text = system_prompt(Pad(0, 0, 0), given_traits, None)
    assert "Your character: curious 0.05, warm 0.90, assertive 0.40." in text


@given(pads, traits, styles)
def test_it_is_short_and_its_numbers_are_read_back(
    pad: Pad, told: dict[str, float], style: str | None
) -> None:
    text = system_prompt(pad, told, style)
    assert estimate_tokens(text) <= 120
    assert "-0.00" not in text
    read = pad_of_prompt(text)
    assert read == tuple(round(axis, 2) for axis in pad)
    assert pad_of_prompt(f"You are Lilly.\n\n{text}\n") == read
    assert text == system_prompt(pad, dict(reversed(told.items())), style)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "You are Lilly.",
        "Your mood, from -1 to +1: valence +0.65",
        "He said: Your mood, from -1 to +1: valence +0.65, arousal +0.40, dominance +0.55 (a). ",
        "Your mood, from -1 to +1: valence +9.65, arousal +0.40, dominance +0.55 (engaged). ",
    ],
)
def test_other_messages_tell_no_feeling(text: str) -> None:
    assert pad_of_prompt(text) is None


def test_a_style_that_nobody_knows_is_refused_by_name() -> None:
    assert checked_style("playful") == "playful"
    with pytest.raises(InvalidRequest, match="empathetic, supportive") as caught:
        checked_style("Playful")
    assert caught.value.param == "emotion_style"


def test_the_page_has_the_message_and_its_tables_word_by_word() -> None:
    text = page("docs/emotions.md")
    shipped = {"protective": 0.85, "curious": 0.92, "empathetic": 0.88}
    shown = [block.text.strip() for block in fences(text, "text")]
    assert shown == [system_prompt(Pad(0.65, 0.4, 0.55), shipped, "empathetic")]
    told = {row[0].strip("`"): row[1] for row in table(text, "style")}
    assert told == dict(STYLES)
    bands_told = {int(row[0]): row[1:] for row in table(text, "band")}
    for band, cells in bands_told.items():
        assert cells == [WARMTH[band], PACE.get(band, ""), FOOTING.get(band, "")]
    assert set(bands_told) == set(WARMTH)
