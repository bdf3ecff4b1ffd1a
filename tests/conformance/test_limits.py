"""Limits hold over two web processes, and each answer tells them rightly."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from openai import OpenAI, RateLimitError

from app.db.connect import connect
from tests.conformance.conftest import http, key_of, tenant
from tests.stacks import Stack
from tests.waiting import wait_for

pytestmark = pytest.mark.xdist_group("two webs")

SIM = {"model": "builtin/sim", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}
QUICK = SIM | {"metadata": {"sim_tokens": "2"}}


def ask(client: httpx.Client, body: dict[str, Any] = QUICK) -> httpx.Response:
    return client.post("/chat/completions", json=body)


def seconds(go_duration: str) -> float:
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:([\d.]+)s)?(?:(\d+)ms)?", go_duration)
    assert found, go_duration
    hours, minutes, secs, millis = found.groups()
    return (
        int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(secs or 0) + int(millis or 0) / 1e3
    )


def check_families(answer: httpx.Response) -> None:
    """All three families say the same."""
    head = answer.headers
    policy = dict(re.findall(r'"(\w+)";q=(\d+)', head["RateLimit-Policy"]))
    state = dict(re.findall(r'"(\w+)";r=(\d+)', head["RateLimit"]))
    times = dict(re.findall(r'"(\w+)";r=\d+;t=(\d+)', head["RateLimit"]))
    assert head["X-RateLimit-Limit"] == head["x-ratelimit-limit-requests"] == policy["requests"]
    assert head["X-RateLimit-Remaining"] == state["requests"]
    for name in ("requests", "tokens"):
        assert head[f"x-ratelimit-limit-{name}"] == policy[name]
        assert head[f"x-ratelimit-remaining-{name}"] == state[name]
        reset = seconds(head[f"x-ratelimit-reset-{name}"])
        assert reset <= int(times[name]) < reset + 1.001
    ahead = int(head["X-RateLimit-Reset"]) - time.time()
    assert abs(ahead - seconds(head["x-ratelimit-reset-requests"])) < 3


def test_sixty_a_minute_means_sixty_for_64_clients_at_two_webs(webs: Stack) -> None:
    key = tenant(webs, "sixty", "starter")
    with ExitStack() as opened, ThreadPoolExecutor(64) as pool:
        # A connection each, so that the clients spread over both processes.
        clients = [opened.enter_context(http(webs, key)) for _ in range(64)]
        light = QUICK | {"max_tokens": 1}
        answers = list(pool.map(lambda n: ask(clients[n % 64], light), range(128)))
        passed = [a for a in answers if a.status_code == 200]
        refused = [a for a in answers if a.status_code == 429]
        assert (len(passed), len(refused)) == (60, 68)
        assert sorted(int(a.headers["X-RateLimit-Remaining"]) for a in passed) == list(range(60))
        for answer in answers:
            check_families(answer)
        for answer in refused:
            assert answer.headers["X-RateLimit-Remaining"] == "0"
            wait = int(answer.headers["Retry-After"])
            assert 1 <= wait <= 60
            assert answer.json()["retry_after"] == wait
            assert answer.json()["error"]["code"] == "rate_limit_exceeded"
            assert "x-should-retry" not in answer.headers
        # Looking costs nothing, and shows the same.
        looked = clients[0].get("/models")
        assert looked.status_code == 200
        assert looked.headers["X-RateLimit-Remaining"] == "0"
        check_families(looked)


def _limit(answer: httpx.Response) -> str:
    name: str = answer.json()["error"]["limit"]
    return name


def test_tokens_are_reserved_at_the_door_and_corrected_at_the_end(webs: Stack) -> None:
    with http(webs, tenant(webs, "tokens", "starter")) as client:
        before = 100_000
        for _ in range(3):
            answer = ask(client, QUICK | {"max_tokens": 1000})
            check_families(answer)
            assert (
                before - 1100 < int(answer.headers["x-ratelimit-remaining-tokens"]) < before - 1000
            )
            used = answer.json()["usage"]["total_tokens"]
            look = client.get("/models")
            left = int(look.headers["x-ratelimit-remaining-tokens"])
            assert left == before - used
            before = left
        refused = ask(client, QUICK | {"max_tokens": before})
        assert refused.status_code == 429
        assert refused.headers["x-should-retry"] == "false"
        assert refused.json()["error"]["limit"] == "tokens_per_day"
        assert int(refused.headers["x-ratelimit-remaining-tokens"]) == before


def test_a_tier_of_one_session_has_one_at_once_and_the_next_after_it(webs: Stack) -> None:
    key = tenant(webs, "single", "free")
    slow = {"sim_tokens": "400", "sim_tokens_per_second": "10"}
    long = SIM | {"stream": True, "metadata": slow, "max_tokens": 400}
    with http(webs, key) as client, http(webs, key) as other:
        with client.stream("POST", "/chat/completions", json=long) as stream:
            assert stream.status_code == 200
            refused = ask(other, QUICK | {"session_id": "another"})
            assert refused.status_code == 429
            assert _limit(refused) == "sessions"
            assert ask(other, QUICK).status_code == 200
            in_background = ask(other, QUICK | {"background": True})
            assert in_background.status_code == 202
        # The client has left, so its job is cancelled and its session ends.
        wait_for(
            lambda: ask(other, QUICK | {"session_id": "another"}).status_code == 200, 10, "an end"
        )


def test_a_key_of_its_own_limit_stands_within_its_tenant(webs: Stack) -> None:
    key = tenant(webs, "narrow", "professional", rpm=2)
    with http(webs, key) as client:
        assert [ask(client).status_code for _ in range(3)] == [200, 200, 429]
        assert ask(client).headers["X-RateLimit-Limit"] == "2"
    with http(webs, key_of(webs, "narrow")) as client:
        answer = ask(client)
        assert answer.status_code == 200
        assert int(answer.headers["X-RateLimit-Remaining"]) == 300 - 3


def test_openai_python_waits_as_it_is_told_and_gives_up_where_waiting_does_not_help(
    webs: Stack,
) -> None:
    key = tenant(webs, "sdk", "free")
    with OpenAI(base_url=webs.base_url, api_key=key, max_retries=2, timeout=30) as client:
        began = time.monotonic()
        with pytest.raises(RateLimitError) as refused:
            client.chat.completions.create(
                model="builtin/sim",
                messages=[{"role": "user", "content": "x"}],
                max_tokens=50_000,
            )
        assert time.monotonic() - began < 5
        assert refused.value.code == "rate_limit_exceeded"


def test_without_redis_a_limit_still_holds_and_nobody_is_locked_out(webs: Stack) -> None:
    key = tenant(webs, "outage", "free")
    with http(webs, key) as client, webs.without("redis"):
        answers = [ask(client, QUICK | {"background": True}) for _ in range(30)]
        codes = [answer.status_code for answer in answers]
        assert set(codes) == {202, 429}
        # A share of ten for each of two processes.
        assert 10 <= codes.count(202) <= 20
        assert all(answer.headers["X-RateLimit-Limit"] in ("10", "20") for answer in answers)
        wrong = httpx.get(f"{webs.base_url}/models", headers={"x-api-key": "pk_live_wrong"})
        assert wrong.status_code == 401
    webs.await_ready()


def test_a_counter_that_redis_lost_is_told_by_postgres(webs: Stack) -> None:
    key = tenant(webs, "wiped", "starter")
    with http(webs, key) as client:
        used = sum(ask(client).json()["usage"]["total_tokens"] for _ in range(3))
        webs.wipe_redis()
        webs.await_ready()
        look = wait_for(lambda: _told(client), 10, "headers of the shared limiter")
        assert look is not None
        assert int(look.headers["x-ratelimit-remaining-tokens"]) == 100_000 - used
    with connect(webs.database_url) as connection:
        row = connection.execute("SELECT count(*) FROM open_job").fetchone()
        assert row == (0,)


def _told(client: httpx.Client) -> httpx.Response | None:
    look = client.get("/models")
    return look if look.headers["x-ratelimit-limit-tokens"] == "100000" else None
