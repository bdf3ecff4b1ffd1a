"""Calls by the standing of their routes: breakers, slots, budgets, deadlines, and what is noted."""

import time
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from app.catalogue.model import Model
from app.settings import Settings
from tests.app.events.parts import until
from tests.workers.inference.scripted import (
    Part,
    Scripted,
    catalogue_of,
    completion,
    error,
    model,
    providers_of,
    whole,
)
from workers.inference.budget import RESERVE
from workers.inference.calls import AllFailed, Calls, ways_of
from workers.inference.routing import TRIAL_S, Routing

FAILURES = 5


class World:
    """One worker process, in which one model has routes over `providers`."""

    def __init__(self, *providers: str, routes: list[dict[str, Any]] | None = None) -> None:
        self.routing = Routing(uniform=lambda low, _: low)
        made = model("m", *providers)
        told = routes or [{} for _ in providers]
        self.model = Model(
            "m",
            made.spec,
            tuple(r.model_copy(update=more) for r, more in zip(made.routes, told, strict=True)),
            made.price,
        )
        self.catalogue = catalogue_of(self.model)
        self.scripted = {name: Scripted([[completion()]]) for name in providers}

    def says(self, provider: str, *scripts: list[Part]) -> Scripted:
        self.scripted[provider] = Scripted(list(scripts))
        return self.scripted[provider]

    def calls(self, left_s: float = 60.0, **more: Any) -> Calls:
        return Calls(
            Settings(),
            providers_of(self.catalogue, **self.scripted),
            ways_of(self.catalogue, self.model, [], {}),
            {"messages": []},
            1,
            self.routing,
            time.monotonic() + left_s,
            **more,
        )

    def ask(self, left_s: float = 60.0) -> list[dict[str, Any]]:
        """The calls of a request that is answered whole."""
        made = self.calls(left_s)
        made.complete()
        return made.made

    def state(self, index: int = 0) -> str:
        return self.routing.watch(ways_of(self.catalogue, self.model, [], {})[index]).breaker.state

    def make_due(self, index: int = 0) -> None:
        way = ways_of(self.catalogue, self.model, [], {})[index]
        self.routing.watch(way).breaker.retry_at = 0.0


def who(made: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(call["provider"], call["why"], call["outcome"]) for call in made]


@pytest.fixture
def broken() -> World:
    """A world whose first route is known to be broken, and whose second is well."""
    world = World("p", "q")
    world.says("p", [error()])
    for _ in range(FAILURES):
        assert who(world.ask()) == [("p", "first", "unavailable"), ("q", "next", "completed")]
    assert world.state() == "open"
    return world


def test_a_broken_route_is_passed_by_and_that_is_noted(broken: World) -> None:
    [call] = broken.ask()
    assert (call["provider"], call["why"]) == ("q", "first")
    assert call["skipped"] == [{"provider": "p", "model": "their-m", "why": "breaker_open"}]


def test_a_broken_route_is_called_when_the_others_fail(broken: World) -> None:
    broken.says("q", [error("auth")])
    broken.says("p", [completion()])
    assert who(broken.ask()) == [("q", "first", "auth"), ("p", "last_resort", "completed")]
    assert broken.state() == "closed"


def test_after_its_cool_down_one_request_tries_it_and_all_use_it_again(broken: World) -> None:
    broken.says("p", [completion()])
    broken.make_due()
    assert who(broken.ask()) == [("p", "trial", "completed")]
    assert broken.state() == "closed"
    assert who(broken.ask()) == [("p", "first", "completed")]


def test_a_trial_that_fails_costs_no_answer(broken: World) -> None:
    broken.make_due()
    assert who(broken.ask()) == [("p", "trial", "unavailable"), ("q", "next", "completed")]
    assert who(broken.ask()) == [("q", "first", "completed")]


def test_only_one_call_at_a_time_tries_it_and_one_given_up_lets_the_next(broken: World) -> None:
    released = gevent.event.Event()
    broken.says("p", [lambda: released.wait(30), completion()])
    broken.make_due()
    trial = gevent.spawn(broken.ask)
    until(lambda: broken.state() == "half_open")
    assert who(broken.ask()) == [("q", "first", "completed")]
    trial.kill()
    assert broken.state() == "open"
    broken.says("p", [completion()])
    assert who(broken.ask()) == [("p", "trial", "completed")]


def test_what_another_process_tries_is_passed_by_and_keeps_no_slot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World("p", "q", routes=[{"max_concurrent": 1}, {}])
    world.says("p", [error()])
    for _ in range(FAILURES):
        world.ask()
    world.make_due()
    others = SimpleNamespace(claim=lambda *_: False)
    monkeypatch.setattr(world.routing, "_exchange", others)
    [call] = world.ask()
    assert (call["provider"], call["skipped"][0]["why"]) == ("q", "breaker_open")
    assert not world.routing.slot(ways_of(world.catalogue, world.model, [], {})[0]).locked()


def test_a_trial_is_not_waited_for_as_long_as_other_calls(broken: World) -> None:
    p = broken.says("p", [completion()])
    broken.make_due()
    broken.ask()
    assert p.calls[0].first_token_timeout == TRIAL_S
    alone = World("p")
    alone.says("p", [error("auth")])
    for _ in range(FAILURES):
        with pytest.raises(AllFailed):
            alone.ask()
    p = alone.says("p", [completion()])
    alone.make_due()
    alone.ask()
    assert p.calls[0].first_token_timeout == Settings().first_token_timeout


