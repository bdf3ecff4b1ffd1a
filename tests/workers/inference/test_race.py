"""A second call beside one that is slow to speak: who speaks first is heard, both are noted."""

import time
from collections.abc import Callable
from typing import Any

import gevent
import pytest

from app.catalogue.model import Model, ModelSpec
from app.settings import Settings
from tests.app.events.parts import until
from tests.workers.inference.scripted import (
    COST,
    USAGE,
    Part,
    Scripted,
    catalogue_of,
    error,
    model,
    providers_of,
    role,
    say,
    whole,
)
from workers.inference.account import call_costs
from workers.inference.calls import AllFailed, Calls, Interrupted, acts_elsewhere, ways_of
from workers.inference.routing import Routing
from workers.providers.base import Chunk

HEDGE_MS = 5.0


def stall() -> object:
    return gevent.event.Event().wait(30)


class Duel:
    """A model whose two routes play these scripts, the second asked after a moment."""

    def __init__(self, p: list[Part], q: list[Part], **request: Any) -> None:
        made = model("m", "p", "q")
        spec = ModelSpec(price=made.price, hedge_after_ms=HEDGE_MS)
        one = Model("m", spec, made.routes, made.price)
        catalogue = catalogue_of(one)
        self.p, self.q = Scripted([p]), Scripted([q])
        self.routing = Routing()
        self.calls = Calls(
            Settings(),
            providers_of(catalogue, p=self.p, q=self.q),
            ways_of(catalogue, one, [], {}),
            {"messages": [], **request},
            1,
            self.routing,
        )

    def text(self) -> str:
        return said(list(self.calls.stream()))

    def noted(self) -> list[tuple[str, str, str]]:
        return [(call["provider"], call["why"], call["outcome"]) for call in self.calls.made]

    def over(self) -> bool:
        """Whether all provider streams are closed and nothing is counted as running."""
        routes = self.routing.board.routes.values()
        closed = self.p.closed == len(self.p.calls) and self.q.closed == len(self.q.calls)
        return closed and all(route.in_flight == 0 for route in routes)


def said(chunks: list[Chunk]) -> str:
    return "".join(c["delta"].get("content", "") for chunk in chunks for c in chunk.choices)


def test_one_that_speaks_in_time_is_alone() -> None:
    duel = Duel(whole("first"), whole("second"))
    assert duel.text() == "first"
    assert duel.noted() == [("p", "first", "completed")]
    assert (duel.calls.usage, duel.q.calls) == (USAGE, [])


def test_one_that_is_slow_is_outpaced_and_closed() -> None:
    duel = Duel([role(), stall, *whole("first")], whole("second"))
    assert duel.text() == "second"
    assert duel.noted() == [("p", "first", "outpaced"), ("q", "hedge", "completed")]
    first, second = duel.calls.made
    assert (first["usage"], second["usage"]) == (None, USAGE)
    assert "ttft_ms" not in first
    assert [way.route.provider for way in duel.calls.tried] == ["p", "q"]
    assert duel.calls.answered is duel.calls.tried[1]
    until(duel.over)


def test_the_prompt_of_the_one_that_lost_is_owed_too() -> None:
    duel = Duel([stall], whole("second"))
    duel.text()
    owed = [
        call_costs(call, way.model, way.route, "x" * 400, "second")
        for call, way in zip(duel.calls.made, duel.calls.tried, strict=True)
    ]
    assert owed == [100 * 1000, COST]


def slowly() -> object:
    return gevent.sleep(3 * HEDGE_MS / 1000)


def test_what_is_no_token_does_not_make_it_less_slow() -> None:
    opens: list[Part] = [role(), lambda: gevent.sleep(0.8 * HEDGE_MS / 1000)]
    opened: list[None] = []
    more: list[Part] = [lambda: opened.append(None)]
    duel = Duel([*(200 * (opens + more)), stall], whole("second"))
    assert duel.text() == "second"
    assert len(opened) < 200


def test_the_slow_one_may_still_be_first() -> None:
    duel = Duel([slowly, *whole("first")], [stall])
    assert duel.text() == "first"
    assert duel.noted() == [("p", "first", "completed"), ("q", "hedge", "outpaced")]
    until(duel.over)


