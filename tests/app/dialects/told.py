"""Job events as a worker writes them, made of an answer that is cut anywhere."""

from itertools import pairwise
from typing import Any

import orjson
from hypothesis import strategies as st

JobEvent = tuple[str, bytes]

started: JobEvent = ("started", b'{"created":1}')
restarted: JobEvent = ("restarted", b'{"created":1}')
usage: JobEvent = (
    "usage", b'{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12,"total_cost_usd":0.5}',
)  # fmt: skip
completed: JobEvent = ("completed", b'{"status":"completed","error":null}')


def delta(*deltas: dict[str, Any], finish: str | None = None) -> JobEvent:
    """A `delta` event of the first choice; the last of its choices may finish it."""
    choices: list[dict[str, Any]] = [
        {"index": 0, "delta": told, "finish_reason": None} for told in deltas
    ]
    choices[-1]["finish_reason"] = finish
    return "delta", b"\n".join(orjson.dumps(choice) for choice in choices)


def snapshot(message: dict[str, Any], finish: str | None = None) -> JobEvent:
    """A `snapshot` event of the answer so far."""
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return "snapshot", orjson.dumps({"text": "", "choices": [choice]})


def failed(message: str = "It broke.") -> JobEvent:
    error = {"message": message, "type": "server_error", "param": None, "code": "internal_error"}
    return "failed", orjson.dumps({"status": "failed", "error": error})


def pieces(text: str, cuts: list[int]) -> list[str]:
    """A text cut at these places."""
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[a:b] for a, b in pairwise(places)]


@st.composite
def answers(draw: st.DrawFn) -> tuple[dict[str, Any], list[JobEvent]]:
    """A message, and the events of a job that says it, cut into deltas and these into events."""
    cuts = st.lists(st.integers(0, 99), max_size=4)
    reasoning = draw(st.text(max_size=20))
    text = draw(st.text(max_size=40))
    calls = draw(st.lists(st.text(max_size=20), max_size=3))
    deltas: list[dict[str, Any]] = [{"role": "assistant"}]
    deltas += [{"reasoning_content": piece} for piece in pieces(reasoning, draw(cuts)) if piece]
    deltas += [{"content": piece} for piece in pieces(text, draw(cuts)) if piece]
    for index, arguments in enumerate(calls):
        head = {"id": f"call_{index}", "type": "function", "index": index}
        deltas.append({"tool_calls": [head | {"function": {"name": f"f{index}", "arguments": ""}}]})
        deltas += [
            {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
            for piece in pieces(arguments, draw(cuts))
            if piece
        ]
    finish = "tool_calls" if calls else "stop"
    events = [started]
    while deltas:
        take = draw(st.integers(1, len(deltas)))
        now, deltas = deltas[:take], deltas[take:]
        events.append(delta(*now, finish=None if deltas else finish))
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    if reasoning:
        message["reasoning_content"] = reasoning
    if calls:
        message["tool_calls"] = [
            {
                "id": f"call_{i}",
                "type": "function",
                "function": {"name": f"f{i}", "arguments": arguments},
            }
            for i, arguments in enumerate(calls)
        ]
    return message, [*events, usage, completed]
