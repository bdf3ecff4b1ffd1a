"""openai-python at the doors for text completions, images and transcriptions of a whole stack."""

import base64
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from tests.app.dialects.test_audio import wav
from tests.conformance.conftest import http
from tests.ears import SECONDS, said
from tests.stacks import Stack
from tests.waiting import wait_for

pytestmark = pytest.mark.xdist_group("house")

PNG = b"\x89PNG\r\n\x1a\n"
HELLO = wav(2)
HEARD = said("hello.wav", HELLO)


@pytest.fixture
def stack(house: Stack) -> Stack:
    """A stack whose catalogue has a server of transcriptions."""
    return house


def paid(stack: Stack, job_id: str) -> float:
    """What the wallet paid for a job, in dollars."""
    with http(stack, stack.key) as plain:
        entries = plain.get("/billing/entries", params={"job_id": job_id}).json()["data"]
    [settled] = [entry for entry in entries if entry["kind"] == "settle"]
    return abs(float(settled["amount_usd"]))


def finished(stack: Stack, job_id: str) -> dict[str, Any]:
    """A job once it has completed."""
    with http(stack, stack.key) as plain:

        def job() -> dict[str, Any] | None:
            found: dict[str, Any] = plain.get(f"/jobs/{job_id}").json()
            return found if found["status"] == "completed" else None

        return wait_for(job, 20, "the job completed") or {}


def test_a_completion(stack: Stack, client: OpenAI) -> None:
    raw = client.completions.with_raw_response.create(model="builtin/sim", prompt="Hello")
    answer = raw.parse()
    assert (answer.object, answer.id[:5]) == ("text_completion", "cmpl-")
    [choice] = answer.choices
    assert (len(choice.text.split()), choice.finish_reason) == (16, "length")
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 16
    cost = (answer.usage.model_extra or {})["total_cost_usd"]
    assert paid(stack, raw.headers["x-job-id"]) == pytest.approx(cost)


def test_a_streamed_completion_says_the_same(client: OpenAI) -> None:
    asked: dict[str, Any] = {"model": "builtin/sim", "prompt": ["one", "two"], "max_tokens": 5}
    whole = client.completions.create(**asked)
    texts = ["", ""]
    for chunk in client.completions.create(**asked, stream=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    assert texts == [choice.text for choice in whole.choices]
    assert texts[0] != texts[1]


def test_log_probabilities_of_a_completion(client: OpenAI) -> None:
    answer = client.completions.create(
        model="builtin/sim", prompt="Hello", max_tokens=4, logprobs=2
    )
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.tokens is not None
    assert "".join(logprobs.tokens) == answer.choices[0].text
    assert len(logprobs.top_logprobs or ()) == len(logprobs.token_logprobs or ()) == 4


def test_a_completion_in_the_background(stack: Stack, client: OpenAI) -> None:
    raw = client.completions.with_raw_response.create(
        model="builtin/sim", prompt="Hello", extra_body={"background": True}
    )
    assert raw.status_code == 202
    job = finished(stack, raw.headers["x-job-id"])
    assert job["result"]["object"] == "text_completion"
    assert paid(stack, job["id"]) == pytest.approx(job["usage"]["total_cost_usd"])


def test_a_completion_that_is_wrong_names_the_field(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model="builtin/sim", prompt=[1, 2, 3])
    assert caught.value.param == "prompt"


def test_images(stack: Stack, client: OpenAI) -> None:
    raw = client.images.with_raw_response.generate(prompt="A moon", n=2, size="256x256")
    answer = raw.parse()
    assert answer.data is not None
    assert len(answer.data) == 2
    for image in answer.data:
        content = base64.b64decode(image.b64_json or "")
        assert content.startswith(PNG)
        fetched = httpx.get(image.url or "", trust_env=False)
        assert (fetched.content, fetched.headers["content-type"]) == (content, "image/png")
    assert answer.usage is not None
    assert (answer.usage.model_extra or {})["images"] == 2
    assert paid(stack, raw.headers["x-job-id"]) == pytest.approx(0.004)


def test_images_in_the_background(stack: Stack, client: OpenAI) -> None:
    raw = client.images.with_raw_response.generate(
        prompt="A moon", size="256x256", response_format="url", extra_body={"background": True}
    )
    assert raw.status_code == 202
    [image] = finished(stack, raw.headers["x-job-id"])["result"]["data"]
    assert set(image) == {"url"}
    assert httpx.get(image["url"], trust_env=False).content.startswith(PNG)


def test_an_image_that_cannot_be_made_names_the_field(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(prompt="A moon", output_format="webp")
    assert caught.value.param == "output_format"


def test_a_transcription(stack: Stack, client: OpenAI) -> None:
    raw = client.audio.transcriptions.with_raw_response.create(
        model="whisper", file=("hello.wav", HELLO), language="en"
    )
    answer = raw.parse()
    assert answer.text == HEARD
    assert answer.usage is not None
    assert answer.usage.type == "duration"
    assert answer.usage.seconds == SECONDS
    # The provider heard more than the file holds: what was held is the most that is paid.
    assert paid(stack, raw.headers["x-job-id"]) == pytest.approx(0.006 * 2 / 60)


def test_a_verbose_transcription(client: OpenAI) -> None:
    answer = client.audio.transcriptions.create(
        model="whisper",
        file=("hello.wav", HELLO),
        response_format="verbose_json",
        timestamp_granularities=["word"],
    )
    assert (answer.text, answer.language, answer.duration) == (HEARD, "english", SECONDS)
    assert [word.word for word in answer.words or ()] == HEARD.split()


@pytest.mark.parametrize("form", ["text", "srt", "vtt"])
def test_a_transcription_as_text(client: OpenAI, form: Any) -> None:
    answer = client.audio.transcriptions.create(
        model="whisper", file=("hello.wav", HELLO), response_format=form
    )
    assert isinstance(answer, str)
    assert HEARD in answer
    assert ("-->" in answer) == (form != "text")


def test_a_transcription_in_the_background(stack: Stack, client: OpenAI) -> None:
    raw = client.audio.transcriptions.with_raw_response.create(
        model="whisper", file=("hello.wav", HELLO), extra_body={"background": True}
    )
    assert raw.status_code == 202
    assert finished(stack, raw.headers["x-job-id"])["result"]["text"] == HEARD


def test_a_large_file_passes_and_a_larger_one_does_not(stack: Stack) -> None:
    """Beyond what a JSON body may have."""
    for size, status in ((22_000_000, 200), (27_000_000, 413)):
        with http(stack, stack.key) as plain:
            files = {"file": ("long.mp3", b"\0" * size)}
            answer = plain.post("/audio/transcriptions", files=files)
        assert answer.status_code == status, answer.text
        if status == 200:
            assert answer.json()["text"].startswith(f"long.mp3: {size} bytes")


def test_models_say_what_they_are_for(client: OpenAI) -> None:
    does = {model.id: (model.model_extra or {})["does"] for model in client.models.list()}
    assert (does["builtin/sim"], does["builtin/image"], does["whisper"]) == (
        "chat",
        "image",
        "transcription",
    )
