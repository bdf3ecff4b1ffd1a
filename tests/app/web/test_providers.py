"""`/v1/providers`: the routes of a model as workers know them."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.health.board import Board, Watched
from app.health.breaker import Rules
from app.health.exchange import Exchange, standings
from app.settings import Settings
from app.web import providers
from app.web.auth import needs
from app.web.providers import provider_routes
from tests.app.events.parts import until
from tests.app.web.access import Caller, Door, open_door, problem

CATALOGUE = """
default: house
providers:
  near: {kind: openai, base_url: "http://127.0.0.1:1/v1"}
  far: {kind: openai, base_url: "http://127.0.0.1:1/v1"}
  absent: {kind: openai, base_url: "http://127.0.0.1:1/v1", api_key_env: NO_KEY, enabled_by_key: true}
models:
  house:
    price: {input: 1, output: 2}
    routes:
      - {provider: absent, model: theirs}
      - {provider: far, model: theirs, priority: 1, parameters: {x: 1}, price: {input: 3, output: 4}}
      - {provider: near, model: ours, max_concurrent: 7}
  shared:
    price: {input: 1, output: 2}
    routes:
      - {provider: near, model: ours, weight: 3}
      - {provider: far, model: theirs}
"""  # noqa: E501


@pytest.fixture
def door(
    line_settings: Callable[..., Settings],
    gevent_sockets: None,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Door]:
    path = folder / "catalogue.yaml"
    path.write_text(CATALOGUE)
    monkeypatch.setattr(providers, "FRESH_S", 0.0)
    room = (provider_routes, needs("inference"))
    with open_door(line_settings(catalogue=path), monkeypatch, room) as opened:
        yield opened


@pytest.fixture
def me(door: Door) -> Caller:
    return door.caller(door.tenant())


@pytest.fixture
def worker(door: Door) -> Iterator[Callable[[str], Watched]]:
    """What a worker process knows of a route, which it shares."""
    board = Board(Rules(cooldown_s=30))
    exchange = Exchange(door.front.settings.redis, board, "proc_a")
    exchange.start()
    yield board.watch
    exchange.close()


def listed(me: Caller, path: str = "/v1/providers") -> list[dict[str, Any]]:
    answer = me.get(path)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.get_json()
    return found


def test_the_routes_of_the_default_model_are_a_list_best_first(me: Caller) -> None:
    near, far, absent = listed(me)
    assert {name: near[name] for name in ("id", "type", "enabled", "params")} == {
        "id": "near", "type": "primary", "enabled": True, "params": {},
    }  # fmt: skip
    assert (near["model"], near["max_concurrent"], near["priority"]) == ("ours", 7, 0)
    assert (near["state"], near["failures"], near["success_rate"]) == ("closed", 0, None)
    assert near["pricing"]["input"] == 1e-6
    assert (far["id"], far["type"], far["params"]) == ("far", "backup", {"x": 1})
    assert far["pricing"]["input"] == 3e-6
    assert (absent["id"], absent["enabled"], absent["type"]) == ("absent", False, "backup")


def test_routes_that_share_by_weight_are_all_primary(me: Caller) -> None:
    found = listed(me, "/providers?model=shared")
    assert [(one["type"], one["weight"]) for one in found] == [("primary", 3.0), ("primary", 1.0)]


def test_a_forced_provider_is_alone(me: Caller) -> None:
    assert [one["id"] for one in listed(me, "/v1/providers?model=far/house")] == ["far"]


def test_a_model_that_is_not_there_is_404(me: Caller) -> None:
    answer = me.get("/v1/providers?model=nothing")
    assert problem(answer) == (404, "model_not_found", "model")


def test_it_takes_the_scope_of_inference(door: Door) -> None:
    tenant = door.tenant()
    other = door.caller(tenant, scopes=["billing"])
    assert other.get("/v1/providers").status_code == 403
    assert door.nobody().get("/providers").status_code == 401


def test_an_open_breaker_shows_with_its_reason_and_times(
    me: Caller, worker: Callable[[str], Watched]
) -> None:
    route = worker("near/ours")
    for _ in range(5):
        route.entered()
        route.failed(time.time(), "auth", None, False)
    until(lambda: listed(me)[0]["state"] == "open")
    near = listed(me)[0]
    assert (near["reason"], near["retry_at"] - near["opened_at"]) == ("auth", 30)
    assert near["opened_at"] == pytest.approx(time.time(), abs=30)
    until(lambda: listed(me)[0]["failures"] == 5)
    route.breaker.retry_at = time.time() - 1
    route._board.changed(route)
    until(lambda: listed(me)[0]["state"] == "half_open")


def test_a_wait_that_the_provider_asked_for_shows_as_open(
    me: Caller, worker: Callable[[str], Watched]
) -> None:
    route = worker("far/theirs")
    route.entered()
    route.failed(time.time(), "rate_limited", 60.0, False)
    until(lambda: listed(me)[1]["state"] == "open")
    far = listed(me)[1]
    assert far["reason"] == "rate_limited"
    assert far["retry_at"] == pytest.approx(time.time() + 60, abs=30)


def test_what_workers_saw_lately_is_told(
    door: Door, me: Caller, worker: Callable[[str], Watched]
) -> None:
    route, now = worker("near/ours"), time.time()
    for ms in (10, 30, 20):
        route.entered()
        route.spoke(now, now - ms / 2000)
        route.completed(now, now - ms / 1000)
    route.entered()
    route.failed(now, "timeout", None, False)
    route.entered()
    until(lambda: (listed(me)[0]["in_flight"], listed(me)[0]["success_rate"]) == (1, 0.75))
    near = listed(me)[0]
    assert (near["latency_ms"], near["ttft_ms"]) == (20.0, 10.0)
    assert standings(door.front.settings.redis)["near/ours"].ok == 3


def test_without_redis_the_routes_are_shown_and_their_state_is_not_known(
    line_settings: Callable[..., Settings],
    gevent_sockets: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    room = (provider_routes, needs("inference"))
    settings = line_settings(redis_url="redis://127.0.0.1:1/0")
    with open_door(settings, monkeypatch, room) as door:
        [only] = listed(door.caller(door.tenant()), "/v1/providers?model=builtin/sim")
    assert (only["id"], only["enabled"], only["state"]) == ("simulator", True, None)
