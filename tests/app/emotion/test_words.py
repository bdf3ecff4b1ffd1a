"""A feeling in words: true of its numbers, the same twice, varied between moments."""

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.emotion.state import Pad
from app.emotion.words import (
    AROUSAL_EDGES,
    DOMINANCE_EDGES,
    EMOTIONS,
    FEELINGS,
    STANCES,
    VALENCE_EDGES,
    Bands,
    bands,
    description,
    primary_emotion,
    sign,
)
from tests.markdown import page, table


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text))


POSITIVE = words("""
    cheerful comfortable content curious delighted eager engaged enjoy excited friendly glad gladly
    good grateful happy hopeful interest interested joyful keen lively peaceful pleased relaxed
    serene touched warm warmth amazed helpful tender
""")
NEGATIVE = words("""
    agitated alarmed angry aloof anxious burdened concerned distressed downcast drained edge gloomy
    heavy hurt indignant loss low restless sad scornful shaken sorrowful strained subdued tense
    tired troubled uneasy unhappy upset weary weighing withdrawn worn worried
""")
ROUSED = words("""
    agitated alarmed alert awake delighted distressed eager edge energy engaged excited expectant
    intent joyful keen lively restless shaken stirred tense
""")
QUIET = words("""
    calm drained down peaceful quiet quietly relaxed reserved serene still tired
    unhurried weary withdrawn worn
""")
LEADING = words("clear confident determined firm ready sure")
FOLLOWING = words("follow holding leaving loss unsure need")

axis = st.floats(-1, 1, allow_nan=False)
pads = st.builds(Pad, axis, axis, axis)
GRID = [step / 20 for step in range(-20, 21)]


def said(pad: Pad) -> set[str]:
    """Every word of every sentence that this feeling may be told in."""
    at = bands(pad)
    texts = [*FEELINGS[at.valence, at.arousal], *STANCES[sign(at.valence), at.dominance]]
    return words(" ".join(texts))


def test_no_word_contradicts_a_number_on_a_grid_of_all_feelings() -> None:
    for valence, arousal, dominance in product(GRID, repeat=3):
        pad = Pad(valence, arousal, dominance)
        wording = said(pad)
        assert bool(wording & POSITIVE) == (valence >= 0.15), pad
        assert bool(wording & NEGATIVE) == (valence < -0.15), pad
        assert arousal < 0.2 or not wording & QUIET, pad
        assert arousal >= -0.2 or not wording & ROUSED, pad
        assert bool(wording & LEADING) == (dominance >= 0.2), pad
        assert bool(wording & FOLLOWING) == (dominance < -0.2), pad


def test_a_wording_belongs_to_one_band_alone() -> None:
    for wordings_of in (FEELINGS, STANCES):
        wordings = [text for texts in wordings_of.values() for text in texts]
        assert len(set(wordings)) == len(wordings)
        assert all(len(texts) >= 3 for texts in wordings_of.values())
    assert set(FEELINGS) == set(product(range(-2, 3), range(-1, 2)))
    assert set(STANCES) == set(product(range(-1, 2), range(-1, 2)))


@given(pads, st.text(max_size=40))
def test_a_sentence_is_made_of_the_wordings_of_its_bands(pad: Pad, seed: str) -> None:
    text = description(pad, seed)
    assert text == description(Pad(*pad), seed)
    found = re.fullmatch(r"I'm feeling (.+)\.", text)
    assert found
    at = bands(pad)
    possible = {
        f"{feeling}, {stance}"
        for feeling in FEELINGS[at.valence, at.arousal]
        for stance in STANCES[sign(at.valence), at.dominance]
    }
    assert found[1] in possible


def test_all_wordings_of_a_band_come_up() -> None:
    said_so = {description(Pad(0.65, 0.4, 0.55), f"user-{number}:1") for number in range(400)}
    assert len(said_so) == 12
    assert (
        "I'm feeling curious and engaged, with a warm sense of connection to our conversation."
        in said_so
    )


def test_the_feeling_stays_in_its_words_while_it_stays_in_its_bands() -> None:
    assert description(Pad(0.65, 0.4, 0.55), "s") == description(Pad(0.61, 0.3, 0.5), "s")
    assert description(Pad(0.65, 0.4, 0.55), "s") != description(Pad(-0.65, 0.4, 0.55), "s")


@pytest.mark.parametrize(
    ("pad", "at"),
    [
        (Pad(-1, -1, -1), Bands(-2, -1, -1)),
        (Pad(0, 0, 0), Bands(0, 0, 0)),
        (Pad(1, 1, 1), Bands(2, 1, 1)),
        (Pad(0.15, 0.2, 0.2), Bands(1, 1, 1)),
        (Pad(0.149, 0.199, 0.199), Bands(0, 0, 0)),
        (Pad(-0.5, -0.2, -0.2), Bands(-1, 0, 0)),
        (Pad(-0.501, -0.201, -0.201), Bands(-2, -1, -1)),
    ],
)
def test_an_edge_belongs_to_the_band_above(pad: Pad, at: Bands) -> None:
    assert bands(pad) == at


def test_edges_are_the_same_on_both_sides() -> None:
    for edges in (VALENCE_EDGES, AROUSAL_EDGES, DOMINANCE_EDGES):
        assert [-edge for edge in reversed(edges)] == list(edges)


def test_each_place_has_its_own_word_and_each_mood_of_alma_has_one() -> None:
    assert {primary_emotion(at): name for name, at in EMOTIONS.items()} == {n: n for n in EMOTIONS}
    octants = {tuple(sign_of(axis) for axis in at) for at in EMOTIONS.values() if all(at)}
    assert len(octants) == 8


def sign_of(value: float) -> int:
    return (value > 0) - (value < 0)


@given(pads)
def test_the_primary_emotion_is_never_of_the_opposite_valence(pad: Pad) -> None:
    word = primary_emotion(pad)
    if pad.valence > 0:
        assert word not in NEGATIVE
    if pad.valence < 0:
        assert word not in POSITIVE


@pytest.mark.parametrize(
    ("pad", "word"),
    [
        (Pad(0.7, 0.3, 0.6), "helpful"),
        (Pad(0, 0, 0), "neutral"),
        (Pad(-0.51, 0.59, 0.25), "angry"),
        (Pad(-0.64, 0.6, -0.43), "anxious"),
        (Pad(-0.6, -0.3, -0.4), "sad"),
        (Pad(0.2, -0.3, 0.4), "relaxed"),
        (Pad(0.22, 0.62, -0.01), "curious"),
    ],
)
def test_known_feelings_have_their_words(pad: Pad, word: str) -> None:
    """The seed's example, and the places of anger and fear in Gebhard 2005, table 2, of curiosity
    in Russell and Mehrabian 1977."""
    assert primary_emotion(pad) == word


def test_the_page_has_the_edges_of_the_bands() -> None:
    rows = table(page("docs/emotions.md"), "axis")
    assert {row[0]: [float(edge) for edge in row[1].split(",")] for row in rows} == {
        "valence": list(VALENCE_EDGES),
        "arousal": list(AROUSAL_EDGES),
        "dominance": list(DOMINANCE_EDGES),
    }
