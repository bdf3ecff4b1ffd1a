"""A worker that dies, or is frozen, in mid-stream."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.chaos.work import ONCE, expected_text, slow, start, transfers
from tests.sse import Told, check_order, events, text_of
from tests.stacks import Stack
from tests.waiting import wait_for

pytestmark = [pytest.mark.chaos, pytest.mark.xdist_group("chaos")]

LANE = "worker_background"


def follow_and_kill(stack: Stack, job_id: str) -> tuple[list[Told], float]:
    """All events of a job whose worker is killed once it has spoken; seconds to `restarted`."""
    seen: list[Told] = []
    killed_at, restart_s = 0.0, 0.0
    with stack.client() as client:
        for event in events(client, job_id):
            seen.append(event)
            if not killed_at and event.name == "delta" and len(seen) > 8:
                stack.kill(LANE)
                killed_at = time.monotonic()
            if event.name == "restarted":
                restart_s = time.monotonic() - killed_at
    return seen, restart_s


def test_killed_worker_in_mid_stream(stack: Stack) -> None:
    body = slow(60, 20)
    with stack.client() as client:
        job_id = start(client, body)
        seen, restart_s = follow_and_kill(stack, job_id)
        assert 0 < restart_s <= 12, restart_s
        check_order(seen)
        assert [e.name for e in seen if e.name not in ("delta", "usage")] == [
            "queued", "started", "restarted", "completed",
        ]  # fmt: skip
        assert text_of(seen) == expected_text(client, body)
        outcomes = [a["outcome"] for a in client.get(f"/jobs/{job_id}/attempts").json()["data"]]
        assert outcomes == ["lost", "completed"]
    assert transfers(stack, [job_id]) == {job_id: ONCE}


def test_killed_worker_with_fifty_jobs(stack: Stack) -> None:
    body = slow(40, 5)
    with stack.client() as client:
        wanted = expected_text(client, body)
        job_ids = [start(client, body) for _ in range(50)]
        spoke = wait_for_speech(stack, job_ids)

        def follow(job_id: str) -> list[Told]:
            with stack.client() as own:
                return list(events(own, job_id))

        with ThreadPoolExecutor(50) as pool:
            followers = [pool.submit(follow, job_id) for job_id in job_ids]
            assert spoke
            stack.kill(LANE)
            stories = [follower.result(90) for follower in followers]
    for seen in stories:
        check_order(seen)
        assert text_of(seen) == wanted
        assert seen[-1].name == "completed"
    assert any(e.name == "restarted" for seen in stories for e in seen)
    assert transfers(stack, job_ids) == dict.fromkeys(job_ids, ONCE)


def wait_for_speech(stack: Stack, job_ids: list[str]) -> bool:
    """Waits until every job runs."""
    with stack.client() as client:

        def running() -> bool:
            page = client.get("/jobs", params={"status": "in_progress", "limit": 100}).json()
            return set(job_ids) <= {job["id"] for job in page["data"]}

        return wait_for(running, 30, "all jobs running")


def test_frozen_worker_speaks_no_more(stack: Stack) -> None:
    """A zombie: frozen past its lease, then awake again beside its successor."""
    body = slow(40, 20)
    with stack.client() as client:
        wanted = expected_text(client, body)
        job_id = start(client, body)
        seen: list[Told] = []
        following = events(client, job_id)
        for event in following:
            seen.append(event)
            if event.name == "delta":
                break
        with stack.paused(LANE), stack.client() as other:
            # Nobody else serves the lane, so the job waits until the reaper has taken it back.
            wait_for(
                lambda: other.get(f"/jobs/{job_id}").json()["status"] == "queued",
                20, "the job queued again",
            )  # fmt: skip
        seen += following
        check_order(seen)
        assert text_of(seen) == wanted
    assert transfers(stack, [job_id]) == {job_id: ONCE}


def test_stopped_worker_hands_its_jobs_back_at_once(stack: Stack) -> None:
    body = slow(200, 20)
    with stack.client() as client:
        job_id = start(client, body)
        wait_for_speech(stack, [job_id])
        old = stack.kill(LANE, signal.SIGTERM)
        stack.await_restart(LANE, old, 30)
        seen = list(events(client, job_id))
        check_order(seen)
        attempts = client.get(f"/jobs/{job_id}/attempts").json()["data"]
        assert [a["outcome"] for a in attempts] == ["released", "completed"]
    assert transfers(stack, [job_id]) == {job_id: ONCE}
