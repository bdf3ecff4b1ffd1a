"""A web process that dies while it streams."""

import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event

import httpx
import psutil
import pytest

from tests.chaos.work import ONCE, expected_text, slow, start, transfers
from tests.sse import ENDS, Told, check_order, events, text_of
from tests.stacks import Stack

pytestmark = [pytest.mark.chaos, pytest.mark.xdist_group("chaos")]


def test_killed_web_in_mid_stream(stack: Stack) -> None:
    body = slow(60, 20)
    with stack.client() as client:
        wanted = expected_text(client, body)
        job_id = start(client, body)
        seen: list[Told] = []
        old = 0
        with suppress(httpx.HTTPError):
            for event in events(client, job_id):
                seen.append(event)
                if len(seen) == 10:
                    old = kill_web(stack)
    assert seen[-1].name == "delta"
    stack.await_restart("web", old)
    stack.await_ready()
    with stack.client() as client:
        rest = list(events(client, job_id, after=seen[-1].id))
    check_order(seen + rest)
    assert not {e.id for e in seen} & {e.id for e in rest}
    assert text_of(seen + rest) == wanted
    assert transfers(stack, [job_id]) == {job_id: ONCE}


def test_openai_stream_goes_on_after_its_web_died(stack: Stack) -> None:
    body = {**slow(60, 20), "stream": True}
    lines: list[str] = []
    old = 0
    with stack.client() as client:
        wanted = expected_text(client, slow(60, 20))
        with (
            suppress(httpx.HTTPError),
            client.stream("POST", "/chat/completions", json=body) as answer,
        ):
            job_id = answer.headers["x-job-id"]
            for line in answer.iter_lines():
                lines.append(line)
                if len(lines) == 10:
                    old = kill_web(stack)
    assert "data: [DONE]" not in lines
    stack.await_restart("web", old)
    stack.await_ready()
    with stack.client() as client:
        seen = list(events(client, job_id))
    check_order(seen)
    assert text_of(seen) == wanted
    assert transfers(stack, [job_id]) == {job_id: ONCE}


def test_killed_web_with_fifty_streams(stack: Stack) -> None:
    body = slow(60, 5)
    with stack.client() as client:
        wanted = expected_text(client, body)
        job_ids = [start(client, body) for _ in range(50)]
    heard = [Event() for _ in job_ids]
    cut: list[str] = []

    def follow(job_id: str, hears: Event) -> list[Told]:
        seen: list[Told] = []
        with stack.client() as own, suppress(httpx.HTTPError):
            for event in events(own, job_id):
                seen.append(event)
                if len(seen) == 4:
                    hears.set()
        # On a busy machine some come to their end before the web dies.
        if seen[-1].name in ENDS:
            return seen
        cut.append(job_id)
        stack.await_ready()
        with stack.client() as own:
            rest = list(events(own, job_id, after=seen[-1].id))
        assert not {e.id for e in seen} & {e.id for e in rest}
        return seen + rest

    with ThreadPoolExecutor(50) as pool:
        followers = [pool.submit(follow, *pair) for pair in zip(job_ids, heard, strict=True)]
        assert all(event.wait(30) for event in heard)
        old = kill_web(stack)
        stack.await_restart("web", old)
        stories = [follower.result(90) for follower in followers]
    assert cut
    for story in stories:
        check_order(story)
        assert (story[-1].name, text_of(story)) == ("completed", wanted), story
    assert transfers(stack, job_ids) == dict.fromkeys(job_ids, ONCE)


def kill_web(stack: Stack) -> int:
    """Kills gunicorn and its workers; returns the pid of the former."""
    pid = stack.pid("web")
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        process.send_signal(signal.SIGKILL)
    return pid
