"""Ripples: impulses that fade at a rate of their own, and reach a tenant's other sessions.

A ripple lasts as long as its sender says. It needs no timer: what is left of it is a function of
time alone.

    contribution(t) = intensity · direction · kernel((t - start) / duration)
    kernel(x) = 1 - x from 0 up to 1, and 0 outside

So half of it is left after half of its duration, and nothing at the end. It is added to the
session's feeling beside the deviation, which fades exponentially.
"""

from collections.abc import Mapping
from typing import NamedTuple

from app.emotion.directions import DIRECTIONS
from app.emotion.impulse import contagion_strength
from app.emotion.state import Pad, scaled
from app.emotion.traits import expressiveness, susceptibility

RIPPLE_KIND = "emotion.ripple"
"""The kind of job that sends a ripple."""

ACTIVE_S = 900.0
"""How long after its last turn, or ripple of its own, a session counts as active."""

NEIGHBOURS = 0.5
"""The strength of the channel between two sessions of a tenant."""

DURATION_MAX_S = 86_400.0

RIPPLES_MAX = 256
"""Ripples that a session may have at once."""


class Ripple(NamedTuple):
    """A ripple on one session: `vector` at its start, which is in unix seconds, and how long it
    lasts, in seconds."""

    vector: Pad
    start: float
    duration: float

    @property
    def end(self) -> float:
        return self.start + self.duration


def kernel(part: float) -> float:
    """How much of a ripple is left when this part of its duration has passed, 0 to 1."""
    return 1.0 - part if 0.0 <= part < 1.0 else 0.0


def contribution(ripple: Ripple, at: float) -> Pad:
    """What a ripple adds to a feeling at a time. One read a moment before its start is whole."""
    return scaled(ripple.vector, kernel(max(0.0, at - ripple.start) / ripple.duration))


def vector_of(emotion: str, intensity: float) -> Pad:
    """A ripple's impulse at its start; `emotion` is a name of DIRECTIONS."""
    return scaled(DIRECTIONS[emotion], intensity)


def caught(sender: Mapping[str, float], receiver: Mapping[str, float]) -> float:
    """The share of a ripple's intensity that another session catches, by the traits of both: Bosse
    et al. 2009, as in `app/emotion/impulse.py`. What was caught is not passed on."""
    return contagion_strength(expressiveness(sender), NEIGHBOURS, susceptibility(receiver))
