"""Which guard stands before which blueprint. A blueprint that is not in the table does not start,
so that a route is never open by oversight."""

from collections.abc import Callable
from functools import partial

from flask import Blueprint, Flask

from app.web.auth import authenticate
from app.web.front import Front

Guard = Callable[[Front], None]


def nobody(_: Front) -> None:
    """No guard: the route is public."""


GUARDS: dict[str, Guard] = {
    "chat": authenticate,
    "jobs": authenticate,
    "models": authenticate,
    "operations": nobody,
    "public": nobody,
}


def guard(app: Flask, front: Front, blueprints: list[Blueprint]) -> None:
    """Registers blueprints behind their guards. Raises KeyError for one without an entry."""
    for blueprint in blueprints:
        stands_before = GUARDS[blueprint.name]
        if stands_before is not nobody:
            blueprint.before_request(partial(stands_before, front))
        app.register_blueprint(blueprint)
