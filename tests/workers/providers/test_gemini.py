"""Gemini's adapter where its vendor's form is not OpenAI's: what the suite of all adapters
(`test_adapters.py`) cannot ask of everyone."""

import base64
import math
import struct
from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.providers.base import Answer, Call, Chunk, Completion, ProviderError
from workers.providers.collect import collect
from workers.providers.gemini import BATCH_MAX, Gemini

USER = {"role": "user", "content": "hi"}


def provider(answer: Callable[[httpx.Request], httpx.Response]) -> Gemini:
    return Gemini(httpx.MockTransport(answer), "https://api.test/v1beta/", "sk-test")


def told(body: Any, status: int = 200) -> Completion:
    """What the adapter makes of a whole answer."""
    one = provider(lambda _: httpx.Response(status, content=orjson.dumps(body)))
    return one.complete(Call({"messages": [USER]}, "gemini"))


def streamed(*answers: Any) -> list[Chunk]:
    parts = [b"data: " + orjson.dumps(answer) + b"\r\n\r\n" for answer in answers]
    one = provider(lambda _: httpx.Response(200, content=iter(parts)))
    return list(one.stream(Call({"messages": [USER]}, "gemini")))


def kind_of(ask: Callable[[], object]) -> str:
    """The kind of the error that comes of it; empty if none does."""
    try:
        ask()
    except ProviderError as error:
        return error.kind
    return ""


def failed(body: Any, status: int = 200) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        told(body, status)
    return raised.value


def candidate(*parts: dict[str, Any], stop: str | None = "STOP", index: int = 0) -> dict[str, Any]:
    said: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}}
    return {**said, "index": index, **({"finishReason": stop} if stop else {})}


def answered(*candidates: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"candidates": list(candidates), "responseId": "r1", **more}


def call(name: str = "look", **more: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": {"n": 1}}, **more}


def test_the_key_is_a_header_and_the_model_is_in_the_path() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=answered(candidate({"text": "a"})))

    provider(answer).complete(Call({"messages": [USER]}, "gemini-9"))
    [request] = seen
    assert str(request.url) == "https://api.test/v1beta/models/gemini-9:generateContent"
    assert request.headers["x-goog-api-key"] == "sk-test"


def test_calls_without_an_id_get_one_that_is_theirs_alone() -> None:
    whole = answered(candidate(call(), call("tell")), candidate(call(), index=1), usageMetadata={})
    for completion in (told(whole), collect(streamed(whole))):
        ids = [
            one["id"] for choice in completion.choices for one in choice["message"]["tool_calls"]
        ]
        assert ids == ["call_r1_0_0", "call_r1_0_1", "call_r1_1_0"]
    [one] = told({"candidates": [candidate(call())]}).choices[0]["message"]["tool_calls"]
    [other] = told({"candidates": [candidate(call())]}).choices[0]["message"]["tool_calls"]
    assert one["id"] != other["id"]


def test_a_signature_travels_with_its_call() -> None:
    answer = answered(candidate(call(thoughtSignature="c2ln"), call()))
    for completion in (told(answer), collect(streamed(answer))):
        first, second = completion.choices[0]["message"]["tool_calls"]
        assert first["extra_content"] == {"google": {"thought_signature": "c2ln"}}
        assert "extra_content" not in second


def test_a_call_that_was_cut_off_is_not_a_call_that_is_whole() -> None:
    [choice] = told(answered(candidate(call(), stop="MAX_TOKENS"))).choices
    assert (choice["finish_reason"], len(choice["message"]["tool_calls"])) == ("length", 1)


def test_candidates_are_choices_and_each_must_end() -> None:
    a, b = candidate({"text": "a"}, stop=None), candidate({"text": "b"}, index=1)
    last = candidate({"text": "!"})
    completion = collect(streamed(answered(a), answered(b), answered(last)))
    assert [choice["message"]["content"] for choice in completion.choices] == ["a!", "b"]
    assert kind_of(lambda: streamed(answered(a), answered(b))) == "incomplete"


def test_a_prompt_that_is_blocked_is_a_refusal() -> None:
    body = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}}
    for completion in (told(body), collect(streamed(body))):
        [choice] = completion.choices
        assert choice["finish_reason"] == "content_filter"
        assert choice["message"]["content"] is None
        assert "SAFETY" in choice["message"]["refusal"]
        assert completion.usage is not None
        assert (completion.usage["prompt_tokens"], completion.usage["completion_tokens"]) == (4, 0)


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"])
def test_an_answer_that_the_model_broke_may_be_asked_for_again(reason: str) -> None:
    error = failed(answered(candidate(stop=reason)))
    assert (error.kind, error.retryable) == ("protocol", True)
    assert reason in error.message


def test_a_reason_that_nobody_knows_is_a_filter() -> None:
    assert told(answered(candidate(stop="NEWLY_FORBIDDEN"))).choices[0]["finish_reason"] == (
        "content_filter"
    )


def test_thoughts_and_what_tools_brought_are_counted() -> None:
    usage = {"promptTokenCount": 10, "toolUsePromptTokenCount": 5, "cachedContentTokenCount": 4,
             "candidatesTokenCount": 3, "thoughtsTokenCount": 7}  # fmt: skip
    assert told(answered(candidate({"text": "a"}), usageMetadata=usage)).usage == {
        "prompt_tokens": 15, "completion_tokens": 10, "total_tokens": 25,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 7},
    }  # fmt: skip


