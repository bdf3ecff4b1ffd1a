"""Events of a response: the same for the same log, numbered without holes, and nothing lost."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from app.dialects.responses.answer import Origin, output_items
from app.dialects.responses.request import chat_request
from app.dialects.responses.stream import INTERRUPTED, Events
from tests.app.dialects.told import (
    JobEvent,
    answers,
    completed,
    delta,
    failed,
    restarted,
    snapshot,
    started,
    usage,
)

JOB = "job_01jd3x0000000000000000000a"
KNOWN: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def origin(**fields: Any) -> Origin:
    return Origin(JOB, "m", chat_request({"input": "Hello", **fields}))


def told(events: Sequence[JobEvent], **fields: Any) -> list[dict[str, Any]]:
    """All events of a stream."""
    made = Events(origin(**fields))
    return [event for name, data in events for event in made.feed(name, data)]


def chosen(model: str) -> dict[str, Any]:
    """What the router tells of its choice."""
    return {"routing": {"selected_model": model, "answered_model": model}}


@pytest.mark.parametrize("late", [False, True], ids=["from the start", "after a snapshot"])
def test_the_end_of_a_routed_response_names_who_answered_at_last(late: bool) -> None:
    request = chat_request({"input": "Hello", "model": "auto"})
    request["asked"]["router"] = {}
    first = ("context", orjson.dumps(chosen("a")))
    again = [restarted, ("context", orjson.dumps(chosen("b"))), delta({"content": "ho"})]
    if late:
        name, data = snapshot({"content": "ho"}, None)
        again = [(name, orjson.dumps({**orjson.loads(data), **chosen("b")}))]
    events = Events(Origin(JOB, "auto", request))
    said: list[JobEvent] = [started, first, delta({"content": "hi"}), *again, usage, completed]
    made = [event for name, data in said for event in events.feed(name, data)]
    whole = [event["response"] for event in made if "response" in event]
    assert [one["model"] for one in whole] == ["auto", "auto", "auto", "auto", "b"]
    assert whole[-1]["routing"] == chosen("b")["routing"]


def joined(events: Sequence[dict[str, Any]], kind: str) -> str:
    return "".join(e["delta"] for e in events if e["type"] == f"response.{kind}.delta")


def types(events: Sequence[dict[str, Any]]) -> list[str]:
    return [e["type"].removeprefix("response.") for e in events]


@given(answers())
def test_what_is_said_is_told_however_it_is_cut(
    answer: tuple[dict[str, Any], list[JobEvent]],
) -> None:
    message, events = answer
    made = told(events)
    assert [e["sequence_number"] for e in made] == list(range(len(made)))
    assert joined(made, "output_text") == (message["content"] or "")
    assert joined(made, "reasoning_text") == message.get("reasoning_content", "")
    arguments = [c["function"]["arguments"] for c in message.get("tool_calls", ())]
    ended = [e["arguments"] for e in made if e["type"].endswith("function_call_arguments.done")]
    assert ended == arguments
    assert made[-1]["type"] == "response.completed"
    whole = output_items({"message": message}, origin())
    assert made[-1]["response"]["output"] == whole
    done = {e["output_index"]: e["item"] for e in made if e["type"].endswith("output_item.done")}
    assert [done[place] for place in range(len(whole))] == whole


@given(answers(), st.booleans())
def test_every_event_is_one_that_openai_knows(
    answer: tuple[dict[str, Any], list[JobEvent]], background: bool
) -> None:
    for event in told(answer[1], background=background):
        KNOWN.validate_python(event)


@given(answers(), st.integers(0, 99), st.integers(0, 99))
def test_the_rest_after_any_event_is_the_same_for_whoever_reads_the_log(
    answer: tuple[dict[str, Any], list[JobEvent]], cut: int, after: int
) -> None:
    """However the log's events come together, and whatever was read before."""
    _, events = answer
    whole = told(events)
    made = Events(origin())
    opened = made.feed("queued") if cut % 2 else []
    again = opened + [event for name, data in events for event in made.feed(name, data)]
    assert again == whole
    assert [e for e in again if e["sequence_number"] > after] == whole[after + 1 :]


@given(answers(), st.integers(0, 99))
def test_a_snapshot_in_mid_answer_changes_no_text(
    answer: tuple[dict[str, Any], list[JobEvent]], place: int
) -> None:
    message, events = answer
    at = 1 + place % (len(events) - 2)
    finish = "tool_calls" if message.get("tool_calls") else "stop"
    made = told([*events[:at], snapshot(message, finish), usage, completed])
    assert [e["sequence_number"] for e in made] == list(range(len(made)))
    assert joined(made, "output_text") == (message["content"] or "")
    last = made[-1]["response"]
    assert last["output"] == output_items({"message": message}, origin())


