"""What a turn of the user does to a session: what was read in the text becomes an impulse.

Feelings spread from one who shows them to one who attends (Hatfield, Cacioppo and Rapson 1994,
Emotional Contagion). How much comes over is, as in Bosse, Duell, Memon, Treur and van der Wal 2009,
A Multi-agent Model for Emotion Contagion Spirals, PRIMA 2009, LNAI 5925, 48-67,
https://doi.org/10.1007/978-3-642-11161-7_4, a product: the sender's expressiveness ε, the strength
of the channel α and the receiver's openness δ.

    γ = ε · α · δ

There a receiver is drawn by γ times how far it is from the sender. Here γ times the sender's
feeling is added, and the pull back is left to time (`app/emotion/state.py`): so it does not matter
which of two impulses comes first.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from app.emotion.directions import LABEL_DIRECTIONS
from app.emotion.reading.model import NEUTRAL, Reading
from app.emotion.state import Pad, bounded, length, scaled, total
from app.emotion.traits import susceptibility

WRITTEN = 1.0
"""The user's expressiveness: there is nothing but what the text shows."""

TALK = 0.6
"""The strength of the channel between a user and the session that is written to."""

NAMED_SHARE = 0.7
"""How much of the direction the emotions' names give; the axes that were read give the rest. Names
are the better read, the axes tell of texts that no name fits."""

IMPULSE_MAX = 0.5
"""The length of an impulse at most: a quarter of an axis."""

Trigger = str


class Impulse(NamedTuple):
    """A change of a session's feeling. `emotion`: the label that was read; `intensity`: its length
    as a share of the longest, 0 to 1."""

    vector: Pad
    emotion: str
    intensity: float


def contagion_strength(expressiveness: float, channel: float, openness: float) -> float:
    """Bosse et al. 2009: γ = ε · α · δ, each from 0 to 1."""
    return expressiveness * channel * openness


def direction(reading: Reading) -> Pad:
    """Where a text points: the mean of its labels' places, each weighted with its probability, and
    the axes that were read. The weight that the labels do not use up is neutral and points
    nowhere."""
    felt = {label: p for label, p in reading.labels.items() if label != NEUTRAL}
    named = total(scaled(LABEL_DIRECTIONS[label], p) for label, p in felt.items())
    named = scaled(named, 1 / max(1.0, sum(felt.values())))
    axes = Pad(reading.valence, reading.arousal, reading.dominance)
    return total((scaled(named, NAMED_SHARE), scaled(axes, 1 - NAMED_SHARE)))


def impulse_of(reading: Reading, traits: Mapping[str, float]) -> Impulse:
    """What a text does to a session with these traits."""
    gain = contagion_strength(WRITTEN, TALK, susceptibility(traits))
    vector = bounded(scaled(direction(reading), gain), IMPULSE_MAX)
    return Impulse(vector, reading.primary, min(1.0, length(vector) / IMPULSE_MAX))


_GREETING = re.compile(
    r"\W*(hi|hiya|hello|hey|greetings|welcome|good (morning|afternoon|evening|day))\b", re.I
)
_THANKS = re.compile(r"\W*(many thanks|thanks|thank you|thx|cheers)\b", re.I)
_QUESTION = re.compile(
    r"\W*(who|whom|whose|what|when|where|why|which|how|is|are|am|was|were|do|does|did|can|could|"
    r"will|would|shall|should|may|might|have|has)\b",
    re.I,
)
GREETING_WORDS_MAX = 6


def trigger_of(text: str) -> Trigger:
    """What kind of turn a text is: `user_question`, `user_greeting`, `user_thanks` or
    `user_statement`. A text that greets and asks is a question."""
    if "?" in text or "？" in text or "؟" in text or _QUESTION.match(text):
        return "user_question"
    if _GREETING.match(text) and len(text.split()) <= GREETING_WORDS_MAX:
        return "user_greeting"
    if _THANKS.match(text):
        return "user_thanks"
    return "user_statement"
