"""What a router is worth: its deferral curve, the quality that is bought for a mean cost, and the
numbers that are read from it.

Jitkrittum et al. 2025, arXiv 2502.08773, section 7, and Hu et al. 2024 (RouterBench), arXiv
2403.12031; docs/router.md says where the two leave room and how it is filled.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
WEIGHTS_PER_DECADE = 16
LEAST_WEIGHT = 1e-3


@dataclass(frozen=True, slots=True)
class Curve:
    """Points that nothing cheaper equals, by rising cost; the dearest model costs 1."""

    costs: Matrix
    qualities: Matrix

    def area(self, low: float) -> float:
        """The mean quality over costs drawn evenly from `low` to 1: lines between the points, level
        beyond the last of them and before the first."""
        if low >= 1:
            return float(self.qualities[-1])
        inner = self.costs[(self.costs > low) & (self.costs < 1)]
        at = np.concatenate([[low], inner, [1.0]])
        values = np.interp(at, self.costs, self.qualities)
        return float(np.trapezoid(values, at)) / (1 - low)

    def cost_of(self, quality: float) -> float | None:
        """The least cost that buys so much quality, or None if none does."""
        reached = np.flatnonzero(self.qualities >= quality)
        if not len(reached):
            return None
        right = int(reached[0])
        if right == 0:
            return float(self.costs[0])
        left = right - 1
        along = (quality - self.qualities[left]) / (self.qualities[right] - self.qualities[left])
        return float(self.costs[left] + along * (self.costs[right] - self.costs[left]))


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one router on one set of prompts. `area` is over costs from the cheapest model's to the
    dearest's, `area_from_zero` from 0, `area_unscaled` the integral of the first, not
    divided by its width. `qnc` is in percent of the best single model's cost, None if its quality
    is not reached. `no_router` is `area` for prompts shared out unseen."""

    area: float
    area_from_zero: float
    area_unscaled: float
    no_router: float
    qnc: float | None
    peak: float
    best_single: float
    best_model: str
    random: float
    oracle: float


def normalised(usd: Matrix) -> Matrix:
    """Costs of which the dearest is 1; all 0 if all are free."""
    dearest = usd.max()
    shares: Matrix = usd / dearest if dearest > 0 else np.zeros(len(usd))
    return shares


def deferral_curve(
    expected: Matrix,
    quality: Matrix,
    costs: Matrix,
    per_decade: int = WEIGHTS_PER_DECADE,
    counts: Matrix | None = None,
) -> Curve:
    """What argmin of expected error + weight * cost buys as the weight goes from 0 to so much that
    the cheapest model answers all. `expected` and `quality` are (prompts, models), `costs`
    (models), of which the dearest is 1. `counts` (prompts) says how often each prompt is asked;
    without it, all alike."""
    order = np.argsort(costs, kind="stable")
    expected, quality, costs = expected[:, order], quality[:, order], costs[order]
    prompts = np.arange(len(quality))
    found = []
    for weight in _weights(costs, per_decade):
        chosen = (expected + weight * costs).argmin(axis=1)
        found.append((
            np.average(costs[chosen], weights=counts),
            np.average(quality[prompts, chosen], weights=counts),
        ))  # fmt: skip
    return _best(np.array(found))


def no_router_curve(means: Matrix, costs: Matrix) -> Curve:
    """What can be bought without a look at the prompt, by sharing them out between models: the
    upper hull of the models' own costs and qualities (RouterBench's Zero router)."""
    hull: list[tuple[float, float]] = []
    best = _best(np.column_stack([costs, means]))
    for cost, quality in zip(best.costs, best.qualities, strict=True):
        while len(hull) > 1 and _rise(hull[-2], hull[-1]) <= _rise(hull[-2], (cost, quality)):
            hull.pop()
        hull.append((float(cost), float(quality)))
    points = np.array(hull)
    return Curve(points[:, 0], points[:, 1])


def figures(expected: Matrix, quality: Matrix, usd: Matrix, models: tuple[str, ...]) -> Figures:
    """All of them for a router that expects these errors, (prompts, models)."""
    costs = normalised(usd)
    curve = deferral_curve(expected, quality, costs)
    means = quality.mean(axis=0)
    best = int(means.argmax())
    low = float(costs.min())
    reached = curve.cost_of(float(means[best]))
    area = curve.area(low)
    return Figures(
        area=area,
        area_from_zero=curve.area(0.0),
        area_unscaled=area * (1 - low),
        no_router=no_router_curve(means, costs).area(low),
        qnc=None if reached is None or not costs[best] else 100 * reached / float(costs[best]),
        peak=float(curve.qualities[-1]),
        best_single=float(means[best]),
        best_model=models[best],
        random=float(means.mean()),
        oracle=float(quality.max(axis=1).mean()),
    )


def _weights(costs: Matrix, per_decade: int) -> Matrix:
    """0, and weights from one that changes nothing to one that leaves the cheapest alone: expected
    errors differ by 1 at most."""
    gaps = np.diff(np.unique(costs))
    if not len(gaps):
        return np.zeros(1)
    most = 1.01 / float(gaps.min())
    steps = int(np.ceil(per_decade * np.log10(most / LEAST_WEIGHT))) + 1
    return np.concatenate([[0.0], np.geomspace(LEAST_WEIGHT, most, max(steps, 2))])


def _best(points: Matrix) -> Curve:
    order = np.lexsort((-points[:, 1], points[:, 0]))
    kept: list[tuple[float, float]] = []
    for cost, quality in points[order]:
        if not kept or quality > kept[-1][1]:
            kept.append((float(cost), float(quality)))
    best = np.array(kept)
    return Curve(best[:, 0], best[:, 1])


def _rise(left: tuple[float, float], right: tuple[float, float]) -> float:
    return (right[1] - left[1]) / (right[0] - left[0])
