"""A response's stream over a log that holds more than one attempt."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson
import pytest

from app.db.connect import Connection
from app.dialects.responses.request import chat_request
from app.dialects.responses.stream import INTERRUPTED
from app.events.log import Event, EventId, stream_key
from app.jobs.store import admit_group
from app.redis import Wire
from app.settings import Settings
from app.web.job_stream import JobStream
from app.web.response_stream import ResponseFrames
from tests.app.dialects.told import JobEvent, completed, delta, restarted, started, usage
from tests.app.line import draft, tenant
from tests.app.web.doors import Caller, web_process

ASKED = orjson.dumps(chat_request({"input": "Hello"})).decode()
DRAFT = draft("ten_x", request=ASKED)
LOST = [started, delta({"content": "lost"})]
WHOLE = [restarted, delta({"content": "whole"}, finish="stop"), usage, completed]


def events(body: str) -> list[dict[str, Any]]:
    frames = [frame.partition("\ndata: ")[2] for frame in body.split("\n\n") if frame]
    return [json.loads(data) for data in frames]


def text_of(told: Sequence[dict[str, Any]]) -> str:
    return "".join(e["delta"] for e in told if e["type"] == "response.output_text.delta")


def numbered(attempts: Sequence[Sequence[JobEvent]]) -> list[Event]:
    """The events of attempts as a log has them."""
    return [
        Event(EventId(attempt, seq), name, data)
        for attempt, told in enumerate(attempts, 1)
        for seq, (name, data) in enumerate(told, 1)
    ]


@pytest.fixture
def read(
    gevent_sockets: None, line_settings: Callable[..., Settings], connection: Connection, wire: Wire
) -> Iterator[Callable[[str], list[dict[str, Any]]]]:
    """Reads a response whose log holds a lost attempt and a whole one, with a query."""
    mine = tenant(connection)
    job = draft(mine, request=ASKED)
    job.kind = "response"
    admit_group(connection, [job])
    for event in numbered([LOST, WHOLE]):
        where = ("XADD", stream_key(job.id), str(event.id))
        wire.call((*where, "e", event.name, "d", event.data))
    with web_process(line_settings()) as app:
        caller = Caller(app, connection, mine)
        here = f"/v1/responses/{job.id.replace('job_', 'resp_')}?stream=true"
        yield lambda query: events(caller.get(here + query).text)


def test_whoever_comes_late_reads_the_answer_that_holds(
    read: Callable[[str], list[dict[str, Any]]],
) -> None:
    told = read("")
    assert told[0]["type"] == "response.created"
    assert told[-1]["type"] == "response.completed"
    assert text_of(told) == "whole"


def test_whoever_has_read_the_lost_answer_is_told_so_and_goes_on_from_there(
    read: Callable[[str], list[dict[str, Any]]],
) -> None:
    lost = read("&starting_after=0")
    assert text_of(lost) == "lost"
    last = lost[-1]
    assert (last["type"], last["code"]) == ("error", INTERRUPTED)
    rest = read(f"&starting_after={last['sequence_number']}")
    assert rest == read("")
    numbers = [e["sequence_number"] for e in [*lost, *rest]]
    assert numbers == list(range(1, len(numbers) + 1))


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


def streamed(*batches: Sequence[Event]) -> list[dict[str, Any]]:
    """What the client of a stream reads of events that come in these batches."""
    tail: Any = Told(*batches)
    stream = JobStream(tail, DRAFT, ResponseFrames(DRAFT), False, {})
    return events(b"".join(stream.started()).decode())


def test_a_stream_shows_nothing_that_is_lost_already() -> None:
    log = numbered([LOST, WHOLE])
    told = streamed(log[:3], log[3:])
    assert told[0]["type"] == "response.created"
    assert text_of(told) == "whole"
    numbers = [e["sequence_number"] for e in told]
    whole = streamed(numbered([[started, *WHOLE[1:]]]))
    assert len(told) == len(whole)
    assert numbers[0] > 0


def test_a_stream_ends_where_its_answer_begins_anew() -> None:
    log = numbered([LOST, WHOLE])
    told = streamed(log[:1], log[1:2], log[2:])
    assert text_of(told) == "lost"
    assert (told[-1]["type"], told[-1]["code"]) == ("error", INTERRUPTED)


def test_the_numbers_do_not_depend_on_how_the_events_come_together() -> None:
    log = numbered([[started, *WHOLE[1:]]])
    at_once = streamed(log)
    assert streamed(*[[event] for event in log]) == at_once
    assert [e["sequence_number"] for e in at_once] == list(range(len(at_once)))
