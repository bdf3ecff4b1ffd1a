"""The bill: what was used, what it costs, and never more than was held."""

import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workers.inference.scripted import COST, USAGE, model
from workers.inference.account import NO_TOKENS, bill, told_or_estimated

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
USAGES = st.dictionaries(
    st.sampled_from(
        ["prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "x"]
    ),
    JSON | st.dictionaries(st.just("cached_tokens"), JSON),
)


def test_a_providers_usage_is_taken_as_told() -> None:
    told = {**USAGE, "completion_tokens_details": {"reasoning_tokens": 3}}
    assert told_or_estimated(told, "request", "answer") == told


def test_a_total_that_does_not_add_up_is_mended() -> None:
    told = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 999}
    assert told_or_estimated(told, "", "")["total_tokens"] == 7


def test_missing_completion_tokens_are_none() -> None:
    assert told_or_estimated({"prompt_tokens": 3}, "", "abc") == {
        "prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    "told",
    [
        None,
        {},
        {"prompt_tokens": None},
        {"prompt_tokens": "12"},
        {"prompt_tokens": -1},
        {"prompt_tokens": True},
        {"prompt_tokens": 1.5},
        {"prompt_tokens": 2**63, "completion_tokens": 0},
        {"prompt_tokens": 3, "completion_tokens": -4},
        {"prompt_tokens": 3, "completion_tokens": None},
    ],
)
def test_what_is_no_count_is_counted_by_us(told: dict[str, Any] | None) -> None:
    assert told_or_estimated(told, "12345678", "1234") == {
        "prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3, "estimated": True,
    }  # fmt: skip


def test_a_bill_has_the_costs_by_part() -> None:
    told = {**USAGE, "prompt_tokens_details": {"cached_tokens": 400}}
    billed = bill(told, model("m", "p"), 10**12, 123.456, 45.67)
    assert billed.cost == COST
    assert billed.usage == {
        **told,
        "input_cost_usd": 0.001,
        "cache_input_cost_usd": 0.0004,
        "output_cost_usd": 0.001,
        "total_cost_usd": 0.002,
        "latency_ms": 123.5,
        "ttft_ms": 45.7,
    }


def test_without_a_model_nothing_is_owed_and_the_tokens_are_told() -> None:
    billed = bill(USAGE, None, 10**12, 1.0, None)
    assert billed.cost == 0
    assert billed.usage["total_tokens"] == 1500
    assert billed.usage["total_cost_usd"] == 0.0
    assert billed.usage["ttft_ms"] is None


@pytest.mark.parametrize("hold", [0, 1, COST - 1, COST, COST + 1])
def test_a_bill_never_goes_over_the_hold(hold: int) -> None:
    billed = bill(USAGE, model("m", "p"), hold, 0, None)
    assert billed.cost == min(hold, COST)
    assert billed.usage["total_cost_usd"] == billed.cost / 10**9


@given(USAGES, st.text(max_size=20), st.integers(0, 10**15))
def test_whatever_a_provider_tells_there_is_a_bill_that_can_be_stored(
    told: dict[str, Any], text: str, hold: int
) -> None:
    usage = told_or_estimated(told, "request", text)
    for one in (model("m", "p"), None):
        billed = bill(usage, one, hold, 1.0, None)
        assert 0 <= billed.cost <= hold
        assert math.isfinite(billed.usage["total_cost_usd"])
        for part in ("input", "cache_input", "output"):
            assert billed.usage[f"{part}_cost_usd"] >= 0


def test_no_tokens_stay_none() -> None:
    bill(NO_TOKENS, model("m", "p"), 10, 0, None)
    assert NO_TOKENS == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    assert orjson.loads(orjson.dumps(NO_TOKENS)) == NO_TOKENS
