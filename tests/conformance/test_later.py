"""Jobs at their time or made again, and webhooks by OpenAI's client, on a whole stack."""

import time
from typing import Any

import httpx
import pytest
from openai import OpenAI

from tests.stacks import Stack
from tests.waiting import wait_for

pytestmark = pytest.mark.xdist_group("stack")

ASKED: dict[str, Any] = {
    "background": True,
    "model": "builtin/sim",
    "metadata": {"sim_tokens": "2"},
    "messages": [{"role": "user", "content": "Hello"}],
}


@pytest.fixture
def http(stack: Stack) -> httpx.Client:
    return stack.client()


def job(http: httpx.Client, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = http.get(f"/jobs/{job_id}").json()
    return found


def test_a_scheduled_job_runs_at_its_time_and_not_before(http: httpx.Client) -> None:
    at = int(time.time()) + 3
    made = http.post("/chat/completions", json={**ASKED, "run_at": at}).json()
    assert (made["status"], made["run_at"]) == ("queued", at)

    def done() -> bool:
        return bool(job(http, made["id"])["finished_at"])

    wait_for(done, 60, "the scheduled job")
    now = job(http, made["id"])
    assert now["status"] == "completed"
    assert now["started_at"] >= at
    assert now["usage"]["latency_ms"] < 60_000


def test_a_job_that_failed_is_made_again(stack: Stack, http: httpx.Client) -> None:
    failing = {**ASKED, "metadata": {"sim_status": "400"}}
    made = http.post("/chat/completions", json=failing).json()
    wait_for(lambda: job(http, made["id"])["status"] == "failed", 60, "the failure")
    [listed] = http.get("/jobs", params={"status": "failed", "limit": 1}).json()["data"]
    assert listed["id"] == made["id"]
    again = http.post(f"/jobs/{made['id']}/retry").json()
    wait_for(lambda: job(http, again["id"])["status"] == "failed", 60, "the second failure")
    assert job(http, made["id"])["retried_by"] == again["id"]
    done = stack.command("jobs", "retry", again["id"])
    assert done.returncode == 0, done.stderr
    third = job(http, again["id"])["retried_by"]
    wait_for(lambda: job(http, third)["status"] == "failed", 60, "the third failure")
    assert stack.command("ledger", "verify").returncode == 0


def test_openais_client_makes_rotates_lists_and_deletes_endpoints(client: OpenAI) -> None:
    made = client.webhooks.create(
        url="https://1.1.1.1/hook", name="mine", event_types=["response.completed"]
    )
    assert made.signing_secret.startswith("whsec_")
    assert (made.name, made.event_types) == ("mine", ["response.completed"])
    new = client.webhooks.rotate_secret(made.id, keep_old_secret_active_for_24_hours=True)
    assert new.signing_secret != made.signing_secret
    changed = client.webhooks.update(made.id, name="ours", event_types=["batch.completed"])
    assert (changed.name, changed.event_types) == ("ours", ["batch.completed"])
    assert made.id in [one.id for one in client.webhooks.list().data]
    assert client.webhooks.delete(made.id).deleted is True
