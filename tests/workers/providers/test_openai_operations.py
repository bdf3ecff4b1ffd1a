"""Embeddings, images and transcriptions through the OpenAI adapter."""

from array import array
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.workers.providers.vendors.base import AUDIO, Request
from tests.workers.providers.vendors.openai import form
from workers.providers.base import Answer, Call, ProviderError
from workers.providers.openai import OpenAI

NONE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
FILE = {"name": "moon.wav", "content_type": "audio/wav", "data": b64encode(AUDIO).decode()}


def base64_of(vector: list[float]) -> str:
    return b64encode(array("f", vector).tobytes()).decode()


def row(vector: Any, index: Any = 0) -> dict[str, Any]:
    return {"object": "embedding", "index": index, "embedding": vector}


class Asked:
    """An adapter over one answer, and what it sent."""

    def __init__(
        self, told: Any, content_type: str = "application/json", status: int = 200
    ) -> None:
        content = told if isinstance(told, bytes) else orjson.dumps(told)
        self.requests: list[httpx.Request] = []

        def answer(request: httpx.Request) -> httpx.Response:
            self.requests.append(request)
            headers = {"Content-Type": content_type}
            return httpx.Response(status, headers=headers, content=content)

        self.provider = OpenAI(httpx.MockTransport(answer), "https://api.test/v1", "k")

    @property
    def body(self) -> Any:
        return orjson.loads(self.requests[0].content)

    @property
    def fields(self) -> dict[str, Any]:
        sent = self.requests[0]
        return form(Request(sent.method, sent.url.path, dict(sent.headers), sent.content))


def refused(way: Callable[[Call], Answer], call: Call) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        way(call)
    return raised.value


def embed(told: Any, **request: Any) -> Answer:
    return Asked(told).provider.embed(Call({"input": "one", **request}, "m"))


def test_vectors_come_in_the_order_of_their_inputs() -> None:
    told = {"data": [row([2.0], 1), row([1.0], 0)], "model": "theirs", "usage": {
        "prompt_tokens": 5, "total_tokens": 5,
    }}  # fmt: skip
    answer = embed(told, input=["a", "b"])
    assert [one["embedding"] for one in answer.body["data"]] == [[1.0], [2.0]]
    assert answer.body.keys() == {"object", "data"}
    assert answer.usage == {"prompt_tokens": 5, "completion_tokens": 0, "total_tokens": 5}


@pytest.mark.parametrize(
    ("asked", "told", "vector"),
    [
        ({}, [0.5, -1.0], [0.5, -1.0]),
        ({"encoding_format": "float"}, base64_of([0.5, -1.0]), [0.5, -1.0]),
        ({"encoding_format": "base64"}, base64_of([0.5, -1.0]), base64_of([0.5, -1.0])),
        ({"encoding_format": "base64"}, [0.5, -1.0], base64_of([0.5, -1.0])),
    ],
)
def test_vectors_come_in_the_encoding_that_was_asked_for(
    asked: dict[str, str], told: Any, vector: Any
) -> None:
    assert embed({"data": [row(told)]}, **asked).body["data"][0]["embedding"] == vector


@pytest.mark.parametrize("given", ["text", [1, 2, 3], ["text"], [[1, 2, 3]]])
def test_one_text_or_its_tokens_have_one_vector(given: Any) -> None:
    assert len(embed({"data": [row([1.0])]}, input=given).body["data"]) == 1


@pytest.mark.parametrize(
    "told",
    [b"no", [], {}, {"data": None}, {"data": []}, {"data": [1]}, {"data": [{"index": 0}]},
     {"data": [row(None)]}, {"data": [row("not base64!")]}, {"data": [row("AAA=")]},
     {"data": [row([1.0], 0), row([2.0], 1)]}, {"data": [row([1.0], "x"), row([1.0], 1)]}],
)  # fmt: skip
def test_what_is_no_list_of_a_vector_for_each_input_is_a_protocol_error(told: Any) -> None:
    error = refused(Asked(told).provider.embed, Call({"input": "one"}, "m"))
    assert (error.kind, error.retryable) == ("protocol", True)


