"""Jobs as their owner sees them, against a whole stack."""

import time
from typing import Any

import httpx
import pytest

from tests.sse import check_order, events, text_of
from tests.stacks import Stack
from tests.waiting import wait_for

pytestmark = pytest.mark.xdist_group("stack")

HELLO = [{"role": "user", "content": "Hello"}]


def sim(**metadata: str) -> dict[str, Any]:
    return {
        "model": "builtin/sim",
        "messages": HELLO,
        "metadata": {f"sim_{name}": value for name, value in metadata.items()},
    }


@pytest.fixture
def http(stack: Stack) -> httpx.Client:
    return stack.client()


def ended(http: httpx.Client, job_id: str) -> dict[str, Any]:
    """A job once it has ended."""

    def job() -> dict[str, Any] | None:
        now: dict[str, Any] = http.get(f"/jobs/{job_id}").json()
        return now if now["finished_at"] is not None else None

    return wait_for(job, 30, f"the end of {job_id}") or {}


@pytest.mark.parametrize(
    ("headers", "body"),
    [({}, {"background": True}), ({"Prefer": "respond-async"}, {})],
    ids=["field", "header"],
)
def test_background_job(http: httpx.Client, headers: dict[str, str], body: dict[str, Any]) -> None:
    accepted = http.post(
        "/chat/completions", headers=headers, json={**sim(tokens="4"), **body, "user": "u"}
    )
    assert accepted.status_code == 202
    job = accepted.json()
    assert accepted.headers["Location"] == job["urls"]["self"] == f"/v1/jobs/{job['id']}"
    assert accepted.headers["x-job-id"] == job["id"]
    assert job["object"] == "job"
    assert job["kind"] == "chat.completion"
    # A quick worker has ended it before the door looks.
    assert job["status"] in ("queued", "in_progress", "completed")
    assert job["metadata"] == {"sim_tokens": "4"}
    done = ended(http, job["id"])
    assert done["status"] == "completed"
    assert done["created_at"] <= done["started_at"] <= done["finished_at"]
    assert done["result"]["object"] == "chat.completion"
    assert done["result"]["usage"] == done["usage"]
    assert done["queue_position"] is None
    assert done["error"] is None


def test_prefer_wait_answers_in_time_or_with_the_job(http: httpx.Client) -> None:
    quick = http.post("/chat/completions", headers={"Prefer": "wait=10"}, json=sim(tokens="3"))
    assert quick.status_code == 200
    assert quick.json()["object"] == "chat.completion"
    began = time.monotonic()
    slow = http.post(
        "/chat/completions", headers={"Prefer": "wait=1"}, json=sim(tokens="3", ttft_ms="25000")
    )
    assert slow.status_code == 202
    assert slow.headers["Preference-Applied"] == "wait=1"
    assert 0.9 < time.monotonic() - began < 20
    job_id = slow.json()["id"]
    assert http.post(f"/jobs/{job_id}/cancel").json()["status"] == "cancelled"


def test_events_resume_from_every_point(http: httpx.Client) -> None:
    accepted = http.post(
        "/chat/completions", json={**sim(tokens="8", tokens_per_second="40"), "background": True}
    )
    job_id = accepted.json()["id"]
    whole = list(events(http, job_id))
    check_order(whole)
    names = [event.name for event in whole]
    assert names[:2] == ["queued", "started"]
    assert names[-2:] == ["usage", "completed"]
    for cut in range(1, len(whole)):
        rest = list(events(http, job_id, after=whole[cut - 1].id))
        assert [event.id for event in rest] == [event.id for event in whole[cut:]]
        assert text_of(whole[:cut] + rest) == text_of(whole)
    query = http.get(f"/jobs/{job_id}/events", params={"starting_after": whole[-2].id})
    assert query.text.startswith(f"id: {whole[-1].id}\nevent: completed\n")


@pytest.mark.parametrize("place", ["", "1", "1-", "-1", "a-b", "1-1-1", "1-1\n", "9999999999-1"])
def test_malformed_place_is_refused(http: httpx.Client, place: str) -> None:
    job_id = http.post("/chat/completions", json={**sim(), "background": True}).json()["id"]
    answer = http.get(f"/jobs/{job_id}/events", params={"starting_after": place})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "starting_after"


