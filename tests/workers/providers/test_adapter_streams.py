"""Every adapter against answers that come in odd parts, break off, stall, or are refusals."""

import gzip
from contextlib import suppress
from typing import Any

import gevent
import pytest

from tests.workers.providers.asking import answer, call, every, kinds, said, ways
from tests.workers.providers.server import Server
from tests.workers.providers.vendors.base import (
    EVENTS,
    KEY,
    Reply,
    Said,
    ToolSaid,
    Vendor,
    base_url,
    cut,
    events,
    playing,
)
from workers.providers.base import Call, Chunk, Provider, ProviderError
from workers.providers.collect import Collector, collect
from workers.providers.transport import GeventTransport

WHAT = Said(tools=(ToolSaid("call_1", "phase", ('{"at": "no', 'on é \U0001f319"}')),))


def failure(
    vendor: Vendor,
    transport: GeventTransport,
    reply: Reply,
    streamed: bool,
    one: Call | None = None,
) -> tuple[ProviderError, list[Chunk]]:
    """The error that the adapter makes of a reply, and what it gave before."""
    chunks: list[Chunk] = []
    with playing(reply) as server:
        provider = vendor.provider(transport, base_url(server), KEY)
        with pytest.raises(ProviderError) as raised:
            ask(provider, one or call(), streamed, chunks)
    assert KEY not in raised.value.message
    return raised.value, chunks


def ask(provider: Provider, one: Call, streamed: bool, chunks: list[Chunk]) -> None:
    if not streamed:
        provider.complete(one)
        return
    for chunk in provider.stream(one):
        chunks.append(chunk)


def text_of(chunks: list[Chunk]) -> str:
    collector = Collector()
    for chunk in chunks:
        collector.add(chunk.choices)
    return collector.text()


@every
@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
@pytest.mark.parametrize("size", [1, 3, 61, 1_000_000])
def test_however_a_stream_is_cut_it_gives_the_same(
    vendor: Vendor, transport: GeventTransport, size: int, newline: bytes
) -> None:
    """In the middle of a character, of a line, of its end; and all events in one read."""
    raw = b"".join(vendor.frames(WHAT))
    whole, _ = answer(vendor, transport, call(), events([raw]), True)
    parts = cut(raw.replace(b"\n", newline), size)
    told, _ = answer(vendor, transport, call(), Reply(parts, content_type=EVENTS), True)
    assert told == whole
    assert told.choices[0]["message"]["content"] == WHAT.text


def _commented(frames: list[bytes]) -> list[bytes]:
    return [b": ping\n\n", *(b": c\nretry: 9\n" + frame + b":\n\n" for frame in frames)]


def _marked(frames: list[bytes]) -> list[bytes]:
    return [b"\xef\xbb\xbf" + frames[0], *frames[1:]]


def _one_line(frames: list[bytes]) -> list[bytes]:
    """Each event's data begun without a blank, and over two lines: JSON may break after a colon."""
    return [
        frame.replace(b"data: ", b"data:").replace(b'":', b'":\ndata:', 1)
        if b"data: {" in frame
        else frame
        for frame in frames
    ]


@every
@pytest.mark.parametrize("odd", [_commented, _marked, _one_line])
def test_what_the_standard_allows_changes_nothing(
    vendor: Vendor, transport: GeventTransport, odd: Any
) -> None:
    frames = vendor.frames(WHAT)
    plain, _ = answer(vendor, transport, call(), events(frames), True)
    told, _ = answer(vendor, transport, call(), events(odd(frames)), True)
    assert told == plain


@kinds
@ways
def test_an_answer_that_is_compressed_unasked_is_read(
    vendor: Vendor, transport: GeventTransport, streamed: bool
) -> None:
    plain = said(vendor, WHAT, streamed)
    packed = cut(gzip.compress(b"".join(plain.parts)), 11)
    reply = Reply(packed, content_type=plain.content_type, headers={"Content-Encoding": "gzip"})
    told, _ = answer(vendor, transport, call(), reply, streamed)
    assert told.choices[0]["message"]["content"] == WHAT.text


@kinds
@ways
def test_a_whole_answer_leaves_its_connection_for_the_next(
    vendor: Vendor, transport: GeventTransport, streamed: bool
) -> None:
    with playing(said(vendor, Said(), streamed)) as server:
        provider = vendor.provider(transport, base_url(server), KEY)
        for _ in range(3):
            if streamed:
                list(provider.stream(call()))
            else:
                provider.complete(call())
        assert (server.connections, len(server.requests)) == (1, 3)


@every
@pytest.mark.parametrize("kept", [0, 1, 2, -1], ids=["none", "one", "two", "all-but-the-last"])
@pytest.mark.parametrize("end", ["whole", "cut"])
def test_a_stream_that_ends_too_soon_is_a_failure_that_may_pass(
    vendor: Vendor, transport: GeventTransport, kept: int, end: Any
) -> None:
    frames = vendor.frames(Said())
    finish = next(i for i, frame in enumerate(frames) if _finishes(vendor, frames[: i + 1]))
    few = frames[:finish][: kept if kept >= 0 else None]
    error, chunks = failure(vendor, transport, events(few, end), True)
    assert error.retryable
    assert error.kind in ("incomplete", "connect")
    assert Said().text.startswith(text_of(chunks))


def _finishes(vendor: Vendor, frames: list[bytes]) -> bool:
    """Whether an adapter takes these frames for a whole stream."""
    transport = GeventTransport()
    with suppress(ProviderError), playing(events(frames)) as server:
        collect(vendor.provider(transport, base_url(server), KEY).stream(call()))
        return True
    return False


