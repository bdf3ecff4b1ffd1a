"""Processes that tell each other of routes over a real Redis."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.health.board import Board, Watched
from app.health.breaker import Rules
from app.health.exchange import STATE, Exchange, Standing, standings
from app.redis import Wire
from tests.app.events.parts import OwnRedis, until

KEY = "p/m"
Join = Callable[..., tuple[Watched, Exchange]]


@pytest.fixture
def join(gevent_sockets: None, redis: str) -> Iterator[Join]:
    """A process that knows the route: its view of it, and what shares it."""
    made: list[Exchange] = []

    def joined(url: str = redis) -> tuple[Watched, Exchange]:
        board = Board(Rules(cooldown_s=30))
        route = board.watch(KEY)
        made.append(Exchange(url, board, f"proc_{len(made)}"))
        made[-1].start()
        return route, made[-1]

    yield joined
    for exchange in made:
        exchange.close()


def fail(route: Watched, times: int = 1, kind: str = "unavailable") -> None:
    for _ in range(times):
        route.entered()
        route.failed(time.time(), kind, None, False)


def answer(route: Watched) -> None:
    now = time.time()
    route.entered()
    route.completed(now, now)


def test_a_breaker_that_opens_opens_in_all_processes_and_closes_in_all(join: Join) -> None:
    (one, _), (two, _) = join(), join()
    fail(one, 5)
    until(lambda: two.breaker.state == "open")
    answer(two)
    until(lambda: one.breaker.state == "closed")


def test_failures_of_all_processes_count_together(join: Join) -> None:
    routes = [join()[0] for _ in range(5)]
    for route in routes:
        fail(route)
    until(lambda: all(route.breaker.state == "open" for route in routes))
    assert sum(route.breaker.counts(time.time())[1] for route in routes) == 5


def test_an_answer_in_one_process_ends_the_row_of_all(join: Join, wire: Wire) -> None:
    (one, _), (two, _) = join(), join()
    fail(one, 4)
    until(lambda: two.breaker.heard)
    answer(two)
    until(lambda: wire.call(("EXISTS", f"health:streak:{KEY}")) == [0])
    fail(two, 4)
    until(lambda: wire.call(("GET", f"health:streak:{KEY}")) == [b"4"])
    assert two.breaker.state == "closed"


def test_a_wait_that_a_provider_asks_for_is_known_to_all(join: Join) -> None:
    (one, _), (two, _) = join(), join()
    one.entered()
    one.failed(time.time(), "rate_limited", 60.0, False)
    until(lambda: two.breaker.cool_s(time.time()) > 50)
    assert two.breaker.state == "closed"


def test_one_process_alone_tries_a_route(join: Join, wire: Wire) -> None:
    (one, first), (_, second) = join(), join()
    assert first.claim(KEY, 60)
    assert not second.claim(KEY, 60)
    fail(one, 5)
    until(lambda: wire.call(("HEXISTS", STATE, KEY)) == [1])
    assert second.claim(KEY, 60), "what the trial told has ended it"


def test_a_trial_whose_process_died_is_forgotten(join: Join) -> None:
    (_, first), (_, second) = join(), join()
    assert first.claim(KEY, 0.05)
    until(lambda: second.claim(KEY, 60))


def test_without_redis_each_process_goes_by_itself(join: Join) -> None:
    route, exchange = join("redis://127.0.0.1:1/0")
    fail(route, 5)
    assert route.breaker.look(time.time()) == "down"
    assert exchange.claim(KEY, 60), "nobody says that another tries it"
    answer(route)
    assert route.breaker.look(time.time()) == "up"


def test_a_redis_that_comes_back_is_told(own_redis: OwnRedis, join: Join) -> None:
    one, _ = join(own_redis.url)
    two, _ = join(own_redis.url)
    answer(one)
    until(lambda: KEY in standings(own_redis.url))
    own_redis.kill()
    fail(one, 5)
    own_redis.start()
    until(lambda: two.breaker.state == "open")


def test_a_redis_that_lost_all_is_told_again(own_redis: OwnRedis, join: Join, folder: Path) -> None:
    one, _ = join(own_redis.url)
    fail(one, 5)
    until(lambda: KEY in standings(own_redis.url))
    own_redis.kill()
    shutil.rmtree(folder / "redis")
    own_redis.start()
    two, _ = join(own_redis.url)
    until(lambda: two.breaker.state == "open")
    assert one.breaker.state == "open"


def test_what_all_processes_saw_is_told_together(join: Join, redis: str) -> None:
    (one, _), (two, _) = join(), join()
    answer(one)
    answer(two)
    two.entered()
    two.spoke(10.0, 9.5)

    def told() -> Standing | None:
        found = standings(redis).get(KEY)
        return found if found and found.ok == 2 and found.in_flight else None

    until(lambda: told() is not None)
    found = standings(redis)[KEY]
    assert (found.in_flight, found.bad, found.streak) == (1, 0, 0)
    assert found.ttft_ms == [500.0]
    assert len(found.latency_ms) == 2
    assert found.told == {}


def test_calls_of_a_process_that_died_run_no_more(
    join: Join, redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    route, exchange = join()
    answer(route)
    route.entered()
    until(lambda: KEY in standings(redis) and standings(redis)[KEY].in_flight == 1)
    exchange.close()
    monkeypatch.setattr("app.health.exchange.ALIVE_S", 0.0)
    found = standings(redis)[KEY]
    assert (found.in_flight, found.ok, len(found.latency_ms)) == (0, 1, 1)


def test_what_another_version_wrote_does_not_end_the_exchange(join: Join, wire: Wire) -> None:
    wire.call(("HSET", STATE, KEY, "?"))
    (one, _), (two, second) = join(), join()
    until(lambda: second._away)
    fail(one, 5)
    until(lambda: two.breaker.state == "open")


def test_a_row_that_others_count_opens_a_route_that_fails_here_too_and_no_other() -> None:
    route = Board().watch(KEY)
    route.heard_streak(9, 10.0)
    assert route.breaker.look(10.0) == "up"
    fail(route)
    route.heard_streak(9, 10.0)
    assert route.breaker.look(10.0) == "down"


def test_a_route_of_the_worker_itself_never_opens() -> None:
    board = Board()
    route = board.watch("builtin/x", guarded=False)
    fail(route, 50)
    fail(route, 1, "rate_limited")
    assert route.breaker.told() is None
    assert route.seen(time.time())["bad"] == 51
    assert board.to_tell == set()


def test_each_call_that_ends_leaves_the_count_of_those_that_run(join: Join) -> None:
    route, _ = join()
    route.entered()
    route.entered()
    route.left(time.time(), False)
    assert route.in_flight == 1
    fail(route)
    answer(route)
    assert route.in_flight == 1
