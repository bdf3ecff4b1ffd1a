"""Events of Anthropic's stream, as its own SDK puts them together again."""

import json
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from anthropic.types import RawMessageStreamEvent
from hypothesis import given
from pydantic import TypeAdapter

from app.dialects.messages.answer import message_object, stop_of, whole_message
from app.dialects.messages.stream import Events, Interleaved
from tests.app.dialects.told import JobEvent, answers, delta, snapshot, usage

JOB = "job_01jd3x0000000000000000000a"
KNOWN: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def told(events: Sequence[JobEvent]) -> list[dict[str, Any]]:
    """All events of a stream."""
    made, found = Events(JOB, "m"), []
    for name, data in events:
        if name == "delta":
            found += made.delta(data)
        elif name == "snapshot":
            found += made.snapshot(data) or []
        elif name == "usage":
            made.usage(data)
        elif name == "completed":
            found += made.completed()
    return found


def put_together(events: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The message that events stand for, by the rules of Anthropic's page on streaming."""
    assert events[0]["type"] == "message_start"
    assert [e["type"] for e in events[-2:]] == ["message_delta", "message_stop"]
    message: dict[str, Any] = json.loads(json.dumps(events[0]["message"]))
    inputs: dict[int, str] = {}
    is_open = None
    for event in events[1:-2]:
        place = event["index"]
        if event["type"] == "content_block_start":
            assert is_open is None
            assert place == len(message["content"])
            message["content"].append(dict(event["content_block"]))
            is_open = place
            continue
        assert place == is_open
        if event["type"] == "content_block_stop":
            is_open = None
            continue
        block, change = message["content"][place], event["delta"]
        kind = change.pop("type")
        [(name, value)] = change.items()
        if kind == "input_json_delta":
            inputs[place] = inputs.get(place, "") + value
        else:
            block[name] += value
    assert is_open is None
    for place, text in inputs.items():
        message["content"][place]["input"] = orjson.loads(text)
    message |= events[-2]["delta"]
    return message | {"usage": events[-2]["usage"]}


def as_json(answer: tuple[dict[str, Any], list[JobEvent]]) -> dict[str, Any]:
    """The message of an answer, whose calls have JSON objects for arguments."""
    message = json.loads(json.dumps(answer[0]))
    for call in message.get("tool_calls", ()):
        call["function"]["arguments"] = json.dumps({"a": call["function"]["arguments"]})
    return dict(message)


def completion(message: dict[str, Any], finish: str) -> dict[str, Any]:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {"choices": [choice], "usage": orjson.loads(usage[1])}


@given(answers())
def test_what_is_said_is_told_however_it_is_cut(
    answer: tuple[dict[str, Any], list[JobEvent]],
) -> None:
    message, events = answer
    made = told(events)
    for event in made:
        KNOWN.validate_python(event)
    texts = [e["delta"] for e in made if e["type"] == "content_block_delta"]
    assert "".join(d.get("text", "") for d in texts) == (message["content"] or "")
    assert "".join(d.get("thinking", "") for d in texts) == message.get("reasoning_content", "")
    said = [c["function"]["arguments"] for c in message.get("tool_calls", ())]
    assert "".join(d.get("partial_json", "") for d in texts) == "".join(said)


@given(answers())
def test_the_stream_stands_for_the_whole_message(
    answer: tuple[dict[str, Any], list[JobEvent]],
) -> None:
    message = as_json(answer)
    finish = "tool_calls" if message.get("tool_calls") else "stop"
    made = told([snapshot(message, finish), usage, answer[1][-1]])
    assert put_together(made) == whole_message(completion(message, finish), JOB, "m")


def test_a_routed_message_begins_with_who_answered_of_all_that_were_chosen() -> None:
    events = Events(JOB, "auto")
    for model in ("a", "b"):
        events.chosen(orjson.dumps({"routing": {"answered_model": model}}))
    [begun, *_] = events.delta(delta({"content": "hi"})[1])
    assert begun["message"]["model"] == "b"
    assert begun["message"]["routing"] == {"answered_model": "b"}


def test_thoughts_come_with_their_signature() -> None:
    block = {"type": "thinking", "thinking": "why", "signature": "sig"}
    hidden = {"type": "redacted_thinking", "data": "x"}
    made = told([
        delta({"reasoning_content": "wh"}, {"reasoning_content": "y"}),
        delta({"thinking_blocks": [block]}, {"thinking_blocks": [hidden]}),
        delta({"content": "so"}, finish="stop"), usage, ("completed", b"{}"),
    ])  # fmt: skip
    content = put_together(made)["content"]
    assert content == [block, hidden, {"type": "text", "text": "so", "citations": None}]
    message = {"content": "so", "reasoning_content": "why", "thinking_blocks": [block, hidden]}
    assert whole_message(completion(message, "stop"), JOB, "m")["content"] == content


def test_pieces_of_a_call_that_is_closed_are_an_error() -> None:
    def call(index: int, **more: Any) -> dict[str, Any]:
        function = {"arguments": "1", "name": f"f{index}"}
        return {"tool_calls": [{"index": index, "function": function, **more}]}

    made = Events(JOB, "m")
    made.delta(delta(call(0, id="a"), call(1, id="b"))[1])
    with pytest.raises(Interleaved):
        made.delta(delta(call(0))[1])


@pytest.mark.parametrize(
    ("finish", "sequence", "reason"),
    [
        ("stop", None, "end_turn"),
        ("stop", "END", "stop_sequence"),
        ("length", None, "max_tokens"),
        ("tool_calls", None, "tool_use"),
        ("content_filter", None, "refusal"),
        ("something", None, "end_turn"),
        (None, None, None),
    ],
)
def test_why_a_message_ended(finish: str | None, sequence: str | None, reason: str | None) -> None:
    stop = stop_of(finish, sequence)
    assert stop["stop_reason"] == reason
    assert stop["stop_sequence"] == sequence


def test_input_tokens_leave_out_what_the_cache_had() -> None:
    details = {"cached_tokens": 60, "cache_creation_tokens": 30}
    told_usage = {"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": details}
    message = message_object(JOB, "m", usage={**told_usage, "total_cost_usd": 0.5})
    assert message["usage"] == {
        "input_tokens": 10, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 60,
        "output_tokens": 5, "total_cost_usd": 0.5,
    }  # fmt: skip


@pytest.mark.parametrize("arguments", ["", "[1]", "{", '{"a": 1}'])
def test_arguments_that_are_no_object_are_kept_as_they_are(arguments: str) -> None:
    call = {"id": "a", "function": {"name": "f", "arguments": arguments}}
    [block] = whole_message(
        completion({"content": None, "tool_calls": [call]}, "tool_calls"), JOB, "m"
    )["content"]
    expected = {"": {}, '{"a": 1}': {"a": 1}}.get(arguments, {"raw": arguments})
    assert block["input"] == expected
