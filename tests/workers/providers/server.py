"""A TCP server for transport tests, and a request to send to it."""

from collections.abc import Callable
from typing import Any

import gevent.server
import httpx
from gevent.event import Event

from workers.providers.transport import GeventTransport

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Server:
    """A TCP server whose `talk` decides each connection's life; counts connections and requests.
    With `tls`, a context of gevent's, it speaks TLS."""

    def __init__(self, talk: Callable[["Peer"], None], tls: Any = None) -> None:
        self._talk = talk
        self.connections = 0
        self.requests: list[bytes] = []
        self.closed = Event()
        more = {"ssl_context": tls} if tls is not None else {}
        self._scheme = "https" if tls is not None else "http"
        self._server = gevent.server.StreamServer(("127.0.0.1", 0), self._serve, **more)

    def __enter__(self) -> "Server":
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(0)

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}/v1/chat"

    def _serve(self, sock: Any, _: object) -> None:
        self.connections += 1
        peer = Peer(sock, self)
        try:
            self._talk(peer)
            peer.wait_closed()
        except OSError:
            pass
        finally:
            self.closed.set()
            sock.close()


class Peer:
    """The server's end of one connection."""

    def __init__(self, sock: Any, server: Server) -> None:
        self.sock, self._server, self._rest = sock, server, b""

    def read(self) -> bytes:
        """The next request, whole; OSError when the client has closed."""
        while True:
            head, parted, rest = self._rest.partition(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0] or 0)
            if parted and len(rest) >= size:
                self._rest = rest[size:]
                self._server.requests.append(head + parted + rest[:size])
                return self._server.requests[-1]
            data = self.sock.recv(65536)
            if not data:
                raise OSError("closed")
            self._rest += data

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def wait_closed(self) -> None:
        while self.sock.recv(65536):
            pass


def answer_all(peer: Peer) -> None:
    while True:
        peer.read()
        peer.send(OK)


def post(
    transport: GeventTransport, url: str, content: bytes = b"{}", read: float = 10, **more: float
) -> httpx.Response:
    headers = {"Host": "h", "Content-Length": str(len(content)), "X-Two": "a"}
    timeout = {"connect": 5.0, "read": read, **more}
    request = httpx.Request(
        "POST", url, headers=headers, content=content, extensions={"timeout": timeout}
    )
    return transport.handle_request(request)


def body(response: httpx.Response) -> bytes:
    return b"".join(response.stream)  # type: ignore[arg-type]
