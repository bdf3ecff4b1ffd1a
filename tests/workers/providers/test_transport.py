"""The gevent transport against servers that keep, cut, stall and mangle connections."""

from contextlib import suppress
from itertools import pairwise
from typing import Any

import gevent
import gevent.server
import httpx
import pytest
from gevent.event import Event
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.workers.providers.server import CHUNKED, OK, Peer, Server, answer_all, body, post
from workers.providers.base import Call
from workers.providers.openai import OpenAI
from workers.providers.transport import IDLE_MAX, GeventTransport


def test_sends_the_request_and_gives_the_answer(transport: GeventTransport) -> None:
    def talk(peer: Peer) -> None:
        peer.read()
        peer.send(
            b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nX-A: \xe9\r\nContent-Length: 4\r\n\r\nwait"
        )

    with Server(talk) as server:
        response = post(transport, server.url + "?q=%20", b'{"a":1}')
        assert (response.status_code, response.headers["retry-after"]) == (429, "7")
        assert body(response) == b"wait"
    head, _, sent = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/chat?q=%20 HTTP/1.1\r\n")
    assert b"\r\nHost: h" in head
    assert sent == b'{"a":1}'


def test_is_a_transport_for_httpx_itself(transport: GeventTransport) -> None:
    with Server(answer_all) as server, httpx.Client(transport=transport) as client:
        assert client.post(server.url, json={"a": 1}).text == "ok"
        assert b"\r\nHost: 127.0.0.1:" in server.requests[0]


def test_one_connection_serves_many_calls(transport: GeventTransport) -> None:
    with Server(answer_all) as server:
        for _ in range(5):
            assert body(post(transport, server.url)) == b"ok"
        assert (server.connections, len(server.requests)) == (1, 5)


def test_calls_at_once_have_connections_of_their_own(transport: GeventTransport) -> None:
    both, release = Event(), Event()

    def talk(peer: Peer) -> None:
        peer.read()
        if server.connections == 2:
            both.set()
        release.wait(10)
        peer.send(OK)

    with Server(talk) as server:
        calls = [gevent.spawn(lambda: body(post(transport, server.url))) for _ in range(2)]
        assert both.wait(10)
        release.set()
        gevent.joinall(calls, 10, raise_error=True)
        assert [one.value for one in calls] == [b"ok", b"ok"]


def test_a_body_that_is_not_read_does_not_go_back_into_use(transport: GeventTransport) -> None:
    with Server(answer_all) as server:
        first = post(transport, server.url)
        second = post(transport, server.url)
        assert (body(second), body(first)) == (b"ok", b"ok")
        assert server.connections == 2


@pytest.mark.parametrize("spoken", [b"", b"HTTP/1.1 408 Timeout\r\nContent-Length: 0\r\n\r\n"])
def test_a_connection_that_was_closed_while_idle_is_replaced(
    transport: GeventTransport, spoken: bytes
) -> None:
    """With or without a last word from the server, and the client is none the wiser."""

    def talk(peer: Peer) -> None:
        peer.read()
        peer.send(OK)
        gevent.sleep(0)
        peer.send(spoken)
        peer.sock.close()

    with Server(talk) as server:
        assert body(post(transport, server.url)) == b"ok"
        server.closed.wait(10)
        assert body(post(transport, server.url)) == b"ok"
        assert server.connections == 2


def test_a_connection_that_closes_on_the_next_request_is_replaced_once(
    transport: GeventTransport,
) -> None:
    """The server's idle timer and our request cross on the way."""

    def talk(peer: Peer) -> None:
        peer.read()
        if server.connections == 1:
            peer.send(OK)
            peer.read()
            peer.sock.close()
        else:
            peer.send(OK)

    with Server(talk) as server:
        assert body(post(transport, server.url)) == b"ok"
        assert body(post(transport, server.url)) == b"ok"
        assert server.connections == 2


