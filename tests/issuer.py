"""An issuer of JWTs for tests: an HTTP server on 127.0.0.1 that publishes its keys, and the tokens
that it signs. It can rotate its keys, hold its answers back, break and exaggerate.

    with Issuer() as issuer:
        token = issuer.token({"custom:tenant_id": "ten_1"})
"""

import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from functools import cache, partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

import gevent
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.waiting import wait_for

AUDIENCE = "moonpool"
TENANT_CLAIM = "custom:tenant_id"
PATH = "/.well-known/jwks.json"


class Absence(Enum):
    """As the value of a claim or header field, GONE leaves it out."""

    GONE = "left out"


GONE = Absence.GONE


@dataclass(frozen=True)
class Key:
    """A private key with its name in the key set."""

    kid: str
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

    @property
    def algorithm(self) -> str:
        return "RS256" if isinstance(self.private, rsa.RSAPrivateKey) else "ES256"

    @property
    def pem(self) -> bytes:
        """The public key as PEM."""
        public = self.private.public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def jwk(self, **more: Any) -> dict[str, Any]:
        """The public key as a JWK (RFC 7518 section 6), with `more` laid over it."""
        named = {"kid": self.kid, "use": "sig", "alg": self.algorithm}
        if isinstance(self.private, rsa.RSAPrivateKey):
            numbers = self.private.public_key().public_numbers()
            return {**named, "kty": "RSA", "n": number(numbers.n), "e": number(numbers.e), **more}
        point = self.private.public_key().public_numbers()
        size = (point.curve.key_size + 7) // 8
        crv = {256: "P-256", 384: "P-384"}[point.curve.key_size]
        x, y = number(point.x, size), number(point.y, size)
        return {**named, "kty": "EC", "crv": crv, "x": x, "y": y, **more}

    def sign(self, data: bytes) -> bytes:
        """RS256 or ES256 (RFC 7518 sections 3.3 and 3.4)."""
        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(data, padding.PKCS1v15(), SHA256())
        r, s = decode_dss_signature(self.private.sign(data, ec.ECDSA(SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


@cache
def rsa_key(kid: str, bits: int = 2048) -> Key:
    """An RSA key, made once in a process."""
    return Key(kid, rsa.generate_private_key(public_exponent=65537, key_size=bits))


@cache
def ec_key(kid: str, curve: type[ec.EllipticCurve] = ec.SECP256R1) -> Key:
    """An EC key, made once in a process."""
    return Key(kid, ec.generate_private_key(curve()))


def b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int, size: int = 0) -> str:
    """A number as JWKs write it, in at least `size` bytes."""
    return b64(value.to_bytes(max(size, (value.bit_length() + 7) // 8), "big"))


def signed(header: Any, payload: Any, sign: Key | bytes | None) -> str:
    """A token over any JSON: signed by a Key, by HS256 with bytes, or with an empty signature."""
    data = ".".join(b64(json.dumps(part).encode()) for part in (header, payload))
    if isinstance(sign, Key):
        return f"{data}.{b64(sign.sign(data.encode()))}"
    if isinstance(sign, bytes):
        return f"{data}.{b64(hmac.new(sign, data.encode(), hashlib.sha256).digest())}"
    return f"{data}."


def eventually(condition: Callable[[], Any], what: str = "the condition") -> None:
    """Lets greenlets run until `condition` is true."""

    def look() -> Any:
        gevent.sleep(0.001)
        return condition()

    wait_for(look, 10, what)


class Issuer:
    """A running issuer. `requests` counts what it was asked; `status`, `body` and `headers` may be
    set to any answer; while `open` is clear, answers wait."""

    def __init__(self, *keys: Key) -> None:
        self.keys = list(keys) or [rsa_key("rsa-1"), ec_key("ec-1")]
        self.requests: list[str] = []
        self.status = 200
        self.body: bytes | None = None
        self.headers: dict[str, str] = {}
        self.open = Event()
        self.open.set()
        self._server: ThreadingHTTPServer | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Its `iss`, which stays while it is down."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def jwks_url(self) -> str:
        return self.url + PATH

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
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), partial(_Answer, self))
        self._server.daemon_threads = True
        self._port = self._server.server_port
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def down(self) -> None:
        """Stops to listen; held answers end."""
        self.open.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        self._server = None

    def rotate(self, *keys: Key) -> None:
        """Publishes these keys and no others."""
        self.keys, self.body = list(keys), None

    def jwks(self) -> bytes:
        """What it publishes."""
        if self.body is not None:
            return self.body
        return json.dumps({"keys": [key.jwk() for key in self.keys]}).encode()

    def claims(self, **over: Any) -> dict[str, Any]:
        """Claims of a good token for five minutes, with `over` laid over them."""
        now = int(time.time())
        good = {"iss": self.url, "aud": AUDIENCE, "sub": "user-1", "iat": now, "exp": now + 300}
        return present({**good, TENANT_CLAIM: "ten_1", "scope": "chat models", **over})

    def token(
        self,
        claims: dict[str, Any] | None = None,
        header: dict[str, Any] | None = None,
        key: Key | None = None,
        sign: object = GONE,
    ) -> str:
        """A token of `key` (the first that is published), with claims and header fields laid over
        the good ones. `sign` signs in the key's stead, as `signed` has it."""
        key = key or self.keys[0]
        head = {"alg": key.algorithm, "kid": key.kid, "typ": "JWT", **(header or {})}
        signer = key if sign is GONE else sign
        assert signer is None or isinstance(signer, Key | bytes)
        return signed(present(head), self.claims(**(claims or {})), signer)


def present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not GONE}


class _Answer(BaseHTTPRequestHandler):
    def __init__(self, issuer: Issuer, *args: Any) -> None:
        self.issuer = issuer
        super().__init__(*args)

    def do_GET(self) -> None:
        self.issuer.requests.append(self.path)
        self.issuer.open.wait(30)
        body = self.issuer.jwks() if self.path == PATH else b""
        self.send_response(self.issuer.status if self.path == PATH else 404)
        for name, value in {"Content-Length": str(len(body)), **self.issuer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None: ...
