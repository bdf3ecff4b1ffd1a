"""Lunar's calls of the router, unchanged but for address and key, and the same through the SDK."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openai import OpenAI

from tests.conformance.conftest import at_root
from tests.conformance.test_seeds import USAGE, posted, streamed
from tests.stacks import Stack

pytestmark = pytest.mark.xdist_group("stack")

ROUTED = (
    "selected_model", "selected_provider", "expected_error", "cost_adjusted_score", "cluster_id",
    "reasoning",
)  # fmt: skip
HAIKU = [{"role": "user", "content": "Write a haiku about programming"}]


SEEDS = [
    "gpt-4o", "gpt-4o-mini", "gpt-4-turbo", "gpt-3.5-turbo", "mistral-large-latest",
    "mistral-small-latest",
]  # fmt: skip


@pytest.fixture
def bare(stack: Stack) -> Iterator[httpx.Client]:
    """A client of a stack without any key of a provider and any catalogue of its own."""
    with at_root(stack, {"x-api-key": stack.key}) as client:
        yield client


def test_lunar_routes_and_answers_on_a_bare_stack(bare: httpx.Client) -> None:
    told = posted(bare, "/v1/router", {"messages": HAIKU})
    assert told["id"].startswith("router-")
    routing = told["routing"]
    assert [name for name in ROUTED if routing.get(name) is None] == []
    assert 0 < routing["expected_error"] == routing["cost_adjusted_score"] < 1
    assert routing["selected_model"] in SEEDS
    assert told["model"] == routing["answered_model"]
    assert told["choices"][0]["message"]["content"]
    assert all(isinstance(told["usage"][name], int | float) for name in USAGE)


def test_lunar_decides_on_a_bare_stack_among_the_models_that_it_names(bare: httpx.Client) -> None:
    for models in (["gpt-4o", "gpt-4o-mini"], SEEDS):
        asked = {"messages": HAIKU, "models": models, "cost_weight": 5, "execute": False}
        told = posted(bare, "/v1/router", asked)
        routing = told["routing"]
        assert [name for name in ROUTED if routing.get(name) is None] == []
        assert {one["model"]: one["available"] for one in routing["scores"]} == dict.fromkeys(
            models, False
        )
    profiles = bare.get("/v1/router/profiles").json()
    assert set(SEEDS) <= set(profiles["profiles"])


def test_lunar_routes_and_answers(api_key: httpx.Client) -> None:
    told = posted(api_key, "/v1/router", {"messages": HAIKU})
    assert told["id"].startswith("router-")
    assert told["object"] == "chat.completion"
    routing = told["routing"]
    assert [name for name in ROUTED if routing.get(name) is None] == []
    assert told["model"] == routing["selected_model"] == routing["answered_model"]
    assert 0 < routing["expected_error"] == routing["cost_adjusted_score"] < 1
    [choice] = told["choices"]
    assert choice["message"]["content"]
    assert all(isinstance(told["usage"][name], int | float) for name in USAGE)


def test_lunar_routes_within_bounds_and_streams(api_key: httpx.Client) -> None:
    models = ["gpt-4o", "gpt-4o-mini"]
    bounds = {"messages": HAIKU, "models": models, "cost_weight": 5, "max_tokens": 8}
    told = posted(api_key, "/router", {**bounds, "temperature": 0.2})
    assert told["model"] == "gpt-4o-mini"
    assert told["usage"]["completion_tokens"] <= 8
    chunks = streamed(api_key, "/v1/router", {**bounds, "stream": True})
    assert {chunk["model"] for chunk in chunks} == {"gpt-4o-mini"}
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    assert chunks[-1]["routing"]["selected_model"] == "gpt-4o-mini"


def test_lunar_decides_without_an_answer(api_key: httpx.Client) -> None:
    told = posted(api_key, "/v1/router", {"messages": HAIKU, "execute": False})
    assert [name for name in ROUTED if told["routing"].get(name) is None] == []
    assert told["model"] == told["routing"]["selected_model"]
    assert "choices" not in told


def test_lunar_lists_the_models_with_profiles(api_key: httpx.Client) -> None:
    told = api_key.get("/v1/router/profiles").json()
    assert told["count"] == len(told["profiles"])
    seeds = {"gpt-4o", "gpt-4o-mini", "gpt-4-turbo", "gpt-3.5-turbo", "mistral-large-latest"}
    assert {*seeds, "mistral-small-latest"} <= set(told["profiles"])


def test_the_sdk_leaves_the_model_open(house: Stack) -> None:
    with OpenAI(base_url=house.base_url, api_key=house.key, max_retries=0, timeout=60) as client:
        asked: dict[str, Any] = {"model": "auto", "messages": HAIKU}
        whole = client.chat.completions.create(**asked, extra_body={"cost_weight": 5})
        routing = (whole.model_extra or {})["routing"]
        assert whole.model == routing["answered_model"]
        parts = list(client.chat.completions.create(**asked, stream=True))
        assert {part.model for part in parts} == {
            parts[-1].model_extra["routing"]["answered_model"]
        }
