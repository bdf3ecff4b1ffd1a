"""openai-python against a whole stack: what its users rely on, and its three traps."""

from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from tests.stacks import Stack
from tests.waiting import wait_for

pytestmark = pytest.mark.xdist_group("stack")

HELLO: list[Any] = [{"role": "user", "content": "I am unhappy."}]


def sim(**metadata: str) -> dict[str, Any]:
    return {
        "model": "builtin/sim",
        "messages": HELLO,
        "metadata": {f"sim_{name}": value for name, value in metadata.items()},
    }


def job_of(stack: Stack, job_id: str) -> dict[str, Any]:
    with stack.client() as plain:
        job: dict[str, Any] = plain.get(f"/jobs/{job_id}").json()
        return job


def test_sync(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="lunaby-pro", messages=HELLO)
    assert answer.object == "chat.completion"
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    extra = answer.usage.model_extra or {}
    assert extra["total_cost_usd"] > 0
    assert extra["total_cost_usd"] == pytest.approx(
        extra["input_cost_usd"] + extra["output_cost_usd"]
    )


def test_stream_says_the_same_as_sync(client: OpenAI) -> None:
    whole = client.chat.completions.create(model="lunaby-pro", messages=HELLO)
    chunks = list(client.chat.completions.create(model="lunaby-pro", messages=HELLO, stream=True))
    text = "".join(c.choices[0].delta.content or "" for c in chunks)
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert all(chunk.usage is None for chunk in chunks)


def test_include_usage(client: OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="lunaby-pro",
            messages=HELLO,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert all(chunk.usage is None and chunk.choices for chunk in chunks[:-1])
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0


def test_frames_are_data_alone_and_end_with_done(stack: Stack) -> None:
    """Trap one: ids. Every line is a `data:` frame, a ping comment, or blank."""
    with stack.client() as plain:
        body = {"model": "lunaby-pro", "messages": HELLO, "stream": True}
        with plain.stream("POST", "/chat/completions", json=body) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.headers["x-request-id"]
            assert answer.headers["x-job-id"].startswith("job_")
            lines = list(answer.iter_lines())
    assert all(line == "" or line.startswith("data: ") for line in lines)
    assert [line for line in lines if line][-1] == "data: [DONE]"


def test_long_silence_is_bridged_by_pings_that_the_sdk_survives(client: OpenAI) -> None:
    """Trap two: keep-alives."""
    chunks = list(client.chat.completions.create(**sim(ttft_ms="11000", tokens="3"), stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_cut_stream_is_an_error_and_not_a_short_success(stack: Stack, client: OpenAI) -> None:
    """Trap three: a stream that just ends looks like success."""
    stream = client.chat.completions.create(**sim(cut_after="3", tokens="9"), stream=True)
    with pytest.raises(openai.APIError, match="interrupted"):
        list(stream)
    job = job_of(stack, stream.response.headers["x-job-id"])
    assert job["status"] == "failed"
    assert job["error"]["code"] == "stream_interrupted"
    assert job["usage"]["total_cost_usd"] == 0


def test_authentication_error(stack: Stack) -> None:
    for key in ("wrong", "' OR '1'='1", stack.key[:-1], stack.key + "x"):
        client = OpenAI(base_url=stack.base_url, api_key=key, max_retries=0)
        with client, pytest.raises(openai.AuthenticationError) as caught:
            client.chat.completions.create(model="lunaby-pro", messages=HELLO)
        assert caught.value.code == "invalid_api_key"


def test_not_found_error(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="no-such-model", messages=HELLO)
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"


def test_rate_limit_error(client: OpenAI) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(**sim(status="429", retry_after="30"))
    assert caught.value.code == "rate_limit_exceeded"
    assert caught.value.response.headers["Retry-After"] == "30"


def test_bad_request_error_names_the_field(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="lunaby-pro", messages=HELLO, temperature=7)
    assert caught.value.param == "temperature"
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(
            model="lunaby-pro", messages=HELLO, extra_body={"api_base": "http://evil"}
        )
    assert caught.value.param == "api_base"


def test_failure_before_the_first_token_of_a_stream_is_a_status(client: OpenAI) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(**sim(status="500"), stream=True)
    assert caught.value.status_code == 502
    assert caught.value.code == "all_providers_failed"


def test_closing_the_stream_cancels_the_job(stack: Stack, client: OpenAI) -> None:
    stream = client.chat.completions.create(
        **sim(tokens="1000", tokens_per_second="20"), max_tokens=1000, stream=True
    )
    job_id = stream.response.headers["x-job-id"]
    next(iter(stream))
    stream.close()
    wait_for(lambda: job_of(stack, job_id)["status"] == "cancelled", 10, "the job cancelled")
    job = job_of(stack, job_id)
    produced = job["usage"]["completion_tokens"]
    assert 0 < produced < 500
    assert job["usage"]["total_cost_usd"] > 0


def test_stream_that_is_told_not_to_cancel_goes_on(stack: Stack, client: OpenAI) -> None:
    stream = client.chat.completions.create(
        **sim(tokens="30", tokens_per_second="20"),
        stream=True,
        extra_body={"cancel_on_disconnect": False},
    )
    job_id = stream.response.headers["x-job-id"]
    next(iter(stream))
    stream.close()
    wait_for(lambda: job_of(stack, job_id)["status"] == "completed", 20, "the job completed")


def test_client_that_leaves_a_sync_call_cancels_it(stack: Stack) -> None:
    with stack.client() as plain:
        with pytest.raises(httpx.ReadTimeout):
            plain.post(
                "/chat/completions", json=sim(ttft_ms="20000"), timeout=httpx.Timeout(5, read=0.5)
            )
        newest = plain.get("/jobs", params={"limit": 1}).json()["data"][0]["id"]
        wait_for(lambda: job_of(stack, newest)["status"] == "cancelled", 10, "the job cancelled")


def test_models(client: OpenAI) -> None:
    names = {model.id for model in client.models.list()}
    assert {"builtin/eliza", "builtin/sim", "lunaby-pro", "lilly-emotional", "tycho"} <= names
    eliza = client.models.retrieve("builtin/eliza")
    assert "Not a language model" in (eliza.model_extra or {})["description"]


def test_path_without_v1_and_x_api_key(stack: Stack) -> None:
    root = stack.base_url.removesuffix("/v1")
    answer = httpx.post(
        f"{root}/chat/completions",
        headers={"x-api-key": stack.key},
        json={"messages": HELLO},
        trust_env=False,
    )
    assert answer.status_code == 200
    assert answer.json()["model"] == "lunaby-pro"


def test_literal_extra_body(stack: Stack) -> None:
    with stack.client() as plain:
        body = {"messages": HELLO, "extra_body": {"background": True}}
        answer = plain.post("/chat/completions", json=body)
    assert answer.status_code == 202
