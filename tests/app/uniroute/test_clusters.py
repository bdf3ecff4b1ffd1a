import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.uniroute.clusters import kmeans, memberships
from tests.app.uniroute.worlds import world


def points(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 5))


@given(st.integers(1, 30), st.integers(1, 9), st.integers(0, 99), st.floats(1e-3, 1e3))
def test_memberships_are_shares_that_sum_to_one(
    count: int, clusters: int, seed: int, temperature: float
) -> None:
    shares = memberships(points(count, seed), points(clusters, seed + 1), temperature)
    assert shares.shape == (count, clusters)
    assert (shares >= 0).all()
    assert np.allclose(shares.sum(axis=1), 1)


def test_memberships_follow_squared_distance_over_temperature() -> None:
    [shares] = memberships(np.array([[0.0, 1.0]]), np.array([[0.0, 0.0], [2.0, 1.0]]), 3.0)
    assert shares[1] / shares[0] == pytest.approx(np.exp((1 - 4) / 3))


def test_a_low_temperature_gives_the_nearest_cluster_alone_and_a_high_one_all_alike() -> None:
    some, centres = points(20, 1), points(4, 2)
    nearest = ((some[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    assert np.allclose(memberships(some, centres, 1e-4), np.eye(4)[nearest], atol=1e-3)
    assert np.allclose(memberships(some, centres, 1e6), 0.25, atol=1e-3)


def test_kmeans_finds_the_groups_there_are() -> None:
    prompts, _, group = world(300)
    centres = kmeans(prompts.vectors, 3, 0)
    owner = ((prompts.vectors[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    assert len({(int(a), int(b)) for a, b in zip(owner, group, strict=True)}) == 3


def test_one_cluster_is_the_mean() -> None:
    some = points(40, 3)
    assert np.allclose(kmeans(some, 1, 0), some.mean(axis=0))


def test_the_same_seed_gives_the_same_centres_and_another_need_not() -> None:
    some = points(200, 4)
    assert np.array_equal(kmeans(some, 8, 5), kmeans(some, 8, 5))
    assert not np.array_equal(kmeans(some, 8, 5), kmeans(some, 8, 6))


def test_points_that_are_the_same_give_fewer_clusters() -> None:
    assert len(kmeans(np.repeat(points(2, 5), 10, axis=0), 6, 0)) == 2
