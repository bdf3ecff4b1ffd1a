"""The catalogue as clients read it."""

from typing import Any

import orjson
from flask import Blueprint, Response

from app.catalogue.model import Model
from app.errors import ModelNotFound
from app.money import MILLION, NANOS
from app.web.front import Front


def model_routes(front: Front) -> Blueprint:
    """`/v1/models`, for those who may call them."""
    routes = Blueprint("models", __name__)

    @routes.get("/v1/models")
    @routes.get("/models")
    def list_models() -> Response:
        data = [model_object(model) for model in front.catalogue.models.values()]
        return _json({"object": "list", "data": data})

    @routes.get("/v1/models/<path:model_id>")
    @routes.get("/models/<path:model_id>")
    def get_model(model_id: str) -> Response:
        model = front.catalogue.find(model_id)
        if model is None:
            raise ModelNotFound(f"The model {model_id!r} does not exist here.", param="model")
        return _json(model_object(model))

    return routes


def public_routes(front: Front) -> Blueprint:
    """`/public/models`, open to all."""
    routes = Blueprint("public", __name__)

    @routes.get("/public/models")
    def list_public_models() -> Response:
        data = [_public(model) for model in front.catalogue.models.values()]
        return _json({"status": "success", "data": {"models": data}, "meta": {}})

    return routes


def model_object(model: Model) -> dict[str, Any]:
    """A model in OpenAI's form; `description` says what it really is."""
    return {
        "id": model.id,
        "object": "model",
        "created": model.spec.created,
        "owned_by": model.spec.owned_by,
        "description": model.spec.description,
        "stands_on": model.stands_on,
        "context_window": model.spec.context,
        "max_output_tokens": model.spec.max_output,
        "providers": [route.provider for route in model.routes],
        "pricing": _pricing(model),
    }


def _public(model: Model) -> dict[str, Any]:
    return {
        "id": model.id,
        "provider": model.routes[0].provider,
        "created": model.spec.created,
        "object": "model",
        "owned_by": model.spec.owned_by,
        "capabilities": ["chat-completion"],
        "pricing": _pricing(model),
    }


def _pricing(model: Model) -> dict[str, Any]:
    return {
        "input": model.price.input / (NANOS * MILLION),
        "output": model.price.output / (NANOS * MILLION),
        "unit": "token",
        "currency": "USD",
    }


def _json(body: object) -> Response:
    return Response(orjson.dumps(body), mimetype="application/json")
