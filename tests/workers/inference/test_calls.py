"""The provider calls of one attempt: silent before the first token, told after it."""

from typing import Any

import gevent
import pytest

from app.catalogue.model import Model
from app.settings import Settings
from tests.workers.inference.scripted import (
    USAGE,
    Part,
    Scripted,
    catalogue_of,
    completion,
    error,
    model,
    providers_of,
    role,
    say,
    whole,
)
from workers.inference.calls import AllFailed, Calls, Interrupted, ways_of
from workers.inference.plan import CALLS_PER_ROUTE, MAX_CALLS
from workers.providers.base import Chunk

PAUSES: list[float] = []


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notes the waits between calls instead of waiting."""
    PAUSES.clear()
    monkeypatch.setattr(gevent, "sleep", PAUSES.append)


def calls(*models: Model, **scripted: Scripted) -> Calls:
    catalogue = catalogue_of(*models)
    ways = ways_of(catalogue, models[0], [one.id for one in models[1:]], {})
    registry = providers_of(catalogue, **scripted)
    return Calls(Settings(first_token_timeout=7), registry, ways, {"messages": []}, attempt=3)


def text(chunks: list[Chunk]) -> str:
    return "".join(c["delta"].get("content", "") for chunk in chunks for c in chunk.choices)


def outcomes(made: Calls) -> list[tuple[str, str]]:
    return [(call["provider"], call["outcome"]) for call in made.made]


def play(*scripts: list[Part]) -> Scripted:
    return Scripted(list(scripts))


def test_a_whole_answer_is_given_with_its_call() -> None:
    p = play([completion()])
    made = calls(model("m", "p"), p=p)
    assert made.complete() == completion()
    assert made.usage == USAGE
    [call] = made.made
    assert (call["provider"], call["model"], call["outcome"]) == ("p", "their-m", "completed")
    assert (call["status"], call["error"], call["usage"]) == (200, None, USAGE)
    assert call["latency_ms"] >= call["ttft_ms"] >= 0
    assert made.answered is not None
    assert made.answered.model.id == "m"
    [asked] = p.calls
    assert (asked.model, asked.request) == ("their-m", {"messages": []})
    assert (asked.first_token_timeout, asked.parameters) == (7, {"attempt": 3})


@pytest.mark.parametrize("way", ["complete", "stream"])
def test_a_failed_route_is_left_in_silence(way: str) -> None:
    p = play([error("connect")])
    q = play([completion("fine")] if way == "complete" else whole("fine"))
    made = calls(model("m", "p", "q"), p=p, q=q)
    if way == "complete":
        assert made.complete().choices[0]["message"]["content"] == "fine"
    else:
        assert text(list(made.stream())) == "fine"
    assert outcomes(made) == [("p", "connect"), ("q", "completed")]
    assert made.made[0]["error"] == "it is connect"
    assert made.made[0]["status"] == 503
    assert PAUSES == []


def test_the_model_that_answers_is_the_one_that_is_billed() -> None:
    made = calls(model("m", "p"), model("n", "q"), p=play([error("auth")]), q=play(whole("x")))
    list(made.stream())
    assert made.answered is not None
    assert made.answered.model.id == "n"


def test_what_came_before_the_first_token_of_a_failed_call_is_not_passed_on() -> None:
    again: list[Part] = [role(), say("second", "stop")]
    p = play([role(), Chunk([], {"prompt_tokens": 9}), error("incomplete")], again)
    made = calls(model("m", "p"), p=p)
    chunks = list(made.stream())
    roles = [c for chunk in chunks for c in chunk.choices if "role" in c["delta"]]
    assert (len(roles), text(chunks)) == (1, "second")
    assert outcomes(made) == [("p", "incomplete"), ("p", "completed")]
    assert made.usage is None


def test_the_first_chunk_holds_all_up_to_the_first_token() -> None:
    made = calls(model("m", "p"), p=play([role(), role(), say("a"), say("b", "stop")]))
    assert [len(chunk.choices) for chunk in made.stream()] == [3, 1]


@pytest.mark.parametrize(
    "first",
    [
        {"index": 0, "delta": {"content": "a"}},
        {"index": 0, "delta": {"tool_calls": [{}]}},
        {"index": 0, "delta": {"refusal": "no"}},
        {"index": 0, "delta": {"reasoning_content": "hm"}},
        {"index": 0, "delta": {}, "finish_reason": "stop"},
        {"index": 1, "delta": {"role": "assistant", "content": "a"}},
    ],
)
def test_what_counts_as_the_first_token(first: dict[str, Any]) -> None:
    made = calls(model("m", "p"), p=play([Chunk([first]), error()]))
    stream = made.stream()
    assert next(stream).choices == [first]
    with pytest.raises(Interrupted):
        next(stream)


def test_after_the_first_token_a_failure_is_told() -> None:
    p, q = play([role(), say("a"), error("incomplete")]), play(whole("other"))
    made = calls(model("m", "p", "q"), p=p, q=q)
    stream = made.stream()
    assert text([next(stream)]) == "a"
    with pytest.raises(Interrupted) as cut:
        next(stream)
    assert (cut.value.provider, cut.value.error.kind) == ("p", "incomplete")
    assert outcomes(made) == [("p", "incomplete")]
    assert q.calls == []


@pytest.mark.parametrize("way", ["complete", "stream"])
def test_when_all_have_failed_each_failure_is_told(way: str) -> None:
    made = calls(model("m", "p", "q"), p=play([error("auth")]), q=play([error("auth")]))
    with pytest.raises(AllFailed) as failed:
        list(made.stream()) if way == "stream" else made.complete()
    assert [(name, e.kind) for name, e in failed.value.failures] == [("p", "auth"), ("q", "auth")]
    assert made.answered is None


def test_one_route_is_tried_a_few_times_with_waits_between() -> None:
    made = calls(model("m", "p"), p=play([error()]))
    with pytest.raises(AllFailed):
        made.complete()
    assert len(made.made) == CALLS_PER_ROUTE <= MAX_CALLS
    assert len(PAUSES) == CALLS_PER_ROUTE - 1
    assert [call.parameters["attempt"] for call in play_of(made, "p").calls] == [3, 4, 5]


def play_of(made: Calls, name: str) -> Scripted:
    found = made.providers.get(name)
    assert isinstance(found, Scripted)
    return found


def test_the_same_way_twice_is_two_ways() -> None:
    """A fallback that names the model itself gets its own try, and no more than that."""
    same = model("m", "p")
    p = play([error("auth")])
    catalogue = catalogue_of(same)
    ways = ways_of(catalogue, same, ["m"], {})
    made = Calls(Settings(), providers_of(catalogue, p=p), ways, {}, attempt=1)
    with pytest.raises(AllFailed):
        made.complete()
    assert len(p.calls) == 2


def test_unknown_fallbacks_are_no_ways() -> None:
    one = model("m", "p", "q")
    ways = ways_of(catalogue_of(one), one, ["nowhere"], {})
    assert [way.route.provider for way in ways] == ["p", "q"]


def test_each_stream_is_closed_when_it_is_left() -> None:
    p = play([error("connect")], [role(), say("a"), say("b")])
    made = calls(model("m", "p"), p=p)
    stream: Any = made.stream()
    next(stream)
    assert p.closed == 1
    stream.close()
    assert p.closed == 2


def test_the_last_usage_told_stands() -> None:
    first = say("a", None, {"prompt_tokens": 1})
    made = calls(model("m", "p"), p=play([first, say("b", "stop"), Chunk([], dict(USAGE))]))
    list(made.stream())
    assert made.usage == made.made[0]["usage"] == USAGE
