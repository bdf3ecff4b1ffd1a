"""Anthropic's adapter where its vendor's form is not OpenAI's: what the suite of all adapters
(`test_adapters.py`) cannot ask of everyone."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workers.providers.anthropic import Anthropic
from workers.providers.anthropic_form import JSON_TOOL, body_of
from workers.providers.base import Call, Chunk, Completion, ProviderError
from workers.providers.collect import collect

USER = {"role": "user", "content": "hi"}
USAGE = {"input_tokens": 3, "output_tokens": 2}


def called(name: str = "look", told: str = "call_1", arguments: str = "{}") -> dict[str, Any]:
    return {"id": told, "type": "function", "function": {"name": name, "arguments": arguments}}


def message(*content: dict[str, Any], stop: str | None = "end_turn", **more: Any) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": list(content), "stop_reason": stop,
            "usage": USAGE, **more}  # fmt: skip


def kind_of(ask: Callable[[], object]) -> str:
    """The kind of the error that comes of it; empty if none does."""
    try:
        ask()
    except ProviderError as error:
        return error.kind
    return ""


def provider(answer: Callable[[httpx.Request], httpx.Response]) -> Anthropic:
    return Anthropic(httpx.MockTransport(answer), "https://api.test/v1/", "sk-test")


def told(body: Any, status: int = 200, **fields: Any) -> Completion:
    """What the adapter makes of a whole answer."""
    one = provider(lambda _: httpx.Response(status, content=orjson.dumps(body)))
    return one.complete(Call({"messages": [USER], **fields}, "claude"))


def failed(body: Any, status: int = 200) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        told(body, status)
    return raised.value


def streamed(*events: dict[str, Any], **fields: Any) -> list[Chunk]:
    parts = [b"event: x\ndata: " + orjson.dumps(event) + b"\n\n" for event in events]
    one = provider(lambda _: httpx.Response(200, content=iter(parts)))
    return list(one.stream(Call({"messages": [USER], **fields}, "claude")))


def opened(block: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def piece(index: int = 0, **delta: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def closed(index: int = 0) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


START = {"type": "message_start", "message": message(stop=None)}
STOP = {"type": "message_stop"}


def end(reason: str = "end_turn", **more: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason, **more}, "usage": USAGE}


def test_the_json_of_that_tool_is_the_answers_text() -> None:
    block = {"type": "tool_use", "id": "t", "name": JSON_TOOL, "input": {"a": "é"}}
    [choice] = told(
        message(block, stop="tool_use"), response_format={"type": "json_object"}
    ).choices
    assert choice["message"] == {"role": "assistant", "content": '{"a":"é"}'}
    assert choice["finish_reason"] == "stop"
    chunks = streamed(
        START, opened({**block, "input": {}}), piece(type="input_json_delta", partial_json='{"a":'),
        piece(type="input_json_delta", partial_json='"é"}'), closed(), end("tool_use"), STOP,
    )  # fmt: skip
    assert collect(chunks).choices == [choice]


THOUGHT = {"type": "thinking", "thinking": "hm, so", "signature": "c2ln"}
SEALED = {"type": "redacted_thinking", "data": "b3BhcXVl"}


def sent_back(message: dict[str, Any]) -> Any:
    """An answer as the next request has it."""
    return body_of(Call({"messages": [USER, message]}, "claude"))["messages"][1]["content"]


def test_thoughts_come_with_their_signature_and_go_back_as_they_came() -> None:
    answer = message(THOUGHT, SEALED, {"type": "text", "text": "yes"})
    [choice] = told(answer).choices
    assert choice["message"]["reasoning_content"] == "hm, so"
    assert choice["message"]["thinking_blocks"] == [THOUGHT, SEALED]
    chunks = streamed(
        START, opened({"type": "thinking", "thinking": "", "signature": ""}),
        piece(type="thinking_delta", thinking="hm,"), piece(type="thinking_delta", thinking=" so"),
        piece(type="signature_delta", signature="c2"),
        piece(type="signature_delta", signature="ln"), closed(),
        opened(SEALED, 1), closed(1),
        opened({"type": "text", "text": "yes"}, 2), closed(2), end(), STOP,
    )  # fmt: skip
    assert collect(chunks).choices == [choice]
    assert sent_back(choice["message"]) == [THOUGHT, SEALED, {"type": "text", "text": "yes"}]


def test_thoughts_without_a_signature_are_told_as_text_alone() -> None:
    [choice] = told(message({"type": "thinking", "thinking": "hm"})).choices
    assert choice["message"]["reasoning_content"] == "hm"
    assert "thinking_blocks" not in choice["message"]


def test_thoughts_of_another_provider_do_not_go_back() -> None:
    blocks = [{"type": "thinking", "thinking": "mine", "signature": ""}, {"type": "other"}]
    said = {
        "role": "assistant",
        "content": "a",
        "reasoning_content": "x",
        "thinking_blocks": blocks,
    }
    assert sent_back(said) == [{"type": "text", "text": "a"}]


def test_a_call_without_input_has_an_empty_object() -> None:
    block = {"type": "tool_use", "id": "t", "name": "look", "input": {}}
    chunks = streamed(START, opened(block), piece(type="input_json_delta", partial_json=""),
                      closed(), end("tool_use"), STOP)  # fmt: skip
    for completion in (collect(chunks), told(message(block, stop="tool_use"))):
        [choice] = completion.choices
        assert choice["message"]["tool_calls"] == [called(told="t")]
        assert choice["finish_reason"] == "tool_calls"


def test_a_refusal_says_why() -> None:
    details = {"type": "refusal", "category": "bio", "explanation": "No."}
    [choice] = told(message(stop="refusal", stop_details=details)).choices
    assert (choice["finish_reason"], choice["message"]["refusal"]) == ("content_filter", "No.")
    assert choice["message"]["content"] is None
    assert collect(streamed(START, end("refusal", stop_details=details), STOP)).choices == [choice]


def test_a_prompt_counts_with_what_was_cached_and_with_what_will_be() -> None:
    usage = {"input_tokens": 5, "cache_read_input_tokens": 70, "cache_creation_input_tokens": 300,
             "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}}  # fmt: skip
    expected = {
        "prompt_tokens": 375, "completion_tokens": 9, "total_tokens": 384,
        "prompt_tokens_details": {"cached_tokens": 70, "cache_creation_tokens": 300},
        "completion_tokens_details": {"reasoning_tokens": 4},
    }  # fmt: skip
    text = {"type": "text", "text": "a"}
    assert told(message(text) | {"usage": usage}).usage == expected
    start = {"type": "message_start", "message": {"usage": {**usage, "output_tokens": 1}}}
    last = {**end(), "usage": {"output_tokens": 9, "input_tokens": None}}
    assert collect(streamed(start, opened(text), closed(), last, STOP)).usage == expected


def test_events_of_a_kind_that_nobody_knows_are_passed_over() -> None:
    block = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    chunks = streamed(
        START, {"type": "weather"}, opened(block), piece(type="input_json_delta", partial_json="{"),
        piece(type="signature_delta", signature="x"), piece(type="thinking_delta", thinking="x"),
        piece(type="citations_delta", citation="x"), closed(), end("unheard_of"), STOP,
    )  # fmt: skip
    [choice] = collect(chunks).choices
    assert (choice["finish_reason"], choice["message"]["content"]) == ("stop", None)


@pytest.mark.parametrize(
    ("kind", "expected", "retryable"),
    [("overloaded_error", "unavailable", True), ("api_error", "unavailable", True),
     ("rate_limit_error", "rate_limited", True), ("authentication_error", "auth", False),
     ("billing_error", "auth", False), ("invalid_request_error", "invalid", False)],
)  # fmt: skip
def test_an_error_in_mid_stream_is_read_by_its_type(
    kind: str, expected: str, retryable: bool
) -> None:
    error = {"type": "error", "error": {"type": kind, "message": "because"}}
    with pytest.raises(ProviderError) as raised:
        streamed(START, opened({"type": "text", "text": "a"}), error)
    told = raised.value
    assert (told.kind, told.retryable, told.message) == (expected, retryable, "because")
    assert (failed(error).kind, failed(error).message) == (expected, "because")


@pytest.mark.parametrize(
    ("text", "param"),
    [("max_tokens: 5 > 4, which is the most", "max_tokens"),
     ("messages.0.content.1: text is empty", "messages"),
     ("output_config.format.schema: no such keyword", "response_format"),
     ("`temperature` is deprecated for this model.", "temperature"),
     ("something else", None)],
)  # fmt: skip
def test_the_field_that_the_api_refuses_is_named(text: str, param: str | None) -> None:
    error = failed(
        {"type": "error", "error": {"type": "invalid_request_error", "message": text}}, 400
    )
    assert (error.kind, error.param, error.message) == ("invalid", param, text)


def test_an_empty_account_is_not_the_clients_mistake() -> None:
    text = "Your credit balance is too low to access the Anthropic API."
    error = failed({"error": {"type": "invalid_request_error", "message": text}}, 400)
    assert (error.kind, error.status) == ("auth", 400)


def test_pings_and_the_role_alone_are_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that thinks in silence is waited for as for a first token."""
    now = [0.0]
    monkeypatch.setattr("workers.providers.wire.time.monotonic", lambda: now[0])

    def parts() -> Iterator[bytes]:
        yield b"data: " + orjson.dumps(START) + b"\n\n"
        while True:
            now[0] += 10
            yield b'event: ping\ndata: {"type": "ping"}\n\n'

    one = provider(lambda _: httpx.Response(200, content=parts()))
    with pytest.raises(ProviderError) as raised:
        list(one.stream(Call({"messages": [USER]}, "claude")))
    assert (raised.value.kind, now[0] > 60) == ("timeout", True)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["type", "index", "delta", "content_block", "message", "usage", "text",
                         "name", "input", "content", "stop_reason", "error"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
KINDS = st.sampled_from(["message_start", "content_block_start", "content_block_delta",
                         "content_block_stop", "message_delta", "message_stop",
                         "error"])  # fmt: skip


@given(st.lists(st.tuples(KINDS, st.dictionaries(
    st.sampled_from(["index", "delta", "content_block", "message", "usage", "error"]), JSON_VALUES,
)), max_size=6))  # fmt: skip
def test_no_events_raise_anything_but_a_provider_error(
    told: list[tuple[str, dict[str, Any]]],
) -> None:
    events = [START, opened({"type": "text", "text": ""})]
    events += [{**event, "type": kind} for kind, event in told]
    assert kind_of(lambda: streamed(*events)) in ("", "protocol", "incomplete", "unavailable")


@example({"type": "message", "content": [], "stop_reason": False}, "content")
@example({"content": [], "stop_reason": "end_turn"}, "content")
@given(JSON_VALUES, st.sampled_from(["content", "usage", "stop_details", "stop_reason", "type"]))
def test_no_answer_raises_anything_but_a_provider_error(value: Any, name: str) -> None:
    assert kind_of(lambda: told(value)) in ("protocol", "incomplete", "unavailable")
    odd = {**message({"type": "text", "text": "a"}), name: value}
    assert kind_of(lambda: told(odd)) in ("", "protocol", "incomplete", "unavailable")
