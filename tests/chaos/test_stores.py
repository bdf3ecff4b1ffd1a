"""Redis loses everything; Postgres goes away and comes back."""

import pytest

from tests.chaos.work import ONCE, expected_text, slow, start, transfers
from tests.sse import check_order, events, text_of
from tests.stacks import Stack
from tests.waiting import wait_for

pytestmark = [pytest.mark.chaos, pytest.mark.xdist_group("chaos")]


def status(stack: Stack, job_ids: list[str]) -> list[str]:
    with stack.client() as client:
        return [client.get(f"/jobs/{job_id}").json()["status"] for job_id in job_ids]


def test_redis_wiped_while_jobs_wait(stack: Stack) -> None:
    with stack.client() as client, stack.paused("worker_background"):
        job_ids = [start(client, slow(5, 0)) for _ in range(100)]
        stack.wipe_redis()
    wait_for(lambda: set(status(stack, job_ids)) == {"completed"}, 60, "all jobs completed")
    assert transfers(stack, job_ids) == dict.fromkeys(job_ids, ONCE)


def test_redis_wiped_in_mid_stream(stack: Stack) -> None:
    body = slow(80, 20)
    with stack.client() as client:
        wanted = expected_text(client, body)
        job_id = start(client, body)
        following = events(client, job_id)
        seen = [next(following) for _ in range(6)]
        stack.wipe_redis()
        seen += following
        check_order(seen)
        assert text_of(seen) == wanted
        again = list(events(client, job_id))
        assert text_of(again) == wanted
    assert transfers(stack, [job_id]) == {job_id: ONCE}


def test_postgres_away_for_longer_than_a_lease(stack: Stack) -> None:
    """The answer takes twelve seconds, and Postgres is gone from its first token to its last."""
    body = slow(240, 20)
    with stack.client() as client:
        wanted = expected_text(client, body)
        job_id = start(client, body)
        following = events(client, job_id)
        seen = [next(following) for _ in range(4)]
        with stack.without("postgres"):
            for _ in range(3):
                refused = client.post("/chat/completions", json=slow(5, 0))
                assert refused.status_code == 503
                assert int(refused.headers["Retry-After"]) >= 1
                assert set(refused.json()["error"]) == {"message", "type", "param", "code"}
            # The job says its last token while nothing can be committed.
            for event in following:
                seen.append(event)
                assert event.name == "delta"
                if text_of(seen) == wanted:
                    break
        seen += following
        check_order(seen)
        assert text_of(seen) == wanted
        assert seen[-1].name == "completed"
    assert transfers(stack, [job_id]) == {job_id: ONCE}


def test_postgres_frozen_at_the_door(stack: Stack) -> None:
    with stack.client() as client, stack.paused("postgres"):
        refused = client.post("/chat/completions", json={**slow(5, 0), "background": True})
        assert refused.status_code == 503
