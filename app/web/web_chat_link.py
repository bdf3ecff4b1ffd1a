"""The address of a web chat in an answer. What is stored tells its id and end; the token, which is
kept sealed, is put in where the answer is given to the tenant, and nowhere else."""

from typing import Any

from flask import current_app, request

from app.errors import Unavailable
from app.jobs.model import JobRow
from app.telemetry import log
from app.vault import Vault, VaultError
from app.web.front import Front
from app.webchat.store import sealed_token


class Link:
    """Puts addresses in, those of the server that the request in hand came to."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._base = front.settings.public_url.rstrip("/") or request.host_url.rstrip("/")

    def put_in(self, told: dict[str, Any], tenant_id: str) -> dict[str, Any]:
        """`told` with the address of its web chat; null where that cannot be read now."""
        chat = told.get("web_chat")
        if not chat:
            return told
        url = self._url(str(chat["id"]), tenant_id)
        return {
            **told,
            "web_chat": {"url": url, "expires_at": chat["expires_at"], "id": chat["id"]},
        }

    def _url(self, chat_id: str, tenant_id: str) -> str | None:
        front = self._front
        try:
            sealed = front.reads.run(lambda c: sealed_token(c, chat_id, tenant_id))
            token = None if sealed is None else Vault(front.settings).open(sealed).decode()
        except (Unavailable, VaultError) as error:
            log("web").warning("web chat not told", error=str(error))
            return None
        return None if token is None else f"{self._base}/chat/{token}"


def linked_result(stored: dict[str, Any], job: JobRow) -> dict[str, Any]:
    """A stored completion as its job shows it."""
    if not stored.get("web_chat"):
        return stored
    front: Front = current_app.extensions["moonpool"]
    return Link(front).put_in(stored, job.tenant_id)
