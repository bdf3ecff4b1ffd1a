"""`POST /v1/embeddings`: vectors of texts."""

import orjson
from flask import Blueprint, Response

from app.errors import InvalidRequest
from app.web.asked import Asked
from app.web.body import read_request
from app.web.candidates import Catalogued
from app.web.choosing import models_of
from app.web.front import Front
from app.web.inference import Shape, json_answer, respond
from app.web.openai_stream import Chunks
from app.web.planning import PLANNED, plan
from app.web.schemas.embeddings import EmbeddingsRequest

CUTS = "minilm"
"""The only kind of provider that can be told to cut a text."""


def embedding_routes(front: Front) -> Blueprint:
    """The blueprint of the door for embeddings."""
    routes = Blueprint("embeddings", __name__)

    @routes.post("/v1/embeddings")
    @routes.post("/embeddings")
    def create_embedding() -> Response:
        wanted, body = read_request(front, EmbeddingsRequest)
        asked = embedding_asked(front, wanted, body)
        # No stream is ever asked for, so there is no form of one.
        shape = Shape(form=lambda draft: Chunks(draft, False), whole=json_answer)
        return respond(front, asked, shape)

    return routes


def embedding_asked(front: Catalogued, wanted: EmbeddingsRequest, body: bytes) -> Asked:
    """What an embeddings request asks of the line. Raises InvalidRequest."""
    asked = _asked(wanted, body)
    if wanted.truncate:
        _unless_never_cut(front, asked)
    return asked


def _asked(wanted: EmbeddingsRequest, body: bytes) -> Asked:
    told = wanted.told()
    told.pop("metadata", None)
    if not wanted.truncate:
        told.pop("truncate", None)
    return Asked(
        kind="embedding",
        path="/embeddings",
        body=body,
        request=orjson.dumps(told).decode(),
        operation="embedding",
        model=wanted.model,
        provider=told.get("provider"),
        fallbacks=told.get("fallbacks", ()),
        background=told.get("background", False),
        cancel_on_disconnect=told.get("cancel_on_disconnect", True),
        session=told.get("session_id") or None,
        store=told.get("store", True),
        metadata=wanted.metadata,
        plan=plan(*(told.get(name) for name in PLANNED)),
    )


def _unless_never_cut(front: Catalogued, asked: Asked) -> None:
    """Raises InvalidRequest if a provider that may be called does not know `truncate`."""
    providers = front.catalogue.providers
    for model in models_of(front, asked):
        for route in model.routes:
            if providers[route.provider].kind != CUTS:
                raise InvalidRequest(
                    f"truncate is not supported by the model {model.id!r} on {route.provider}.",
                    param="truncate", code="unsupported_parameter",
                )  # fmt: skip