def test_a_fresh_connection_that_closes_is_an_error(transport: GeventTransport) -> None:
    def talk(peer: Peer) -> None:
        peer.read()
        peer.sock.close()

    with Server(talk) as server:
        with pytest.raises(httpx.RemoteProtocolError, match="closed"):
            post(transport, server.url)
        assert server.connections == 1


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-"])
def test_a_slow_head_is_a_read_timeout(transport: GeventTransport, said: bytes) -> None:
    def talk(peer: Peer) -> None:
        peer.read()
        peer.send(said)

    with Server(talk) as server:
        with pytest.raises(httpx.ReadTimeout):
            post(transport, server.url, read=0.05)
        assert server.closed.wait(10), "the connection is given up, not kept"
        assert len(server.requests) == 1, "a request that may be running is not sent again"


def test_a_slow_head_on_a_kept_connection_is_a_read_timeout(transport: GeventTransport) -> None:
    def talk(peer: Peer) -> None:
        peer.read()
        peer.send(OK)
        peer.read()

    with Server(talk) as server:
        body(post(transport, server.url))
        with pytest.raises(httpx.ReadTimeout):
            post(transport, server.url, read=0.05)
        assert len(server.requests) == 2


def test_a_stall_in_mid_body_is_a_read_timeout(transport: GeventTransport) -> None:
    def talk(peer: Peer) -> None:
        peer.read()
        peer.send(CHUNKED + b"2\r\nok\r\n")

    with Server(talk) as server:
        response = post(transport, server.url)
        parts = iter(response.stream)  # type: ignore[arg-type]
        assert next(parts) == b"ok"
        response.stream.read_s = 0.05  # type: ignore[union-attr]
        with pytest.raises(httpx.ReadTimeout):
            next(parts)
        assert server.closed.wait(10)


def test_nobody_there_is_a_connect_error(transport: GeventTransport) -> None:
    with Server(answer_all) as server:
        url = server.url
    with pytest.raises(httpx.ConnectError):
        post(transport, url)
    with pytest.raises(httpx.ConnectError):
        post(transport, "http://name.invalid/x")


def test_a_listener_that_does_not_take_us_is_a_connect_timeout(transport: GeventTransport) -> None:
    with gevent.socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        url = f"http://127.0.0.1:{full.getsockname()[1]}/"
        with (
            gevent.socket.create_connection(full.getsockname()),
            pytest.raises(httpx.ConnectTimeout),
        ):
            post(transport, url, connect=0.05)


@pytest.mark.parametrize(
    "reply",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
    ],
)
def test_what_is_no_http_is_a_protocol_error(transport: GeventTransport, reply: bytes) -> None:
    def talk(peer: Peer) -> None:
        peer.read()
        peer.send(reply)
        peer.sock.close()

    with Server(talk) as server, pytest.raises(httpx.RemoteProtocolError):
        post(transport, server.url)


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
        CHUNKED + b"2\r\nok\r\n",
        CHUNKED + b"9\r\nok",
        CHUNKED + b"2\r\nok\r\nzz\r\n",
    ],
)
def test_a_body_that_is_cut_is_an_error(transport: GeventTransport, reply: bytes) -> None:
    def talk(peer: Peer) -> None:
        peer.read()
        peer.send(reply)
        peer.sock.close()

    with Server(talk) as server, pytest.raises(httpx.RemoteProtocolError):
        body(post(transport, server.url))


WHOLE = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world", True),
    (CHUNKED + b"5\r\nhello\r\n1;x=y\r\n \r\n5\r\nworld\r\n0\r\nTrailer: t\r\n\r\n", True),
    (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello world", False),
    (b"HTTP/1.0 200 OK\r\n\r\nhello world", False),
    (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 11\r\n\r\nhello world", False),
    (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
        True,
    ),
]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(WHOLE), st.lists(st.integers(1, 120), max_size=6))
@example(WHOLE[-1], [WHOLE[-1][0].index(b"HTTP/1.1 200")])
def test_however_an_answer_is_cut_it_is_the_same(
    reply: tuple[bytes, bool], cuts: list[int]
) -> None:
    raw, kept = reply
    places = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})

    def talk(peer: Peer) -> None:
        while True:
            peer.read()
            for start, end in pairwise(places):
                peer.send(raw[start:end])
                gevent.sleep(0)
            if not kept:
                peer.sock.close()
                return

    transport = GeventTransport()
    with Server(talk) as server:
        for _ in range(2):
            response = post(transport, server.url)
            assert (response.status_code, body(response)) == (200, b"hello world")
        assert server.connections == (1 if kept else 2)
    transport.close()


