"""`/v1/web_chats`: the web chats of a tenant."""

import time
from typing import Any

from flask import Blueprint, Response

from app.errors import NotFound
from app.money import usd
from app.web.accounts import unix
from app.web.auth import caller
from app.web.front import Front
from app.web.paging import after, json_answer, limit, page, plain_ids
from app.web.posting import changed
from app.webchat import store
from app.webchat.model import WebChat


def web_chat_routes(front: Front) -> Blueprint:
    """The blueprint of web chats as their tenant sees them."""
    routes = Blueprint("web_chats", __name__, url_prefix="/v1/web_chats")
    routes.url_value_preprocessor(plain_ids)

    @routes.get("")
    def list_web_chats() -> Response:
        tenant_id, start, size = caller().tenant_id, after(), limit()
        found = front.reads.run(lambda c: store.list_chats(c, tenant_id, start, size + 1))
        return json_answer(page([web_chat_object(chat) for chat in found], size))

    @routes.delete("/<web_chat_id>")
    def delete_web_chat(web_chat_id: str) -> Response:
        who = caller()
        if not changed(
            front, lambda c: store.revoke(c, who.tenant_id, web_chat_id, actor=who.key_id)
        ):
            raise NotFound("There is no web chat by that id.")
        return json_answer({"id": web_chat_id, "object": "web_chat", "deleted": True})

    return routes


def web_chat_object(chat: WebChat) -> dict[str, Any]:
    """The web chat as JSON; never its address."""
    status = "open" if chat.expires_at.timestamp() > time.time() else "expired"
    return {
        "id": chat.id,
        "object": "web_chat",
        "status": "revoked" if chat.revoked_at is not None else status,
        "job_id": chat.job_id,
        "key_id": chat.key_id,
        "turns": chat.turns,
        "budget_usd": usd(chat.budget),
        "spent_usd": usd(chat.spent),
        "created_at": unix(chat.created_at),
        "expires_at": unix(chat.expires_at),
        "revoked_at": unix(chat.revoked_at),
    }
