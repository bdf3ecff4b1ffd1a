import math
import time
from statistics import median

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.embedding.minilm import Embedder
from app.errors import InvalidRequest
from app.uniroute.decide import Router
from app.uniroute.fit import Choice, fit
from app.uniroute.profile import default_profile
from app.uniroute.prompts import read_prompts
from app.uniroute.scored import Scored

CODE = [f"Write a Python function that sorts a list of {n} numbers." for n in range(12)]
VERSE = [f"Write a poem about {n} nights under the moon." for n in range(12)]
MODELS = ("cheap", "coder", "poet")
USD = np.array([1.0, 10.0, 4.0])


@pytest.fixture(scope="module")
def router(embedder: Embedder) -> Router:
    texts = (*CODE, *VERSE)
    right = np.array([[0.0, 1.0, 0.0]] * 12 + [[0.0, 0.0, 1.0]] * 12)
    right[::2, 0] = 1.0
    prompts = read_prompts(embedder, texts)
    choice = Choice(2, 0.05, 1.0, 0.0)
    return Router(fit(prompts, Scored(texts, MODELS, right), USD, choice=choice), embedder)


def test_a_prompt_goes_to_the_model_that_errs_least_on_its_like(router: Router) -> None:
    assert router.decide("Please write Python code that reverses a list.").model == "coder"
    assert router.decide("A short poem about the moon, please.").model == "poet"


def test_a_decision_tells_all_it_weighed(router: Router) -> None:
    made = router.decide("A short poem about the moon, please.", cost_weight=0.2)
    assert made.scores[0].model == made.model == "poet"
    assert {one.model for one in made.scores} == set(MODELS)
    assert [one.score for one in made.scores] == sorted(one.score for one in made.scores)
    for one in made.scores:
        assert one.score == pytest.approx(one.expected_error + 0.2 * one.cost)
    assert {one.model: one.cost for one in made.scores} == {"cheap": 0.1, "coder": 1, "poet": 0.4}
    assert sum(made.clusters) == pytest.approx(1)
    assert made.cluster_id is not None
    assert made.clusters[made.cluster_id] == max(made.clusters)
    assert (made.expected_error, made.cost_adjusted_score) == (
        made.scores[0].expected_error,
        made.scores[0].score,
    )
    assert made.profile == router.profile.version
    assert f"cluster {made.cluster_id}" in made.reasoning
    assert "poet" in made.reasoning


def test_a_huge_weight_chooses_the_cheapest_and_says_what_that_forgoes(router: Router) -> None:
    made = router.decide(CODE[0], cost_weight=1e6)
    assert made.model == "cheap"
    assert "coder would on" in made.reasoning


@given(weight=st.floats(0, 100), other=st.floats(0, 100))
def test_a_higher_weight_never_chooses_a_dearer_model(
    router: Router, weight: float, other: float
) -> None:
    low, high = sorted((weight, other))
    less, more = (router.decide(CODE[3], cost_weight=w).scores[0].cost for w in (low, high))
    assert more <= less


def test_costs_are_shares_of_the_dearest_candidate(router: Router) -> None:
    made = router.decide(CODE[0], models=["poet", "cheap"])
    assert {one.model: one.cost for one in made.scores} == {"poet": 1.0, "cheap": 0.25}


def test_what_is_not_available_is_judged_and_chosen_only_without_another(router: Router) -> None:
    prompt, weight = "A short poem about the moon, please.", 0.2
    without = router.decide(prompt, models=["cheap", "coder"], cost_weight=weight)
    made = router.decide(prompt, unavailable=["poet"], usd={"poet": 30.0}, cost_weight=weight)
    assert made.scores[:2] == without.scores
    last = made.scores[2]
    assert (last.model, last.available, last.cost) == ("poet", False, 3.0)
    assert last.expected_error < made.expected_error
    assert made.reasoning == f"{without.reasoning}; not available here: poet"
    none = router.decide(prompt, unavailable=MODELS, cost_weight=weight)
    whole = router.decide(prompt, cost_weight=weight)
    assert (none.model, none.expected_error) == (whole.model, whole.expected_error)
    assert [one.available for one in none.scores] == [False] * 3


def test_prices_that_are_given_stand_over_those_of_the_profile(router: Router) -> None:
    made = router.decide(VERSE[0], usd={"cheap": 100.0, "coder": 0.0}, cost_weight=1e6)
    assert made.model == "coder"
    free = router.decide(VERSE[0], usd=dict.fromkeys(MODELS, 0.0), cost_weight=5)
    assert {one.cost for one in free.scores} == {0.0}


def test_of_equals_the_cheaper_is_chosen_whatever_the_order(embedder: Embedder) -> None:
    prompts = read_prompts(embedder, CODE)
    alike = Scored(tuple(CODE), ("a", "b", "c"), np.ones((12, 3)))
    even = Router(fit(prompts, alike, np.array([3.0, 2.0, 2.0])), embedder)
    assert even.decide("x").model == "b"
    assert even.decide("x", models=["c", "b", "a"]) == even.decide("x", models=["a", "b", "c"])


@pytest.mark.parametrize("weight", [-0.1, math.nan, math.inf])
def test_a_wrong_weight_is_refused(router: Router, weight: float) -> None:
    with pytest.raises(InvalidRequest) as refused:
        router.decide("x", cost_weight=weight)
    assert refused.value.param == "cost_weight"


@pytest.mark.parametrize("models", [["poet", "nobody"], []])
def test_models_without_a_profile_are_refused(router: Router, models: list[str]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        router.decide("x", models=models)
    assert refused.value.param == "models"


def test_a_prompt_that_comes_again_is_decided_in_a_tenth_of_a_millisecond(
    embedder: Embedder,
) -> None:
    router = Router(default_profile(), embedder)
    text = "Write a haiku about programming. " * 500
    router.decide(text)
    spent = []
    for _ in range(100):
        begun = time.process_time_ns()
        router.decide(text, cost_weight=0.3)
        spent.append(time.process_time_ns() - begun)
    assert median(spent) < 100_000


def test_prompts_with_the_same_ends_and_another_length_are_not_taken_for_each_other(
    embedder: Embedder,
) -> None:
    middle = "the moon " * 1000
    texts = [f"{CODE[0]} {middle * times} {CODE[1]}" for times in (1, 40)]
    prompts = read_prompts(embedder, texts * 15)
    scored = Scored(
        tuple(texts * 15), ("long", "short"), np.tile([[0.0, 1.0], [1.0, 0.0]], (15, 1))
    )
    sees = Router(fit(prompts, scored, np.ones(2), choice=Choice(2, 0.05, 0.1, 1.0)), embedder)
    assert [sees.decide(text).model for text in texts] == ["short", "long"]


def test_a_prompt_that_was_asked_before_needs_no_vector(router: Router) -> None:
    first, again, other = (router.decide(text) for text in ("A new one.", "A new one.", "Another."))
    assert [one.cached for one in (first, again, other)] == [False, True, False]
    assert first.scores == again.scores


def test_a_prompt_that_cannot_be_read_is_decided_by_the_means(router: Router) -> None:
    made = router.decide_unread(cost_weight=1e6)
    assert made.model == "cheap"
    assert (made.cluster_id, made.clusters) == (None, ())
    means = dict(zip(router.profile.models, router.profile.means.tolist(), strict=True))
    assert {one.model: one.expected_error for one in made.scores} == means
    assert "could not be read" in made.reasoning
