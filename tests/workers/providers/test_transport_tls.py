"""The gevent transport over TLS: whom it trusts, and that it is as good over TLS as without."""

import datetime as dt
import ipaddress
import ssl
from pathlib import Path

import gevent.ssl
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.workers.providers.asking import call
from tests.workers.providers.server import OK, Peer, Server, answer_all, body, post
from tests.workers.providers.test_transport import FRAME, chunked
from workers.providers.base import ProviderError
from workers.providers.openai import OpenAI
from workers.providers.transport import GeventTransport

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
NOW = dt.datetime.now(dt.UTC)


class Authority:
    """A certificate authority of its own; `file` holds its certificate, to be trusted."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, named(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._made = 0
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        certificate = (
            begun(self._name, self._name, self._key)
            .add_extension(constraints, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def server(self, host: str = "127.0.0.1", days: int = 1) -> ssl.SSLContext:
        """The context of a server with a certificate for `host` that ends in `days`."""
        key = ec.generate_private_key(ec.SECP256R1())
        address = host.replace(".", "").isdigit()
        place = x509.IPAddress(ipaddress.ip_address(host)) if address else x509.DNSName(host)
        certificate = (
            begun(named(host), self._name, key, days)
            .add_extension(x509.SubjectAlternativeName([place]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self._made += 1
        file = self._folder / f"server{self._made}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context: ssl.SSLContext = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int = 1
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(NOW - dt.timedelta(days=9))
        .not_valid_after(NOW + dt.timedelta(days=days))
    )


@pytest.fixture
def authority(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """An authority that this process trusts, as an operator would make it."""
    made = Authority(folder, "trusted")
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    return made


def test_one_connection_serves_many_calls_over_tls(
    transport: GeventTransport, authority: Authority
) -> None:
    with Server(answer_all, authority.server()) as server:
        for _ in range(4):
            assert body(post(transport, server.url)) == b"ok"
        assert (server.connections, len(server.requests)) == (1, 4)


def test_a_stream_over_tls_comes_whole(transport: GeventTransport, authority: Authority) -> None:
    def talk(peer: Peer) -> None:
        while True:
            peer.read()
            peer.send(HEAD)
            peer.send(chunked(FRAME.replace(b'"stop"', b"null") * 1000))
            peer.send(chunked(FRAME) + chunked(b"data: [DONE]\n\n") + b"0\r\n\r\n")

    with Server(talk, authority.server()) as server:
        provider = OpenAI(transport, server.url, "")
        for _ in range(2):
            chunks = list(provider.stream(call()))
            assert sum(len(chunk.choices) for chunk in chunks) == 1001
        assert server.connections == 1


def test_a_connection_that_was_closed_while_idle_is_replaced(
    transport: GeventTransport, authority: Authority
) -> None:
    def talk(peer: Peer) -> None:
        peer.read()
        peer.send(OK)
        peer.sock.close()

    with Server(talk, authority.server()) as server:
        assert body(post(transport, server.url)) == b"ok"
        assert server.closed.wait(10)
        assert body(post(transport, server.url)) == b"ok"
        assert server.connections == 2


def refused(transport: GeventTransport, url: str, connect_s: float = 5) -> ProviderError:
    one = call()
    one.connect_timeout = connect_s
    with pytest.raises(ProviderError) as raised:
        OpenAI(transport, url, "").complete(one)
    assert raised.value.retryable
    return raised.value


def test_an_authority_that_is_not_trusted_is_no_connection(
    transport: GeventTransport, authority: Authority, folder: Path
) -> None:
    stranger = Authority(folder, "stranger")
    assert stranger.file != authority.file
    with Server(answer_all, stranger.server()) as server:
        error = refused(transport, server.url)
        assert server.requests == []
    assert error.kind == "connect"
    assert "certificate" in error.message.lower()


@pytest.mark.parametrize(("host", "days"), [("elsewhere.test", 1), ("127.0.0.2", 1),
                                            ("127.0.0.1", -1)])  # fmt: skip
def test_a_certificate_of_another_host_or_time_is_no_connection(
    transport: GeventTransport, authority: Authority, host: str, days: int
) -> None:
    with Server(answer_all, authority.server(host, days)) as server:
        error = refused(transport, server.url)
        assert server.requests == []
    assert error.kind == "connect"
    assert "certificate" in error.message.lower()


def test_a_server_that_speaks_no_tls_is_no_connection(
    transport: GeventTransport, authority: Authority
) -> None:
    def talk(peer: Peer) -> None:
        peer.sock.recv(10)
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with Server(talk) as server:
        assert refused(transport, server.url.replace("http:", "https:")).kind == "connect"


def test_a_handshake_that_does_not_end_is_no_connection(
    transport: GeventTransport, authority: Authority
) -> None:
    with Server(lambda peer: peer.wait_closed()) as server:
        error = refused(transport, server.url.replace("http:", "https:"), connect_s=0.1)
        assert server.closed.wait(10), "the connection is given up, not kept"
    assert error.kind == "connect"
