"""The limiter as the web has it: exact under load, and at its share while Redis is away."""

import signal
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import gevent
import pytest
from structlog.testing import capture_logs

from app.limits.limiter import Limiter
from app.limits.line import TIMEOUT_S
from app.limits.model import Ask, Standing
from app.redis import Wire
from tests.app.events.parts import OwnRedis, until
from tests.app.limits.parts import Books, ask, bucket

MakeLimiter = Callable[..., Limiter]


def take_all(limiters: list[Limiter], asks: list[Ask]) -> list[Standing]:
    """What each request gets when all are asked at once, in turn of the limiters."""
    takes = [gevent.spawn(limiters[at % len(limiters)].take, one) for at, one in enumerate(asks)]
    gevent.joinall(takes, timeout=20, raise_error=True)
    return [take.value for take in takes]


def freeze(server: OwnRedis, how: signal.Signals) -> None:
    assert server._child.process is not None
    server._child.process.send_signal(how)


@pytest.mark.parametrize("limit", ["requests", "tokens", "sessions"])
def test_exactly_as_many_pass_as_may(redis: str, make_limiter: MakeLimiter, limit: str) -> None:
    limiters = [make_limiter(redis) for _ in range(4)]
    caps: dict[str, Any] = {limit: 100}
    one = bucket(**caps)
    answers = take_all(limiters, [ask(one, tokens=1) for _ in range(256)])
    assert [answer.refused for answer in answers].count(None) == 100
    assert {answer.refused for answer in answers} == {None, limit}
    assert all(answer.shared for answer in answers)


def test_each_that_passes_sees_its_own_place(redis: str, make_limiter: MakeLimiter) -> None:
    limiters = [make_limiter(redis) for _ in range(3)]
    one = bucket(requests=90)
    answers = take_all(limiters, [ask(one) for _ in range(90)])
    assert sorted(answer.requests.remaining for answer in answers) == [*range(90)]


def test_tenants_do_not_limit_each_other(limiter: Limiter) -> None:
    tenants = [bucket(requests=2, name=f"ten_{at}") for at in range(30)]
    answers = take_all([limiter], [ask(one) for one in tenants * 3])
    assert [answer.refused for answer in answers] == [None] * 60 + ["requests"] * 30


def test_who_asks_at_once_shares_a_write(limiter: Limiter, monkeypatch: pytest.MonkeyPatch) -> None:
    limiter.take(ask(bucket(requests=1, name="ten_first")))
    writes = []
    send = Wire.send

    def counted(wire: Wire, packed: bytes) -> None:
        writes.append(packed)
        send(wire, packed)

    monkeypatch.setattr(Wire, "send", counted)
    answers = take_all([limiter], [ask(bucket(requests=64)) for _ in range(64)])
    assert [answer.refused for answer in answers] == [None] * 64
    assert len(writes) <= 2


@pytest.mark.parametrize("holds", [True, False])
def test_giving_back_frees_tokens_and_session_but_not_the_minute(
    limiter: Limiter, holds: bool
) -> None:
    one = bucket(requests=9, tokens=100, sessions=1)
    request = ask(one, tokens=80, session="s", holds_session=holds)
    limiter.give_back(request, limiter.take(request))
    again = limiter.take(ask(one, tokens=80))
    assert (again.refused, again.tokens.remaining, again.requests.remaining) == (None, 20, 7)


def test_a_refused_request_has_nothing_to_give_back(limiter: Limiter) -> None:
    one = bucket(tokens=100)
    limiter.take(ask(one, tokens=60))
    request = ask(one, tokens=50)
    refused = limiter.take(request)
    assert refused.refused == "tokens"
    limiter.give_back(request, refused)
    assert limiter.peek((one,)).tokens.remaining == 40


def test_a_job_that_ended_is_the_workers_to_correct_in_redis(limiter: Limiter) -> None:
    one = bucket(tokens=100, sessions=1)
    request = ask(one, tokens=60)
    limiter.ended(request, limiter.take(request), 10)
    assert limiter.peek((one,)).tokens.remaining == 40
    assert limiter.take(ask(one)).refused == "sessions"


def test_a_redis_that_forgot_its_scripts_is_told_again(limiter: Limiter, wire: Wire) -> None:
    one = bucket(requests=40)
    limiter.take(ask(one))
    wire.call(("SCRIPT", "FLUSH"))
    answers = take_all([limiter], [ask(one) for _ in range(20)])
    assert all(answer.shared and answer.refused is None for answer in answers)
    assert limiter.peek((one,)).requests.remaining == 19


@pytest.mark.parametrize("url", ["unix:///nowhere/redis.sock", "redis://127.0.0.1:1"])
def test_without_redis_each_process_limits_its_share(make_limiter: MakeLimiter, url: str) -> None:
    limiter = make_limiter(url, share=4)
    one = bucket(requests=40, tokens=400, sessions=40)
    with capture_logs() as logs:
        answers = take_all([limiter], [ask(one, tokens=1) for _ in range(64)])
        seen = limiter.peek((one,))
    assert [answer.refused for answer in answers].count(None) == 10
    assert not any(answer.shared for answer in answers)
    assert (seen.requests.limit, seen.requests.remaining, seen.tokens.remaining) == (10, 0, 90)
    assert [line["log_level"] for line in logs] == ["warning"]