def test_log_probabilities_are_in_openais_form() -> None:
    one = {"token": "é", "tokenId": 5, "logProbability": -0.5}
    other = {"token": "e", "tokenId": 6, "logProbability": -1.5}
    result = {"chosenCandidates": [one, other], "topCandidates": [{"candidates": [one, other]}]}
    said = {**candidate({"text": "ée"}), "logprobsResult": result}
    first = {"token": "é", "logprob": -0.5, "bytes": [195, 169]}
    second = {"token": "e", "logprob": -1.5, "bytes": [101]}
    for completion in (told(answered(said)), collect(streamed(answered(said)))):
        assert completion.choices[0]["logprobs"]["content"] == [
            {**first, "top_logprobs": [first, second]}, {**second, "top_logprobs": []},
        ]  # fmt: skip


def test_a_wrong_key_is_not_the_clients_mistake() -> None:
    text = "API key not valid. Please pass a valid API key."
    error = failed({"error": {"code": 400, "message": text, "status": "INVALID_ARGUMENT"}}, 400)
    assert (error.kind, error.status) == ("auth", 400)


def test_a_wait_that_the_error_tells_is_kept() -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "36.5s"}
    body = {"error": {"code": 429, "message": "quota", "details": [{"@type": "x"}, info]}}
    error = failed(body, 429)
    assert (error.kind, error.retry_after) == ("rate_limited", 36.5)


@pytest.mark.parametrize(
    ("code", "kind"), [(429, "rate_limited"), (400, "invalid"), (403, "auth"), (503, "unavailable")]
)
def test_an_error_in_mid_stream_is_read_by_its_code(code: int, kind: str) -> None:
    error = {"error": {"code": code, "message": "because"}}
    assert kind_of(lambda: streamed(answered(candidate({"text": "a"}, stop=None)), error)) == kind


def embedded(
    request: dict[str, Any], width: int = 2, **more: Any
) -> tuple[Answer, list[dict[str, Any]]]:
    """The embeddings of a request, each a vector of its text's length, and the calls made."""
    seen: list[dict[str, Any]] = []

    def answer(sent: httpx.Request) -> httpx.Response:
        body = orjson.loads(sent.content)
        seen.append(body)
        texts = [one["content"]["parts"][0]["text"] for one in body["requests"]]
        values = [{"values": [float(len(text))] * width} for text in texts]
        return httpx.Response(200, json={"embeddings": values, **more})

    return provider(answer).embed(Call(request, "embedder")), seen


def test_one_text_is_one_embedding() -> None:
    told, [sent] = embedded({"input": "abc"})
    assert told.body["data"] == [{"object": "embedding", "index": 0, "embedding": [3.0, 3.0]}]
    assert sent["requests"][0].keys() == {"model", "content"}
    assert told.usage is None


def test_many_texts_are_embedded_in_their_order_and_in_batches() -> None:
    texts = ["x" * size for size in range(1, 2 * BATCH_MAX + 2)]
    told, sent = embedded({"input": texts}, usageMetadata={"promptTokenCount": 7})
    assert [len(body["requests"]) for body in sent] == [BATCH_MAX, BATCH_MAX, 1]
    assert [row["embedding"][0] for row in told.body["data"]] == [len(text) for text in texts]
    assert [row["index"] for row in told.body["data"]] == [*range(len(texts))]
    assert told.usage == {"prompt_tokens": 21, "completion_tokens": 0, "total_tokens": 21}


def test_vectors_that_were_cut_are_of_length_one_again() -> None:
    told, [sent] = embedded({"input": ["abc"], "dimensions": 4}, width=4)
    assert sent["requests"][0]["outputDimensionality"] == 4
    assert math.hypot(*told.body["data"][0]["embedding"]) == pytest.approx(1)
    none, _ = embedded({"input": [""], "dimensions": 4}, width=4)
    assert none.body["data"][0]["embedding"] == [0.0] * 4


def test_vectors_are_in_base64_where_that_was_asked_for() -> None:
    told, [sent] = embedded({"input": "abc", "encoding_format": "base64"})
    assert struct.unpack("<2f", base64.b64decode(told.body["data"][0]["embedding"])) == (3.0, 3.0)
    assert sent["requests"][0].keys() == {"model", "content"}


@pytest.mark.parametrize("tokens", [[1, 2], [[1], [2]]])
def test_token_ids_are_refused_by_name(tokens: list[Any]) -> None:
    with pytest.raises(ProviderError) as raised:
        embedded({"input": tokens})
    assert (raised.value.kind, raised.value.param) == ("invalid", "input")


@pytest.mark.parametrize("body", [b"", b"[]", b'{"embeddings":[]}', b'{"embeddings":[{}]}'])
def test_what_holds_no_embeddings_is_a_protocol_error(body: bytes) -> None:
    one = provider(lambda _: httpx.Response(200, content=body))
    assert kind_of(lambda: one.embed(Call({"input": "a"}, "embedder"))) == "protocol"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["candidates", "content", "parts", "text", "functionCall", "name", "args",
                         "finishReason", "index", "usageMetadata", "promptTokenCount", "error",
                         "promptFeedback", "blockReason", "logprobsResult"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(JSON_VALUES, st.sampled_from(["content", "index", "finishReason", "logprobsResult"]))
def test_no_answer_raises_anything_but_a_provider_error(value: Any, name: str) -> None:
    odd = answered({**candidate({"text": "a"}), name: value})
    for body in (value, {"candidates": value}, {"usageMetadata": value}, odd):
        for ask in (lambda body=body: told(body), lambda body=body: collect(streamed(body))):
            assert kind_of(ask) in ("", "protocol", "incomplete", "unavailable")
