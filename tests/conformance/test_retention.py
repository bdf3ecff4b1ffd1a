"""What is not stored, and what is deleted, against a whole stack."""

from typing import Any

import httpx
import pytest
from openai import OpenAI

from tests.stacks import Stack
from tests.waiting import wait_for

pytestmark = pytest.mark.xdist_group("stack")

ASKED: dict[str, Any] = {
    "model": "builtin/sim",
    "messages": [{"role": "user", "content": "Keep this to yourself."}],
}


@pytest.fixture
def http(stack: Stack) -> httpx.Client:
    return stack.client()


def job(http: httpx.Client, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = http.get(f"/jobs/{job_id}").json()
    return found


def forgotten(http: httpx.Client, job_id: str) -> dict[str, Any]:
    """A job whose content is gone; asks by a way that delivers nothing."""

    def gone() -> dict[str, Any] | None:
        listed: list[dict[str, Any]] = http.get("/jobs").json()["data"]
        [found] = [one for one in listed if one["id"] == job_id]
        return found if found["content_deleted_at"] is not None else None

    return wait_for(gone, 10, f"{job_id} being forgotten") or {}


def test_store_false_at_the_doors_of_openais_client(client: OpenAI, http: httpx.Client) -> None:
    whole = client.chat.completions.with_raw_response.create(**ASKED, store=False)
    assert whole.parse().choices[0].message.content
    with client.chat.completions.with_streaming_response.create(
        **ASKED, store=False, stream=True
    ) as stream:
        chunks = list(stream.parse())
        streamed = stream.headers["x-job-id"]
    assert chunks[-1].choices[0].finish_reason == "stop"
    for job_id in (whole.headers["x-job-id"], streamed):
        gone = forgotten(http, job_id)
        assert (gone["status"], gone["result"], gone["metadata"]) == ("completed", None, {})
        assert gone["usage"]["total_tokens"] > 0


def test_store_false_of_a_background_job(http: httpx.Client) -> None:
    job_id = http.post("/chat/completions", json={**ASKED, "store": False, "background": True})
    job_id = job_id.json()["id"]
    shown = wait_for(lambda: (now := job(http, job_id))["finished_at"] and now, 20)
    assert shown["result"]["choices"]
    assert forgotten(http, job_id)["result"] is None


def test_a_stream_whose_client_leaves_keeps_its_content(http: httpx.Client) -> None:
    slow = {"metadata": {"sim_tokens": "20", "sim_tokens_per_second": "20"}}
    body = {**ASKED, **slow, "store": False, "stream": True, "cancel_on_disconnect": False}
    with http.stream("POST", "/chat/completions", json=body) as answer:
        next(answer.iter_lines())
        job_id = answer.headers["x-job-id"]
    ended = wait_for(lambda: (now := job(http, job_id))["finished_at"] and now, 20)
    assert ended["result"]["choices"], "nobody had been sent the end before this"


def test_a_deletion_from_request_to_proof(http: httpx.Client) -> None:
    body = {**ASKED, "user": "leaving"}
    answered = http.post("/chat/completions", json=body).headers["x-job-id"]
    accepted = http.post("/data/deletions", json={"user": "leaving"})
    assert accepted.status_code == 202
    deletion = accepted.json()["id"]
    told = wait_for(lambda: (now := job(http, deletion))["finished_at"] and now, 20)
    result = told["result"]
    assert (told["status"], result["deleted"], result["remaining"]) == ("completed", 1, 0)
    assert (result["redis_keys_remaining"], result["proof"]["first_id"]) == (0, answered)
    assert job(http, answered)["result"] is None
