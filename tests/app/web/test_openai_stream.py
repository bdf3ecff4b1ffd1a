"""Chunks of a job that had begun, or begun anew, before this client came."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from app.events.log import Event, EventId
from app.web.job_stream import JobStream
from app.web.openai_stream import DONE, Chunks
from tests.app.line import draft


class Told:
    """A tail that gives one batch of events after the other."""

    def __init__(self, *batches: Sequence[Event]) -> None:
        self._batches = [list(batch) for batch in batches]
        self.ended = False

    def wait(self, _: float) -> list[Event]:
        told = self._batches.pop(0)
        self.ended = not self._batches
        return told

    def close(self) -> None:
        pass


def event(name: str, text: str = "") -> Event:
    choice: dict[str, Any] = {"index": 0}
    data: dict[str, Any] = {"created": 1, "error": None}
    if name == "delta":
        data = {**choice, "delta": {"content": text}}
    if name == "snapshot":
        data = {"text": text, "choices": [{**choice, "message": {"content": text}}]}
    return Event(EventId(1, 1), name, orjson.dumps(data))


def text_of(frames: bytes) -> str:
    assert frames.endswith(DONE)
    chunks = [orjson.loads(f.removeprefix(b"data: ")) for f in frames.split(b"\n\n")[:-2]]
    return "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks)


BEGUN = [event("started"), event("delta", "lost")]
AGAIN = [event("restarted"), event("delta", "whole")]
SO_FAR = [event("snapshot", "lost so far"), event("delta", "!")]


def routed(model: str) -> Event:
    return Event(EventId(1, 1), "context", b'{"routing":{"answered_model":"%b"}}' % model.encode())


@pytest.mark.parametrize("late", [False, True], ids=["from the start", "after a snapshot"])
def test_chunks_of_a_routed_job_name_who_answers(late: bool) -> None:
    one = draft("ten_x")
    one.model = "auto"
    chunks = Chunks(one, False)
    whole = orjson.loads(event("snapshot", "hi").data) | orjson.loads(routed("m").data)
    told = [Event(EventId(1, 1), "snapshot", orjson.dumps(whole))]
    if not late:
        told = [event("started"), routed("m"), event("delta", "hi")]
    frames = b"".join(chunks.frame(one) for one in told).split(b"\n\n")[:-1]
    models = [orjson.loads(frame.removeprefix(b"data: "))["model"] for frame in frames]
    assert models == ["m"]


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ([*BEGUN, *AGAIN], "whole"),
        ([*BEGUN, *SO_FAR], "lost so far!"),
        ([*BEGUN, *SO_FAR, *AGAIN], "whole"),
        (BEGUN, "lost"),
    ],
    ids=["restarted", "snapshot", "both", "neither"],
)
@pytest.mark.parametrize("held", [True, False], ids=["told", "waited for"])
def test_what_was_discarded_before_anything_was_sent_is_not_sent(
    told: list[Event], text: str, held: bool
) -> None:
    rest = [event("completed")]
    tail: Any = Told(rest) if held else Told(told, rest)
    one = draft("ten_x")
    chunks = JobStream(tail, one, Chunks(one, False), False, {})
    assert text_of(b"".join(chunks.started(told if held else ()))) == text
