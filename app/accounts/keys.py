"""Whose key is this: a lookup in Postgres, trusted for a few seconds in this process."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from app.accounts.jwt import Claims
from app.accounts.scopes import TENANT_SCOPES
from app.accounts.store import FoundKey
from app.accounts.tenants import TenantRow
from app.catalogue.model import Catalogue
from app.catalogue.tiers import Limits
from app.limits.model import Bucket

CACHE_SIZE = 10_000


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: a key, its tenant, what it may do and how much of it. `valid_s`: seconds until
    the credential itself ends. `app_id`: the app of requests that name none."""

    tenant_id: str
    key_id: str
    scopes: frozenset[str]
    mode: Literal["live", "test"]
    app_id: str | None
    buckets: tuple[Bucket, ...]
    valid_s: float | None = None

    @property
    def counts_sessions(self) -> bool:
        """Whether any of its limits is one of sessions."""
        return any(bucket.sessions is not None for bucket in self.buckets)


def principal_of(found: FoundKey, catalogue: Catalogue) -> Principal:
    """The principal of a key: limits are the tier's, over them the tenant's; a key with limits of
    its own has a bucket of its own beside the tenant's."""
    limits = catalogue.limits_of(found.tier).over(*found.tenant_limits)
    buckets = [Bucket(found.tenant_id, limits)]
    if any(limit is not None for limit in found.limits):
        rpm, tokens, sessions = found.limits
        own = Limits(requests_per_minute=rpm, tokens_per_day=tokens, sessions=sessions)
        buckets.append(Bucket(found.id, own))
    return Principal(
        tenant_id=found.tenant_id,
        key_id=found.id,
        scopes=frozenset(found.scopes),
        mode=found.mode,
        app_id=found.app_id,
        buckets=tuple(buckets),
        valid_s=found.valid_s,
    )


def jwt_principal(claims: Claims, tenant: TenantRow, catalogue: Catalogue) -> Principal:
    """The principal of a token's bearer. Scopes are those of ours among the token's, also where an
    authorization server writes them as `resource/scope`; a token without any may run completions
    and read the bill. A token never administers the platform."""
    named = {scope.rpartition("/")[2] for scope in claims.scopes} & TENANT_SCOPES
    subject = hashlib.sha256(f"{claims.issuer} {claims.subject}".encode()).hexdigest()
    own = (tenant.requests_per_minute, tenant.tokens_per_day, tenant.sessions)
    return Principal(
        tenant_id=tenant.id,
        key_id=f"jwt_{subject[:26]}",
        scopes=frozenset(named or {"inference", "billing"}),
        mode="live",
        app_id=None,
        buckets=(Bucket(tenant.id, catalogue.limits_of(tenant.tier).over(*own)),),
    )


class KeyRing:
    """Finds a credential's principal. Entries are keyed by the sha256 of the whole credential, so
    that two with a common beginning never meet; unknown ones are remembered as such for as long."""

    def __init__(self, find: Callable[[str], Principal | None], trust_s: float) -> None:
        self._find, self._trust_s = find, trust_s
        self._known: dict[bytes, tuple[float, Principal | None]] = {}

    def principal(self, credential: str) -> Principal | None:
        """The principal of a live credential, else None. Raises what `find` raises."""
        digest = hashlib.sha256(credential.encode()).digest()
        known = self._known.get(digest)
        now = time.monotonic()
        if known is not None and known[0] > now:
            return known[1]
        principal = self._find(credential)
        trust_s = self._trust_s
        if principal is not None and principal.valid_s is not None:
            trust_s = min(trust_s, principal.valid_s)
        if len(self._known) >= CACHE_SIZE:
            self._known.clear()
        self._known[digest] = (now + trust_s, principal)
        return principal
