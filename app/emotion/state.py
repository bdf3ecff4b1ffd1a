"""A session's feeling, and how it returns to its baseline.

A feeling is a point in the space of Mehrabian and Russell (1974): pleasure, arousal, dominance. It
is a baseline plus a deviation. The deviation fades exponentially, as valence and arousal do in
people who read and write online (Garcia, Kappas, Küster and Schweitzer 2016, The Dynamics of
Emotions in Online Interaction, https://doi.org/10.1098/rsos.160059; Pellert, Schweighofer and
Garcia 2020, The Individual Dynamics of Affective Expression on Social Media,
https://doi.org/10.1140/epjds/s13688-019-0219-3):

    d(t) = d(0) · 2^(-t / half-life)

Impulses are added to the deviation, which is linear and has no bound of its own; the sum is cut to
-1..1 only when it is read. So fading for s and then for t is fading for s + t, impulses of one
moment may come in any order, and no path leads out of the bounds.
"""

from collections.abc import Iterable
from math import sqrt
from typing import NamedTuple


class Pad(NamedTuple):
    """A feeling, or a change of one. A feeling that is shown has each axis in -1..1: from bad to
    good, from calm to excited, from controlled to in control."""

    valence: float
    arousal: float
    dominance: float


REST = Pad(0.0, 0.0, 0.0)
"""The middle of all three axes; also the change that changes nothing."""


def total(parts: Iterable[Pad]) -> Pad:
    """The sum of feelings and changes, axis by axis."""
    valence = arousal = dominance = 0.0
    for part in parts:
        valence += part[0]
        arousal += part[1]
        dominance += part[2]
    return Pad(valence, arousal, dominance)


def scaled(pad: Pad, factor: float) -> Pad:
    """Each axis times `factor`."""
    return Pad(pad[0] * factor, pad[1] * factor, pad[2] * factor)


def length(pad: Pad) -> float:
    """The Euclidean length, 0 or more."""
    return sqrt(pad[0] * pad[0] + pad[1] * pad[1] + pad[2] * pad[2])


def bounded(pad: Pad, most: float) -> Pad:
    """The same direction, with a length of `most` at most."""
    size = length(pad)
    return pad if size <= most else scaled(pad, most / size)


def clamped(pad: Pad) -> Pad:
    """Each axis cut to -1..1."""
    return Pad(*(min(1.0, max(-1.0, axis)) for axis in pad))


def faded(deviation: Pad, seconds: float, half_life: float) -> Pad:
    """What is left of a deviation after `seconds`. A time before its own counts as none."""
    return scaled(deviation, 2.0 ** (-max(0.0, seconds) / half_life))


def shown(baseline: Pad, *parts: Pad) -> Pad:
    """The feeling that a baseline and what moves it give together, in bounds."""
    return clamped(total((baseline, *parts)))
