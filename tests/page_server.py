"""A server of pages for tests on 127.0.0.1, in threads: documents are fetched from it.

with Pages() as pages:
    pages.put("/a", b"<p>The moon.", "text/html")
    ... pages.url("/a") ...
"""

import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self


@dataclass
class Page:
    """What a path answers. `write`, if there is one, writes the body by itself."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    write: Callable[[Any], None] | None = None


class Pages:
    """The pages by path, and what was asked for: each path with its headers."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.pages: dict[str, Page] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self._tls = tls
        self._server: ThreadingHTTPServer | None = None
        self.port = 0

    @property
    def allow(self) -> str:
        """What MOONPOOL_LUNE_ALLOW holds to reach it."""
        return f"127.0.0.1:{self.port}"

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def put(self, path: str, body: bytes, media_type: str, **headers: str) -> None:
        """Has a path answer with a document."""
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        self.pages[path] = Page(body, headers={"Content-Type": media_type, **told})

    def redirect(self, path: str, to: str, status: int = 302) -> None:
        """Has a path lead to another address."""
        self.pages[path] = Page(status=status, headers={"Location": to})

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Answer, self))
        self._server.daemon_threads = True
        self.port = self._server.server_port
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, pages: Pages, *args: Any) -> None:
        self.pages = pages
        with suppress(OSError):
            super().__init__(*args)

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.pages.asked.append((self.path, headers))
        page = self.pages.pages.get(self.path, Page(b"no", 404))
        status, body = page.status, page.body
        if page.headers.get("ETag", "-") == headers.get("if-none-match"):
            status, body = 304, b""
        self.send_response(status)
        length = {} if page.write else {"Content-Length": str(len(body))}
        for name, value in {**length, **page.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if page.write is not None:
            page.write(self.wfile)
            self.close_connection = True
        else:
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None: ...
