"""From what the network gives to probabilities that hold, and what counts as found.

A probability is Platt's (1999, Probabilistic outputs for support vector machines): the logistic of
a line through the log-odds that the network gives. The log-odds of one of Ekman's classes are
first those of any of its labels being there, were they independent.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.emotion.reading.model import AXES, EKMAN, LABELS, NEUTRAL, Reading

LEAST = 1e-9
"""A probability is this far from 0 and 1 at least, so that its odds are finite."""


@dataclass(frozen=True, slots=True)
class Line:
    """A slope and an offset."""

    slope: float
    offset: float

    def at(self, x: float) -> float:
        return self.slope * x + self.offset


@dataclass(frozen=True, slots=True)
class Class:
    """What makes a probability of log-odds, and from which probability on the class is found."""

    line: Line
    threshold: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """The lines and thresholds of all axes and classes, each by its name."""

    axes: Mapping[str, Line]
    labels: Mapping[str, Class]
    ekman: Mapping[str, Class]

    def reading(self, row: Sequence[float]) -> Reading:
        """The reading of what the network gave for one text, in the order of `shipped.WIDTH`."""
        axes = {
            name: min(1.0, max(-1.0, self.axes[name].at(x)))
            for name, x in zip(AXES, row, strict=False)
        }
        given = zip(LABELS, row[len(AXES) :], strict=True)
        labels = {name: logistic(self.labels[name].line.at(x)) for name, x in given}
        ekman = {
            name: logistic(self.ekman[name].line.at(any_of(labels[member] for member in members)))
            for name, members in EKMAN.items()
        }
        found = passing(labels, self.labels)
        primary = max(found, key=labels.__getitem__)
        return Reading(
            **axes, labels=labels, ekman=ekman, primary=primary, confidence=labels[primary]
        )


def passing(probabilities: Mapping[str, float], classes: Mapping[str, Class]) -> frozenset[str]:
    """The classes that pass their threshold; neutral, if none does."""
    found = {name for name, p in probabilities.items() if p >= classes[name].threshold}
    return frozenset(found or {NEUTRAL})


def any_of(probabilities: Iterable[float]) -> float:
    """The log-odds that one of independent events happens, or several."""
    none = math.prod(1 - min(1 - LEAST, max(LEAST, p)) for p in probabilities)
    return math.log((1 - none) / none)


def logistic(x: float) -> float:
    """The probability whose log-odds are `x`."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def from_json(data: Mapping[str, Any]) -> Calibration:
    """A calibration as `as_json` wrote it."""
    return Calibration(
        {name: Line(*line) for name, line in data["axes"].items()},
        *(
            {
                name: Class(Line(slope, offset), at)
                for name, (slope, offset, at) in data[kind].items()
            }
            for kind in ("labels", "ekman")
        ),
    )


def as_json(calibration: Calibration) -> dict[str, Any]:
    """For each axis slope and offset; for each class slope, offset and threshold."""

    def numbers(known: Class) -> list[float]:
        return [round(x, 5) for x in (known.line.slope, known.line.offset, known.threshold)]

    return {
        "axes": {
            name: [round(line.slope, 5), round(line.offset, 5)]
            for name, line in calibration.axes.items()
        },
        "labels": {name: numbers(known) for name, known in calibration.labels.items()},
        "ekman": {name: numbers(known) for name, known in calibration.ekman.items()},
    }
