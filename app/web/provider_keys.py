"""`/v1/provider_keys`: keys of providers that a tenant brings itself."""

from typing import Any

from flask import Blueprint, Response

from app.accounts.provider_keys import (
    ProviderKey,
    bring_key,
    hint_of,
    list_provider_keys,
    remove_provider_key,
)
from app.catalogue.model import BUILTIN_KINDS
from app.db.connect import Connection
from app.errors import InvalidRequest, NotFound
from app.vault import Vault
from app.web.accounts import unix
from app.web.auth import caller
from app.web.front import Front
from app.web.paging import after, json_answer, limit, page, plain_ids
from app.web.posting import changed, posted, read_json
from app.web.schemas.accounts import NewProviderKeyBody


def provider_key_routes(front: Front) -> Blueprint:
    """The blueprint of providers' keys."""
    routes = Blueprint("provider_keys", __name__, url_prefix="/v1/provider_keys")
    routes.url_value_preprocessor(plain_ids)
    vault = Vault(front.settings)

    @routes.get("")
    def list_keys() -> Response:
        tenant_id, start, size = caller().tenant_id, after() or "", limit()
        found = front.reads.run(lambda c: list_provider_keys(c, tenant_id, start, size + 1))
        return json_answer(page([_object(key) for key in found], size))

    @routes.post("")
    def bring() -> Response:
        wanted, who = read_json(front, NewProviderKeyBody), caller()
        spec = front.catalogue.providers.get(wanted.provider)
        if spec is None or spec.kind in BUILTIN_KINDS:
            known = front.catalogue.providers.items()
            takes = [name for name, spec in known if spec.kind not in BUILTIN_KINDS]
            raise InvalidRequest(
                f"provider must be one that takes a key: {', '.join(takes) or 'none here does'}.",
                param="provider",
            )
        sealed = vault.seal(wanted.api_key.encode())

        def work(connection: Connection) -> tuple[int, dict[str, Any]]:
            kept = bring_key(
                connection, who.tenant_id, wanted.provider, sealed, hint_of(wanted.api_key),
                actor=who.key_id,
            )  # fmt: skip
            return 201, _object(kept)

        return posted(front, work)

    @routes.delete("/<provider_key_id>")
    def remove(provider_key_id: str) -> Response:
        who = caller()
        if not changed(
            front,
            lambda c: remove_provider_key(c, who.tenant_id, provider_key_id, actor=who.key_id),
        ):
            raise NotFound("There is no such provider key.", param="provider_key_id")
        return json_answer(
            {"id": provider_key_id, "object": "provider_key.deleted", "deleted": True}
        )

    return routes


def _object(key: ProviderKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "object": "provider_key",
        "provider": key.provider,
        "hint": key.hint,
        "created_at": unix(key.created_at),
    }
