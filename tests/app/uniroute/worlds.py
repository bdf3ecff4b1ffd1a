"""Small worlds of prompts: groups of points, and models that are good at some of the groups."""

import numpy as np
from numpy.typing import NDArray

from app.uniroute.profile import Profile, make
from app.uniroute.prompts import Prompts
from app.uniroute.scored import Scored

MODELS = ("any", "cheap", "code", "verse")
USD = np.array([4.0, 1.0, 8.0, 2.0])
RIGHT = np.array([[0.7, 0.5, 0.95, 0.3], [0.7, 0.5, 0.2, 0.9], [0.7, 0.6, 0.4, 0.4]])
"""How often each model is right in each group of prompts."""


def world(prompts: int, seed: int = 0) -> tuple[Prompts, Scored, NDArray[np.intp]]:
    """Prompts in three groups, how they were answered, and the group of each."""
    random = np.random.default_rng(seed)
    middles = np.eye(3, 384)
    group = random.integers(0, 3, prompts)
    vectors = middles[group] + random.normal(0, 0.01, (prompts, 384))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    quality = (random.random((prompts, len(MODELS))) < RIGHT[group]).astype(np.float64)
    texts = tuple(f"prompt {number:05d}" for number in range(prompts))
    return Prompts(vectors, np.full(prompts, 2.0)), Scored(texts, MODELS, quality), group


def by_hand(counts: NDArray[np.float64], wrong: NDArray[np.float64], *models: str) -> Profile:
    """A profile of clusters that share nothing, (clusters, models): how many prompts there were and
    the shares of them that failed."""
    errors = counts * wrong
    means = errors.sum(axis=0) / np.maximum(counts.sum(axis=0), 1)
    return make(
        models, np.eye(len(counts), 385), (counts, errors), means, np.ones(len(models)),
        temperature=0.01, shrinkage=1e-6, length_weight=0.0, tokens=14, origin={},
    )  # fmt: skip
