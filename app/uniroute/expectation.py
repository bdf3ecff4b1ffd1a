"""What a profile expects of itself: the quality that its router would buy for a mean cost, and that
of each model alone. It is reckoned from the profile's own numbers; `evaluate` measures."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.uniroute.curve import deferral_curve, no_router_curve, normalised
from app.uniroute.evaluate import Drawing
from app.uniroute.profile import Profile

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Expected:
    """A model alone. `quality` is 1 less its expected error, `cost` its price in shares of the
    dearest that is drawn, `prompts` how many its errors are known from, ratings included."""

    model: str
    quality: float
    cost: float
    prompts: float
    available: bool


@dataclass(frozen=True, slots=True)
class Expectation:
    """`models` in the order of their names; the drawing has those that are available, or all
    where none is."""

    models: tuple[Expected, ...]
    drawing: Drawing


def expectation(
    profile: Profile, usd: Mapping[str, float], available: Collection[str]
) -> Expectation:
    """What the profile expects of itself at these prices, in any unit. As in a decision, models
    that are not `available` are no rivals of those that are.

    Prompts are taken to lie at the centres of the clusters, as `published` takes them: there they
    are of several clusters, as real ones are. Each cluster's vector by itself would tell too much,
    since the least of a mixture is no less than the mixture of the least.
    """
    rivals = [name for name in profile.models if name in available] or list(profile.models)
    columns = [profile.models.index(name) for name in rivals]
    expected, weights = profile.expected(profile.centres), cluster_weights(profile)
    prices = np.array([usd[name] for name in profile.models], np.float64)
    dearest = float(prices[columns].max())
    qualities = 1 - weights @ expected
    models = tuple(
        Expected(
            name, float(qualities[at]), float(prices[at]) / dearest if dearest > 0 else 0.0,
            float(profile.counts[:, at].sum()), name in available,
        )
        for at, name in enumerate(profile.models)
    )  # fmt: skip
    costs, theirs = normalised(prices[columns]), expected[:, columns]
    drawing = Drawing(
        deferral_curve(theirs, 1 - theirs, costs, counts=weights),
        no_router_curve(qualities[columns], costs),
        tuple(rivals), tuple(costs.tolist()), tuple(qualities[columns].tolist()),
    )  # fmt: skip
    return Expectation(models, drawing)


def cluster_weights(profile: Profile) -> Matrix:
    """The share of prompts that each cluster has, (clusters), which sum to 1.

    Of each model it is the share of its scored prompts, and the mean of that over models. So a
    model that was added with few prompts of its own counts as much as another, and ratings, which
    come only of the clusters that a model is chosen in, move no more than its part. It tells of
    the prompts that were scored and rated: what is asked here may lie otherwise.
    """
    known = profile.counts[:, profile.counts.sum(axis=0) > 0]
    clusters = len(profile.counts)
    if not known.size:
        return np.full(clusters, 1 / clusters)
    weights: Matrix = (known / known.sum(axis=0)).mean(axis=1)
    return weights
