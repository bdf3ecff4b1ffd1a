"""Idempotency-Key on the chat door: sent twice, run once, billed once."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.db.connect import connect
from tests.stacks import Stack
from tests.waiting import wait_for

pytestmark = pytest.mark.xdist_group("stack")


def sim(**metadata: str) -> dict[str, Any]:
    return {
        "model": "builtin/sim",
        "messages": [{"role": "user", "content": "once"}],
        "metadata": {f"sim_{name}": value for name, value in metadata.items()},
    }


@pytest.fixture
def http(stack: Stack) -> httpx.Client:
    return stack.client(headers={"Idempotency-Key": f"key-{uuid4()}"})


def content(answer: httpx.Response) -> str:
    """The text of a stream."""
    import json

    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    assert lines[-1] == "[DONE]"
    chunks = [json.loads(line) for line in lines[:-1]]
    return "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])


def test_same_key_and_body_is_the_same_answer(http: httpx.Client) -> None:
    first = http.post("/chat/completions", json=sim(tokens="5"))
    again = http.post("/chat/completions", json=sim(tokens="5"))
    assert first.status_code == again.status_code == 200
    assert again.content == first.content
    assert again.headers["x-job-id"] == first.headers["x-job-id"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    # Without /v1 it is the same path.
    root = str(http.base_url).removesuffix("/v1/")
    short = http.post(f"{root}/chat/completions", json=sim(tokens="5"))
    assert short.headers["x-job-id"] == first.headers["x-job-id"]


def test_same_key_with_another_body_is_refused(http: httpx.Client) -> None:
    assert http.post("/chat/completions", json=sim(tokens="5")).status_code == 200
    refused = http.post("/chat/completions", json=sim(tokens="6"))
    assert refused.status_code == 422
    assert refused.json()["error"]["param"] == "Idempotency-Key"


def test_finished_stream_is_told_again(http: httpx.Client) -> None:
    body = {**sim(tokens="9"), "stream": True, "stream_options": {"include_usage": True}}
    first, again = (http.post("/chat/completions", json=body) for _ in range(2))
    assert content(again) == content(first)
    assert '"usage":{' in again.text
    assert again.headers["Idempotent-Replayed"] == "true"


def test_running_stream_is_joined(http: httpx.Client) -> None:
    body = {**sim(tokens="30", tokens_per_second="20"), "stream": True}
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(http.post, "/chat/completions", json=body)
        wait_for(
            lambda: http.get("/jobs", params={"status": "in_progress"}).json()["data"], 10, "a job"
        )
        again = http.post("/chat/completions", json=body)
    assert again.headers["x-job-id"] == first.result().headers["x-job-id"]
    assert content(again) == content(first.result())


def test_background_job_is_the_same_job(http: httpx.Client) -> None:
    body = {**sim(tokens="5"), "background": True}
    first, again = (http.post("/chat/completions", json=body) for _ in range(2))
    assert first.status_code == again.status_code == 202
    assert again.json()["id"] == first.json()["id"]
    assert again.headers["Idempotent-Replayed"] == "true"


def test_failure_is_replayed_too(http: httpx.Client) -> None:
    first = http.post("/chat/completions", json=sim(status="400"))
    again = http.post("/chat/completions", json=sim(status="400"))
    assert again.headers["Idempotent-Replayed"] == "true"
    assert first.status_code == again.status_code == 400
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"


def test_refusal_at_the_door_is_not_kept(http: httpx.Client) -> None:
    broke = {**sim(tokens="5"), "max_tokens": 9_000_000, "n": 16}
    assert http.post("/chat/completions", json=broke).status_code == 402
    assert http.post("/chat/completions", json=sim(tokens="5")).status_code == 200


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_keys_have_a_length(stack: Stack, key: str) -> None:
    answer = stack.client(headers={"Idempotency-Key": key}).post(
        "/chat/completions", json=sim(tokens="5")
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "Idempotency-Key"


def test_twenty_at_once_are_one_job_and_one_charge(stack: Stack, http: httpx.Client) -> None:
    with ThreadPoolExecutor(20) as pool:
        posts = [
            pool.submit(http.post, "/chat/completions", json=sim(tokens="5")) for _ in "x" * 20
        ]
        answers = [post.result(30) for post in posts]
    assert {answer.status_code for answer in answers} == {200}
    [job_id] = {answer.headers["x-job-id"] for answer in answers}
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 19
    with connect(stack.database_url) as connection:
        kinds = connection.execute(
            "SELECT kind FROM transfer WHERE job_id = %s ORDER BY 1", (job_id,)
        ).fetchall()
    assert kinds == [("hold",), ("release",), ("settle",)]
