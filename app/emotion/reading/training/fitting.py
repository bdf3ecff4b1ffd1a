"""Lines and thresholds that make calibrated probabilities of what a network gave."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.emotion.reading.calibration import Calibration, Class, Line, any_of
from app.emotion.reading.datasets import Named, Rated
from app.emotion.reading.model import AXES, EKMAN, LABELS

Numbers = NDArray[np.float64]
STEPS = 50
CLOSE = 1e-9
RIDGE = 1e-6


def fitted(
    axes: Numbers, rated: Sequence[Rated], scores: Numbers, named: Sequence[Named]
) -> Calibration:
    """The calibration for `axes`, (texts, 3), given for the texts `rated`, and for the log-odds
    `scores`, (texts, 28), given for `named`."""
    wanted = np.array([row.axes for row in rated])
    lines = {name: least_squares(axes[:, i], wanted[:, i]) for i, name in enumerate(AXES)}
    labels, probabilities = {}, {}
    for place, name in enumerate(LABELS):
        there = np.array([name in row.labels for row in named])
        labels[name], probabilities[name] = _class(scores[:, place], there)
    ekman = {}
    for name, members in EKMAN.items():
        rows = np.stack([probabilities[member] for member in members], axis=1).tolist()
        there = np.array([bool(row.labels & {*members}) for row in named])
        ekman[name], _ = _class(np.array([any_of(row) for row in rows]), there)
    return Calibration(lines, labels, ekman)


def _class(scores: Numbers, there: NDArray[np.bool_]) -> tuple[Class, Numbers]:
    line = platt(scores, there)
    found = _logistic(line.slope * scores + line.offset)
    return Class(line, threshold(found)), found


def least_squares(given: Numbers, wanted: Numbers) -> Line:
    """The line through `given` that is nearest to `wanted`."""
    slope, offset = np.polyfit(given, wanted, 1)
    return Line(float(slope), float(offset))


def platt(scores: Numbers, there: NDArray[np.bool_]) -> Line:
    """Platt's line, with his targets, which a few texts do not drive to 0 or 1; by Newton's method
    (Lin, Lin and Weng 2007, A note on Platt's probabilistic outputs)."""
    many, few = int((~there).sum()), int(there.sum())
    targets = np.where(there, (few + 1) / (few + 2), 1 / (many + 2))
    design = np.stack([scores, np.ones_like(scores)], axis=1)
    found = np.array([1.0, 0.0])
    for _ in range(STEPS):
        given = _logistic(design @ found)
        slopes = design.T @ (given - targets)
        curves = (design * (given * (1 - given))[:, None]).T @ design + RIDGE * np.eye(2)
        change = np.linalg.solve(curves, slopes)
        found -= change
        if np.abs(change).max() < CLOSE:
            break
    return Line(float(found[0]), float(found[1]))


def _logistic(x: Numbers) -> Numbers:
    # As a tangent it overflows for no number.
    return np.asarray((1 + np.tanh(x / 2)) / 2)


def threshold(probabilities: Numbers) -> float:
    """The probability from which on to take a class so that the F1 to be expected is highest, if
    the probabilities hold. The texts' own labels are not asked: of a rare class they are too few.

    Of n texts taken, with sum s of probabilities out of a sum S in all, the F1 to be expected is
    about 2s / (n + S) (Lipton et al. 2014, Optimal Thresholding of Classifiers to Maximize F1
    Measure, https://arxiv.org/abs/1402.1892).
    """
    order = np.sort(probabilities)[::-1]
    sums = np.cumsum(order)
    expected = 2 * sums / (np.arange(1, len(order) + 1) + sums[-1])
    return float(order[int(expected.argmax())])
