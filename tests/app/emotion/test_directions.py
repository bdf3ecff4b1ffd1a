"""Which emotions there are, and where."""

import pytest

from app.emotion.directions import DIRECTIONS, LABEL_DIRECTIONS, OCC, TERMS, emotion_named
from app.emotion.reading.model import EKMAN, LABELS, NEUTRAL
from app.emotion.state import REST, Pad
from app.errors import InvalidRequest
from tests.app.emotion.feelings import in_bounds

ALMA_MOODS = {
    "exuberant": ("gratification", "happy_for", "joy", "love", "pride"),
    "dependent": ("admiration", "gratitude", "hope", "liking"),
    "relaxed": ("relief", "satisfaction"),
    "docile": ("gloating",),
    "hostile": ("anger", "disliking", "hate"),
    "anxious": ("disappointment", "fear", "remorse", "shame"),
    "disdainful": ("reproach",),
    "bored": ("distress", "fears_confirmed", "pity", "resentment"),
}
OCTANTS = {
    "exuberant": "+++", "dependent": "++-", "relaxed": "+-+", "docile": "+--",
    "hostile": "-++", "anxious": "-+-", "disdainful": "--+", "bored": "---",
}  # fmt: skip


def signs(pad: Pad) -> str:
    return "".join("+" if axis > 0 else "-" for axis in pad)


@pytest.mark.parametrize("mood", ALMA_MOODS)
def test_an_emotion_lies_in_the_mood_that_alma_gives_it(mood: str) -> None:
    assert {name: signs(OCC[name]) for name in ALMA_MOODS[mood]} == dict.fromkeys(
        ALMA_MOODS[mood], OCTANTS[mood]
    )


def test_every_emotion_of_alma_has_a_mood() -> None:
    assert {name for names in ALMA_MOODS.values() for name in names} == set(OCC)


def test_anger_and_fear_are_the_same_in_both_sources() -> None:
    assert (OCC["anger"], OCC["fear"]) == (TERMS["angry"], TERMS["fearful"])


def test_every_label_has_a_direction_and_only_neutral_has_none() -> None:
    assert set(LABEL_DIRECTIONS) == set(LABELS)
    assert [label for label, at in LABEL_DIRECTIONS.items() if at == REST] == [NEUTRAL]


@pytest.mark.parametrize("label", sorted(set(LABELS) - {NEUTRAL}))
def test_a_label_points_where_its_class_is_good_or_bad(label: str) -> None:
    valence = LABEL_DIRECTIONS[label].valence
    if label in EKMAN["joy"]:
        assert valence > 0
    elif label not in EKMAN["surprise"]:
        assert valence < 0


def test_every_emotion_that_may_be_rippled_moves_within_bounds() -> None:
    assert all(in_bounds(at) and at != REST for at in DIRECTIONS.values())
    assert {*OCC, *LABELS, *EKMAN} - {NEUTRAL} <= set(DIRECTIONS)


@pytest.mark.parametrize(
    ("written", "name"),
    [("joy", "joy"), (" Joy ", "joy"), ("Happy-for", "happy_for"), ("happy for", "happy_for")],
)
def test_a_name_may_be_written_in_several_ways(written: str, name: str) -> None:
    assert emotion_named(written) == name


@pytest.mark.parametrize("name", ["", "neutral", "joyfulness", "x" * 1000])
def test_what_is_no_emotion_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(InvalidRequest, match="anger, angry, annoyance") as refused:
        emotion_named(name)
    assert refused.value.param == "emotion"
    assert name[:40] in refused.value.message
    assert len(refused.value.message) < 2000
