"""httpx's transport over gevent sockets and geventhttpclient's llhttp parser.

httpx's own transport costs about 1.3 ms of CPU a call, more than all the rest of a job. This one
keeps httpx's requests, responses and errors, so that an adapter can be tested with
`httpx.MockTransport`.
"""

import socket
import ssl
from collections.abc import Iterator
from typing import Any

import gevent.socket
import gevent.ssl
import httpx
from geventhttpclient.response import HTTPParseError, HTTPResponse

READ_BYTES = 65536
IDLE_MAX = 256
"""Idle connections kept an origin."""

Origin = tuple[str, str, int]


class _Parser(HTTPResponse):  # type: ignore[misc]
    """Collects body parts as they come."""

    def __init__(self) -> None:
        super().__init__("POST")
        self.parts: list[bytes] = []

    def _on_body(self, buf: bytearray) -> None:
        self.parts.append(bytes(buf))


class Body(httpx.SyncByteStream):
    """A response body, part by part. `read_s` bounds each wait and may be changed between two."""

    def __init__(
        self, owner: "GeventTransport", origin: Origin, sock: Any, parser: _Parser
    ) -> None:
        self.read_s: float | None = None
        self._owner, self._origin, self._parser = owner, origin, parser
        self._socket: Any = sock

    def __iter__(self) -> Iterator[bytes]:
        parser = self._parser
        try:
            while True:
                if parser.parts:
                    parts, parser.parts = parser.parts, []
                    yield parts[0] if len(parts) == 1 else b"".join(parts)
                elif parser.message_complete:
                    return
                else:
                    self._feed()
        finally:
            self.close()

    def _feed(self) -> None:
        try:
            self._socket.settimeout(self.read_s)
            data = self._socket.recv(READ_BYTES)
            self._parser.feed(data)
        except TimeoutError as error:
            raise httpx.ReadTimeout("no data from the provider") from error
        except OSError as error:
            raise httpx.ReadError(str(error)) from error
        except HTTPParseError as error:
            raise httpx.RemoteProtocolError(str(error)) from error
        if not data and not self._parser.message_complete:
            raise httpx.RemoteProtocolError("the provider closed the connection in mid-answer")

    def close(self) -> None:
        sock, self._socket = self._socket, None
        if sock is not None:
            self._owner.give_back(self._origin, sock, reusable=not self._parser.should_close())


class GeventTransport(httpx.BaseTransport):
    """One a worker process; keeps idle connections by origin."""

    def __init__(self) -> None:
        self._idle: dict[Origin, list[Any]] = {}
        self._tls: Any = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Sends a request and returns once the head of its answer is there. A connection that
        turns out to have been closed while it was idle is replaced once."""
        timeout = request.extensions.get("timeout", {})
        url = request.url
        origin = (url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80))
        head = [b"%b %b HTTP/1.1" % (request.method.encode(), url.raw_path)]
        head += [b"%b: %b" % header for header in request.headers.raw]
        message = b"\r\n".join(head) + b"\r\n\r\n" + request.content
        reused = self._take(origin)
        if reused is not None:
            try:
                return self._exchange(origin, reused, message, timeout)
            except (httpx.ReadError, httpx.WriteError, _Closed):
                pass
        fresh = self._connect(origin, timeout.get("connect"))
        try:
            return self._exchange(origin, fresh, message, timeout)
        except _Closed as error:
            raise httpx.RemoteProtocolError("the provider closed the connection") from error

    def _exchange(
        self, origin: Origin, sock: Any, message: bytes, timeout: dict[str, float]
    ) -> httpx.Response:
        parser = _Parser()
        body = Body(self, origin, sock, parser)
        body.read_s = timeout.get("read")
        try:
            try:
                sock.settimeout(body.read_s)
                sock.sendall(message)
            except OSError as error:
                raise httpx.WriteError(str(error)) from error
            while not parser.headers_complete or parser.status_code < 200:
                _feed_head(body, parser, sock)
        except BaseException:
            parser.message_complete = False
            body.close()
            raise
        headers = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in parser.items()]
        return httpx.Response(parser.status_code, headers=headers, stream=body)

    def _take(self, origin: Origin) -> Any:
        idle = self._idle.get(origin)
        while idle:
            sock = idle.pop()
            try:
                # An idle connection has nothing to say: bytes or an end mean it is spent.
                sock._sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
                sock.close()
            except BlockingIOError:
                return sock
            except OSError:
                sock.close()
        return None

    def give_back(self, origin: Origin, sock: Any, *, reusable: bool) -> None:
        """Takes a connection back after its answer."""
        idle = self._idle.setdefault(origin, [])
        if reusable and len(idle) < IDLE_MAX:
            idle.append(sock)
        else:
            sock.close()

    def _connect(self, origin: Origin, connect_s: float | None) -> Any:
        scheme, host, port = origin
        sock = None
        try:
            sock = gevent.socket.create_connection((host, port), connect_s)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return self._secured(sock, host) if scheme == "https" else sock
        except OSError as error:
            if sock is not None:
                sock.close()
            told = f"no connection to {host}:{port}"
            if isinstance(error, TimeoutError):
                raise httpx.ConnectTimeout(told) from error
            raise httpx.ConnectError(f"{told}: {error}") from error

    def _secured(self, sock: Any, host: str) -> Any:
        """TLS over a connection: the certificate must be that of `host`, by an authority that the
        system trusts or that the file named by SSL_CERT_FILE holds, which OpenSSL itself reads."""
        if self._tls is None:
            # By its own name: `ssl.create_default_context` makes it only where gevent has patched.
            self._tls = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._tls.load_default_certs()
        return self._tls.wrap_socket(sock, server_hostname=host)

    def close(self) -> None:
        for idle in self._idle.values():
            while idle:
                idle.pop().close()


class _Closed(Exception):
    """The connection ended before the first byte of an answer."""


def _feed_head(body: Body, parser: _Parser, sock: Any) -> None:
    try:
        body._feed()
    except httpx.RemoteProtocolError as error:
        if not parser.message_begun:
            raise _Closed from error
        raise
