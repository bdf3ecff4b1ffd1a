"""Turns between tenants, and shedding at the door, on a stack with narrow lanes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.conformance.conftest import http, tenant
from tests.stacks import Stack, without_calendar
from tests.waiting import wait_for

pytestmark = pytest.mark.xdist_group("stack")

JOB = {
    "model": "builtin/sim",
    "background": True,
    "max_tokens": 8,
    "messages": [{"role": "user", "content": "x"}],
    "metadata": {"sim_tokens": "2", "sim_ttft_ms": "20"},
}


@pytest.fixture(scope="module")
def narrow() -> Iterator[Stack]:
    lanes = {"MOONPOOL_SLOTS_BACKGROUND": "4", "MOONPOOL_BACKLOG_INTERACTIVE": "10"}
    with Stack(lanes, procfile=without_calendar()) as stack:
        stack.await_ready()
        yield stack


def client_of(stack: Stack, name: str) -> httpx.Client:
    """A client of a tenant of its own, with credit."""
    return http(stack, tenant(stack, name))


def test_a_thousand_waiting_jobs_do_not_hold_up_another_tenant(narrow: Stack) -> None:
    """With 4 slots, B's job is claimed after at most the 4 that run and one more of A's."""
    with client_of(narrow, "a") as a, client_of(narrow, "b") as b:

        def submit(_: int) -> str:
            answer = a.post("/chat/completions", json=JOB)
            assert answer.status_code == 202
            return str(answer.json()["id"])

        with ThreadPoolExecutor(8) as pool, narrow.paused("worker_background"):
            ids = list(pool.map(submit, range(1000)))
            job_id = b.post("/chat/completions", json=JOB).json()["id"]
            assert b.get(f"/jobs/{job_id}").json()["queue_position"] <= 6
        wait_for(lambda: b.get(f"/jobs/{job_id}").json()["finished_at"], 60, "B's job")
        first_of_b = b.get(f"/jobs/{job_id}").json()
        waiting = a.get("/jobs", params={"status": "queued", "limit": 100}).json()
        assert first_of_b["status"] == "completed"
        assert waiting["has_more"], "A's jobs were done before B's first"
        assert len(ids) == 1000


def test_full_lane_sheds_and_drops_nothing_it_took(narrow: Stack) -> None:
    sync = {name: value for name, value in JOB.items() if name != "background"}
    with client_of(narrow, "c") as c:

        def submit(_: int) -> httpx.Response:
            return c.post("/chat/completions", json=sync)

        with ThreadPoolExecutor(40) as pool:
            with narrow.paused("worker_interactive"):
                answers = [pool.submit(submit, number) for number in range(40)]
                wait_for(lambda: sum(a.done() for a in answers) == 30, 30, "30 refusals")
            told = [answer.result(60) for answer in answers]
        refused = [answer for answer in told if answer.status_code == 503]
        assert len(refused) == 30
        assert sum(answer.status_code == 200 for answer in told) == 10
        for answer in refused:
            assert int(answer.headers["Retry-After"]) >= 1
            assert answer.json()["error"]["code"] == "overloaded"
