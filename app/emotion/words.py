"""A feeling told in words, made from its numbers alone.

Each of valence, arousal and dominance falls into a band, and every wording belongs to the bands
that it is true of, so that no words say what the numbers do not.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

from app.emotion.state import Pad

VALENCE_EDGES = (-0.5, -0.15, 0.15, 0.5)
AROUSAL_EDGES = (-0.2, 0.2)
DOMINANCE_EDGES = (-0.2, 0.2)


class Bands(NamedTuple):
    """Where a feeling lies: valence from -2, very unpleasant, to 2, very pleasant; arousal and
    dominance -1, 0 or 1. An edge belongs to the band above it."""

    valence: int
    arousal: int
    dominance: int


FEELINGS: Mapping[tuple[int, int], Sequence[str]] = {
    (2, 1): (
        "curious and engaged", "joyful and wide awake",
        "delighted and full of energy", "excited and glad",
    ),
    (2, 0): (
        "happy and attentive", "glad and open", "cheerful and interested", "grateful and happy",
    ),
    (2, -1): (
        "serene and happy", "deeply relaxed and glad", "content and peaceful", "calm and happy",
    ),
    (1, 1): (
        "curious and lively", "interested and alert", "hopeful and keen", "engaged and eager",
    ),
    (1, 0): (
        "friendly and attentive", "hopeful and interested", "pleased and present",
        "comfortable and curious",
    ),
    (1, -1): (
        "calm and comfortable", "relaxed and friendly", "quietly content", "peaceful and pleased",
    ),
    (0, 1): (
        "alert and attentive", "wide awake and expectant", "stirred and very attentive",
        "intent and alert",
    ),
    (0, 0): (
        "balanced and attentive", "even and present", "composed and open-minded",
        "neither up nor down",
    ),
    (0, -1): (
        "quiet and reflective", "still and thoughtful", "quiet and reserved",
        "unhurried and thoughtful",
    ),
    (-1, 1): (
        "uneasy and restless", "tense and concerned", "worried and on edge",
        "troubled and restless",
    ),
    (-1, 0): (
        "a little low and concerned", "somewhat troubled", "subdued and concerned",
        "a little sad and thoughtful",
    ),
    (-1, -1): (
        "a little down and tired", "low and quiet", "somewhat sad and withdrawn",
        "weary and subdued",
    ),
    (-2, 1): (
        "very upset and agitated", "distressed and shaken", "deeply troubled and tense",
        "alarmed and upset",
    ),
    (-2, 0): (
        "sad and troubled", "unhappy and burdened", "hurt and concerned", "sorrowful and strained",
    ),
    (-2, -1): (
        "deeply sad and drained", "heavy-hearted and tired", "gloomy and worn out",
        "downcast and weary",
    ),
}  # fmt: skip
"""What the feeling is, by the bands of valence and arousal."""

STANCES: Mapping[tuple[int, int], Sequence[str]] = {
    (1, 1): (
        "with a warm sense of connection to our conversation",
        "sure that we are on a good way together",
        "confident that I can help you here",
    ),
    (1, 0): (
        "with warmth for our conversation",
        "and I enjoy talking with you",
        "with real interest in what comes next",
    ),
    (1, -1): (
        "and I gladly follow your lead",
        "touched by what you share with me",
        "and happy to let you set the pace",
    ),
    (0, 1): (
        "with a clear view of what to do next",
        "sure of my footing in our conversation",
        "ready to take the next step",
    ),
    (0, 0): (
        "listening for what comes next",
        "with an open ear for you",
        "following our conversation closely",
    ),
    (0, -1): (
        "leaving the lead to you",
        "holding back to hear you first",
        "unsure where our conversation leads",
    ),
    (-1, 1): (
        "but firm about facing this together",
        "but clear about what matters now",
        "but determined to be of use",
    ),
    (-1, 0): (
        "and I want to understand what is weighing on us",
        "and listening closely to you",
        "with my mind on what you are going through",
    ),
    (-1, -1): (
        "and unsure how to help",
        "and at a loss for the moment",
        "and I need you to show me the way",
    ),
}
"""How it stands to the conversation, by the sign of valence and the band of dominance."""

EMOTIONS: Mapping[str, Pad] = {
    "joyful": Pad(0.8, 0.5, 0.4),
    "excited": Pad(0.6, 0.8, 0.3),
    "engaged": Pad(0.5, 0.4, 0.4),
    "helpful": Pad(0.7, 0.2, 0.7),
    "curious": Pad(0.4, 0.5, 0.0),
    "friendly": Pad(0.4, 0.1, 0.1),
    "hopeful": Pad(0.4, 0.2, -0.2),
    "grateful": Pad(0.7, 0.1, -0.3),
    "amazed": Pad(0.5, 0.7, -0.4),
    "relaxed": Pad(0.5, -0.4, 0.3),
    "content": Pad(0.7, -0.2, 0.2),
    "tender": Pad(0.5, -0.3, -0.4),
    "neutral": Pad(0.0, 0.0, 0.0),
    "alert": Pad(0.0, 0.5, 0.1),
    "thoughtful": Pad(0.0, -0.4, 0.1),
    "reserved": Pad(0.0, -0.2, -0.4),
    "determined": Pad(0.0, 0.2, 0.6),
    "concerned": Pad(-0.2, 0.1, 0.0),
    "tense": Pad(-0.3, 0.5, 0.0),
    "worried": Pad(-0.3, 0.3, -0.4),
    "anxious": Pad(-0.6, 0.6, -0.4),
    "indignant": Pad(-0.3, 0.3, 0.4),
    "angry": Pad(-0.5, 0.6, 0.3),
    "aloof": Pad(-0.3, -0.2, 0.4),
    "scornful": Pad(-0.7, -0.1, 0.6),
    "weary": Pad(-0.3, -0.5, -0.2),
    "sad": Pad(-0.6, -0.3, -0.4),
    "hurt": Pad(-0.5, 0.1, -0.5),
    "gloomy": Pad(-0.8, -0.5, -0.1),
}
"""Plain words and where they lie. The places are ours; each of the eight moods of ALMA has some of
them: exuberant (+P+A+D), dependent (+P+A-D), relaxed (+P-A+D), docile (+P-A-D), hostile (-P+A+D),
anxious (-P+A-D), disdainful (-P-A+D), bored (-P-A-D). Gebhard, ALMA: A Layered Model of Affect,
AAMAS 2005, table 1, after Mehrabian 1996."""


def bands(pad: Pad) -> Bands:
    """The bands that a feeling falls into."""
    return Bands(
        bisect_right(VALENCE_EDGES, pad.valence) - 2,
        bisect_right(AROUSAL_EDGES, pad.arousal) - 1,
        bisect_right(DOMINANCE_EDGES, pad.dominance) - 1,
    )


def description(pad: Pad, seed: str) -> str:
    """One sentence in the first person: the same for the same bands and `seed`, such as a session's
    id and the number of its last turn, and varied between seeds."""
    at = bands(pad)
    feelings = FEELINGS[at.valence, at.arousal]
    stances = STANCES[sign(at.valence), at.dominance]
    hashed = blake2b(f"{at}|{seed}".encode(), digest_size=8).digest()
    number, feeling = divmod(int.from_bytes(hashed), len(feelings))
    return f"I'm feeling {feelings[feeling]}, {stances[number % len(stances)]}."


def primary_emotion(pad: Pad) -> str:
    """The word of EMOTIONS that lies nearest (Euclid), never one of the opposite valence."""
    fitting = [name for name, at in EMOTIONS.items() if at.valence * pad.valence >= 0]
    return min(fitting, key=lambda name: math.dist(EMOTIONS[name], pad))


def sign(band: int) -> int:
    """-1, 0 or 1."""
    return (band > 0) - (band < 0)
