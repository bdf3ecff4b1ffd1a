"""What vendors of OpenAI's form write otherwise, and fields that they do not take."""

from contextlib import suppress
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalogue.model import Catalogue, ProviderSpec
from app.settings import Settings
from tests.workers.providers.vendors.base import Said, base_url, events, playing, requests
from tests.workers.providers.vendors.openai import Compatible
from workers.providers.base import Call, ProviderError
from workers.providers.collect import collect
from workers.providers.openai import OpenAI
from workers.providers.openai_answers import counted, finish_of, mend, whole_choices
from workers.providers.registry import Providers


@pytest.mark.parametrize(
    "word", ["stop", "length", "tool_calls", "content_filter", "function_call"]
)
def test_openais_words_stay(word: str) -> None:
    assert finish_of(word) == word


def test_a_word_that_nobody_knows_is_an_end_like_any_other() -> None:
    assert finish_of("COMPLETE") == "stop"
    assert finish_of("MAX_TOKENS") == "length"


@pytest.mark.parametrize("word", ["error", "abort", "insufficient_system_resource"])
def test_an_answer_that_was_broken_off_is_a_failure_that_may_pass(word: str) -> None:
    with pytest.raises(ProviderError) as raised:
        finish_of(word)
    assert (raised.value.kind, raised.value.retryable) == ("unavailable", True)


@pytest.mark.parametrize("word", [1, True, ["stop"], {"reason": "stop"}])
@pytest.mark.parametrize("streamed", [False, True])
def test_what_is_no_word_is_a_protocol_error(word: Any, streamed: bool) -> None:
    choice = {"index": 0, "delta": {}, "message": {}, "finish_reason": word}
    raw = orjson.dumps({"choices": [choice]})
    content = b"data: " + raw + b"\n\n" if streamed else raw
    answer = httpx.MockTransport(lambda _: httpx.Response(200, content=content))
    provider, call = OpenAI(answer, "https://api.test", ""), Call({"messages": []}, "m")
    with pytest.raises(ProviderError) as raised:
        list(provider.stream(call)) if streamed else provider.complete(call)
    assert raised.value.kind == "protocol"


@pytest.mark.parametrize(
    ("message", "mended"),
    [
        ({"content": "a"}, {"content": "a"}),
        ({"content": "a", "reasoning": None}, {"content": "a"}),
        ({"reasoning": "why"}, {"reasoning_content": "why"}),
        ({"reasoning": "why", "reasoning_content": "whole"}, {"reasoning_content": "whole"}),
        ({"content": [{"type": "text", "text": "a"}, {"type": "reference"},
                      {"type": "text", "text": "b"}]}, {"content": "ab"}),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "why"},
                                                        {"type": "reference"}]}]},
         {"content": None, "reasoning_content": "why"}),
        ({"content": []}, {"content": None}),
    ],
)  # fmt: skip
def test_thoughts_have_one_place(message: dict[str, Any], mended: dict[str, Any]) -> None:
    mend(message)
    assert message == mended


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ({"prompt_tokens": 5, "prompt_cache_hit_tokens": 3},
         {"prompt_tokens_details": {"cached_tokens": 3}}),
        ({"prompt_tokens": 5, "cached_tokens": 3}, {"prompt_tokens_details": {"cached_tokens": 3}}),
        ({"prompt_tokens": 5, "prompt_cache_hit_tokens": 3,
          "prompt_tokens_details": {"cached_tokens": 2}},
         {"prompt_tokens_details": {"cached_tokens": 2}}),
        ({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 16,
          "completion_tokens_details": {"reasoning_tokens": 9}}, {"completion_tokens": 11}),
        ({"prompt_tokens": 5, "completion_tokens": 11, "total_tokens": 16,
          "completion_tokens_details": {"reasoning_tokens": 9}}, {"completion_tokens": 11}),
    ],
)  # fmt: skip
def test_usage_counts_as_openai_does(told: dict[str, Any], wanted: dict[str, Any]) -> None:
    told = dict(told)
    assert counted(dict(told)) == {**told, **wanted}


