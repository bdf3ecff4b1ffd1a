"""Scores a router on scored prompts: one that is learned on a half of them, or a profile."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.uniroute.curve import (
    Curve,
    Figures,
    deferral_curve,
    figures,
    no_router_curve,
    normalised,
)
from app.uniroute.fit import fit
from app.uniroute.profile import Profile
from app.uniroute.prompts import Prompts
from app.uniroute.scored import Scored

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Drawing:
    """What a picture of one run shows: the router's curve, the hull of what can be bought without
    it, and each model's cost and quality. The dearest model costs 1."""

    router: Curve
    hull: Curve
    models: tuple[str, ...]
    costs: tuple[float, ...]
    qualities: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Scoring:
    """Figures of one run. `seed` is None where all prompts of the file were scored."""

    seed: int | None
    prompts: int
    clusters: int
    figures: Figures
    drawing: Drawing


def learned_on_halves(prompts: Prompts, scored: Scored, usd: Matrix, seeds: int) -> list[Scoring]:
    """For each seed: learned on a random half, scored on the other."""
    runs = []
    for seed in range(seeds):
        first, second = _halves(len(scored.texts), seed)
        profile = fit(prompts.rows(first), scored.rows(first), usd, seed=seed)
        runs.append(_scoring(profile, prompts.rows(second), scored.rows(second), usd, seed))
    return runs


def of_profile(
    profile: Profile, prompts: Prompts, scored: Scored, usd: Matrix, seeds: int
) -> list[Scoring]:
    """The profile on all prompts, then for each seed on a random half of them. `scored` has models
    of the profile, not necessarily all."""
    runs = [_scoring(profile, prompts, scored, usd, None)]
    for seed in range(seeds):
        half, _ = _halves(len(scored.texts), seed)
        runs.append(_scoring(profile, prompts.rows(half), scored.rows(half), usd, seed))
    return runs


def _halves(prompts: int, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    order = np.random.default_rng(seed).permutation(prompts)
    return np.sort(order[: prompts // 2]), np.sort(order[prompts // 2 :])


def _scoring(
    profile: Profile, prompts: Prompts, scored: Scored, usd: Matrix, seed: int | None
) -> Scoring:
    columns = [profile.models.index(name) for name in scored.models]
    expected = profile.expected(prompts.points(profile.length_weight))[:, columns]
    found = figures(expected, scored.quality, usd, scored.models)
    drawing = _drawing(expected, scored, usd)
    return Scoring(seed, len(scored.texts), len(profile.centres), found, drawing)


def _drawing(expected: Matrix, scored: Scored, usd: Matrix) -> Drawing:
    costs, means = normalised(usd), scored.quality.mean(axis=0)
    return Drawing(
        deferral_curve(expected, scored.quality, costs), no_router_curve(means, costs),
        scored.models, tuple(costs.tolist()), tuple(means.tolist()),
    )  # fmt: skip
