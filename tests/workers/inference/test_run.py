"""One attempt from its claim to its terminal event, with a real log and a provider on a script."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gevent
import orjson
import pytest

from app.catalogue.model import Model
from app.events.log import Event, stream_key
from app.events.publish import Publisher
from app.jobs.model import MAX_STRIKES, Claimed, Door
from app.redis import Wire
from app.settings import Settings
from tests.app.events.parts import names, stream, text_of, until
from tests.workers.inference.scripted import (
    COST,
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
from workers.inference.run import Attempt, Cancelled, Ended, Lost, Parts, Released
from workers.providers.base import Answer, Call, Chunk

HOLD = 10**9
Make = Callable[..., Attempt]


def claimed(door: Door = "background", **more: Any) -> Claimed:
    given: dict[str, Any] = {
        "id": "job_a",
        "attempt": 1,
        "strikes": 0,
        "tenant_id": "ten_a",
        "kind": "chat.completion",
        "door": door,
        "model": "m",
        "request": '{"model":"m","messages":[{"role":"user","content":"hi"}]}',
        "hold": HOLD,
        "created_s": 1_700_000_000.0,
        "age_ms": 5.0,
        "left_s": 60.0,
    }
    return Claimed(**{**given, **more})


@pytest.fixture
def make(publisher: Publisher) -> Make:
    """Makes attempts at a job whose model's only route plays these scripts."""

    def attempt(job: Claimed, *scripts: list[Part], models: list[Model] | None = None) -> Attempt:
        catalogue = catalogue_of(*(models or [model("m", "p")]))
        providers = providers_of(catalogue, p=Scripted(list(scripts)))
        return Attempt(Parts(Settings(), catalogue, providers, publisher), job)

    return attempt


def ended(attempt: Attempt) -> dict[str, Any]:
    """The outcome of an attempt that ended its job, told as its worker does after the commit."""
    end = attempt.run()
    assert end.outcome is not None, end
    outcome = end.outcome
    attempt.tell(outcome)
    fields = ("body", "error", "usage", "calls")
    told = {name: orjson.loads(getattr(outcome, name) or "null") for name in fields}
    return {"state": outcome.state, "cost": outcome.cost, "last_seq": outcome.last_seq, **told}


def log_of(publisher: Publisher, wire: Wire) -> list[Event]:
    publisher.drain(10)
    return stream(wire)


@pytest.mark.parametrize("door", ["stream", "background"])
def test_an_answer_is_relayed_priced_and_told(
    make: Make, publisher: Publisher, wire: Wire, door: Door
) -> None:
    end = ended(make(claimed(door), whole("hello")))
    assert (end["state"], end["cost"], end["error"]) == ("completed", COST, None)
    body = end["body"]
    assert (body["id"], body["model"], body["created"]) == ("chatcmpl-a", "m", 1_700_000_000)
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "hello"}
    assert body["usage"] == end["usage"]
    assert end["usage"]["total_cost_usd"] == COST / 10**9
    assert end["usage"]["ttft_ms"] >= 5.0
    assert [call["outcome"] for call in end["calls"]] == ["completed"]
    events = log_of(publisher, wire)
    assert (names(events)[0], names(events)[-2:]) == ("started", ["usage", "completed"])
    assert text_of(events) == "hello"
    assert events[-1].id == (1, end["last_seq"])
    assert orjson.loads(events[-1].data) == {
        "job_id": "job_a", "status": "completed", "error": None, "usage": end["usage"],
    }  # fmt: skip
    assert orjson.loads(events[0].data)["model"] == "m"


def test_a_job_whose_client_waits_writes_nothing_before_its_end(
    make: Make, publisher: Publisher, wire: Wire
) -> None:
    attempt = make(claimed("sync"), [completion("hello")])
    end = attempt.run()
    assert log_of(publisher, wire) == []
    assert end.outcome is not None
    attempt.tell(end.outcome)
    assert names(log_of(publisher, wire)) == ["started", "usage", "completed"]
    assert attempt.relay._log.result == (end.outcome.body or "").encode()


def test_when_no_provider_answers_the_job_fails_and_costs_nothing(make: Make) -> None:
    end = ended(make(claimed(), [error("auth")]))
    assert (end["state"], end["cost"], end["body"]) == ("failed", 0, None)
    assert end["error"]["code"] == "all_providers_failed"
    assert end["usage"]["total_tokens"] == 0
    assert [call["outcome"] for call in end["calls"]] == ["auth"]


