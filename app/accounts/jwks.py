"""An issuer's public keys (RFC 7517), fetched in the background and kept while the issuer is away.

Whoever verifies a token only looks into a dictionary: neither a token nor its `kid` decides when,
where or how often the issuer is asked.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gevent
import httpx
import orjson
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from gevent.event import Event as Signal
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from jwt.exceptions import InvalidKeyError

from app.telemetry import log

BODY_MAX = 256 * 1024
TTL_S = 600.0
ASK_EVERY_S = 30.0
RETRY_FIRST_S = 1.0
RETRY_LAST_S = 60.0
STEP_TIMEOUT_S = 5.0
FETCH_TIMEOUT_S = 10.0

RSA_BITS = range(2048, 8192 + 1)
"""From NIST SP 800-131A's least size to one that still verifies quickly."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A public key and the one `alg` that it proves."""

    algorithm: str
    public: RSAPublicKey | EllipticCurvePublicKey


class BadKeySet(Exception):
    """The issuer answered, but not with a usable key set."""


class JwksCache:
    """The keys of one issuer by `kid`. `start` may be called again, also after a fork."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._keys: Mapping[str, SigningKey] | None = None
        self._fetcher: Any = None
        self._pid = 0
        self._signal = Signal()
        self._may_ask_at = 0.0

    @property
    def keys(self) -> Mapping[str, SigningKey] | None:
        """The last good set, or None before the first. A refresh makes each key object anew."""
        return self._keys

    def start(self) -> None:
        """Starts to fetch in a greenlet, unless one of this process does so already."""
        if self._fetcher is None or self._fetcher.dead or self._pid != os.getpid():
            self._pid = os.getpid()
            self._signal = Signal()
            self._fetcher = gevent.spawn(self._run)

    def ask(self) -> None:
        """Asks for a refresh in the background; heard once in ASK_EVERY_S seconds."""
        now = time.monotonic()
        if now >= self._may_ask_at:
            self._may_ask_at = now + ASK_EVERY_S
            self._signal.set()

    def _run(self) -> None:
        retry_s = RETRY_FIRST_S
        # A forked child inherits its parent's greenlet, which must leave the work to the child's.
        while self._fetcher is gevent.getcurrent():
            self._signal.clear()
            if self._refresh():
                wait_s, retry_s = TTL_S, RETRY_FIRST_S
            else:
                wait_s, retry_s = retry_s, min(2 * retry_s, RETRY_LAST_S)
            self._signal.wait(wait_s)

    def _refresh(self) -> bool:
        """Whether the issuer gave a good set; an error leaves the last one as it is."""
        try:
            self._keys = read_keys(fetch(self.url))
            return True
        except (gevent.Timeout, Exception) as error:
            # Whatever an issuer may do to the libraries, the next try must come.
            reason = f"{type(error).__name__}: {error}"
            log("accounts").warning("key set not fetched", url=self.url, error=reason)
            return False


def fetch(url: str) -> bytes:
    """The body of a key set, of at most BODY_MAX bytes. Follows no redirect and reads no proxy or
    netrc of the environment. Raises BadKeySet, httpx's errors or gevent.Timeout."""
    body = b""
    with (
        gevent.Timeout(FETCH_TIMEOUT_S),
        httpx.Client(trust_env=False, follow_redirects=False, timeout=STEP_TIMEOUT_S) as client,
        client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as answer,
    ):
        if answer.status_code != httpx.codes.OK:
            raise BadKeySet(f"status {answer.status_code}")
        # Raw, since a compressed body could unfold to any size.
        for chunk in answer.iter_raw():
            body += chunk
            if len(body) > BODY_MAX:
                raise BadKeySet(f"more than {BODY_MAX} bytes")
    return body


def read_keys(body: bytes) -> dict[str, SigningKey]:
    """The usable keys of a JWK Set by `kid`; the first counts where two have the same. Raises
    BadKeySet if there is none, so that an empty answer never wipes a good set."""
    try:
        entries = orjson.loads(body)["keys"]
    except (ValueError, KeyError, TypeError) as error:
        raise BadKeySet("not a JWK Set") from error
    found: dict[str, SigningKey] = {}
    for entry in entries if isinstance(entries, list) else ():
        key = read_key(entry)
        if key is not None:
            found.setdefault(entry["kid"], key)
    if not found:
        raise BadKeySet("no usable key")
    return found


def read_key(entry: Any) -> SigningKey | None:
    """The key of one JWK, or None unless it is a public RSA or P-256 key that is named by a `kid`
    and meant for signatures. A published private key is nobody's proof."""
    if not isinstance(entry, dict) or not isinstance(entry.get("kid"), str) or "d" in entry:
        return None
    operations = entry.get("key_ops", ["verify"])
    signs = isinstance(operations, list) and "verify" in operations
    if entry.get("use", "sig") != "sig" or not signs:
        return None
    try:
        key = _rsa(entry) if entry.get("kty") == "RSA" else _p256(entry)
    except (InvalidKeyError, ValueError, TypeError, KeyError):
        return None
    return key if key is not None and entry.get("alg", key.algorithm) == key.algorithm else None


def _rsa(entry: dict[str, Any]) -> SigningKey | None:
    public = RSAAlgorithm.from_jwk({name: entry[name] for name in ("kty", "n", "e")})
    if not isinstance(public, RSAPublicKey) or public.key_size not in RSA_BITS:
        return None
    return SigningKey("RS256", public)


def _p256(entry: dict[str, Any]) -> SigningKey | None:
    if entry.get("crv") != "P-256":
        return None
    public = ECAlgorithm.from_jwk({name: entry[name] for name in ("kty", "crv", "x", "y")})
    return SigningKey("ES256", public) if isinstance(public, EllipticCurvePublicKey) else None
