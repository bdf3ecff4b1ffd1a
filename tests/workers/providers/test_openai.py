"""The OpenAI adapter against answers good, odd and broken; the stream however it is cut."""

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.providers.base import Call, Chunk, ProviderError
from workers.providers.openai import OpenAI
from workers.providers.wire import ANSWER_MAX, FRAME_MAX

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
DONE = b"data: [DONE]\n\n"
Answer = Callable[[httpx.Request], httpx.Response]


def provider(answer: Answer, key: str = "sk-test") -> OpenAI:
    return OpenAI(httpx.MockTransport(answer), "https://api.test/v1/", key)


def call(**request: Any) -> Call:
    return Call({"messages": [{"role": "user", "content": "hi"}], **request}, "their-model")


def choice(text: str, finish: str | None = None, index: int = 0) -> dict[str, Any]:
    return {"index": index, "delta": {"content": text}, "finish_reason": finish}


def frame(*choices: dict[str, Any], **more: Any) -> bytes:
    body = {"id": "c", "object": "chat.completion.chunk", "choices": list(choices), **more}
    return b"data: " + orjson.dumps(body) + b"\n\n"


def streamed(*parts: bytes) -> list[Chunk]:
    """The chunks that the adapter makes of parts, each of which one read brings."""
    return list(provider(lambda _: httpx.Response(200, content=iter(parts))).stream(call()))


def choices(chunks: list[Chunk]) -> list[dict[str, Any]]:
    return [one for chunk in chunks for one in chunk.choices]


def refused(*parts: bytes) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        streamed(*parts)
    return raised.value


def complete(one: OpenAI) -> object:
    return one.complete(call())


def stream(one: OpenAI) -> object:
    return list(one.stream(call()))


def answered(response: httpx.Response) -> ProviderError:
    """The error that both ways of calling make of a response."""
    headers = response.headers
    status, content = response.status_code, response.content
    one = provider(lambda _: httpx.Response(status, headers=headers, content=content))
    with pytest.raises(ProviderError) as whole:
        complete(one)
    with pytest.raises(ProviderError) as streaming:
        stream(one)
    first, second = whole.value, streaming.value
    assert (first.kind, first.message) == (second.kind, second.message)
    return first


def test_sends_the_request_with_the_providers_model_and_key() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        body = {"choices": [{"index": 0, "message": {}, "finish_reason": "stop"}], "usage": USAGE}
        return httpx.Response(200, json=body)

    completion = provider(answer).complete(call(temperature=0.5))
    [request] = seen
    assert (request.method, str(request.url)) == ("POST", "https://api.test/v1/chat/completions")
    assert orjson.loads(request.content) == {
        "messages": [{"role": "user", "content": "hi"}], "temperature": 0.5, "model": "their-model",
    }  # fmt: skip
    assert request.headers["authorization"] == "Bearer sk-test"
    assert request.headers["host"] == "api.test"
    assert request.headers["content-length"] == str(len(request.content))
    assert request.extensions["timeout"] == {"connect": 5.0, "read": 60.0}
    assert completion.choices[0]["message"] == {"content": None}
    assert completion.usage == USAGE


def test_a_stream_asks_for_usage_and_without_a_key_sends_none() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, content=frame(choice("a", "stop")) + DONE)

    list(provider(answer, "").stream(call(stream_options={"include_usage": False})))
    body = orjson.loads(seen[0].content)
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    assert "authorization" not in seen[0].headers


