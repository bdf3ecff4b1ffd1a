"""Opening web chats on answers, from a worker."""

from typing import Any

from app.db.reads import Reads
from app.errors import Unavailable
from app.ids import new_id
from app.jobs.model import Claimed
from app.money import NANOS
from app.settings import Settings
from app.vault import Vault, VaultError
from app.webchat import store
from app.webchat.model import new_token, token_hash


class WebChats:
    """Makes web chats."""

    def __init__(self, reads: Reads, settings: Settings) -> None:
        self._reads, self._settings, self._vault = reads, settings, Vault(settings)

    def begin(self, job: Claimed) -> dict[str, Any]:
        """Opens a web chat on the answer of `job`; what the stored answer tells of it, to which the
        door adds the address. Raises Unavailable."""
        token = new_token()
        try:
            sealed = self._vault.seal(token.encode())
        except VaultError as error:
            raise Unavailable(f"The web chat was not opened: {error}.") from error
        chat_id, expires_s = self._reads.run(
            lambda c: store.begin(
                c, new_id("wch"), job.tenant_id, job.key_id, job.id, token_hash(token), sealed,
                round(self._settings.web_chat_budget_usd * NANOS),
                self._settings.web_chat_ttl,
            )
        )  # fmt: skip
        return {"id": chat_id, "expires_at": expires_s}