@pytest.mark.parametrize("streamed", [False, True])
def test_tokens_of_thoughts_that_are_counted_apart_count(streamed: bool) -> None:
    details = {"reasoning_tokens": 9}
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 16,
             "completion_tokens_details": details}  # fmt: skip
    choice = {"index": 0, "delta": {}, "message": {}, "finish_reason": "stop"}
    raw = orjson.dumps({"choices": [choice], "usage": usage})
    content = b"data: " + raw + b"\n\n" if streamed else raw
    answer = httpx.MockTransport(lambda _: httpx.Response(200, content=content))
    provider, call = OpenAI(answer, "https://api.test", ""), Call({"messages": []}, "m")
    told = collect(provider.stream(call)) if streamed else provider.complete(call)
    assert told.usage is not None
    assert told.usage["completion_tokens"] == 11


def told_by(message: dict[str, Any], streamed: bool) -> dict[str, Any]:
    """What the adapter itself makes of an answer with one choice, whose index is not told if it
    comes whole."""
    choice = {"delta": message, "index": 0} if streamed else {"message": message}
    raw = orjson.dumps({"choices": [{**choice, "finish_reason": "stop"}]})
    content = b"data: " + raw + b"\n\n" if streamed else raw
    answer = httpx.MockTransport(lambda _: httpx.Response(200, content=content))
    provider, call = OpenAI(answer, "https://api.test", ""), Call({"messages": []}, "m")
    if streamed:
        [chunk] = provider.stream(call)
        return {**chunk.choices[0], "message": chunk.choices[0]["delta"]}
    return provider.complete(call).choices[0]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    "message",
    [
        {"content": 5},
        {"content": {"text": "a"}},
        {"content": [{"type": "text", "text": 5}]},
        {"tool_calls": "none"},
        {"tool_calls": {"id": "call_1"}},
        {"tool_calls": ["call_1"]},
        {"tool_calls": [{"function": "f"}]},
        {"tool_calls": [{"function": {"name": "f", "arguments": 5}}]},
    ],
)
def test_an_answer_that_no_client_could_read_is_a_protocol_error(
    message: dict[str, Any], streamed: bool
) -> None:
    with pytest.raises(ProviderError) as raised:
        told_by(message, streamed)
    assert raised.value.kind == "protocol"


@pytest.mark.parametrize("streamed", [False, True])
def test_arguments_that_are_an_object_become_text(streamed: bool) -> None:
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": {"at": "noon"}}}
    [told] = told_by({"tool_calls": [call]}, streamed)["message"]["tool_calls"]
    assert told["function"]["arguments"] == '{"at":"noon"}'


@pytest.mark.parametrize(
    ("message", "reason"),
    [({"content": "a"}, "stop"), ({"tool_calls": [{"function": {"name": "f"}}]}, "tool_calls")],
)
def test_a_whole_answer_has_ended_whether_its_vendor_says_why_or_not(
    message: dict[str, Any], reason: str
) -> None:
    for untold in ({}, {"finish_reason": None}, {"finish_reason": ""}):
        [told] = whole_choices([{"index": 0, "message": dict(message), **untold}])
        assert told["finish_reason"] == reason


def test_a_whole_choice_has_an_index_and_a_content_whether_told_or_not() -> None:
    told = told_by({"role": "assistant"}, streamed=False)
    assert (told["index"], told["message"]["content"]) == (0, None)


@pytest.mark.parametrize("told", [None, {}, [], 7, "12"])
def test_what_is_no_usage_is_none(told: Any) -> None:
    assert counted(told) is None


