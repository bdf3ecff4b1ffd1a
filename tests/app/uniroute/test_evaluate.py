import numpy as np
import pytest

from app.uniroute.evaluate import _halves, learned_on_halves, of_profile
from app.uniroute.fit import Choice, fit
from tests.app.uniroute.worlds import MODELS, USD, world


@pytest.mark.parametrize("prompts", [4, 41])
def test_no_prompt_is_in_both_halves_and_none_is_lost(prompts: int) -> None:
    first, second = _halves(prompts, 3)
    assert len(first) == prompts // 2
    assert sorted([*first, *second]) == list(range(prompts))


def test_what_is_learned_on_one_half_is_scored_on_the_other() -> None:
    prompts, scored, _ = world(41)
    for run in learned_on_halves(prompts, scored, USD, 3):
        _, other = _halves(41, run.seed or 0)
        means = scored.quality[other].mean(axis=0)
        assert run.prompts == 21
        assert run.figures.best_single == pytest.approx(means.max())
        assert run.figures.best_model == MODELS[int(means.argmax())]


def test_in_every_seed_the_router_is_above_none_where_prompts_tell() -> None:
    prompts, scored, _ = world(600)
    for run in learned_on_halves(prompts, scored, USD, 3):
        assert run.figures.area > run.figures.no_router + 0.05


def test_a_profile_is_scored_on_the_models_that_the_file_has() -> None:
    prompts, scored, _ = world(200)
    profile = fit(prompts, scored, USD, choice=Choice(3, 0.05, 1.0, 0.0))
    some = type(scored)(scored.texts, ("cheap", "verse"), scored.quality[:, [1, 3]])
    whole, *halves = of_profile(profile, prompts, some, np.array([1.0, 2.0]), 2)
    assert (whole.seed, whole.prompts, whole.clusters) == (None, 200, 3)
    assert [run.prompts for run in halves] == [100, 100]
    assert whole.figures.best_model in ("cheap", "verse")
    assert whole.figures.oracle == pytest.approx(some.quality.max(axis=1).mean())
