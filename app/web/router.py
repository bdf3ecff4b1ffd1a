"""`/v1/router`: chooses the model that answers best for its price, and has it answer."""

import orjson
from flask import Blueprint, Response, request

from app.db.connect import Connection
from app.errors import InvalidRequest
from app.jobs.model import chore_draft
from app.uniroute.model import ANSWER_PREFIX, AUTO, DECISION_KIND
from app.uniroute.shelf import shipped
from app.uniroute.store import Version, active_version, versions
from app.web.accounts import unix
from app.web.asked import Asked, app_id_of
from app.web.auth import caller
from app.web.body import read_request
from app.web.chat import conversation, include_usage
from app.web.choosing import choosable, payer
from app.web.chores import run_drafted
from app.web.front import Front
from app.web.inference import Shape, json_answer, respond
from app.web.openai_stream import Chunks
from app.web.paging import json_answer as shown
from app.web.pareto import Pareto
from app.web.planning import checked_plan
from app.web.schemas.router import RouterRequest
from app.web.waiting import asked_wait

DECISION_DEADLINE_S = 60.0
"""The first decision of a worker process loads the model of embeddings."""


class RoutedChunks(Chunks):
    """The form of the door: chunks of a chat completion with ids of its own."""

    prefix = ANSWER_PREFIX


def router_routes(front: Front) -> Blueprint:
    """The blueprint of the router."""
    routes = Blueprint("router", __name__)
    pareto = Pareto(front)

    @routes.post("/v1/router")
    @routes.post("/router")
    def route() -> Response:
        wanted, body = read_request(front, RouterRequest)
        if wanted.model not in (None, AUTO):
            raise InvalidRequest(
                "model is what the router chooses; models names what it may choose from.",
                param="model",
            )
        if wanted.option("include_web_chat"):
            raise InvalidRequest(
                "include_web_chat is for /v1/chat/completions.", param="include_web_chat"
            )
        wanted.model = AUTO
        asked = conversation(front, wanted, body)
        asked.path, asked.answer_prefix = "/router", ANSWER_PREFIX
        if wanted.option("execute") is False:
            return decided(front, asked)
        usage = include_usage(wanted)
        shape = Shape(form=lambda draft: RoutedChunks(draft, usage), whole=json_answer)
        return respond(front, asked, shape)

    @routes.get("/v1/router/profiles")
    @routes.get("/router/profiles")
    def list_profiles() -> Response:
        def read(connection: Connection) -> tuple[str | None, list[Version]]:
            return active_version(connection), versions(connection)

        active, found = front.reads.run(read)
        own, models = shipped()
        names = next((one.models for one in found if one.version == active), models)
        told = [version_object(one) for one in found]
        told.append({"version": own, "origin": "shipped", "parent": None, "models": list(models),
                     "created_at": None, "active": active is None})  # fmt: skip
        return shown({
            "profiles": list(names),
            "count": len(names),
            "active": active or own,
            "versions": told,
        })  # fmt: skip

    @routes.get("/v1/router/profiles/<profile_version>/pareto")
    @routes.get("/router/profiles/<profile_version>/pareto")
    def show_pareto(profile_version: str) -> Response:
        return pareto.answer(profile_version)

    return routes


def decided(front: Front, asked: Asked) -> Response:
    """The decision alone, by a job that costs nothing and is kept as an answer's would be."""
    _, told = choosable(front, asked, payer(front), answered=False)
    principal, environ = caller(), request.environ
    draft = chore_draft(
        DECISION_KIND, told, principal.tenant_id,
        key_id=principal.key_id, app_id=app_id_of(principal, environ),
        lane="interactive", deadline_s=DECISION_DEADLINE_S,
        backlog=front.settings.backlog("interactive"),
    )  # fmt: skip
    draft.store = asked.store
    draft.metadata = orjson.dumps(asked.metadata).decode() if asked.metadata else None
    if asked.plan is not None:
        prefer = environ.get("HTTP_PREFER", "")
        later = asked_wait(prefer) is None and (asked.background or "respond-async" in prefer)
        draft.plan = checked_plan(front, asked.plan, asked.path, later)
    return run_drafted(front, draft, asked.path, asked.body, waits=not asked.background)


def version_object(one: Version) -> dict[str, object]:
    """A profile in the database, without its numbers."""
    return {
        "version": one.version,
        "origin": one.origin,
        "parent": one.parent,
        "models": list(one.models),
        "created_at": unix(one.created_at),
        "active": one.active,
    }