def test_list_with_cursor_and_status(http: httpx.Client) -> None:
    ids = [
        http.post("/chat/completions", json={**sim(tokens="1"), "background": True}).json()["id"]
        for _ in range(5)
    ]
    for job_id in ids:
        ended(http, job_id)
    first = http.get("/jobs", params={"limit": 3, "status": "completed"}).json()
    assert [job["id"] for job in first["data"]] == ids[:1:-1]
    assert first["has_more"] is True
    second = http.get("/jobs", params={"limit": 2, "after": first["last_id"]}).json()
    assert [job["id"] for job in second["data"]] == ids[1::-1]
    for params, param in (
        ({"limit": "0"}, "limit"),
        ({"status": "odd"}, "status"),
        ({"after": "x"}, "after"),
    ):
        answer = http.get("/jobs", params=params)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == param


def test_jobs_of_others_are_not_there(stack: Stack, http: httpx.Client) -> None:
    job_id = http.post("/chat/completions", json={**sim(), "background": True}).json()["id"]
    made = stack.command("keys", "create", "--tenant", "stranger", "--name", "s", "--json")
    assert made.returncode == 0, made.stderr
    import json

    key = json.loads(made.stdout)["key"]
    with httpx.Client(
        base_url=stack.base_url, headers={"Authorization": f"Bearer {key}"}, trust_env=False
    ) as other:
        for method, path in (
            ("GET", f"/jobs/{job_id}"),
            ("GET", f"/jobs/{job_id}/events"),
            ("GET", f"/jobs/{job_id}/attempts"),
            ("POST", f"/jobs/{job_id}/cancel"),
        ):
            assert other.request(method, path).status_code == 404, path
        assert other.get("/jobs").json()["data"] == []
        broke = other.post("/chat/completions", json={"messages": HELLO})
        assert broke.status_code == 402
        assert broke.json()["error"]["code"] == "insufficient_quota"


def test_cancel_reaches_a_running_call_within_a_second(http: httpx.Client) -> None:
    # The quickest of some: other work on the machine may hold one up.
    assert min(seconds_of_a_cancel(http) for _ in range(3)) < 1


def seconds_of_a_cancel(http: httpx.Client) -> float:
    body = {**sim(tokens="4000", tokens_per_second="20"), "max_tokens": 4000, "background": True}
    job_id = http.post("/chat/completions", json=body).json()["id"]
    for event in events(http, job_id):
        if event.name == "delta":
            break
    began = time.monotonic()
    cancelled = http.post(f"/jobs/{job_id}/cancel")
    took = time.monotonic() - began
    assert cancelled.status_code == 200
    job = cancelled.json()
    assert job["status"] == "cancelled"
    assert job["usage"]["completion_tokens"] > 0
    assert job["usage"]["total_cost_usd"] > 0
    again = http.post(f"/jobs/{job_id}/cancel")
    assert again.status_code == 200
    assert again.json() == job
    assert [e.name for e in events(http, job_id)][-1] == "cancelled"
    return took


def test_cancel_while_the_provider_is_silent(http: httpx.Client) -> None:
    body = {**sim(ttft_ms="30000"), "background": True}
    job_id = http.post("/chat/completions", json=body).json()["id"]
    wait_for(
        lambda: http.get(f"/jobs/{job_id}").json()["status"] == "in_progress", 10, "a running job"
    )
    began = time.monotonic()
    assert http.post(f"/jobs/{job_id}/cancel").json()["status"] == "cancelled"
    assert time.monotonic() - began < 15


def test_provider_that_fails_first_is_tried_again_silently(http: httpx.Client) -> None:
    answer = http.post("/chat/completions", json=sim(status="503", fail_attempts="2", tokens="3"))
    assert answer.status_code == 200
    job_id = answer.headers["x-job-id"]
    [attempt] = http.get(f"/jobs/{job_id}/attempts").json()["data"]
    assert [call["outcome"] for call in attempt["calls"]] == [
        "unavailable", "unavailable", "completed",
    ]  # fmt: skip
    assert [call["status"] for call in attempt["calls"]] == [503, 503, 200]
    assert attempt["calls"][-1]["usage"]["completion_tokens"] == 3