def test_images_are_counted() -> None:
    told = {"created": 7, "data": [{"b64_json": "QQ=="}, {"url": "https://x.test/1"}],
            "size": "1024x1024", "model": "theirs"}  # fmt: skip
    answer = Asked(told).provider.draw(Call({"prompt": "p", "n": 2}, "m"))
    assert answer.body == {"created": 7, "data": told["data"], "size": "1024x1024"}
    assert answer.usage == {**NONE, "images": 2}


def test_tokens_of_images_are_told_in_the_words_of_chat() -> None:
    told = {"data": [{"b64_json": "QQ=="}], "usage": {
        "input_tokens": 9, "output_tokens": 272, "total_tokens": 281,
        "input_tokens_details": {"text_tokens": 9, "image_tokens": 0},
    }}  # fmt: skip
    answer = Asked(told).provider.draw(Call({"prompt": "p"}, "gpt-image-2"))
    assert answer.usage == {
        "prompt_tokens": 9, "completion_tokens": 272, "total_tokens": 281, "images": 1,
    }  # fmt: skip
    assert type(answer.body["created"]) is int


@pytest.mark.parametrize(
    ("model", "sent"),
    [("gpt-image-2.5-flare", False), ("chatgpt-image-latest", False), ("grok-imagine", True)],
)
def test_a_model_that_gives_base64_always_is_not_asked_for_it(model: str, sent: bool) -> None:
    asked = Asked({"data": [{"b64_json": "QQ=="}]})
    request = {"prompt": "p", "response_format": "b64_json", "size": "auto"}
    asked.provider.draw(Call(request, model))
    assert ("response_format" in asked.body) is sent
    assert (asked.body["size"], asked.body["model"]) == ("auto", model)
    assert str(asked.requests[0].url) == "https://api.test/v1/images/generations"
    assert request["response_format"] == "b64_json", "the request is not ours to change"


@pytest.mark.parametrize("told", [{}, {"data": []}, {"data": [{}]}, {"data": [1]}, {"data": 1}, []])
def test_what_is_no_list_of_images_is_a_protocol_error(told: Any) -> None:
    error = refused(Asked(told).provider.draw, Call({"prompt": "p"}, "m"))
    assert error.kind == "protocol"


def test_an_address_is_passed_on_where_a_provider_gives_no_base64() -> None:
    asked = Asked({"data": [{"url": "https://x.test/1"}]})
    answer = asked.provider.draw(Call({"prompt": "p", "response_format": "b64_json"}, "m"))
    assert answer.body["data"] == [{"url": "https://x.test/1"}]


def transcribe(asked: Asked, parameters: dict[str, Any] | None = None, **request: Any) -> Answer:
    return asked.provider.transcribe(Call({"file": FILE, **request}, "m", parameters or {}))


def test_a_recording_is_sent_as_a_form() -> None:
    asked = Asked({"text": "t"})
    transcribe(
        asked, language="en", prompt='say "é"\r\n--x', temperature=0.5, include=["logprobs"],
        response_format="verbose_json", timestamp_granularities=["word", "segment"],
    )  # fmt: skip
    assert asked.fields == {
        "model": "m", "file": FILE, "language": "en", "prompt": 'say "é"\r\n--x',
        "temperature": "0.5", "response_format": "verbose_json",
        "timestamp_granularities": ["word", "segment"], "include": ["logprobs"],
    }  # fmt: skip
    assert asked.requests[0].headers["content-length"] == str(len(asked.requests[0].content))
    assert asked.requests[0].headers["authorization"] == "Bearer k"
    assert len(asked.requests[0].headers.get_list("content-type")) == 1


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
@example('a\r"b\nc')
def test_no_name_of_a_file_breaks_out_of_its_form(name: str) -> None:
    asked = Asked({"text": "t"})
    transcribe(asked, **{"file": {**FILE, "name": name, "content_type": f"audio/{name}"}})
    content = asked.requests[0].content
    lines = content[: content.index(AUDIO)].split(b"\r\n")
    disposition = [line for line in lines if b"filename=" in line]
    assert len(disposition) == 1
    assert disposition[0].count(b'"') == 4
    assert not {*b"\r\n"} & {*b"".join(lines)}
    assert len(lines) == 9