@pytest.mark.parametrize("strikes", range(MAX_STRIKES))
def test_a_cut_background_job_goes_back_until_its_last_strike(make: Make, strikes: int) -> None:
    attempt = make(claimed(strikes=strikes), [say("half"), error("incomplete")])
    if strikes + 1 < MAX_STRIKES:
        back = attempt.run()
        assert (back.outcome, back.handed_back) == (None, "interrupted")
        assert orjson.loads(back.calls)[0]["outcome"] == "incomplete"
    else:
        end = ended(attempt)
        assert (end["state"], end["cost"]) == ("failed", 0)
        assert end["error"]["code"] == "stream_interrupted"


def test_a_cut_stream_fails_at_once_and_keeps_what_was_said(
    make: Make, publisher: Publisher, wire: Wire
) -> None:
    end = ended(make(claimed("stream"), [say("half"), error("incomplete")]))
    assert (end["state"], end["cost"]) == ("failed", 0)
    assert end["body"]["choices"][0]["message"]["content"] == "half"
    assert end["body"]["choices"][0]["finish_reason"] is None
    assert end["usage"]["completion_tokens"] == 1
    assert end["usage"]["total_cost_usd"] == 0
    assert names(log_of(publisher, wire))[-1] == "failed"


def test_a_chunk_that_cannot_be_read_is_the_providers_fault(make: Make) -> None:
    broken = Chunk([{"index": 0, "delta": {}, "logprobs": ["a"]}])
    end = ended(make(claimed("stream"), [say("half"), broken, say("", "stop")]))
    assert (end["state"], end["cost"]) == ("failed", 0)
    assert end["error"]["code"] == "stream_interrupted"
    assert end["body"]["choices"][0]["message"]["content"] == "half"


def thrown(attempt: Attempt, at: Callable[[], object], what: type[BaseException]) -> Ended:
    """Runs an attempt in a greenlet, and throws `what` into it once `at` is true."""
    greenlet = gevent.spawn(attempt.run)
    until(at)
    greenlet.kill(what, block=False)
    greenlet.join(10)
    assert isinstance(greenlet.value, Ended), greenlet.value
    return greenlet.value


def stall() -> None:
    gevent.event.Event().wait(30)


def test_a_cancelled_answer_is_billed_for_what_was_said(
    make: Make, publisher: Publisher, wire: Wire
) -> None:
    attempt = make(claimed("stream"), [say("x" * 400), stall])
    end = thrown(attempt, lambda: attempt.relay.spoke, Cancelled)
    assert end.outcome is not None
    assert end.outcome.state == "cancelled"
    usage = orjson.loads(end.outcome.usage or "")
    assert (usage["completion_tokens"], usage["estimated"]) == (100, True)
    assert end.outcome.cost == usage["prompt_tokens"] * 1000 + 100 * 2000
    attempt.tell(end.outcome)
    assert names(log_of(publisher, wire))[-2:] == ["usage", "cancelled"]


def test_a_call_cancelled_before_its_first_token_is_billed_for_the_prompt(make: Make) -> None:
    attempt = make(claimed("sync"), [stall, completion()])
    end = thrown(attempt, lambda: attempt._calls and attempt._calls.made, Cancelled)
    assert end.outcome is not None
    usage = orjson.loads(end.outcome.usage or "")
    assert (usage["prompt_tokens"] > 0, usage["completion_tokens"]) == (True, 0)
    assert end.outcome.cost == usage["prompt_tokens"] * 1000


@pytest.mark.parametrize(("what", "how"), [(Released, "released"), (Lost, "lost")])
def test_a_job_taken_away_goes_back_with_what_it_has_written(
    make: Make, publisher: Publisher, wire: Wire, what: type[BaseException], how: str
) -> None:
    attempt = make(claimed(), [say("half"), stall])
    end = thrown(attempt, lambda: attempt.relay.spoke, what)
    assert (end.outcome, end.handed_back) == (None, how)
    events = log_of(publisher, wire)
    assert text_of(events) == "half"
    assert "usage" not in names(events)


def test_a_taken_provider_stream_is_closed(make: Make) -> None:
    attempt = make(claimed(), [say("half"), stall])
    script = attempt._parts.providers.get("p")
    assert isinstance(script, Scripted)
    thrown(attempt, lambda: attempt.relay.spoke, Cancelled)
    assert script.closed == 1


