"""The door for transcriptions, with workers whose provider plays what it is given."""

import base64
import hashlib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import gevent
import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from app.db.connect import Connection
from app.settings import Settings
from app.web.transcriptions import PIECE_BYTES, encoded
from tests.app.dialects.test_audio import wav
from tests.app.events.parts import until
from tests.app.line import assert_proven, funds, state, transfers
from tests.app.web.doors import Caller, web_process, workers
from workers.inference.desk import Desk
from workers.providers.base import Answer, Call, Provider, ProviderError

PATH = "/v1/audio/transcriptions"
LIMIT = 300_000
CATALOGUE = """
providers:
  ears: {kind: openai, base_url: "http://127.0.0.1:1/v1"}
models:
  whisper: {does: transcription, price: {minute: 0.006}, routes: [{provider: ears, model: w}]}
"""
SRT = "1\n00:00:00,000 --> 00:00:02,000\nhello\n"


class Ears:
    """Answers in the form asked for, as an OpenAI-compatible server does."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.usage: dict[str, Any] | None = {
            "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "seconds": 2,
        }  # fmt: skip
        self.error: ProviderError | None = None
        self.busy_s = 0.0

    def transcribe(self, call: Call) -> Answer:
        self.asked.append(call.request)
        gevent.sleep(self.busy_s)
        if self.error is not None:
            raise self.error
        form = call.request.get("response_format", "json")
        if form == "verbose_json":
            more = {"task": "transcribe", "language": "english", "duration": 2.0, "segments": []}
            return Answer({"text": "hello", **more}, self.usage)
        if form == "json":
            return Answer({"text": "hello"}, self.usage)
        return Answer({"text": "hello" if form == "text" else SRT, "format": form}, self.usage)


@pytest.fixture
def ears() -> Ears:
    return Ears()


@pytest.fixture
def desks() -> list[Desk]:
    """The desks of the workers that run."""
    return []


@pytest.fixture
def app(
    gevent_sockets: None,
    line_settings: Callable[..., Settings],
    ears: Ears,
    desks: list[Desk],
    tmp_path: Path,
) -> Iterator[Flask]:
    catalogue = tmp_path / "catalogue.yaml"
    catalogue.write_text(CATALOGUE)
    settings = line_settings(catalogue=catalogue, audio_limit=LIMIT, body_limit=10_000)
    with web_process(settings) as made, workers(settings) as running:
        desks += running
        for desk in desks:
            desk._parts.providers._made["ears"] = cast(Provider, ears)
        yield made


def send(
    caller: Caller, path: str = PATH, content: bytes | None = None, key: str = "", **fields: Any
) -> TestResponse:
    recording = wav(2) if content is None else content
    form = {
        "model": "whisper",
        "file": (BytesIO(recording), "hello.wav", "audio/wav"),
        **{name.replace("__", "[]"): value for name, value in fields.items()},
    }
    headers = {"Idempotency-Key": key} if key else {}
    return caller.open(path, "POST", data=form, headers=headers)


def refused(answer: TestResponse, status: int, param: str | None) -> None:
    assert (answer.status_code, answer.get_json()["error"]["param"]) == (status, param), answer.text


@pytest.mark.parametrize("path", [PATH, "/audio/transcriptions"])
def test_a_recording_is_transcribed_and_charged_by_its_length(
    caller: Caller, connection: Connection, mine: str, ears: Ears, path: str
) -> None:
    answer = send(caller, path, language="en", prompt="Hello?", temperature="0.5")
    assert answer.status_code == 200, answer.text
    body = answer.get_json()
    assert body["text"] == "hello"
    usage = body["usage"]
    assert (usage["type"], usage["seconds"], usage["total_tokens"]) == ("duration", 2, 0)
    assert usage["total_cost_usd"] == pytest.approx(0.0002)
    spent = transfers(connection, answer.headers["x-job-id"])
    assert (spent["hold"], spent["settle"]) == (200_000, 200_000)
    assert funds(connection, mine) == (10**9 - 200_000, 0)
    [asked] = ears.asked
    assert base64.b64decode(asked["file"].pop("data")) == wav(2)
    assert asked == {
        "file": {"name": "hello.wav", "content_type": "audio/wav"},
        "language": "en", "prompt": "Hello?", "temperature": 0.5,
    }  # fmt: skip
    assert_proven(connection)


@pytest.mark.parametrize(("form", "text"), [("text", "hello"), ("srt", SRT), ("vtt", SRT)])
def test_plain_forms_are_answered_as_plain_text(caller: Caller, form: str, text: str) -> None:
    answer = send(caller, response_format=form)
    assert answer.status_code == 200, answer.text
    assert (answer.content_type, answer.text) == ("text/plain; charset=utf-8", text)


def test_a_verbose_answer_has_what_the_provider_told(caller: Caller, ears: Ears) -> None:
    answer = send(
        caller, response_format="verbose_json", timestamp_granularities__=["word", "segment"]
    )
    body = answer.get_json()
    assert (body["task"], body["language"], body["duration"]) == ("transcribe", "english", 2.0)
    assert ears.asked[0]["timestamp_granularities"] == ["word", "segment"]


def test_lists_may_be_spelled_without_brackets(caller: Caller, ears: Ears) -> None:
    assert send(caller, include="logprobs").status_code == 200
    assert ears.asked[0]["include"] == ["logprobs"]


def test_a_provider_that_does_not_count_is_paid_by_the_estimate(
    caller: Caller, connection: Connection, ears: Ears
) -> None:
    ears.usage = None
    usage = send(caller).get_json()["usage"]
    assert (usage["seconds"], usage["estimated"], usage["prompt_tokens"]) == (2.0, True, 0)
    assert usage["total_cost_usd"] == pytest.approx(0.0002)
    mp3 = send(caller, content=b"ID3" + b"\0" * 15_997)
    assert mp3.get_json()["usage"]["seconds"] == 2.0
    assert transfers(connection, mp3.headers["x-job-id"])["hold"] == 1_600_000


def test_the_bytes_of_a_recording_are_no_tokens(
    caller: Caller, ears: Ears, desks: list[Desk]
) -> None:
    """Of a job that is cancelled while it is heard, the prompt is counted here."""
    ears.busy_s = 30
    job = send(caller, background="true").get_json()
    until(lambda: ears.asked)
    for desk in desks:
        desk.cancel(job["id"])
    until(lambda: caller.get(job["urls"]["self"]).get_json()["status"] == "cancelled")
    cancelled = caller.get(job["urls"]["self"]).get_json()
    assert (cancelled["usage"]["prompt_tokens"], cancelled["usage"]["total_cost_usd"]) == (0, 0)
    [attempt] = caller.get(f"{job['urls']['self']}/attempts").get_json()["data"]
    assert [call["platform_cost_usd"] for call in attempt["calls"]] == [0]


def test_a_background_job_shows_the_text(caller: Caller) -> None:
    accepted = send(caller, background="true", response_format="srt")
    assert accepted.status_code == 202, accepted.text
    job = accepted.get_json()
    assert (job["kind"], job["status"]) == ("transcription", "queued")
    until(lambda: caller.get(job["urls"]["self"]).get_json()["status"] == "completed")
    result = caller.get(job["urls"]["self"]).get_json()["result"]
    assert (result["text"], result["format"], result["usage"]["seconds"]) == (SRT, "srt", 2)


def test_a_form_has_a_time_and_an_address_too(caller: Caller, connection: Connection) -> None:
    at = int(time.time()) + 3600
    plan: dict[str, Any] = {
        "not_after": f"{datetime.fromtimestamp(at + 60, UTC):%Y-%m-%dT%H:%M:%SZ}"
    }
    plan |= {"webhook_url": "https://1.1.1.1/hook", "background": "true"}
    job = send(caller, run_at=str(at), **plan).get_json()
    assert (job["run_at"], job["not_after"]) == (at, at + 60)
    assert state(connection, job["id"]) == "scheduled"
    told = connection.execute("SELECT webhook_url FROM job").fetchall()
    assert told == [("https://1.1.1.1/hook",)]
    refused(send(caller, run_at=["1", "2"], **plan), 400, "run_at")
    refused(send(caller, run_at=str(at)), 400, "run_at")


def test_a_key_stands_for_fields_and_file_and_not_for_the_boundary(caller: Caller) -> None:
    first, again = send(caller, key="k"), send(caller, key="k")
    assert first.status_code == again.status_code == 200
    assert first.request.content_type != again.request.content_type
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["x-job-id"] == first.headers["x-job-id"]
    assert again.get_json() == first.get_json()
    for other in (send(caller, key="k", language="de"), send(caller, key="k", content=wav(1))):
        assert other.status_code == 422


def test_what_the_provider_refuses_names_the_field(caller: Caller, ears: Ears) -> None:
    ears.error = ProviderError("invalid", "no such language", status=400, param="language")
    answer = send(caller, language="xx")
    refused(answer, 400, "language")


def test_a_missing_model_is_told_with_how_to_have_one(caller: Caller) -> None:
    form = {"file": (BytesIO(wav(1)), "a.wav")}
    answer = caller.open(PATH, "POST", data=form)
    refused(answer, 400, "model")
    assert "defaults.transcription" in answer.get_json()["error"]["message"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"stream": "true"}, "stream"),
        ({"model": "builtin/sim"}, "model"),
        ({"response_format": "docx"}, "response_format"),
        ({"temperature": "2"}, "temperature"),
        ({"temperature": "nan"}, "temperature"),
        ({"temperature": ["0", "1"]}, "temperature"),
        ({"language": "en\n"}, "language"),
        ({"prompt": "a\0b"}, "prompt"),
        ({"include__": "text"}, "include.0"),
        ({"model__": "whisper"}, "model[]"),
        ({"timestamp_granularities__": "word"}, "timestamp_granularities"),
        ({"temprature": "1"}, "temprature"),
        ({"asked": "1"}, "asked"),
        ({"background": "perhaps"}, "background"),
        pytest.param({"voice": (BytesIO(b"x"), "x.wav")}, "voice", id="another file"),
        pytest.param({"file": (BytesIO(b""), "a.wav")}, "file", id="empty file"),
        pytest.param(
            {"file": [(BytesIO(b"x"), "a.wav"), (BytesIO(b"x"), "b.wav")]}, "file", id="two files"
        ),
    ],
    ids=str,
)
def test_what_is_wrong_is_refused_by_name(
    caller: Caller, connection: Connection, fields: dict[str, Any], param: str
) -> None:
    refused(send(caller, **fields), 400, param)
    assert connection.execute("SELECT count(*) FROM job").fetchone() == (0,)


def test_a_form_without_a_file_or_that_is_none_is_refused(caller: Caller) -> None:
    refused(caller.open(PATH, "POST", data={"model": "whisper"}), 415, None)
    refused(caller.post(PATH, {"model": "whisper"}), 415, None)
    broken = "multipart/form-data; boundary=x"
    headers = {"Content-Type": broken}
    refused(caller.open(PATH, "POST", data=b"--x\r\nnot a form", headers=headers), 400, "file")
    nothing = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper\r\n--x--\r\n'
    refused(caller.open(PATH, "POST", data=nothing, headers=headers), 400, "file")
    field = nothing.replace(b'"model"', b'"file"')
    refused(caller.open(PATH, "POST", data=field, headers=headers), 400, "file")


def test_the_bound_of_a_file_is_its_own(caller: Caller, ears: Ears) -> None:
    assert send(caller, content=b"\0" * LIMIT).status_code == 200
    refused(send(caller, content=b"\0" * (LIMIT + 1)), 413, "file")
    refused(send(caller, content=b"\0" * (LIMIT + 1_000_000)), 413, "file")
    assert len(ears.asked) == 1
    chat = {"model": "builtin/sim", "messages": [{"role": "user", "content": "x" * 10_000}]}
    assert caller.post("/v1/chat/completions", chat).status_code == 413


@pytest.mark.parametrize(("size", "status"), [(LIMIT, 200), (LIMIT + 1_000_000, 413)])
def test_a_form_that_comes_in_chunks_has_the_same_bound(
    caller: Caller, size: int, status: int
) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
    model, file = part % (b"model", b"whisper"), part % (b'file"; filename="a.mp3', b"\0" * size)
    answer = caller.open(
        PATH,
        "POST",
        input_stream=BytesIO(model + file + b"--x--\r\n"),
        headers={"Content-Type": "multipart/form-data; boundary=x"},
        environ_overrides={"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"},
    )
    assert answer.status_code == status, answer.text


@given(st.binary(max_size=9), st.integers(0, 3))
def test_a_file_is_encoded_whole_however_many_pieces_it_has(tail: bytes, pieces: int) -> None:
    content = b"\1\2\3" * (pieces * PIECE_BYTES // 3) + tail
    digest, data = encoded(content)
    assert base64.b64decode(data, validate=True) == content
    assert digest == hashlib.sha256(content).hexdigest()


def test_fields_have_a_bound_too(caller: Caller) -> None:
    assert send(caller, prompt="x" * 280_000).status_code == 413
    many: dict[str, Any] = {f"f{number}": "x" for number in range(70)}
    assert send(caller, **many).status_code == 413
