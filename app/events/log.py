"""The event log of a job: a Redis Stream `ev:{job}`, and a channel of the same name that carries
the same events live.

An event's id is `<attempt>-<seq>`, which is a stream id, so Redis itself refuses what an older
attempt still writes. `seq` starts at 1 in each attempt and has no holes.
A delta's data is the choices of completion chunks as JSON, one a line; any other event's data is
one JSON object. Neither holds control characters, so an RS byte parts events on the channel.
"""

import re
from typing import NamedTuple

from app.errors import InvalidRequest

MAX_EVENTS = 20_000
RUNNING_TTL_S = 3_600
ENDED_TTL_S = 86_400

RS = b"\x1e"
TERMINAL = frozenset({"completed", "failed", "cancelled", "expired"})

_ID = re.compile(r"([0-9]{1,9})-([0-9]{1,9})\Z")


class EventId(NamedTuple):
    """Where an event stands in its job's log."""

    attempt: int
    seq: int

    def __str__(self) -> str:
        return f"{self.attempt}-{self.seq}"


QUEUED = EventId(0, 1)
"""The id of the `queued` event, which is told from the job row and not kept in Redis."""


class Event(NamedTuple):
    """An event of a job's log. `result` events travel on the channel alone: they carry the whole
    completion to a client that waits for it."""

    id: EventId
    name: str
    data: bytes


def parse_id(text: str, param: str) -> EventId:
    """Reads `<attempt>-<seq>`. Raises InvalidRequest naming `param`."""
    found = _ID.match(text)
    if found is None:
        raise InvalidRequest(
            f"{param} must be an event id such as 1-17, digits on both sides", param=param
        )
    return EventId(int(found[1]), int(found[2]))


def stream_key(job_id: str) -> str:
    """The key of a job's stream, and the name of its channel."""
    return f"ev:{job_id}"


def encode(events: list[Event]) -> bytes:
    """Events as one message on the channel."""
    return RS.join(
        [b"%d-%d %b %b" % (*event.id, event.name.encode(), event.data) for event in events]
    )


def decode(message: bytes) -> list[Event]:
    """The events of one message."""
    events = []
    for part in message.split(RS):
        place, name, data = part.split(b" ", 2)
        attempt, _, seq = place.partition(b"-")
        events.append(Event(EventId(int(attempt), int(seq)), name.decode(), data))
    return events


def from_entry(entry: list[bytes | list[bytes]]) -> Event:
    """An event from a stream entry as XRANGE gives it."""
    place, fields = entry
    assert isinstance(place, bytes)
    attempt, _, seq = place.partition(b"-")
    return Event(EventId(int(attempt), int(seq)), bytes(fields[1]).decode(), bytes(fields[3]))
