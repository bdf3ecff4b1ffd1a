"""Whose key is this: a lookup in Postgres, trusted for a few seconds in this process."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from app.accounts.store import key_hash

CACHE_SIZE = 10_000


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: a key and its tenant."""

    tenant_id: str
    key_id: str


class KeyRing:
    """Finds a key's principal. Entries are keyed by the sha256 of the whole key, so that two keys
    with a common beginning never meet; unknown keys are remembered as such for as long."""

    def __init__(self, find: Callable[[bytes], tuple[str, str] | None], trust_s: float) -> None:
        self._find, self._trust_s = find, trust_s
        self._known: dict[bytes, tuple[float, Principal | None]] = {}

    def principal(self, key: str) -> Principal | None:
        """The principal of a live key, else None. Raises what `find` raises."""
        digest = key_hash(key)
        known = self._known.get(digest)
        now = time.monotonic()
        if known is not None and known[0] > now:
            return known[1]
        row = self._find(digest)
        principal = Principal(tenant_id=row[1], key_id=row[0]) if row else None
        if len(self._known) >= CACHE_SIZE:
            self._known.clear()
        self._known[digest] = (now + self._trust_s, principal)
        return principal
