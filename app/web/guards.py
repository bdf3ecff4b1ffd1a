"""Which guard stands before which blueprint. A blueprint that is not in the table does not start,
so that a route is never open by oversight."""

from functools import partial

from flask import Blueprint, Flask

from app.web.auth import Guard, authenticate, needs
from app.web.front import Front
from app.web.limits import tell_limits


def nobody(_: Front) -> None:
    """No guard: the route is public."""


GUARDS: dict[str, Guard] = {
    "admin": needs("admin"),
    "admin_money": needs("admin"),
    "assets": nobody,
    "batches": needs("inference"),
    "billing": needs("billing"),
    "budgets": needs("manage"),
    "chat": needs("inference"),
    "completions": needs("inference"),
    "console": nobody,
    "data": needs("manage"),
    "description": nobody,
    "embeddings": needs("inference"),
    "emotions": needs("inference"),
    "evolution": needs("inference"),
    "feedback": needs("inference"),
    "files": needs("inference"),
    "images": needs("inference"),
    "jobs": needs("inference"),
    "keys": needs("manage"),
    "lune_documents": needs("inference"),
    "lune_search": needs("inference"),
    "lunes": needs("inference"),
    "memory": needs("inference"),
    "messages": needs("inference"),
    "models": needs("inference"),
    "operations": nobody,
    "pictures": nobody,
    "provider_keys": needs("manage"),
    "providers": needs("inference"),
    "public": nobody,
    "replays": needs("manage"),
    "responses": needs("inference"),
    "retries": needs("inference"),
    "rollback": needs("manage"),
    "router": needs("inference"),
    "session": authenticate,
    "sessions": nobody,
    "transcriptions": needs("inference"),
    "usage": needs("billing"),
    "web_chat_page": nobody,
    "web_chats": needs("inference"),
    "webhooks": needs("manage"),
}


def guard(app: Flask, front: Front, blueprints: list[Blueprint]) -> None:
    """Registers blueprints behind their guards; answers to those who passed one tell their limits.
    Raises KeyError for a blueprint without an entry."""
    for blueprint in blueprints:
        stands_before = GUARDS[blueprint.name]
        if stands_before is not nobody:
            blueprint.before_request(partial(stands_before, front))
            blueprint.after_request(partial(tell_limits, front))
        app.register_blueprint(blueprint)
