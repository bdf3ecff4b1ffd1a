"""The bill: what was used, what it costs, and never more than was held."""

import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalogue.model import Model, Price
from app.catalogue.tokens import MEDIA_TOKENS
from tests.workers.inference.scripted import COST, USAGE, model
from workers.inference.account import NO_TOKENS, bill, call_costs, told_or_estimated

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
PARTS = ("input", "cache_input", "output")
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


@pytest.mark.parametrize("kind", ["image_url", "input_audio", "file"])
def test_what_is_no_text_counts_by_the_piece_however_much_it_weighs(kind: str) -> None:
    words = [{"type": "text", "text": "What is it?"}, {"text": "And that?"}]
    heavy = [{"type": kind, kind: {"data": "A" * 1_000_000}}] * 2

    def counted(parts: Any) -> int:
        request = {"messages": [{"role": "user", "content": parts}, {"role": "assistant"}]}
        usage = told_or_estimated(None, orjson.dumps(request).decode(), "")
        return int(usage["prompt_tokens"])

    assert counted([*words, *heavy]) == counted(words) + 2 * MEDIA_TOKENS
    assert counted("A" * 1_000_000) > 250_000


def test_a_bill_has_the_costs_by_part() -> None:
    told = {**USAGE, "prompt_tokens_details": {"cached_tokens": 400}}
    billed = bill(told, model("m", "p"), 10**12, 123.456, 45.67)
    assert billed.cost == COST
    assert (billed.prompt_tokens, billed.cached_tokens, billed.completion_tokens) == (
        1000,
        400,
        500,
    )
    assert billed.usage == {
        **told,
        "input_cost_usd": 0.0006,
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
    assert (billed.prompt_tokens, billed.completion_tokens) == (1000, 500)
    assert billed.price_version is None
    assert billed.usage["ttft_ms"] is None


@pytest.mark.parametrize("hold", [0, 1, COST - 1, COST, COST + 1])
def test_a_bill_never_goes_over_the_hold(hold: int) -> None:
    billed = bill(USAGE, model("m", "p"), hold, 0, None)
    assert billed.cost == min(hold, COST)
    assert billed.usage["total_cost_usd"] == billed.cost / 10**9


def nanos(dollars: float) -> int:
    return round(dollars * 10**9)


def test_the_route_that_answered_is_billed() -> None:
    one = routed()
    first, second = one.routes
    assert bill(USAGE, one, 10**12, 0, None, second).cost == 5 * COST
    assert bill(USAGE, one, 10**12, 0, None, first).cost == COST
    assert bill(USAGE, one, 10**12, 0, None).cost == COST
    versions = [bill(USAGE, one, 10**12, 0, None, route).price_version for route in one.routes]
    assert versions == [one.price_version(first), one.price_version(second)]
    assert versions[0] != versions[1]


def routed() -> Model:
    """A model with two routes: the second takes five times the price and costs its tenth."""
    one = model("m", "p", "q")
    dear = Price.model_validate({"input": 5, "output": 10})
    cost = Price.model_validate({"input": 0.5, "cached_input": 0.1, "output": 1})
    routes = (one.routes[0], one.routes[1].model_copy(update={"price": dear, "cost": cost}))
    return Model(one.id, one.spec, routes, one.price)


def test_a_hold_cuts_the_output_first_then_the_input_then_what_was_cached() -> None:
    told = {**USAGE, "prompt_tokens_details": {"cached_tokens": 400}}
    parts = {}
    for hold in (1_500_000, 700_000, 100_000):
        usage = bill(told, model("m", "p"), hold, 0, None).usage
        parts[hold] = [nanos(usage[f"{part}_cost_usd"]) for part in PARTS]
    assert parts == {
        1_500_000: [600_000, 400_000, 500_000],
        700_000: [300_000, 400_000, 0],
        100_000: [0, 100_000, 0],
    }


@given(USAGES, st.text(max_size=20), st.integers(0, 10**15))
def test_whatever_a_provider_tells_there_is_a_bill_that_can_be_stored(
    told: dict[str, Any], text: str, hold: int
) -> None:
    usage = told_or_estimated(told, "request", text)
    for one in (model("m", "p"), None):
        billed = bill(usage, one, hold, 1.0, None)
        assert 0 <= billed.cost <= hold
        assert math.isfinite(billed.usage["total_cost_usd"])
        for part in PARTS:
            assert billed.usage[f"{part}_cost_usd"] >= 0
        assert 0 <= billed.cached_tokens <= billed.prompt_tokens
        assert type(billed.cached_tokens) is type(billed.completion_tokens) is int


COUNTS = st.integers(0, 10**6)


@given(COUNTS, COUNTS, COUNTS, st.integers(0, 10**10), st.sampled_from([0, 1]))
def test_the_parts_sum_to_the_total(
    prompt: int, cached: int, completion: int, hold: int, route: int
) -> None:
    details = {"prompt_tokens_details": {"cached_tokens": cached}}
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, **details}
    one = routed()
    billed = bill(usage, one, hold, 1.0, None, one.routes[route])
    parts = [nanos(billed.usage[f"{part}_cost_usd"]) for part in PARTS]
    assert sum(parts) == billed.cost == nanos(billed.usage["total_cost_usd"])
    assert billed.cost == min(
        hold, one.cost(prompt, min(cached, prompt), completion, one.routes[route]).total
    )


