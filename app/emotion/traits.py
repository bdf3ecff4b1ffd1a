"""From named traits to the feeling that a session returns to.

A trait is 0 to 1, and 0.5, which is also what a trait that nobody names has, moves nothing. Traits
add up to the Big Five (from -1 to 1), and those give the baseline by Mehrabian 1996, Analysis of
the Big-five Personality Factors in Terms of the PAD Temperament Model, Australian Journal of
Psychology 48(2), 86-92, https://doi.org/10.1080/00049539608259510; the equations as in Gebhard
2005, ALMA: A Layered Model of Affect, AAMAS 2005.

The source's fifth factor is emotional stability: pleasant and unarousable, so it has a plus for
pleasure and a minus for arousal. Copies that call it neuroticism and keep the signs are wrong.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from app.emotion.state import Pad, clamped


class BigFive(NamedTuple):
    """A personality, each factor from -1 to 1. Openness is what the source calls sophistication."""

    openness: float
    conscientiousness: float
    extraversion: float
    agreeableness: float
    emotional_stability: float


NEUTRAL = 0.5

TRAITS: Mapping[str, BigFive] = {
    "openness": BigFive(1, 0, 0, 0, 0),
    "conscientiousness": BigFive(0, 1, 0, 0, 0),
    "extraversion": BigFive(0, 0, 1, 0, 0),
    "agreeableness": BigFive(0, 0, 0, 1, 0),
    "emotional_stability": BigFive(0, 0, 0, 0, 1),
    "neuroticism": BigFive(0, 0, 0, 0, -1),
    "adventurous": BigFive(0.6, 0, 0.4, 0, 0.1),
    "analytical": BigFive(0.4, 0.4, 0, 0, 0),
    "anxious": BigFive(0, 0, -0.1, 0, -0.8),
    "assertive": BigFive(0, 0.2, 0.7, -0.2, 0.2),
    "calm": BigFive(0, 0, -0.1, 0.1, 0.8),
    "caring": BigFive(0, 0.1, 0, 0.8, 0),
    "cheerful": BigFive(0, 0, 0.6, 0.3, 0.3),
    "compassionate": BigFive(0, 0, 0, 0.8, 0),
    "confident": BigFive(0, 0.2, 0.5, 0, 0.5),
    "creative": BigFive(0.8, 0, 0, 0, 0),
    "curious": BigFive(0.8, 0, 0.2, 0, 0),
    "diligent": BigFive(0, 0.8, 0, 0, 0),
    "dominant": BigFive(0, 0, 0.7, -0.5, 0.1),
    "empathetic": BigFive(0.1, 0, 0, 0.7, 0),
    "energetic": BigFive(0, 0.1, 0.7, 0, 0.1),
    "enthusiastic": BigFive(0.1, 0, 0.7, 0.2, 0),
    "formal": BigFive(0, 0.5, -0.3, 0, 0),
    "friendly": BigFive(0, 0, 0.4, 0.6, 0),
    "gentle": BigFive(0, 0, -0.2, 0.6, 0.2),
    "helpful": BigFive(0, 0.3, 0, 0.6, 0),
    "honest": BigFive(0, 0.4, 0, 0.4, 0),
    "humorous": BigFive(0.3, 0, 0.5, 0.1, 0.2),
    "imaginative": BigFive(0.8, 0, 0, 0, 0),
    "independent": BigFive(0.2, 0, 0.1, -0.3, 0.3),
    "kind": BigFive(0, 0, 0, 0.8, 0),
    "loyal": BigFive(0, 0.4, 0, 0.5, 0),
    "nurturing": BigFive(0, 0.2, 0, 0.7, 0),
    "optimistic": BigFive(0, 0, 0.4, 0.2, 0.4),
    "organized": BigFive(0, 0.8, 0, 0, 0),
    "outgoing": BigFive(0, 0, 0.8, 0.1, 0),
    "patient": BigFive(0, 0.2, -0.1, 0.4, 0.5),
    "playful": BigFive(0.3, -0.1, 0.6, 0.1, 0.1),
    "professional": BigFive(0, 0.6, 0, 0, 0.3),
    "protective": BigFive(0, 0.5, 0, 0.3, 0.2),
    "reliable": BigFive(0, 0.8, 0, 0.1, 0.1),
    "reserved": BigFive(0, 0.1, -0.7, 0, 0),
    "sarcastic": BigFive(0.2, 0, 0.1, -0.6, 0),
    "sensitive": BigFive(0.3, 0, 0, 0.3, -0.5),
    "serious": BigFive(0, 0.4, -0.4, 0, 0),
    "shy": BigFive(0, 0, -0.7, 0, -0.2),
    "supportive": BigFive(0, 0.2, 0.1, 0.7, 0.1),
    "thoughtful": BigFive(0.3, 0.3, -0.1, 0.3, 0),
    "trusting": BigFive(0, 0, 0, 0.6, 0.2),
    "warm": BigFive(0, 0, 0.3, 0.7, 0),
    "witty": BigFive(0.5, 0, 0.4, 0, 0),
}  # fmt: skip
"""The traits that may be named, and how much of each factor a trait of 1 is. Which factor a word
belongs to follows Saucier 1994, Mini-Markers (Journal of Personality Assessment 63, 506-516) where
the word is one of its markers; the weights are ours."""

EMPATHY = "empathetic"
"""The trait that says how far others' feelings reach."""


def unknown_trait(names: Iterable[str]) -> str | None:
    """The first name that is no trait; None if all are."""
    return next((name for name in names if name not in TRAITS), None)


def big_five(traits: Mapping[str, float]) -> BigFive:
    """The personality that named traits add up to; a name that is no trait counts for nothing."""
    factors = [0.0] * len(BigFive._fields)
    for name, value in traits.items():
        for place, weight in enumerate(TRAITS.get(name, ())):
            factors[place] += weight * (value - NEUTRAL) / NEUTRAL
    return BigFive(*(min(1.0, max(-1.0, factor)) for factor in factors))


def temperament(personality: BigFive) -> Pad:
    """The baseline of a personality: Mehrabian 1996, a regression on the Big Five.

    P = .21 E + .59 A + .19 S
    A = .15 O + .30 A - .57 S
    D = .25 O + .17 C + .60 E - .32 A
    """
    o, c, e, a, s = personality
    return clamped(
        Pad(
            0.21 * e + 0.59 * a + 0.19 * s,
            0.15 * o + 0.30 * a - 0.57 * s,
            0.25 * o + 0.17 * c + 0.60 * e - 0.32 * a,
        )
    )


def baseline_of(traits: Mapping[str, float]) -> Pad:
    """The feeling that a session with these traits returns to."""
    return temperament(big_five(traits))


def susceptibility(traits: Mapping[str, float]) -> float:
    """How open a session is to others' feelings, 0 to 1: what it has of `empathetic`."""
    return min(1.0, max(0.0, traits.get(EMPATHY, NEUTRAL)))


def expressiveness(traits: Mapping[str, float]) -> float:
    """How much of what a session feels others notice, 0 to 1: its extraversion."""
    return (big_five(traits).extraversion + 1) / 2