@every
@pytest.mark.parametrize("kept", [0, 2], ids=["before-the-answer", "in-mid-answer"])
def test_a_failure_in_mid_stream_is_told(
    vendor: Vendor, transport: GeventTransport, kept: int
) -> None:
    frames = [*vendor.frames(Said())[:kept], vendor.error_frame("on fire")]
    error, _ = failure(vendor, transport, events(frames), True)
    assert (error.retryable, error.message) == (True, "on fire")


@every
@ways
def test_a_stall_is_a_timeout(vendor: Vendor, transport: GeventTransport, streamed: bool) -> None:
    one = call()
    one.first_token_timeout = one.idle_timeout = 0.1
    frames = vendor.frames(Said())[:-2] if streamed else []
    error, chunks = failure(vendor, transport, events(frames, "stall"), streamed, one)
    assert (error.kind, error.retryable) == ("timeout", True)
    assert bool(chunks) is streamed


@kinds
def test_an_event_without_end_is_cut_off(
    vendor: Vendor, transport: GeventTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.providers.wire.FRAME_MAX", 100_000)
    endless = events([b"data: ", *[b" " * 50_000] * 3], "stall")
    error, _ = failure(vendor, transport, endless, True)
    assert (error.kind, error.retryable) == ("protocol", True)


@kinds
@ways
def test_an_answer_without_end_is_cut_off(
    vendor: Vendor,
    transport: GeventTransport,
    streamed: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("workers.providers.wire.ANSWER_MAX", 100_000)
    monkeypatch.setattr("workers.providers.wire.FRAME_MAX", 100_000)
    reply = Reply((b" " * 60_000, b" " * 60_000), end="stall")
    error, _ = failure(vendor, transport, reply, streamed)
    assert error.kind == "protocol"


@kinds
@ways
@pytest.mark.parametrize(
    "page", [b"<html>\n\n<p>Sign in</p>", b"", b"[]", b"null", b'"x"', b"{}", b"\xff\xfe"]
)
def test_what_is_no_answer_at_all_is_a_failure_that_may_pass(
    vendor: Vendor, transport: GeventTransport, page: bytes, streamed: bool
) -> None:
    error, chunks = failure(vendor, transport, Reply((page,), content_type="text/html"), streamed)
    assert (error.retryable, chunks) == (True, [])
    assert error.kind in ("protocol", "incomplete")


STATUSES = [
    (400, "invalid", False),
    (413, "invalid", False),
    (422, "invalid", False),
    (401, "auth", False),
    (402, "auth", False),
    (403, "auth", False),
    (302, "unavailable", False),
    (404, "unavailable", False),
    (408, "unavailable", True),
    (429, "rate_limited", True),
    (500, "unavailable", True),
    (503, "unavailable", True),
    (529, "unavailable", True),
]


@kinds
@ways
@pytest.mark.parametrize(("status", "kind", "retryable"), STATUSES)
def test_a_refusal_is_read_by_its_status(
    vendor: Vendor,
    transport: GeventTransport,
    status: int,
    kind: str,
    retryable: bool,
    streamed: bool,
) -> None:
    headers = {"Retry-After": "7"} if retryable else {"Location": "http://elsewhere.test/"}
    reply = Reply((vendor.error(status, "because é"),), status, headers=headers)
    error, _ = failure(vendor, transport, reply, streamed)
    assert (error.kind, error.retryable, error.status) == (kind, retryable, status)
    assert error.retry_after == (7.0 if retryable else None)
    assert ("because é" in error.message) is (status != 302)


@kinds
@ways
def test_a_page_of_a_proxy_is_read_by_its_status(
    vendor: Vendor, transport: GeventTransport, streamed: bool
) -> None:
    reply = Reply((b"<html>", b"502 Bad Gateway"), 502, "text/html", end="cut")
    error, _ = failure(vendor, transport, reply, streamed)
    assert (error.kind, error.status, error.message) == ("unavailable", 502, "status 502")


@kinds
@ways
def test_a_refusal_whose_body_stalls_is_read_by_its_status_soon(
    vendor: Vendor,
    transport: GeventTransport,
    streamed: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("workers.providers.wire.ERROR_S", 0.05)
    reply = Reply((vendor.error(400, "no")[:-1],), 400, end="stall")
    one = call()
    one.first_token_timeout = one.idle_timeout = 60
    with gevent.Timeout(20):
        error, _ = failure(vendor, transport, reply, streamed, one)
    assert (error.kind, error.status, error.message) == ("invalid", 400, "status 400")


@kinds
def test_closing_the_stream_closes_the_connection(
    vendor: Vendor, transport: GeventTransport
) -> None:
    frames = vendor.frames(Said())[:-1]
    with playing(events(frames, "stall")) as server:
        chunks: Any = vendor.provider(transport, base_url(server), KEY).stream(call())
        next(chunks)
        chunks.close()
        assert server.closed.wait(10)


@kinds
@ways
def test_nobody_at_the_address_is_a_failure_to_connect(
    vendor: Vendor, transport: GeventTransport, streamed: bool
) -> None:
    with Server(lambda _: None) as server:
        url = base_url(server)
    with pytest.raises(ProviderError) as raised:
        ask(vendor.provider(transport, url, KEY), call(), streamed, [])
    assert (raised.value.kind, raised.value.retryable) == ("connect", True)