def test_an_answer_without_usage_is_whole() -> None:
    body = {"choices": [{"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}]}
    completion = provider(lambda _: httpx.Response(200, json=body)).complete(call())
    assert completion.usage is None


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b"null", b'"x"', b'{"choices":null}', b'{"choices":[]}',
             b'{"choices":{}}', b'{"choices":"abc"}', b'{"choices":[{"message":1}]}', b"\xff"]
)  # fmt: skip
def test_what_is_no_completion_is_a_protocol_error(body: bytes) -> None:
    with pytest.raises(ProviderError) as raised:
        provider(lambda _: httpx.Response(200, content=body)).complete(call())
    assert raised.value.kind == "protocol"


def test_an_endless_answer_is_cut_off() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b" " * 1_000_000

    with pytest.raises(ProviderError, match=str(ANSWER_MAX)):
        provider(lambda _: httpx.Response(200, content=endless())).complete(call())


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b'{"error":{"message":"no"}}', "unavailable", None),
        (b'{"error":{"message":"no","code":429}}', "rate_limited", 429),
        (b'{"error":{"message":"no","code":400}}', "invalid", 400),
        (b'{"object":"error","message":"no","code":40401}', "unavailable", None),
    ],
)
def test_an_error_in_an_answer_that_began_well_is_an_error(
    body: bytes, kind: str, status: int | None
) -> None:
    error = answered(
        httpx.Response(200, headers={"Content-Type": "application/json"}, content=body)
    )
    assert (error.kind, error.status, error.message) == (kind, status, "no")


def test_events_under_another_type_are_a_stream_all_the_same() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        headers = {"Content-Type": "text/plain"}
        return httpx.Response(200, headers=headers, content=frame(choice("a")))

    with pytest.raises(ProviderError) as raised:
        stream(provider(answer))
    assert raised.value.kind == "incomplete"


def test_a_page_instead_of_a_stream_is_no_stream() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        headers = {"Content-Type": "text/html; charset=utf-8"}
        return httpx.Response(200, headers=headers, content=b"<html>\n\n<p>login</p>")

    with pytest.raises(ProviderError, match="text/html") as raised:
        stream(provider(answer))
    assert (raised.value.kind, raised.value.retryable) == ("protocol", True)


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (httpx.ConnectError("refused"), "connect"),
        (httpx.ConnectTimeout("late"), "connect"),
        (httpx.ReadTimeout("silent"), "timeout"),
        (httpx.ReadError("reset"), "connect"),
        (httpx.RemoteProtocolError("garbage"), "connect"),
    ],
)
def test_a_broken_connection_is_a_provider_error(raised: httpx.HTTPError, kind: str) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise raised

    for way in (complete, stream):
        with pytest.raises(ProviderError) as error:
            way(provider(answer))
        assert (error.value.kind, error.value.retryable) == (kind, True)
        assert error.value.message == str(raised)


def test_a_stream_gives_choices_and_usage_in_order() -> None:
    chunks = streamed(
        frame({"index": 0, "delta": {"role": "assistant"}, "finish_reason": None}),
        frame(choice("a")),
        frame(choice("b", "stop")) + frame(usage=USAGE) + DONE,
    )
    assert [c["delta"].get("content") for c in choices(chunks)] == [None, "a", "b"]
    assert [chunk.usage for chunk in chunks] == [None, None, USAGE]


def test_one_read_gives_one_chunk() -> None:
    [chunk] = streamed(frame(choice("a")) + frame(choice("b")) + frame(choice("c", "stop")) + DONE)
    assert [c["delta"]["content"] for c in chunk.choices] == ["a", "b", "c"]


STREAM = (
    b": comment\n\n"
    + frame({"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None})
    + b"event: message\nid: 7\n" + frame(choice("h\u00e9 \U0001f319 \u2028")) + b": ping\n"
    + frame(choice("two", None, 1), choice("\n\ndata: x\r\n", None, 0))
    + b"event: x\ndata\n\ndata:\n\ndata: {\"choices\":\ndata:[]}\nretry: 3\n\n\n"
    + frame(choice("", "stop", 0)) + b"data:" + frame(choice("", "length", 1))[6:]
    + frame(usage=USAGE)
)  # fmt: skip
WHOLE = choices(streamed(STREAM))


@given(
    st.lists(st.integers(0, 2 * len(STREAM)), max_size=30),
    st.sampled_from([b"", DONE]),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
)
def test_however_a_stream_is_cut_it_gives_the_same_choices(
    cuts: list[int], end: bytes, newline: bytes, mark: bytes
) -> None:
    raw = mark + (STREAM + end).replace(b"\n", newline)
    places = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    parts = [raw[a:b] for a, b in pairwise(places)]
    chunks = streamed(*parts)
    assert choices(chunks) == WHOLE
    assert [chunk.usage for chunk in chunks if chunk.usage] == [USAGE]


def test_a_crlf_cut_in_two_delays_nothing() -> None:
    first = frame(choice("now")).replace(b"\n", b"\r\n")
    rest = frame(choice("", "stop"))
    chunks = streamed(first[:-1], first[-1:], rest)
    assert [[c["delta"]["content"] for c in chunk.choices] for chunk in chunks] == [["now"], [""]]


def test_what_comes_after_done_is_not_read() -> None:
    [chunk] = streamed(frame(choice("a", "stop")) + DONE, b"data: not json\n\n")
    assert [c["delta"]["content"] for c in chunk.choices] == ["a"]


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (b": ping\n\n",),
        (frame(choice("a")),),
        (frame(choice("a")), DONE),
        (frame(choice("a", "stop", 0), choice("b", None, 1)), DONE),
        (frame(choice("a", "stop"))[:-9],),
        (DONE,),
        (frame(usage=USAGE), DONE),
    ],
)
def test_an_end_without_a_finish_reason_is_a_failure(parts: tuple[bytes, ...]) -> None:
    error = refused(*parts)
    assert (error.kind, error.retryable) == ("incomplete", True)