def test_parts_come_as_they_are_sent(transport: GeventTransport) -> None:
    """What one read brings is passed on at once; nothing waits for more."""
    go = Event()

    def talk(peer: Peer) -> None:
        peer.read()
        peer.send(CHUNKED + b"3\r\none\r\n1\r\n,\r\n")
        go.wait(10)
        peer.send(b"3\r\ntwo\r\n0\r\n\r\n")

    with Server(talk) as server:
        parts = iter(post(transport, server.url).stream)  # type: ignore[arg-type]
        first = next(parts)
        assert b"one".startswith(first[:3])
        go.set()
        assert first + b"".join(parts) == b"one,two"


def test_closing_the_iterator_closes_the_connection(transport: GeventTransport) -> None:
    def talk(peer: Peer) -> None:
        peer.read()
        peer.send(CHUNKED + b"3\r\none\r\n")

    with Server(talk) as server:
        parts: Any = iter(post(transport, server.url).stream)  # type: ignore[arg-type]
        next(parts)
        assert not server.closed.is_set()
        parts.close()
        assert server.closed.wait(10)


def test_an_exception_thrown_into_a_reader_closes_the_connection(
    transport: GeventTransport,
) -> None:
    class Thrown(BaseException):
        pass

    reading = Event()

    def talk(peer: Peer) -> None:
        peer.read()
        peer.send(CHUNKED + b"3\r\none\r\n")
        reading.set()

    def read() -> None:
        with suppress(Thrown):
            body(post(transport, server.url))

    with Server(talk) as server:
        reader = gevent.spawn(read)
        assert reading.wait(10)
        reader.kill(Thrown, timeout=10)
        assert server.closed.wait(10)


def test_idle_connections_have_a_bound(
    transport: GeventTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.providers.transport.IDLE_MAX", 2)
    with Server(answer_all) as server:
        responses = [post(transport, server.url) for _ in range(4)]
        assert {body(response) for response in responses} == {b"ok"}
        assert server.connections == 4
        responses = [post(transport, server.url) for _ in range(4)]
        assert server.connections == 6
        for response in responses:
            response.stream.close()  # type: ignore[union-attr]
    assert IDLE_MAX >= 64


def test_closing_twice_gives_the_connection_back_once(transport: GeventTransport) -> None:
    with Server(answer_all) as server:
        response = post(transport, server.url)
        body(response)
        response.stream.close()  # type: ignore[union-attr]
        first, second = post(transport, server.url), post(transport, server.url)
        assert (body(first), body(second)) == (b"ok", b"ok")
        assert server.connections == 2


FRAME = b'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n'


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.mark.parametrize("end", [b"0\r\n\r\n", b""])
def test_a_streams_connection_serves_again_when_its_body_ends_after_the_last_frame(
    transport: GeventTransport, end: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the end never comes, the next stream has a connection of its own."""
    monkeypatch.setattr("workers.providers.wire.END_S", 10 if end else 0.01)

    def talk(peer: Peer) -> None:
        while True:
            peer.read()
            peer.send(CHUNKED + chunked(FRAME) + chunked(b"data: [DONE]\n\n"))
            gevent.sleep(0)
            peer.send(end)

    with Server(talk) as server:
        provider = OpenAI(transport, server.url, "")
        for _ in range(3):
            assert len(list(provider.stream(Call({"messages": []}, "m")))) == 1
        assert server.connections == (1 if end else 3)
