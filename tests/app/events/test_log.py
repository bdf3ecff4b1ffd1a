"""Event ids and messages: what is written reads back, and nothing else is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidRequest
from app.events.log import TERMINAL, Event, EventId, decode, encode, from_entry, parse_id
from app.jobs.model import END_STATES

IDS = st.builds(EventId, st.integers(0, 999_999_999), st.integers(0, 999_999_999))
# JSON as orjson writes it: no control characters, so neither a line feed nor an RS.
JSON = st.binary(max_size=40).map(lambda raw: bytes(byte for byte in raw if byte >= 0x20))
DATA = st.lists(JSON, min_size=1, max_size=3).map(b"\n".join)
NAMES = st.sampled_from(["started", "delta", "usage", "snapshot", *sorted(TERMINAL)])
EVENTS = st.lists(st.builds(Event, IDS, NAMES, DATA), min_size=1, max_size=6)


@given(IDS)
def test_an_id_reads_back(place: EventId) -> None:
    assert parse_id(str(place), "p") == place


@given(IDS, IDS)
def test_ids_are_in_the_order_of_attempt_and_seq(one: EventId, other: EventId) -> None:
    assert (one < other) == ((one.attempt, one.seq) < (other.attempt, other.seq))


@pytest.mark.parametrize(
    "text",
    ["", "1", "1-", "-1", "1-2-3", "a-1", "1-a", " 1-2", "1-2 ", "1-2\n", "+1-2", "1--2", "1.0-2",
     "1234567890-1", "1-1234567890", "0x1-2", "１-２", "١-٢", "1-2\x00", "$", "-", "(1-2"],
)  # fmt: skip
def test_what_is_no_id_is_refused_by_the_name_of_its_field(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^Last-Event-ID must be") as refused:
        parse_id(text, "Last-Event-ID")
    assert (refused.value.status, refused.value.param) == (400, "Last-Event-ID")


@given(EVENTS)
def test_a_message_reads_back(events: list[Event]) -> None:
    assert decode(encode(events)) == events


@given(st.builds(Event, IDS, NAMES, DATA))
def test_a_stream_entry_reads_back(event: Event) -> None:
    entry: list[bytes | list[bytes]] = [
        str(event.id).encode(), [b"e", event.name.encode(), b"d", event.data]
    ]  # fmt: skip
    assert from_entry(entry) == event


def test_every_end_of_a_job_is_a_terminal_event() -> None:
    assert TERMINAL == END_STATES
