"""The providers' keys that tenants brought, as a worker process knows them."""

from collections.abc import Mapping

import gevent

from app.accounts.provider_keys import sealed_keys
from app.db.reads import Reads
from app.errors import Unavailable
from app.telemetry import log
from app.vault import Vault, VaultError

REFRESH_S = 3.0
"""A key that is brought or removed counts after this long at most."""

NONE: Mapping[str, str] = {}


class OwnKeys:
    """Keys by tenant and provider. Read whole now and then, so that a job costs no query for
    them."""

    def __init__(self, reads: Reads, vault: Vault) -> None:
        self._reads, self._vault = reads, vault
        self._keys: dict[str, dict[str, str]] | None = None
        self._opened: dict[str, str] = {}
        self._refresher: gevent.Greenlet | None = None

    def of(self, tenant_id: str) -> Mapping[str, str]:
        """The keys of a tenant, by provider. Waits for Postgres until the first time they are
        known; raises Unavailable then."""
        if self._keys is None:
            self._refresh()
            # Of jobs that came at once, the first has done so.
            self._refresher = self._refresher or gevent.spawn(self._run)
        assert self._keys is not None
        return self._keys.get(tenant_id, NONE)

    def close(self) -> None:
        """Ends the reading now and then."""
        if self._refresher is not None:
            self._refresher.kill()

    def _run(self) -> None:
        while True:
            gevent.sleep(REFRESH_S)
            try:
                self._refresh()
            except Unavailable as error:
                # What was known stays good: a tenant's calls do not fall to the platform's key.
                log("worker").warning("provider keys not read", error=str(error))

    def _refresh(self) -> None:
        keys: dict[str, dict[str, str]] = {}
        opened: dict[str, str] = {}
        for tenant_id, provider, sealed in self._reads.run(sealed_keys):
            # An empty key fails at the provider; the platform's own must not stand in.
            opened[sealed] = self._opened.get(sealed) or self._open(sealed, tenant_id)
            keys.setdefault(tenant_id, {})[provider] = opened[sealed]
        self._keys, self._opened = keys, opened

    def _open(self, sealed: str, tenant_id: str) -> str:
        try:
            return self._vault.open(sealed).decode()
        except VaultError as error:
            log("worker").error("provider key cannot be opened", name=tenant_id, error=str(error))
            return ""