def test_an_answer_that_begins_anew_says_so_and_begins_again() -> None:
    made = told([
        started, delta({"content": "lost"}), restarted, delta({"content": "whole"}, finish="stop"),
        usage, completed,
    ])  # fmt: skip
    at = types(made).index("error")
    assert made[at]["code"] == INTERRUPTED
    assert joined(made[:at], "output_text") == "lost"
    assert types(made[at + 1 :])[:2] == ["created", "in_progress"]
    assert joined(made[at:], "output_text") == "whole"
    assert made[-1]["response"]["output"][0]["content"][0]["text"] == "whole"
    assert [e["sequence_number"] for e in made] == list(range(len(made)))


def test_an_answer_that_begins_anew_before_a_word_says_nothing_of_it() -> None:
    said = [delta({"content": "whole"}, finish="stop"), usage, completed]
    assert told([started, restarted, *said]) == told([started, *said])


def test_a_snapshot_of_another_attempt_begins_the_answer_anew() -> None:
    made = told([
        started, delta({"content": "lost"}), snapshot({"content": "whole"}, "stop"), usage,
        completed,
    ])  # fmt: skip
    assert types(made).count("error") == 1
    assert made[-1]["response"]["output"][0]["content"][0]["text"] == "whole"


@pytest.mark.parametrize(
    ("finish", "reason"),
    [("length", "max_output_tokens"), ("content_filter", "content_filter")],
)
def test_a_cut_answer_is_incomplete(finish: str, reason: str) -> None:
    made = told([started, delta({"content": "so far"}, finish=finish), usage, completed])
    assert made[-1]["type"] == "response.incomplete"
    response = made[-1]["response"]
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": reason}
    assert response["output"][0]["status"] == "incomplete"


def test_a_failure_in_mid_answer_tells_what_was_said_and_why_it_ended() -> None:
    made = told([started, delta({"content": "so far"}), usage, failed()])
    assert types(made)[-1] == "failed"
    response = made[-1]["response"]
    assert (response["status"], response["error"]["message"]) == ("failed", "It broke.")
    assert response["output"][0]["content"][0]["text"] == "so far"
    KNOWN.validate_python(made[-1])


def test_usage_is_told_in_the_words_of_the_door() -> None:
    made = told([started, delta({"content": "x"}, finish="stop"), usage, completed])
    assert made[-1]["response"]["usage"] == {
        "input_tokens": 7, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 12,
        "total_cost_usd": 0.5,
    }  # fmt: skip


def test_a_job_in_the_background_is_queued_first() -> None:
    said = [started, delta({"content": "x"}, finish="stop"), usage, completed]
    assert types(told([("queued", b""), *said], background=True))[:3] == [
        "created", "queued", "in_progress",
    ]  # fmt: skip
    assert types(told([("queued", b""), failed()], background=True)) == [
        "created", "queued", "failed",
    ]  # fmt: skip


def test_calls_whose_pieces_come_mixed_are_told_whole() -> None:
    def call(index: int, arguments: str, **more: Any) -> dict[str, Any]:
        function = {"arguments": arguments, **({"name": f"f{index}"} if more else {})}
        return {"tool_calls": [{"index": index, "function": function, **more}]}

    made = told([
        started, delta(call(0, "{", id="a"), call(1, "[", id="b"), call(0, "}"), call(1, "]")),
        delta({"content": "then"}, finish="tool_calls"), usage, completed,
    ])  # fmt: skip
    output = made[-1]["response"]["output"]
    assert [(i["call_id"], i["arguments"]) for i in output[:2]] == [("a", "{}"), ("b", "[]")]
    assert output[2]["content"][0]["text"] == "then"
    assert len({i["id"] for i in output}) == 3


def test_reasoning_is_sealed_for_whoever_asks_and_comes_back() -> None:
    block = {"type": "thinking", "thinking": "why", "signature": "s"}
    events = [
        started, delta({"reasoning_content": "why"}, {"thinking_blocks": [block]}),
        delta({"content": "so"}, finish="stop"), usage, completed,
    ]  # fmt: skip
    item = told(events)[-1]["response"]["output"][0]
    assert (item["content"][0]["text"], item["encrypted_content"]) == ("why", None)
    item = told(events, include=["reasoning.encrypted_content"])[-1]["response"]["output"][0]
    again = {"role": "user", "content": "and?"}
    back = chat_request({"input": [item, again]}, marks=True)["messages"]
    assert back[0]["thinking_blocks"] == [block]
    assert chat_request({"input": [item, again]})["messages"] == [again]