def test_fallback_model_answers_when_the_first_cannot(http: httpx.Client) -> None:
    body = {**sim(status="500"), "fallbacks": ["builtin/eliza"]}
    answer = http.post("/chat/completions", json=body)
    assert answer.status_code == 200
    [attempt] = http.get(f"/jobs/{answer.headers['x-job-id']}/attempts").json()["data"]
    assert [call["provider"] for call in attempt["calls"]] == ["simulator", "builtin"]


def test_cut_background_job_begins_anew_and_gives_up_in_the_end(http: httpx.Client) -> None:
    body = {**sim(tokens="9", cut_after="3"), "background": True}
    job_id = http.post("/chat/completions", json=body).json()["id"]
    seen = list(events(http, job_id))
    check_order(seen)
    names = [event.name for event in seen if event.name != "delta"]
    assert names == ["queued", "started", "restarted", "restarted", "usage", "failed"]
    assert seen[-1].data["error"]["code"] == "stream_interrupted"
    job = ended(http, job_id)
    assert job["attempts"] == 3
    assert job["usage"]["total_cost_usd"] == 0


@pytest.mark.parametrize(
    ("content", "status", "param"),
    [
        (b"{", 400, None),
        (b"[" * 100_000, 400, None),
        (b'{"messages": []}', 400, "messages"),
        (b'{"messages": "x"}', 400, "messages"),
        (b'{"messages": [{"role": "judge", "content": "x"}]}', 400, "messages.0.role"),
        (b'{"messages": [{"role": "user", "content": "x"}], "n": 0}', 400, "n"),
        (b'{"messages": [{"role": "user", "content": "x"}], "top_p": NaN}', 400, None),
        (b'{"messages": [{"role": "user", "content": "x"}], "max_tokens": "5"}', 400, "max_tokens"),
        (b'{"messages": [{"role": "user", "content": "\\ud800"}]}', 400, None),
        (b'{"messages": [{"role": "user", "content": "x"}], "lunes": ["moon"]}', 404, "lunes"),
        (b'{"messages": [{"role": "user", "content": "x"}], "stream": true, "background": true}',
         400, "stream"),
    ],
    ids=range(11),
)  # fmt: skip
def test_bad_bodies_name_the_field(
    http: httpx.Client, content: bytes, status: int, param: str | None
) -> None:
    answer = http.post("/chat/completions", content=content)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["param"] == param
    assert answer.json()["detail"] == error["message"]


def test_odd_text_survives_the_whole_way(http: httpx.Client) -> None:
    text = 'nul \\u0000 emoji 🌙 quote " newline \n rs \x1e crlf \r\n\r\n data: x'
    body = {"model": "builtin/eliza", "messages": [{"role": "user", "content": text}]}
    answer = http.post("/chat/completions", json={**body, "background": True})
    assert ended(http, answer.json()["id"])["status"] == "completed"


def test_too_large_and_compressed_bodies(http: httpx.Client) -> None:
    large = http.post("/chat/completions", content=b" " * 20_000_001)
    assert large.status_code == 413
    packed = http.post("/chat/completions", content=b"x", headers={"Content-Encoding": "gzip"})
    assert packed.status_code == 415


def test_routes_that_are_not_there(http: httpx.Client) -> None:
    lost = http.get("/nothing")
    assert lost.status_code == 404
    assert set(lost.json()["error"]) == {"message", "type", "param", "code"}
    wrong = http.get("/chat/completions")
    assert wrong.status_code == 405


def test_revoked_key_is_refused_within_five_seconds(stack: Stack) -> None:
    import json

    made = json.loads(stack.command("keys", "create", "--name", "brief", "--json").stdout)
    with httpx.Client(
        base_url=stack.base_url, headers={"x-api-key": made["key"]}, trust_env=False
    ) as brief:
        assert brief.get("/models").status_code == 200
        assert stack.command("keys", "revoke", made["id"]).returncode == 0
        wait_for(lambda: brief.get("/models").status_code == 401, 5, "the key refused")


def test_ledger_verifies(stack: Stack) -> None:
    assert stack.command("ledger", "verify").returncode == 0
