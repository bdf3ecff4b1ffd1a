"""Clusters of prompts: K-means, and how much of each a prompt is."""

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Single = NDArray[np.float32]
ROUNDS = 25
STARTS = 3


def kmeans(points: Matrix, clusters: int, seed: int, starts: int = STARTS) -> Matrix:
    """Centres of at most `clusters` clusters, (clusters, dimensions): Lloyd's rounds from k-means++
    seeds (Arthur and Vassilvitskii 2007), the tightest of so many starts. Points that are fewer, or
    the same, give fewer. The same points and seed give the same centres.
    """
    if clusters == 1:
        middle: Matrix = points.mean(axis=0, keepdims=True)
        return middle
    random = np.random.default_rng(seed)
    # Half the digits are twice the speed, and more than enough to tell clusters.
    single = points.astype(np.float32)
    found = [_lloyd(single, _seeds(single, clusters, random)) for _ in range(starts)]
    return min(found, key=lambda one: one[1])[0].astype(np.float64)


def memberships(points: Matrix, centres: Matrix, temperature: float) -> Matrix:
    """How much of each cluster each point is, (points, clusters), rows that sum to 1: in proportion
    to exp(-squared distance / temperature)."""
    # A point's own size is the same for all its clusters, and falls away.
    near = (2 * (points @ centres.T) - (centres * centres).sum(axis=1)) / temperature
    near -= near.max(axis=1, keepdims=True)
    shares: Matrix = np.exp(near)
    shares /= shares.sum(axis=1, keepdims=True)
    return shares


def _squares(points: Single, centres: Single) -> Single:
    """Squared distances, (points, clusters)."""
    sizes = (points * points).sum(axis=1)[:, None] + (centres * centres).sum(axis=1)
    distances: Single = np.maximum(sizes - 2 * (points @ centres.T), 0)
    return distances


def _seeds(points: Single, clusters: int, random: np.random.Generator) -> Single:
    chosen = [points[random.integers(len(points))]]
    nearest = ((points - chosen[0]) ** 2).sum(axis=1).astype(np.float64)
    while len(chosen) < clusters and nearest.sum() > 0:
        chosen.append(points[random.choice(len(points), p=nearest / nearest.sum())])
        nearest = np.minimum(nearest, ((points - chosen[-1]) ** 2).sum(axis=1))
    return np.array(chosen)


def _lloyd(points: Single, centres: Single) -> tuple[Single, float]:
    """The centres after some rounds, and the sum of squared distances to them."""
    for _ in range(ROUNDS):
        owner = _squares(points, centres).argmin(axis=1)
        members = np.eye(len(centres), dtype=np.float32)[owner]
        counts = members.sum(axis=0)
        means = members.T @ points / np.maximum(counts, 1)[:, None]
        moved = np.where(counts[:, None] > 0, means, centres)
        if np.allclose(moved, centres, atol=1e-6):
            break
        centres = moved
    return centres, float(_squares(points, centres).min(axis=1).sum())
