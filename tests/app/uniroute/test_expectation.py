"""What a profile expects of itself."""

import numpy as np
import pytest

from app.uniroute.expectation import cluster_weights, expectation
from app.uniroute.fit import Choice, fit
from tests.app.uniroute.worlds import MODELS, USD, by_hand, world

COUNTS = np.array([[30.0, 30.0, 30.0], [10.0, 10.0, 10.0]])
WRONG = np.array([[0.1, 0.5, 0.2], [0.5, 0.4, 0.2]])
HAND = by_hand(COUNTS, WRONG, "a", "b", "c")
USD_OF = {"a": 10.0, "b": 1.0, "c": 20.0}


def test_clusters_count_as_often_as_prompts_were_of_them() -> None:
    found = expectation(HAND, USD_OF, {"a", "b"})
    assert [(one.model, one.prompts) for one in found.models] == [("a", 40), ("b", 40), ("c", 40)]
    assert [one.quality for one in found.models] == pytest.approx([0.8, 0.525, 0.8], abs=1e-6)
    # The dear one where it errs less, which is in three prompts of four.
    assert found.drawing.router.costs.tolist() == pytest.approx([0.1, 0.75 + 0.25 * 0.1])
    assert found.drawing.router.qualities.tolist() == pytest.approx([0.525, 0.825], abs=1e-6)
    assert found.drawing.hull.costs.tolist() == pytest.approx([0.1, 1.0])


def test_what_is_not_available_is_no_rival_unless_nothing_is() -> None:
    some = expectation(HAND, USD_OF, {"a", "b"})
    assert some.drawing.models == ("a", "b")
    assert [(one.cost, one.available) for one in some.models] == [
        (1.0, True), (0.1, True), (2.0, False),
    ]  # fmt: skip
    none = expectation(HAND, USD_OF, ())
    assert none.drawing.models == ("a", "b", "c")
    assert [(one.cost, one.available) for one in none.models] == [
        (0.5, False), (0.05, False), (1.0, False),
    ]  # fmt: skip
    free = expectation(HAND, dict.fromkeys(USD_OF, 0.0), ())
    assert free.drawing.router.costs.tolist() == [0.0]


def test_each_model_weighs_the_clusters_alike_however_many_prompts_it_was_given() -> None:
    counts = np.array([[30.0, 1.0, 0.0], [10.0, 3.0, 0.0]])
    uneven = by_hand(counts, WRONG, "a", "b", "c")
    assert cluster_weights(uneven).tolist() == pytest.approx([0.5, 0.5])
    blank = by_hand(np.zeros((2, 2)), np.zeros((2, 2)), "a", "b")
    assert cluster_weights(blank).tolist() == [0.5, 0.5]


def test_soft_clusters_promise_what_their_prompts_keep() -> None:
    """Not the least error of each cluster, which no prompt that is of several has."""
    prompts, scored, _ = world(400)
    profile = fit(prompts, scored, USD, choice=Choice(3, 0.8, 4.0, 0.0))
    found = expectation(profile, dict(zip(MODELS, USD.tolist(), strict=True)), MODELS)
    expected = profile.expected(prompts.points(0.0))
    kept = 1 - expected.min(axis=1).mean()
    alone = cluster_weights(profile) @ (1 - profile.error_vectors.min(axis=1))
    promised = float(found.drawing.router.qualities[-1])
    assert promised == pytest.approx(kept, abs=0.01)
    assert alone > kept + 0.02