REQUEST, TEXT = "x" * 4000, "y" * 400
"""1000 tokens and 100 tokens, as we estimate."""


def owed(**call: Any) -> int:
    one = routed()
    return call_costs({"provider": "q", **call}, one, one.routes[1], REQUEST, TEXT)


@pytest.mark.parametrize(
    ("call", "nanos"),
    [
        ({"outcome": "connect", "status": None}, 0),
        ({"outcome": "rate_limited", "status": 429}, 0),
        ({"outcome": "auth", "status": 401}, 0),
        ({"outcome": "invalid", "status": 400}, 0),
        ({"outcome": "unavailable", "status": 408}, 0),
        ({"outcome": "unavailable", "status": 503}, 0),
        ({"outcome": "unavailable", "status": None}, 500_000),
        ({"outcome": "timeout", "status": None}, 500_000),
        ({"outcome": "protocol", "status": None}, 500_000),
        ({}, 500_000),
        ({"ttft_ms": 3.0}, 600_000),
        ({"ttft_ms": 3.0, "outcome": "connect", "status": None}, 600_000),
        ({"ttft_ms": 3.0, "outcome": "incomplete", "status": None}, 600_000),
        ({"ttft_ms": 3.0, "outcome": "completed", "status": 200, "usage": None}, 600_000),
    ],
)
def test_a_call_costs_the_platform_what_the_provider_worked_for(
    call: dict[str, Any], nanos: int
) -> None:
    assert owed(**call) == nanos


def test_a_call_costs_by_the_count_of_the_provider_where_it_tells_one() -> None:
    told = {**USAGE, "prompt_tokens_details": {"cached_tokens": 400}}
    assert owed(outcome="completed", status=200, ttft_ms=1.0, usage=told) == 840_000
    assert owed(outcome="connect", status=None, ttft_ms=1.0, usage=told) == 840_000


def test_a_call_over_a_route_without_a_cost_costs_what_the_customer_pays() -> None:
    one = routed()
    call = {"outcome": "completed", "status": 200, "ttft_ms": 1.0, "usage": USAGE}
    assert call_costs(call, one, one.routes[0], REQUEST, TEXT) == COST


def test_no_tokens_stay_none() -> None:
    bill(NO_TOKENS, model("m", "p"), 10, 0, None)
    assert NO_TOKENS == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    assert orjson.loads(orjson.dumps(NO_TOKENS)) == NO_TOKENS