NAMES = st.sampled_from([
    "choices", "delta", "message", "index", "content", "reasoning", "type", "text", "thinking",
    "usage", "error", "code", "param", "detail", "loc", "finish_reason", "tool_calls", "object",
    "data", "embedding", "prompt_tokens_details", "completion_tokens_details", "duration",
])  # fmt: skip
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 600) | st.sampled_from(["text", "error", "AAAA"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=25,
)


@given(ANYTHING, st.sampled_from([200, 200, 400, 422, 500]))
def test_no_json_at_all_breaks_the_adapter(told: Any, status: int) -> None:
    raw = orjson.dumps(told)
    streamed = httpx.MockTransport(
        lambda _: httpx.Response(status, content=b"data: " + raw + b"\n\n")
    )
    whole = httpx.MockTransport(lambda _: httpx.Response(status, content=raw))
    one = OpenAI(whole, "https://api.test", "")
    file = {"name": "a", "content_type": "b", "data": ""}
    call = Call({"messages": [], "input": "x", "prompt": "p", "file": file}, "m")
    for way in (one.complete, one.embed, one.draw, one.transcribe):
        with suppress(ProviderError):
            way(call)
    with suppress(ProviderError):
        collect(OpenAI(streamed, "https://api.test", "").stream(call))


def sent(without: tuple[str, ...], parameters: dict[str, Any], **request: Any) -> dict[str, Any]:
    """What a provider without these fields is sent, beside model and messages."""
    seen: list[Any] = []
    body = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'

    def answer(asked: httpx.Request) -> httpx.Response:
        seen.append(orjson.loads(asked.content))
        return httpx.Response(200, content=body)

    provider = OpenAI(httpx.MockTransport(answer), "https://api.test", "", without)
    list(provider.stream(Call({"messages": [], **request}, "m", parameters)))
    del seen[0]["messages"], seen[0]["model"], seen[0]["stream"]
    told: dict[str, Any] = seen[0]
    return told


OPTIONS = {"stream_options": {"include_usage": True}}


@pytest.mark.parametrize(
    ("without", "request_fields", "told"),
    [
        ((), {"user": "u", "n": 1}, {"user": "u", "n": 1, **OPTIONS}),
        (("stream_options",), {}, {}),
        (("user", "metadata"), {"user": "u", "metadata": {"a": "b"}, "seed": 1},
         {"seed": 1, **OPTIONS}),
        ((), {"prompt_cache_retention": "24h"}, {"prompt_cache_retention": "24h", **OPTIONS}),
        (("prompt_cache_retention",), {"prompt_cache_retention": "24h"}, OPTIONS),
        (("n", "logit_bias"), {"n": 1, "logit_bias": {}}, OPTIONS),
        # The provider itself says what is wrong with it.
        (("n",), {"n": 2}, {"n": 2, **OPTIONS}),
        (("max_tokens",), {"max_tokens": 5}, {"max_completion_tokens": 5, **OPTIONS}),
        (("max_completion_tokens",), {"max_completion_tokens": 5}, {"max_tokens": 5, **OPTIONS}),
        (("max_tokens",), {"max_tokens": 5, "max_completion_tokens": 9},
         {"max_completion_tokens": 9, **OPTIONS}),
    ],
)  # fmt: skip
def test_fields_that_a_vendor_does_not_take_are_left_out_or_renamed(
    without: tuple[str, ...], request_fields: dict[str, Any], told: dict[str, Any]
) -> None:
    assert sent(without, {}, **request_fields) == told


def test_the_registry_tells_an_adapter_what_its_provider_lacks() -> None:
    with playing(events(Compatible("vendor").frames(Said()))) as server:
        spec = ProviderSpec(kind="openai", base_url=f"{base_url(server)}/v1", without=("user",))
        known = Providers(Catalogue("m", {"vendor": spec}, {}, {}), Settings())
        call = Call({"messages": [], "user": "u", "seed": 1}, "m")
        list(known.get("vendor").stream(call))
        [request] = requests(server)
    told = orjson.loads(request.body)
    assert "user" not in told
    assert told["seed"] == 1


TOOLS = [{"type": "function", "function": {"name": "f"}}]
UNTHINKING = {"with_tools": {"reasoning_effort": "none"}}


@pytest.mark.parametrize(
    ("request_fields", "effort"),
    [
        ({"tools": TOOLS}, "none"),
        ({"tools": TOOLS, "reasoning_effort": "low"}, "low"),
        ({"tools": []}, None),
        ({"reasoning_effort": "low"}, "low"),
        ({}, None),
    ],
)
def test_a_request_with_tools_says_what_its_model_needs_with_them(
    request_fields: dict[str, Any], effort: str | None
) -> None:
    assert sent((), UNTHINKING, **request_fields).get("reasoning_effort") == effort