@pytest.mark.parametrize("left_s", [0.02, -5.0])
def test_at_its_deadline_a_job_fails_and_costs_nothing(make: Make, left_s: float) -> None:
    end = ended(make(claimed(left_s=left_s), [say("half"), stall]))
    assert (end["state"], end["cost"]) == ("failed", 0)
    assert end["error"]["code"] == "deadline_exceeded"


def test_a_model_that_is_gone_is_told(make: Make) -> None:
    end = ended(make(claimed(request='{"model":"old","messages":[]}', model="old"), whole("x")))
    assert end["state"] == "failed"
    assert (end["error"]["code"], end["error"]["param"]) == ("model_not_found", "model")


@pytest.mark.parametrize("strikes", range(MAX_STRIKES))
def test_an_attempt_that_breaks_costs_a_strike(make: Make, strikes: int) -> None:
    attempt = make(claimed(strikes=strikes), [say("half"), ZeroDivisionError("ours")])
    if strikes + 1 < MAX_STRIKES:
        assert attempt.run().handed_back == "interrupted"
    else:
        end = ended(attempt)
        assert (end["state"], end["cost"]) == ("failed", 0)
        assert "ours" not in str(end["error"]), "what broke is for the log"


def test_a_later_attempt_says_that_it_begins_anew(
    make: Make, publisher: Publisher, wire: Wire
) -> None:
    ended(make(claimed(attempt=2), whole("again")))
    events = log_of(publisher, wire)
    assert (names(events)[0], events[0].id) == ("restarted", (2, 1))
    assert orjson.loads(events[0].data)["discard_after"] == "0-1"


def test_no_more_is_charged_than_was_held(make: Make) -> None:
    end = ended(make(claimed(hold=7), whole("x")))
    assert (end["cost"], end["usage"]["total_cost_usd"]) == (7, 7 / 10**9)


def test_a_fallback_is_billed_at_its_own_price(make: Make) -> None:
    request = {"model": "m", "messages": [], "extra_body": {"fallbacks": ["n"]}}
    dear = model("n", "p")
    job = claimed(request=orjson.dumps(request).decode())
    end = ended(make(job, [error("auth")], whole("x"), models=[model("m", "p"), dear]))
    assert [call["model"] for call in end["calls"]] == ["their-m", "their-n"]
    assert end["cost"] == COST


def test_the_last_seq_promised_is_that_of_the_end(
    make: Make, publisher: Publisher, wire: Wire
) -> None:
    """Also when much is still unwritten at the moment of the commit."""
    wire.call(("CLIENT", "PAUSE", 10_000, "WRITE"))
    parts: list[Part] = [role(), *[say(f"{n} ") for n in range(50)], say("", "stop", dict(USAGE))]
    attempt = make(claimed(), parts)
    end = attempt.run()
    assert end.outcome is not None
    attempt.tell(end.outcome)
    wire.call(("CLIENT", "UNPAUSE"))
    events = log_of(publisher, wire)
    assert events[-1].id.seq == end.outcome.last_seq
    assert [event.id.seq for event in events] == list(range(1, len(events) + 1))
    assert wire.call(("EXISTS", stream_key("job_a"))) == [1]


def test_an_answer_that_cannot_be_stored_is_dropped(make: Make) -> None:
    attempt = make(claimed(), whole("x"))
    end = attempt.run()
    assert end.outcome is not None
    attempt.without_answer(end.outcome)
    outcome = end.outcome
    assert (outcome.state, outcome.cost, outcome.body, outcome.calls) == ("failed", 0, None, "[]")
    assert orjson.loads(outcome.error or "")["message"]
    assert outcome.attempt == 1


@pytest.mark.parametrize(
    ("form", "state"), [("b64_json", "failed"), ("url", "completed"), (None, "completed")]
)
def test_an_image_that_a_provider_gives_by_address_is_for_who_did_not_want_base64(
    publisher: Publisher, form: str | None, state: str
) -> None:
    class Brush(Scripted):
        def draw(self, call: Call) -> Answer:
            return Answer({"data": [{"url": "https://x.test/1"}]}, {**USAGE, "images": 1})

    painter = model("m", "p")
    painter = replace(painter, spec=painter.spec.model_copy(update={"does": "image"}))
    catalogue = catalogue_of(painter)
    parts = Parts(Settings(), catalogue, providers_of(catalogue, p=Brush([])), publisher)
    wanted = {"model": "m", "prompt": "p", "asked": {"response_format": form}}
    end = ended(
        Attempt(parts, claimed("sync", kind="image", request=orjson.dumps(wanted).decode()))
    )
    assert end["state"] == state
    assert (end["body"] is None) is (state == "failed")
