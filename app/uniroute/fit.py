"""Learns a profile from scored prompts: UniRoute by K-means.

Jitkrittum et al. 2025, Universal Model Routing for Efficient LLM Inference, arXiv 2502.08773,
section 5.1: cluster the prompts, and let each model be the vector of its errors in the clusters.
Hard clusters and raw means, as there, need many prompts: with 500 in 100 clusters they are worse
than no router. So a prompt is partly of several clusters, each error is drawn to the model's mean
as by a Beta prior, and cross-validation chooses how much of all this, no clusters included.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from app.uniroute.clusters import kmeans, memberships
from app.uniroute.curve import deferral_curve, normalised
from app.uniroute.profile import Profile, make
from app.uniroute.prompts import TOKENS, Prompts
from app.uniroute.scored import Scored

Matrix = NDArray[np.float64]
CLUSTERS = (1, 2, 4, 8, 16, 32, 64, 128)
TEMPERATURES = (0.02, 0.04, 0.08)
SHRINKAGES = (1.0, 4.0, 16.0, 64.0)
LENGTH_WEIGHTS = (0.0, 0.15, 0.3)
FOLDS = 5
PROMPTS_PER_CLUSTER = 25
"""Fewer tell too little of any model; it bounds what is tried."""

SURE = 3.0
"""Standard errors by which clusters must beat none: the best of hundreds of choices beats it by one
where prompts tell nothing at all."""

PER_DECADE = 6


@dataclass(frozen=True, slots=True)
class Choice:
    """What cross-validation chose. Distances that `temperature` divides are squared; `shrinkage` is
    in prompts."""

    clusters: int
    temperature: float
    shrinkage: float
    length_weight: float


NONE = Choice(1, TEMPERATURES[0], SHRINKAGES[0], 0.0)


def fit(
    prompts: Prompts,
    scored: Scored,
    usd: Matrix,
    *,
    seed: int = 0,
    choice: Choice | None = None,
    tokens: int = TOKENS,
    origin: Mapping[str, str] | None = None,
) -> Profile:
    """The profile of these models, by cross-validation unless a choice is given. `usd` is what each
    costs, (models). The same input and seed give the same profile."""
    chosen = choice or choose(prompts, scored, usd, seed)
    points = prompts.points(chosen.length_weight)
    centres = kmeans(points, chosen.clusters, seed)
    shares = memberships(points, centres, chosen.temperature)
    wrong = scored.wrong
    counts = np.repeat(shares.sum(axis=0)[:, None], len(scored.models), axis=1)
    return make(
        scored.models, centres, (counts, shares.T @ wrong), wrong.mean(axis=0), usd,
        temperature=chosen.temperature, shrinkage=chosen.shrinkage,
        length_weight=chosen.length_weight, tokens=tokens, origin=origin or {},
    )  # fmt: skip


def choose(prompts: Prompts, scored: Scored, usd: Matrix, seed: int = 0) -> Choice:
    """The choice with the largest mean area over `FOLDS` held-out folds; then, of those that are no
    further from it than one standard error of the difference, the one with the fewest clusters
    (Breiman et al. 1984, section 3.4.3), and the best of these. One cluster, which is no router,
    stands unless it is beaten by `SURE` standard errors."""
    areas = _areas(prompts, scored, usd, seed)
    best = max(areas, key=lambda one: (areas[one].mean(), -one.clusters))
    within = []
    for one, found in areas.items():
        short = areas[best] - found
        bound = SURE if one == NONE else 1.0
        if one == best or short.mean() <= bound * short.std(ddof=1) / np.sqrt(len(short)):
            within.append(one)
    fewest = min(one.clusters for one in within)
    simple = [one for one in within if one.clusters == fewest]
    return max(simple, key=lambda one: float(areas[one].mean()))


def _areas(prompts: Prompts, scored: Scored, usd: Matrix, seed: int) -> dict[Choice, Matrix]:
    """The area of every choice in every fold."""
    costs = normalised(usd)
    fold = np.random.default_rng(seed).permutation(len(scored.texts)) % FOLDS
    found: dict[Choice, list[float]] = {}
    for held in range(FOLDS):
        kept, out = np.flatnonzero(fold != held), np.flatnonzero(fold == held)
        if not len(kept) or not len(out):
            continue
        for choice, expected in _tried(prompts.rows(kept), prompts.rows(out), scored.rows(kept)):
            curve = deferral_curve(expected, scored.quality[out], costs, PER_DECADE)
            found.setdefault(choice, []).append(curve.area(float(costs.min())))
    whole = max(map(len, found.values()), default=0)
    tried = {choice: np.array(areas) for choice, areas in found.items() if len(areas) == whole}
    return tried or {NONE: np.zeros(1)}


def _tried(kept: Prompts, out: Prompts, scored: Scored) -> Iterator[tuple[Choice, Matrix]]:
    """Every choice, and what it expects of the prompts that are held out."""
    wrong = scored.wrong
    means = wrong.mean(axis=0)
    most = max(1, len(wrong) // PROMPTS_PER_CLUSTER)
    yield NONE, np.tile(means, (len(out.lengths), 1))
    for clusters, length_weight in product(CLUSTERS[1:], LENGTH_WEIGHTS):
        if clusters > most:
            continue
        points, others = kept.points(length_weight), out.points(length_weight)
        centres = kmeans(points, clusters, 0, starts=1)
        for temperature in TEMPERATURES:
            shares = memberships(points, centres, temperature)
            errors, counts = shares.T @ wrong, shares.sum(axis=0)[:, None]
            theirs = memberships(others, centres, temperature)
            for shrinkage in SHRINKAGES:
                vectors = (errors + shrinkage * means) / (counts + shrinkage)
                yield Choice(clusters, temperature, shrinkage, length_weight), theirs @ vectors
