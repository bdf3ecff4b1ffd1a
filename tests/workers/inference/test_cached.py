"""What a request is known by in the cache, and how a kept answer is told again."""

from typing import Any

import orjson
import pytest

from app.cache.store import CachedAnswer
from tests.workers.inference.scripted import model
from workers.inference.cached import as_chunk, place_of, told_again
from workers.providers.base import Answer, Completion
from workers.providers.collect import collect

ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}], "seed": 1}


def key(more: dict[str, Any], name: str = "m", provider: str | None = None) -> str:
    return place_of("ten_a", model(name, "p"), provider, {**ASKED, **more}, 60).key


@pytest.mark.parametrize(
    "more", [{"user": "a"}, {"safety_identifier": "b"}, {"service_tier": "auto"}]
)
def test_who_asks_does_not_matter(more: dict[str, Any]) -> None:
    assert key(more) == key({})


@pytest.mark.parametrize(
    "more", [{"seed": 2}, {"temperature": 0}, {"messages": []}, {"metadata": {"a": "b"}}, {"n": 2}]
)
def test_what_may_change_the_answer_does(more: dict[str, Any]) -> None:
    assert key(more) != key({})


def test_model_and_forced_provider_matter() -> None:
    assert len({key({}), key({}, "other"), key({}, provider="p")}) == 3


def test_the_order_of_fields_does_not_matter() -> None:
    turned = dict(reversed(ASKED.items()))
    assert place_of("ten_a", model("m", "p"), None, turned, 60).key == key({})


def cached(body: dict[str, Any]) -> CachedAnswer:
    return CachedAnswer("job_a", orjson.dumps(body).decode(), 4.6, "p")


def test_a_completion_is_told_again_without_its_costs() -> None:
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        ],
    }
    choices = [{"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls"}]
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_cost_usd": 1.5, "latency_ms": 9.0}
    again, told = told_again(cached({"id": "x", "choices": choices, "usage": usage}))
    assert told == {
        "prompt_tokens": 3, "completion_tokens": 2,
        "cached_answer": {"job_id": "job_a", "age_s": 5},
    }  # fmt: skip
    assert isinstance(again, Completion)
    assert again.choices == choices
    assert collect([as_chunk(again)]).choices == choices


def test_an_answer_that_is_no_conversation_is_told_again() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 0}
    body = {"model": "m", "object": "list", "data": [1], "usage": usage}
    again, _ = told_again(cached(body))
    assert isinstance(again, Answer)
    assert again.body == {"object": "list", "data": [1]}