def test_a_trial_of_a_slow_route_may_take_twice_what_it_took(broken: World) -> None:
    p = broken.says("p", [completion()])
    [way, _] = ways_of(broken.catalogue, broken.model, [], {})
    broken.routing.watch(way).latency_ms.append(9000.0)
    broken.make_due()
    broken.ask()
    assert p.calls[0].first_token_timeout == 18.0


def test_refused_requests_break_nothing() -> None:
    world = World("p")
    world.says("p", [error("invalid")])
    for _ in range(3 * FAILURES):
        with pytest.raises(AllFailed):
            world.ask()
    assert world.state() == "closed"


def test_a_key_of_the_clients_own_says_nothing_of_the_route() -> None:
    world = World("p")
    for kind in ("auth", "rate_limited"):
        world.says("p", [error(kind, 60.0)])
        for _ in range(FAILURES):
            with pytest.raises(AllFailed):
                world.calls(own_keys={"p"}).complete()
    world.says("p", [completion()])
    assert who(world.ask()) == [("p", "first", "completed")]


def test_a_provider_that_asks_for_a_long_wait_is_left_alone_and_the_client_told() -> None:
    world = World("p", "q")
    world.says("p", [error("rate_limited", 60.0)])
    assert who(world.ask())[0] == ("p", "first", "rate_limited")
    [call] = world.ask()
    assert (call["provider"], call["skipped"][0]["why"]) == ("q", "cooling")
    assert world.state() == "closed"
    world.says("q", [error("rate_limited", 30.0)])
    with pytest.raises(AllFailed):
        world.ask()
    asked = len(world.scripted["p"].calls)
    made = world.calls()
    with pytest.raises(AllFailed) as failed:
        made.complete()
    assert made.made == []
    assert len(world.scripted["p"].calls) == asked
    assert {e.kind for _, e in failed.value.failures} == {"rate_limited"}
    assert 29 < min(e.retry_after or 0 for _, e in failed.value.failures) <= 30


def test_retries_end_with_the_budget_and_other_routes_are_called_still(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gevent, "sleep", lambda _: None)
    world = World("p", "q")
    [way, _] = ways_of(world.catalogue, world.model, [], {})
    budget = world.routing.budget(way)
    assert budget is not None
    budget.left, budget.ratio = 1.5, 0.0
    world.says("p", [error("timeout")])
    world.says("q", [error("auth")])
    calls = 0
    for _ in range(4):
        made = world.calls()
        with pytest.raises(AllFailed):
            made.complete()
        calls += len(made.made)
        assert {"p", "q"} == {call["provider"] for call in made.made}
    assert calls == 4 * 2 + 1
    assert 0 <= budget.left < 1 <= RESERVE


def test_a_route_takes_as_many_calls_at_once_as_it_may() -> None:
    world = World("p", "q", routes=[{"max_concurrent": 2}, {}])
    released = gevent.event.Event()
    p = world.says("p", [lambda: released.wait(30), completion()])
    first = [gevent.spawn(world.ask) for _ in range(2)]
    until(lambda: len(p.calls) == 2)
    [call] = world.ask()
    assert (call["provider"], call["skipped"][0]["why"]) == ("q", "busy")
    released.set()
    gevent.joinall(first, raise_error=True)
    assert who(world.ask()) == [("p", "first", "completed")]


def test_a_call_waits_for_a_slot_if_there_is_no_other_route() -> None:
    world = World("p", routes=[{"max_concurrent": 1}])
    released = gevent.event.Event()
    p = world.says("p", [lambda: released.wait(30), completion()], [completion("next")])
    first, second = gevent.spawn(world.ask), gevent.spawn(world.ask)
    until(lambda: len(p.calls) == 1)
    gevent.idle()
    assert len(p.calls) == 1
    released.set()
    gevent.joinall([first, second], raise_error=True)
    assert len(p.calls) == 2


def test_a_slot_that_does_not_come_in_time_is_told() -> None:
    world = World("p", routes=[{"max_concurrent": 1}])
    p = world.says("p", [lambda: gevent.event.Event().wait(30)])
    first = gevent.spawn(world.ask)
    until(lambda: len(p.calls) == 1)
    with pytest.raises(AllFailed) as failed:
        world.ask(left_s=0.05)
    [(name, told)] = failed.value.failures
    assert (name, told.kind) == ("p", "rate_limited")
    assert told.message == "1 calls of their-m run, and no more may"
    first.kill()
    world.says("p", [completion()])
    assert who(world.ask()) == [("p", "first", "completed")], "one that is killed gives it back"


def test_after_the_deadline_nothing_is_called() -> None:
    world = World("p")
    with pytest.raises(gevent.Timeout):
        world.ask(left_s=0.0)
    assert world.scripted["p"].calls == []


def test_what_runs_and_how_long_it_took_is_known() -> None:
    world = World("p")
    world.says("p", whole("hello"))
    [way] = ways_of(world.catalogue, world.model, [], {})
    watched = world.routing.watch(way)
    stream = world.calls().stream()
    next(stream)
    assert (watched.in_flight, len(watched.ttft_ms), len(watched.latency_ms)) == (1, 1, 0)
    list(stream)
    assert (watched.in_flight, len(watched.ttft_ms), len(watched.latency_ms)) == (0, 1, 1)


def test_weights_and_prices_choose_the_first_route() -> None:
    world = World("p", "q", routes=[{"priority": 1}, {}])
    assert world.ask()[0]["provider"] == "q"
    world = World("p", "q", routes=[{"weight": 0.0}, {"weight": 1.0}])
    assert world.ask()[0]["provider"] == "q"
    cheap = world.model.price.model_copy(update={"input": 1})
    world = World("p", "q", routes=[{}, {"cost": cheap}])
    assert world.ask()[0]["provider"] == "q"