def test_a_done_without_its_blank_line_is_an_end_as_well() -> None:
    chunks = streamed(frame(choice("a", "stop")), b"data: [DONE]")
    assert [c["delta"]["content"] for c in choices(chunks)] == ["a"]


def test_an_error_frame_ends_the_stream() -> None:
    error = refused(frame(choice("a")), b'data: {"error":{"message":"overloaded"}}\n\n')
    assert (error.kind, error.retryable, error.message) == ("unavailable", True, "overloaded")


def test_an_empty_error_field_is_no_error() -> None:
    chunks = streamed(frame(choice("a", "stop"), error=None) + DONE)
    assert [c["delta"]["content"] for c in choices(chunks)] == ["a"]


@pytest.mark.parametrize(
    "data",
    [b"not json", b"1", b"[]", b"null", b'"error"', b"{}", b'{"choices":null}',
     b'{"choices":"abc"}', b'{"choices":[1]}', b'{"choices":[{}]}', b'{"choices":{"a":1}}',
     b'{"choices":[{"delta":{},"index":"x"}]}', b'{"choices":[{"delta":{}}]}', b"\xff\xfe"],
)  # fmt: skip
def test_a_chunk_of_another_form_is_a_protocol_error(data: bytes) -> None:
    error = refused(b"data: " + data + b"\n\n")
    assert (error.kind, error.retryable) == ("protocol", True)


@given(st.binary(max_size=60))
def test_no_bytes_make_a_stream_raise_anything_else(data: bytes) -> None:
    assert refused(b"data: " + data + b"\n\n").kind in ("protocol", "incomplete", "unavailable")


def test_an_endless_frame_is_cut_off() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"data: " + b" " * 1_000_000

    with pytest.raises(ProviderError, match=str(FRAME_MAX)):
        stream(provider(lambda _: httpx.Response(200, content=endless())))


def test_closing_the_iterator_closes_the_response() -> None:
    closed = []

    class Body(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            while True:
                yield frame(choice("a"))

        def close(self) -> None:
            closed.append(True)

    chunks = provider(lambda _: httpx.Response(200, stream=Body())).stream(call())
    next(chunks)
    assert closed == []
    chunks.close()  # type: ignore[attr-defined]
    assert closed


@pytest.mark.parametrize(("first", "patience_s"), [(b"", 60), (frame(choice("a")), 30)])
def test_keep_alives_alone_are_no_answer(
    monkeypatch: pytest.MonkeyPatch, first: bytes, patience_s: int
) -> None:
    """A provider that keeps the line open and says nothing runs into the token timeouts."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def pings() -> Iterator[bytes]:
        yield first + b": ping\n\n"
        while True:
            now[0] += 10
            yield b": ping\n\n"

    with pytest.raises(ProviderError) as raised:
        stream(provider(lambda _: httpx.Response(200, content=pings())))
    assert raised.value.kind == "timeout"
    assert patience_s < now[0] <= patience_s + 10
