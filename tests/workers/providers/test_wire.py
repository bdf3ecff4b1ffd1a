"""What all adapters share: events, and bodies that are not as asked for."""

import gzip
import time
import zlib
from collections.abc import Iterator

import httpx
import pytest

from workers.providers.base import Call, ProviderError
from workers.providers.wire import (
    ANSWER_MAX,
    BOM,
    Frames,
    read,
    refusal,
)


class Parts(httpx.SyncByteStream):
    """A body as it comes over the wire."""

    def __init__(self, parts: list[bytes]) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._parts)


CALL = Call({}, "m")
EVENTS = b"data: first\n\n: ping\n\ndata: second\n\n"


def told(*parts: bytes, **headers: str) -> list[bytes]:
    """The data of the events in a body."""
    coding = {name.replace("_", "-"): value for name, value in headers.items()}
    response = httpx.Response(200, headers=coding, stream=Parts(list(parts)))
    return [data for several in Frames(response, CALL) for data in several]


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate"])
def test_what_is_compressed_unasked_is_read_all_the_same(coding: str) -> None:
    raw = (zlib.compress if coding == "deflate" else gzip.compress)(EVENTS)
    parts = [raw[at : at + 7] for at in range(0, len(raw), 7)]
    assert told(*parts, content_encoding=coding) == [b"first", b"second"]
    headers = {"Content-Encoding": coding}
    assert read(httpx.Response(200, headers=headers, stream=Parts(parts))) == EVENTS


@pytest.mark.parametrize(("coding", "raw"), [("br", b"\x0b"), ("gzip", b"no gzip at all")])
def test_what_cannot_be_inflated_is_a_protocol_error(coding: str, raw: bytes) -> None:
    with pytest.raises(ProviderError) as raised:
        told(raw, content_encoding=coding)
    assert raised.value.kind == "protocol"


def test_an_inflated_body_has_a_bound_too() -> None:
    bomb = gzip.compress(b" " * (ANSWER_MAX + 1))
    parts = [bomb[at : at + 1000] for at in range(0, len(bomb), 1000)]
    with pytest.raises(ProviderError, match=str(ANSWER_MAX)):
        read(httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=Parts(parts)))


@pytest.mark.parametrize(
    ("raw", "data"),
    [
        (b"data: a\n\n", [b"a"]),
        (b"data:a\n\n", [b"a"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"event: x\nid: 3\nretry: 9\ndata: a\n\n", [b"a"]),
        (b": comment\ndata: a\n: comment\n\n", [b"a"]),
        (BOM + b"data: a\n\n", [b"a"]),
        (b"\n\n\ndata: a\n\n\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data\n\ndata:\n\ndata: \n\n", []),
        (b"database: a\n\n data: a\n\nDATA: a\n\n", []),
        (b"data: a\rdata: b\r\r", [b"a\nb"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
        (b"data: a\r\ndata: b\r\n\r\n", [b"a\nb"]),
        (b"data: a\n\ndata: never ended\n", [b"a"]),
    ],
)
def test_events_are_read_as_the_standard_says_however_they_are_cut(
    raw: bytes, data: list[bytes]
) -> None:
    for size in (1, 2, 3, len(raw)):
        assert told(*[raw[at : at + size] for at in range(0, len(raw), size)]) == data


def test_a_long_event_in_small_reads_is_put_together_once() -> None:
    """A quarter of a million reads: copying what is held at each would take minutes."""
    began = time.monotonic()
    [data] = told(b"data: ", *[b"x" * 32] * 250_000, b"\n\n")
    assert len(data) == 8_000_000
    assert time.monotonic() - began < 30


def test_an_error_page_without_end_is_read_as_far_as_it_is_worth() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b" " * 10_000

    assert refusal(httpx.Response(503, content=endless())).status == 503


def test_an_error_body_that_breaks_off_keeps_its_status() -> None:
    def broken() -> Iterator[bytes]:
        yield b'{"error":'
        raise httpx.ReadError("reset")

    error = refusal(httpx.Response(400, content=broken()))
    assert (error.kind, error.status, error.message) == ("invalid", 400, "status 400")