def test_a_recording_that_is_no_base64_is_refused_by_name() -> None:
    asked = Asked({"text": "t"})
    call = Call({"file": {**FILE, "data": "?"}}, "m")
    error = refused(asked.provider.transcribe, call)
    assert (error.kind, error.status, error.param) == ("invalid", 400, "file")
    assert asked.requests == []


@pytest.mark.parametrize(
    ("usage", "more", "counted"),
    [
        ({"type": "duration", "seconds": 3}, {}, {**NONE, "seconds": 3}),
        (None, {"duration": 2.5}, {**NONE, "seconds": 2.5}),
        (None, {"duration": "8.47"}, {**NONE, "seconds": 8.47}),
        (None, {"duration": "1.2.3"}, None),
        ({"type": "tokens", "input_tokens": 14, "output_tokens": 45, "total_tokens": 59}, {},
         {"prompt_tokens": 14, "completion_tokens": 45, "total_tokens": 59}),
        ({"prompt_audio_seconds": 4, "prompt_tokens": 3, "completion_tokens": 9}, {},
         {"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12, "seconds": 4}),
        (None, {}, None),
        (7, {"duration": "long"}, None),
    ],
)  # fmt: skip
def test_the_length_or_the_tokens_are_what_is_used(
    usage: Any, more: dict[str, Any], counted: dict[str, Any] | None
) -> None:
    answer = transcribe(Asked({"text": "t", "model": "theirs", "usage": usage, **more}))
    assert answer.body == {"text": "t", **more}
    assert answer.usage == counted


SRT = "1\n00:00:00,000 --> 00:00:02,500\nOne, é\n\n"
VTT = "WEBVTT\n\n00:00.000 --> 00:02.500\nOne\n"


@pytest.mark.parametrize(("wanted", "text"), [("srt", SRT), ("vtt", VTT), ("text", "One, é\n")])
def test_a_file_of_text_is_given_as_it_is(wanted: str, text: str) -> None:
    answer = transcribe(Asked(text.encode(), "text/plain"), response_format=wanted)
    assert answer.body == {"text": text, "format": wanted}
    assert answer.usage is None


@pytest.mark.parametrize(
    ("wanted", "body"),
    [({}, {"text": "t"}), ({"response_format": "json"}, {"text": "t"}),
     ({"response_format": "text"}, {"text": "t\n", "format": "text"})],
)  # fmt: skip
def test_a_length_that_is_told_in_verbose_json_alone_is_asked_for_so(
    wanted: dict[str, str], body: dict[str, str]
) -> None:
    asked = Asked({"text": "t", "duration": 9.5, "segments": [], "task": "transcribe"})
    answer = transcribe(asked, {"verbose": True}, **wanted)
    assert asked.fields["response_format"] == "verbose_json"
    assert answer.body == body
    assert answer.usage == {**NONE, "seconds": 9.5}


def test_subtitles_are_asked_for_as_such_even_so() -> None:
    asked = Asked(SRT.encode(), "text/plain")
    answer = transcribe(asked, {"verbose": True}, response_format="srt")
    assert asked.fields["response_format"] == "srt"
    assert answer.body["text"] == SRT


@pytest.mark.parametrize("told", [b"plain", {}, {"text": None}, []])
def test_what_is_no_transcription_is_a_protocol_error(told: Any) -> None:
    error = refused(lambda call: transcribe(Asked(told)), Call({}, "m"))
    assert error.kind == "protocol"


@pytest.mark.parametrize("operation", ["embed", "draw", "transcribe"])
def test_a_refusal_of_an_operation_is_read_by_its_status(operation: str) -> None:
    told = {"error": {"message": "too long", "param": "input"}}
    call = Call({"input": "x", "prompt": "p", "file": FILE}, "m")
    error = refused(getattr(Asked(told, status=400).provider, operation), call)
    assert (error.kind, error.status, error.param) == ("invalid", 400, "input")
