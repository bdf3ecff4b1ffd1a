"""Whose JWT is this: verification of tokens (RFC 7519, RFC 8725) that known issuers have signed."""

import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import jwt

from app.accounts.jwks import JwksCache, SigningKey
from app.errors import Unauthorized, Unavailable
from app.settings import Settings, listed

TOKEN_MAX = 8192
LEEWAY_S = 30
TRUST_S = 30.0
CACHE_SIZE = 10_000
ALGORITHMS = ("RS256", "ES256")
TYPES = ("jwt", "at+jwt")

FOREIGN_KEYS = frozenset({"jku", "x5u", "x5c", "jwk", "crit"})
"""Headers by which a token brings its own key, or rules that are not known here."""

_SHAPE = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Claims:
    """What a good token says. `tenant` is the value of the configured claim."""

    issuer: str
    subject: str
    tenant: str
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Proved:
    """A verified token: good until `until` on the monotonic clock, while `key` is in its set."""

    until: float
    kid: str
    key: SigningKey
    claims: Claims


class Verifier:
    """Verifies tokens against the key sets of their issuers, which are fetched in the background.

    Good tokens are remembered for a short time by the sha256 of the whole token, since RS256 costs
    CPU; expiry and the key's place in the set are looked at each time.
    """

    def __init__(
        self,
        issuers: tuple[str, ...],
        audiences: tuple[str, ...],
        jwks_urls: Mapping[str, str],
        tenant_claim: str,
    ) -> None:
        """`jwks_urls` has the key sets, by issuer, that are not at the usual address."""
        if not issuers or not audiences:
            raise ValueError("a verifier needs issuers and audiences")
        self._audiences, self._tenant_claim = audiences, tenant_claim
        self._sets = {name: JwksCache(jwks_urls.get(name) or jwks_url(name)) for name in issuers}
        self._proved: dict[bytes, _Proved] = {}

    @staticmethod
    def from_settings(settings: Settings) -> "Verifier | None":
        """The verifier that the settings describe, or None if they name no issuer."""
        issuers = listed(settings.jwt_issuers)
        if not issuers:
            return None
        urls = {issuers[0]: settings.jwt_jwks_url} if settings.jwt_jwks_url else {}
        return Verifier(issuers, listed(settings.jwt_audiences), urls, settings.jwt_tenant_claim)

    def start(self) -> None:
        """Starts to fetch the key sets; harmless when they are fetched already."""
        for keys in self._sets.values():
            keys.start()

    def verify(self, token: str) -> Claims:
        """The claims of a good token. Raises Unauthorized, or Unavailable while the keys of its
        issuer have never been seen; never waits for the issuer."""
        self.start()
        if len(token) > TOKEN_MAX or not looks_like_jwt(token):
            raise _refused()
        digest = hashlib.sha256(token.encode()).digest()
        now = time.monotonic()
        known = self._proved.get(digest)
        if known is not None and known.until > now and self._still_holds(known):
            return known.claims
        issuer, kid, key = self._signer(token)
        payload = self._payload(token, key, issuer)
        claims = self._claims(payload, issuer)
        wall = time.time()
        # The lesser is taken first: an `exp` may be too large an integer to count with.
        trust_s = min(payload["exp"], wall + TRUST_S) - wall
        if trust_s > 0:
            if len(self._proved) >= CACHE_SIZE:
                self._proved.clear()
            self._proved[digest] = _Proved(now + trust_s, kid, key, claims)
        return claims

    def _still_holds(self, known: _Proved) -> bool:
        keys = self._sets[known.claims.issuer].keys or {}
        return keys.get(known.kid) is known.key

    def _signer(self, token: str) -> tuple[str, str, SigningKey]:
        """Issuer, kid and key that a token claims to be signed by; proves nothing yet."""
        try:
            # Read by the parser that verifies it in `_payload`, so that both see the same token.
            unproved = jwt.decode_complete(token, options={"verify_signature": False})
        except (jwt.PyJWTError, ValueError) as error:
            raise _refused() from error
        header, issuer = unproved["header"], unproved["payload"].get("iss")
        kid, type_ = header.get("kid"), header.get("typ", "JWT")
        if FOREIGN_KEYS & header.keys() or header.get("alg") not in ALGORITHMS:
            raise _refused()
        if not isinstance(type_, str) or type_.lower() not in TYPES:
            raise _refused()
        if not isinstance(kid, str) or not isinstance(issuer, str) or issuer not in self._sets:
            raise _refused()
        keys = self._sets[issuer].keys
        if keys is None:
            raise Unavailable("the keys of the token's issuer are not known yet", retry_after=1)
        key = keys.get(kid)
        if key is None:
            self._sets[issuer].ask()
            raise _refused()
        return issuer, kid, key

    def _payload(self, token: str, key: SigningKey, issuer: str) -> dict[str, Any]:
        """The payload, once signature, issuer, audience and times are proved."""
        try:
            # The bare key and its one algorithm, since PyJWT lets the header choose from a list.
            payload: dict[str, Any] = jwt.decode(
                token,
                key.public,
                algorithms=[key.algorithm],
                audience=self._audiences,
                issuer=issuer,
                leeway=LEEWAY_S,
                options={"require": ["iss", "aud", "exp", "sub"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise Unauthorized("the token has expired") from error
        except (jwt.PyJWTError, ValueError) as error:
            raise _refused() from error
        # PyJWT takes "1" and true for numbers; RFC 7519 section 2 does not.
        if any(type(payload.get(name, 0)) not in (int, float) for name in ("exp", "nbf", "iat")):
            raise _refused()
        return payload

    def _claims(self, payload: dict[str, Any], issuer: str) -> Claims:
        tenant, subject = payload.get(self._tenant_claim), payload["sub"]
        if not _is_name(tenant):
            raise Unauthorized(f"the token has no usable claim {self._tenant_claim}")
        scopes = payload.get("scope", payload.get("scp", ""))
        named = scopes.split() if isinstance(scopes, str) else scopes
        if not _is_name(subject) or not isinstance(named, list) or not all(map(_is_name, named)):
            raise _refused()
        return Claims(issuer, subject, tenant, frozenset(named))


def jwks_url(issuer: str) -> str:
    """Where an issuer's key set is unless told otherwise, as with Amazon Cognito."""
    return f"{issuer.rstrip('/')}/.well-known/jwks.json"


def looks_like_jwt(credential: str) -> bool:
    """Whether a credential has a JWT's shape: three base64url parts with dots between."""
    return _SHAPE.fullmatch(credential) is not None


def _is_name(value: object) -> TypeGuard[str]:
    """A text that Postgres and a log line can hold: no NUL, lone surrogate or control character."""
    return isinstance(value, str) and value != "" and value.isprintable()


def _refused() -> Unauthorized:
    return Unauthorized("the token is not valid")
