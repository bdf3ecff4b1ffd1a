import numpy as np
import pytest

from app.uniroute.curve import figures
from app.uniroute.fit import NONE, Choice, choose, fit
from app.uniroute.prompts import Prompts
from app.uniroute.scored import Scored
from tests.app.uniroute.worlds import MODELS, RIGHT, USD, world


def test_one_cluster_expects_each_models_mean() -> None:
    prompts, scored, _ = world(200)
    for shrinkage in (0.5, 7.0):
        profile = fit(prompts, scored, USD, choice=Choice(1, 0.1, shrinkage, 0.3))
        expected = profile.expected(prompts.points(0.3))
        assert np.allclose(expected, scored.wrong.mean(axis=0), atol=1e-5)


def test_hardly_any_shrinkage_gives_raw_means_and_much_of_it_the_models_own() -> None:
    prompts, scored, group = world(400)
    raw = fit(prompts, scored, USD, choice=Choice(3, 1e-3, 1e-5, 0.0)).error_vectors
    means = np.array([scored.wrong[group == one].mean(axis=0) for one in range(3)])
    for row in raw:
        assert np.abs(means - row).max(axis=1).min() < 1e-4
    drawn = fit(prompts, scored, USD, choice=Choice(3, 1e-3, 1e7, 0.0)).error_vectors
    assert np.allclose(drawn, scored.wrong.mean(axis=0), atol=1e-3)


def test_an_error_is_the_mean_of_a_beta_posterior() -> None:
    prompts, scored, group = world(90)
    vectors = fit(prompts, scored, USD, choice=Choice(3, 1e-3, 6.0, 0.0)).error_vectors
    mean = scored.wrong.mean(axis=0)
    for one in range(3):
        failed = scored.wrong[group == one]
        wanted = (failed.sum(axis=0) + 6 * mean) / (len(failed) + 6)
        assert np.abs(vectors - wanted).max(axis=1).min() < 1e-4


def test_cross_validation_finds_the_groups_and_the_router_gains_by_them() -> None:
    prompts, scored, _ = world(600)
    choice = choose(prompts, scored, USD)
    assert 3 <= choice.clusters <= 8
    profile = fit(prompts, scored, USD, choice=choice)
    others, truth, _ = world(600, seed=1)
    expected = profile.expected(others.points(choice.length_weight))
    found = figures(expected, truth.quality, USD, MODELS)
    assert found.area > found.no_router + 0.05
    assert found.peak > RIGHT.mean(axis=0).max() + 0.05


def test_cross_validation_clusters_nothing_where_prompts_tell_nothing() -> None:
    told = []
    for seed in (1, 2, 3):
        prompts, scored, _ = world(300, seed)
        shuffled = np.random.default_rng(seed).permutation(300)
        noise = Scored(scored.texts, MODELS, scored.quality[shuffled])
        told.append(choose(prompts, noise, USD).clusters)
    assert told == [1, 1, 1]


@pytest.mark.parametrize("count", [1, 2, 5, 24])
def test_few_prompts_make_one_cluster(count: int) -> None:
    prompts, scored, _ = world(count)
    assert choose(prompts, scored, USD) == NONE
    assert len(fit(prompts, scored, USD).centres) == 1


def test_length_counts_where_it_tells_and_as_much_as_it_is_weighed() -> None:
    random = np.random.default_rng(0)
    long = random.random(600) < 0.5
    vectors = random.normal(size=(600, 384)) * 0.01 + np.eye(1, 384)
    right = np.where(long[:, None], [[0.9, 0.2]], [[0.2, 0.9]])
    quality = (random.random((600, 2)) < right).astype(np.float64)
    scored = Scored(tuple(map(str, range(600))), ("a", "b"), quality)
    prompts = Prompts(vectors, np.where(long, 8.0, 3.0))
    choice = choose(prompts, scored, np.ones(2))
    assert choice.length_weight > 0
    assert choice.clusters >= 2


def test_the_same_input_and_seed_give_the_same_profile() -> None:
    prompts, scored, _ = world(300)
    one, other = (fit(prompts, scored, USD, seed=4) for _ in range(2))
    assert one.version == other.version


def test_the_order_of_models_changes_nothing() -> None:
    prompts, scored, _ = world(200)
    order = [3, 1, 0, 2]
    moved = Scored(scored.texts, tuple(MODELS[i] for i in order), scored.quality[:, order])
    choice = Choice(3, 0.05, 2.0, 0.0)
    one = fit(prompts, scored, USD, choice=choice)
    other = fit(prompts, moved, USD[order], choice=choice)
    assert one.models == other.models == tuple(sorted(MODELS))
    assert one.version == other.version