def test_what_a_process_took_alone_it_gives_back_alone(make_limiter: MakeLimiter) -> None:
    limiter = make_limiter("unix:///nowhere/redis.sock")
    one = bucket(tokens=100, sessions=1)
    first, second = ask(one, tokens=80), ask(one, tokens=80, session="s")
    limiter.give_back(first, limiter.take(first))
    taken = limiter.take(second)
    assert (taken.refused, taken.tokens.remaining) == (None, 20)
    limiter.ended(second, taken, 50)
    again = limiter.take(ask(one, tokens=50))
    assert (again.refused, again.tokens.remaining) == (None, 0)


def test_a_killed_redis_is_shared_again_when_it_is_back(
    own_redis: OwnRedis, make_limiter: MakeLimiter
) -> None:
    limiter = make_limiter(own_redis.url, share=2, window_s=0.05)
    one = bucket(requests=10)
    assert limiter.take(ask(one)).shared
    own_redis.kill()
    with capture_logs() as logs:
        taken = limiter.take(ask(one))
        assert (taken.shared, taken.requests.limit, taken.requests.remaining) == (False, 5, 4)
        own_redis.start()
        until(lambda: limiter.peek((one,)).shared)
    assert limiter.take(ask(one)).requests.limit == 10
    assert [line["event"] for line in logs] == [
        "Redis away, each process limits its share",
        "Redis is back, limits are shared again",
    ]
    until(lambda: not limiter._local._used)


def test_a_frozen_redis_costs_its_waiters_a_quarter_second_and_others_nothing(
    own_redis: OwnRedis, make_limiter: MakeLimiter
) -> None:
    limiter = make_limiter(own_redis.url)
    one = bucket(requests=1_000)
    limiter.take(ask(one))
    freeze(own_redis, signal.SIGSTOP)
    began = time.monotonic()
    answers = take_all([limiter], [ask(one) for _ in range(64)])
    took_s = time.monotonic() - began
    assert not any(answer.shared or answer.refused for answer in answers)
    assert TIMEOUT_S <= took_s < TIMEOUT_S + 0.5

    def slowest() -> float:
        before = time.monotonic()
        assert not limiter.take(ask(one)).shared
        return time.monotonic() - before

    times: list[float] = []
    until(lambda: times.append(slowest()) or time.monotonic() - began > 1.5)  # type: ignore[func-returns-value]
    assert max(times) < TIMEOUT_S
    freeze(own_redis, signal.SIGCONT)
    until(lambda: limiter.take(ask(one)).shared)


def test_redis_is_tried_again_at_most_once_a_second(
    make_limiter: MakeLimiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[float] = []
    opened = Wire.__init__

    def counted(wire: Wire, url: str, *, timeout_s: float | None = 5.0) -> None:
        tries.append(time.monotonic())
        opened(wire, url, timeout_s=timeout_s)

    monkeypatch.setattr(Wire, "__init__", counted)
    limiter = make_limiter("unix:///nowhere/redis.sock")
    until(lambda: not limiter.take(ask(bucket())).shared and len(tries) >= 3)
    again = tries[1:]
    assert all(late - early > 0.95 for early, late in pairwise(again))


def test_a_full_redis_is_away_until_it_has_room(
    own_redis: OwnRedis, make_limiter: MakeLimiter
) -> None:
    limiter = make_limiter(own_redis.url)
    one = bucket(requests=10)
    wire = own_redis.wire()
    wire.call(("SET", "ballast", "x" * 100_000), ("CONFIG", "SET", "maxmemory", 1))
    assert not limiter.take(ask(one)).shared
    limiter._line._probe()
    assert limiter._line.down
    wire.call(("CONFIG", "SET", "maxmemory", 0))
    until(lambda: limiter.take(ask(one)).shared)
    wire.close()


def test_a_key_that_is_not_ours_costs_its_own_bucket_alone(limiter: Limiter, wire: Wire) -> None:
    wire.call(("SET", "lim:ten_bad:req", "text"))
    bad, good = bucket(requests=5, name="ten_bad"), bucket(requests=5, name="ten_good")
    answers = take_all([limiter], [ask(good), ask(bad), ask(good)])
    assert [answer.shared for answer in answers] == [True, False, True]
    assert limiter.take(ask(good)).requests.remaining == 2


def test_counters_that_do_not_stay_end_in_the_share(
    redis: str, wire: Wire, gevent_sockets: None
) -> None:
    asked = []
    limiter = Limiter(redis, lambda name, day: asked.append(name) or 0)  # type: ignore[func-returns-value]
    one = bucket(tokens=5)
    assert limiter.take(ask(one)).shared
    limiter._central._seed_once = lambda bucket, day: asked.append("lost")  # type: ignore[method-assign]
    wire.call(("FLUSHALL",))
    assert not limiter.take(ask(one)).shared
    assert asked == ["ten_a", "lost", "lost", "lost"]
    limiter.close()


def test_redis_that_lost_its_data_asks_the_books_again(
    limiter: Limiter, wire: Wire, books: Books
) -> None:
    one = bucket(tokens=100)
    taken = limiter.take(ask(one, tokens=30))
    books.used["ten_a", int(taken.now_s // 86_400)] = 25
    wire.call(("FLUSHALL",))
    assert limiter.take(ask(one, tokens=30)).tokens.remaining == 45
