"""gunicorn's gevent worker with a leaner, stricter reader of request heads.

gevent's own reads headers with the email package, which costs about a tenth of a request's CPU and
takes what HTTP/1.1 forbids: folded lines, blanks before the colon, two lengths that differ.
"""

import re
from contextlib import suppress
from typing import Any

from gevent import Timeout
from gunicorn.workers.ggevent import GeventPyWSGIWorker, PyWSGIHandler

from app.web.head import HEAD, LAST

LINE_MAX = 16_384
LINES_MAX = 100
LINGER_S = 2.0
"""How long what is left of a body is read once its request has been answered: a client that still
sends when the connection is closed would not see the answer."""

READ_BYTES = 65_536
END = b"0\r\n\r\n"
"""The last chunk of a body that is sent in chunks (RFC 9112, section 7.1)."""

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_FRAMING = {
    b"content-length": re.compile(r"[0-9]{1,18}"),
    b"transfer-encoding": re.compile("(?i)chunked"),
}
"""Headers that say where a body ends, and how (RFC 9112, section 6). What two servers read in two
ways smuggles requests."""


class Head:
    """Request headers as pywsgi asks for them. A `status` says that they are wrong, and how."""

    __slots__ = ("_values", "headers", "status")

    def __init__(self, lines: Any, *_: Any) -> None:
        self.status = ""
        self.headers: list[str] = []
        self._values: dict[bytes, str] = {}
        for line in iter(lambda: lines.readline(LINE_MAX + 1), b""):
            if line in (b"\r\n", b"\n"):
                return
            self._add(line)
            if self.status:
                return
        self.status = "Headers without an end"

    def _add(self, line: bytes) -> None:
        name, colon, rest = line.partition(b":")
        if len(line) > LINE_MAX or len(self.headers) >= LINES_MAX:
            self.status = "Headers too large"
        elif not colon or _NAME.match(name) is None or b"\0" in rest:
            self.status = "Header not of the form name: value"
        else:
            key, value = name.lower(), rest.strip().decode("latin-1")
            form = _FRAMING.get(key)
            if form is not None and (
                form.fullmatch(value) is None or self._values.get(key, value) != value
            ):
                self.status = "Headers that disagree on the body"
            self._values[key] = value
            self.headers.append(line.decode("latin-1"))

    def get(self, name: str, default: str | None = None) -> str | None:
        return self._values.get(name.lower().encode("latin-1"), default)

    getheader = get

    @property
    def typeheader(self) -> str | None:
        return self.get("content-type")

    def __delitem__(self, name: str) -> None:
        del self._values[name.lower().encode("latin-1")]


class Handler(PyWSGIHandler):  # type: ignore[misc]
    """Reads with `Head`; writes no access log, which the job line keeps better."""

    MessageClass = Head

    def get_environ(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environ()
        environ[HEAD] = []
        self._ended = False
        return environ

    def run_application(self) -> None:
        try:
            super().run_application()
        finally:
            self._leave_body()

    def _leave_body(self) -> None:
        """Reads what the application left of a body, for LINGER_S at most: if there is more, the
        connection is closed. pywsgi would read on for as long as a client sends."""
        body = self.wsgi_input
        if body.chunked_input:
            whole = body.chunk_length == 0
        else:
            whole = body.position >= (body.content_length or 0)
        if whole:
            return
        # A client that waits for 100 Continue has not sent any.
        if body.socket is None:
            with suppress(OSError), Timeout(LINGER_S, False):
                while body.read(READ_BYTES):
                    pass
                return
        body._chunked_input_error = True
        self.close_connection = True

    def _write_with_headers(self, data: bytes) -> None:
        """Sends head and first data as one; pywsgi takes a system call for each."""
        self.headers_sent = True
        self.finalize_headers()
        parts = [b"HTTP/1.1 ", self.status, b"\r\n"]
        for header in self.response_headers:
            parts.append(b"%b: %b\r\n" % header)
        # An error of the request line has no environment.
        parts += (self.environ or {}).get(HEAD, ())
        parts.append(b"\r\n")
        parts.append(self._framed(data))
        self._sendall(b"".join(parts))

    def _write(self, data: bytes) -> None:
        if data:
            self._sendall(self._framed(data))

    def _framed(self, data: bytes) -> bytes:
        """`data` as it goes over the line: as a chunk where the body is sent in chunks, the last
        one with the end of the body, which else took a system call of its own."""
        if not data or not self.response_use_chunked:
            return data
        self._ended = LAST in self.environ
        return b"%x\r\n%b\r\n%b" % (len(data), data, END if self._ended else b"")

    def process_result(self) -> None:
        for data in self.result:
            if data:
                self.write(data)
        if self.status and not self.headers_sent:
            self.write(b"")
        if self.response_use_chunked and not self._ended:
            self._sendall(END)

    def _sendall(self, data: bytes) -> None:
        # Nearly always all goes at once; gevent's sendall asks for the buffer's size first.
        try:
            sent = self.socket.send(data)
        except OSError:
            sent = 0
        if sent < len(data):
            super()._sendall(data[sent:])
            self.response_length += sent
        else:
            self.response_length += len(data)

    def log_request(self) -> None:
        """Nothing is logged for a request."""


class Worker(GeventPyWSGIWorker):  # type: ignore[misc]
    """The worker class that `deploy/gunicorn.py` names."""

    wsgi_handler = Handler
