import numpy as np
import pytest

from app.uniroute.curve import Curve, deferral_curve, figures, no_router_curve, normalised

COSTS = np.array([0.2, 1.0])
QUALITY = np.array([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
"""The cheap model is right on 2 of 4, the dear one on 3."""

KNOWS = 1 - QUALITY
BLIND = np.tile(KNOWS.mean(axis=0), (4, 1))


def test_a_router_that_knows_all_buys_the_dear_model_only_where_it_is_needed() -> None:
    curve = deferral_curve(KNOWS, QUALITY, COSTS)
    assert curve.costs.tolist() == pytest.approx([0.2, (0.2 + 1 + 0.2 + 1) / 4])
    assert curve.qualities.tolist() == [0.5, 1.0]


def test_a_router_that_is_blind_buys_one_model_for_all() -> None:
    curve = deferral_curve(BLIND, QUALITY, COSTS)
    assert curve.costs.tolist() == pytest.approx([0.2, 1.0])
    assert curve.qualities.tolist() == [0.5, 0.75]


def test_a_point_that_costs_more_and_brings_no_more_is_left_out() -> None:
    worse = np.array([[0.0, 1.0]] * 4)
    curve = deferral_curve(worse, QUALITY[:, ::-1], COSTS)
    assert (curve.costs.tolist(), curve.qualities.tolist()) == ([0.2], [0.75])


def test_area_is_the_mean_quality_over_costs() -> None:
    curve = Curve(np.array([0.2, 0.6]), np.array([0.5, 1.0]))
    assert curve.area(0.2) == pytest.approx((0.4 * 0.75 + 0.4 * 1.0) / 0.8)
    assert curve.area(0.0) == pytest.approx(0.2 * 0.5 + 0.4 * 0.75 + 0.4 * 1.0)
    assert curve.area(1.0) == 1.0


def test_the_cost_of_a_quality_lies_on_the_line_between_points() -> None:
    curve = Curve(np.array([0.2, 0.6]), np.array([0.5, 1.0]))
    assert curve.cost_of(0.75) == pytest.approx(0.4)
    assert curve.cost_of(0.3) == 0.2
    assert curve.cost_of(1.1) is None


def test_without_a_router_prompts_are_shared_out_along_the_upper_hull() -> None:
    costs = np.array([0.1, 0.5, 0.4, 1.0])
    curve = no_router_curve(np.array([0.4, 0.5, 0.7, 0.8]), costs)
    assert curve.costs.tolist() == [0.1, 0.4, 1.0]
    below = no_router_curve(np.array([0.4, 0.5, 0.45, 0.8]), costs)
    assert below.costs.tolist() == [0.1, 1.0]


def test_figures_of_a_router_that_knows_all() -> None:
    found = figures(KNOWS, QUALITY, np.array([2.0, 10.0]), ("cheap", "dear"))
    assert found.area == pytest.approx((0.4 * 0.75 + 0.4) / 0.8)
    assert found.area_unscaled == pytest.approx(0.4 * 0.75 + 0.4)
    assert found.area_from_zero == pytest.approx(0.1 + 0.4 * 0.75 + 0.4)
    assert found.no_router == pytest.approx(0.625)
    assert found.qnc == pytest.approx(40.0)
    assert (found.peak, found.best_single, found.best_model) == (1.0, 0.75, "dear")
    assert (found.random, found.oracle) == (0.625, 1.0)


def test_a_blind_router_is_worth_as_much_as_none() -> None:
    found = figures(BLIND, QUALITY, np.array([2.0, 10.0]), ("cheap", "dear"))
    assert found.area == pytest.approx(found.no_router)
    assert found.qnc == pytest.approx(100.0)


def test_the_neutral_cost_is_in_shares_of_the_best_model_which_need_not_be_the_dearest() -> None:
    quality = np.column_stack([QUALITY, np.zeros(4)])
    found = figures(1 - quality, quality, np.array([1.0, 5.0, 10.0]), ("cheap", "best", "dear"))
    assert found.best_model == "best"
    assert found.qnc == pytest.approx(40.0)


def test_quality_that_is_never_reached_has_no_neutral_cost() -> None:
    wrong = np.array([[0.0, 1.0], [1.0, 0.9], [1.0, 0.9], [0.0, 1.0]])
    assert figures(wrong, QUALITY, np.array([2.0, 10.0]), ("a", "b")).qnc is None


def test_with_all_costs_alike_only_quality_counts() -> None:
    found = figures(KNOWS, QUALITY, np.ones(2), ("a", "b"))
    assert found.area == found.peak == 1.0
    assert normalised(np.zeros(2)).tolist() == [0.0, 0.0]


def test_the_order_of_models_changes_no_figure() -> None:
    random = np.random.default_rng(1)
    expected, quality, usd = random.random((60, 4)), random.random((60, 4)), random.random(4)
    order = [2, 0, 3, 1]
    names = ("a", "b", "c", "d")
    one = figures(expected, quality, usd, names)
    moved = tuple(names[i] for i in order)
    other = figures(expected[:, order], quality[:, order], usd[order], moved)
    assert one.best_model == other.best_model
    assert one.area == pytest.approx(other.area)
    assert one.qnc == pytest.approx(other.qnc)


def test_a_prompt_that_is_asked_more_often_counts_so_often() -> None:
    counts = np.array([3.0, 1.0, 0.0, 2.0])
    often = np.repeat(np.arange(4), counts.astype(int))
    weighted = deferral_curve(KNOWS, QUALITY, COSTS, counts=counts)
    repeated = deferral_curve(KNOWS[often], QUALITY[often], COSTS)
    assert weighted.costs.tolist() == pytest.approx(repeated.costs.tolist())
    assert weighted.qualities.tolist() == pytest.approx(repeated.qualities.tolist())
