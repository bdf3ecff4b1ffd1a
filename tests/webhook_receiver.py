"""A receiver of webhooks for tests: a real HTTP or HTTPS server on 127.0.0.1, in threads.

with Receiver() as receiver:
    receiver.status = 503
    ... receiver.heard ...
"""

import ssl
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Heard:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate for one name, and its key, both as PEM."""

    certificate: bytes
    key: bytes

    def server(self) -> ssl.SSLContext:
        """The server's side of TLS."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile() as file:
            file.write(self.key + self.certificate)
            file.flush()
            context.load_cert_chain(file.name)
        return context

    def client(self) -> ssl.SSLContext:
        """The side of a client that trusts this certificate."""
        return ssl.create_default_context(cadata=self.certificate.decode())


@cache
def certificate_for(name: str) -> Certificate:
    """A certificate, made once in a process."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Certificate(made.public_bytes(Encoding.PEM), private)


class Receiver:
    """A running receiver. `heard` is what it was sent; `status`, `headers` and `body` may be set to
    any answer; while `open` is clear, answers wait; `answer` may write one by itself."""

    def __init__(self, certificate: Certificate | None = None) -> None:
        self.heard: list[Heard] = []
        self.status = 204
        self.headers: dict[str, str] = {}
        self.body = b""
        self.answer: Callable[[Any], None] | None = None
        self.open = Event()
        self.open.set()
        self._certificate = certificate
        self._server: ThreadingHTTPServer | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Its address, which stays while it is down."""
        return f"{'https' if self._certificate else 'http'}://127.0.0.1:{self.port}/hook"

    @property
    def allow(self) -> str:
        """What MOONPOOL_WEBHOOK_ALLOW holds to reach it."""
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.down()

    def up(self) -> None:
        """Starts to listen, on the same port as before."""
        self.open.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), partial(_Answer, self))
        self._server.daemon_threads = True
        self.port = self._server.server_port
        if self._certificate is not None:
            # The handshake belongs to the request's thread, not to the one that accepts.
            self._server.socket = self._certificate.server().wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def down(self) -> None:
        """Stops to listen; held answers end."""
        self.open.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        self._server = None


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    """Whose connections are kept, if the client keeps them."""

    def __init__(self, receiver: Receiver, *args: Any) -> None:
        self.receiver = receiver
        with suppress(OSError):
            super().__init__(*args)

    def do_POST(self) -> None:
        receiver = self.receiver
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        receiver.heard.append(Heard(self.path, headers, body))
        receiver.open.wait(30)
        if receiver.answer is not None:
            receiver.answer(self.wfile)
            self.close_connection = True
            return
        self.send_response(receiver.status)
        for name, value in {"Content-Length": str(len(receiver.body)), **receiver.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(receiver.body)

    def log_message(self, format: str, *args: Any) -> None: ...