def test_what_the_loser_had_opened_with_is_not_heard() -> None:
    duel = Duel([role(), stall], [role(), say("a"), say("b", "stop")])
    chunks = list(duel.calls.stream())
    roles = [c for chunk in chunks for c in chunk.choices if "role" in c["delta"]]
    assert (len(roles), said(chunks)) == (1, "ab")


def test_one_that_fails_leaves_the_other_to_answer() -> None:
    duel = Duel([slowly, error()], [slowly, slowly, slowly, *whole("second")])
    assert duel.text() == "second"
    assert duel.noted() == [("p", "first", "unavailable"), ("q", "hedge", "completed")]
    until(duel.over)


def test_if_both_fail_the_plan_goes_on() -> None:
    duel = Duel([slowly, error("auth")], [error("auth")])
    with pytest.raises(AllFailed) as failed:
        duel.text()
    assert {name for name, _ in failed.value.failures} == {"p", "q"}
    until(duel.over)


def test_one_that_fails_at_once_is_followed_without_a_race() -> None:
    duel = Duel([error("auth")], whole("second"))
    assert duel.text() == "second"
    assert duel.noted() == [("p", "first", "auth"), ("q", "next", "completed")]


def test_after_the_first_token_a_failure_is_told() -> None:
    duel = Duel([stall], [say("a"), error("incomplete")])
    stream = duel.calls.stream()
    assert said([next(stream)]) == "a"
    with pytest.raises(Interrupted) as cut:
        next(stream)
    assert cut.value.provider == "q"
    until(duel.over)


@pytest.mark.parametrize("end", [gevent.GreenletExit, gevent.Timeout])
def test_a_job_that_ends_ends_both(end: type[BaseException]) -> None:
    duel = Duel([stall], [stall])

    def run() -> None:
        with pytest.raises(end):
            duel.text()

    greenlet = gevent.spawn(run)
    until(lambda: len(duel.q.calls) == 1)
    greenlet.kill(end, block=True)
    until(duel.over)


def broken_bucket(duel: Duel) -> None:
    for way in duel.calls.ways:
        budget = duel.routing.budget(way)
        assert budget is not None
        budget.left, budget.ratio = 0.0, 0.0


def full_house(duel: Duel) -> None:
    route = duel.calls.ways[1].route.model_copy(update={"max_concurrent": 1})
    duel.calls.ways[1].route = route
    duel.routing.slot(duel.calls.ways[1]).acquire()


def open_breaker(duel: Duel) -> None:
    duel.routing.watch(duel.calls.ways[1]).breaker.open(time.time())


@pytest.mark.parametrize("without", [broken_bucket, full_house, open_breaker])
def test_without_a_retry_a_slot_or_a_good_route_there_is_no_second_call(
    without: Callable[[Duel], None],
) -> None:
    duel = Duel([slowly, *whole("first")], whole("second"))
    without(duel)
    assert duel.text() == "first"
    assert duel.q.calls == []


def test_a_second_call_that_is_not_made_keeps_no_slot() -> None:
    duel = Duel([slowly, *whole("first")], whole("second"))
    full_house(duel)
    slot = duel.routing.slot(duel.calls.ways[1])
    slot.release()
    broken_bucket(duel)
    assert duel.text() == "first"
    assert not slot.locked()


def test_the_loser_is_closed_while_the_winner_speaks() -> None:
    duel = Duel([stall], [say("a"), stall, say("b", "stop")])
    stream: Any = duel.calls.stream()
    next(stream)
    until(lambda: duel.p.closed == 1)
    assert duel.q.closed == 0
    stream.close()
    until(duel.over)


def test_a_second_call_takes_from_the_budget() -> None:
    duel = Duel([stall], whole("second"))
    budget = duel.routing.budget(duel.calls.ways[1])
    assert budget is not None
    before = budget.left
    duel.text()
    assert budget.left == pytest.approx(before - 1, abs=0.1)


def test_tools_that_the_provider_runs_are_not_run_twice() -> None:
    duel = Duel([slowly, *whole("first")], whole("second"), tools=[{"type": "web_search"}])
    assert duel.text() == "first"
    assert duel.q.calls == []
    assert not acts_elsewhere({"tools": [{"type": "function", "function": {"name": "f"}}]})
    assert not acts_elsewhere({"tools": None})
