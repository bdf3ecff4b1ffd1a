"""The reader of request heads, and the writer of bodies."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import gevent.socket
import pytest
from gevent.pywsgi import WSGIServer

from app.web.head import LAST
from app.web.server import LINE_MAX, LINES_MAX, Handler, Head


def head(text: bytes) -> Head:
    return Head(io.BytesIO(text), 0)


def test_reads_what_pywsgi_asks_for() -> None:
    read = head(b"Host: a\r\nContent-Type:  text/x \r\nX-A: 1\r\nX-A: 2\r\n\r\nbody")
    assert read.status == ""
    assert read.get("HOST") == "a"
    assert read.typeheader == "text/x"
    assert read.getheader("x-none", "d") == "d"
    assert read.headers[2:] == ["X-A: 1\r\n", "X-A: 2\r\n"]


def test_a_length_can_be_dropped() -> None:
    read = head(b"Content-Length: 3\r\n\r\n")
    del read["content-length"]
    assert read.get("Content-Length") is None


@pytest.mark.parametrize(
    "text",
    [
        b"Host: a\r\n folded\r\n\r\n",
        b"Host : a\r\n\r\n",
        b"no colon\r\n\r\n",
        b": nameless\r\n\r\n",
        b"A\0B: x\r\n\r\n",
        b"A: x\0\r\n\r\n",
        b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n",
        b"Transfer-Encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        b"Content-Length: 1_0\r\n\r\n",
        b"Content-Length: +1\r\n\r\n",
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length:\r\n\r\n",
        b"Content-Length: 9999999999999999999\r\n\r\n",
        b"A: " + b"x" * LINE_MAX + b"\r\n\r\n",
        b"A: x\r\n" * (LINES_MAX + 1) + b"\r\n",
        b"Host: cut",
        b"Host: a\r\n",
    ],
    ids=range(18),
)
def test_refuses_what_http_forbids(text: bytes) -> None:
    assert head(text).status


class Sends(Handler):
    """A handler that keeps what each of its system calls wrote."""

    made: list[bytes]

    def _sendall(self, data: bytes) -> None:
        self.made.append(bytes(data))
        super()._sendall(data)


Streamed = tuple[list[bytes], bytes]


@pytest.fixture
def streamed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Streamed]:
    """Serves pieces as one body, says which is the last or not, and asks twice over one connection:
    what was written, and what came."""

    def serve(pieces: list[bytes], *, says_last: bool) -> Streamed:
        monkeypatch.setattr(Sends, "made", [], raising=False)

        def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterator[bytes]:
            start("200 OK", [("Content-Type", "text/plain")])
            for at, piece in enumerate(pieces):
                if says_last and at == len(pieces) - 1:
                    environ[LAST] = True
                yield piece

        server = WSGIServer(("127.0.0.1", 0), app, handler_class=Sends, log=None)
        server.start()
        try:
            with gevent.socket.create_connection(("127.0.0.1", server.server_port), 10) as line:
                line.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                line.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                came = b"".join(iter(lambda: line.recv(65_536), b""))
        finally:
            server.stop()
        return Sends.made, came

    return serve


def test_a_stream_that_says_its_last_piece_ends_with_it(streamed: Callable[..., Streamed]) -> None:
    sends, came = streamed([b"one", b"two"], says_last=True)
    assert len(sends) == 4
    assert came.count(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n") == 2


def test_a_stream_that_does_not_is_ended_all_the_same(streamed: Callable[..., Streamed]) -> None:
    sends, came = streamed([b"one", b"two"], says_last=False)
    assert len(sends) == 6
    assert came.count(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n") == 2


def test_a_stream_of_one_piece_is_one_write(streamed: Callable[..., Streamed]) -> None:
    sends, came = streamed([b"one"], says_last=True)
    assert len(sends) == 2
    assert came.count(b"\r\n\r\n3\r\none\r\n0\r\n\r\n") == 2
