"""The catalogue as clients read it."""

import time
from collections.abc import Mapping
from typing import Any

import orjson
from flask import Blueprint, Response

from app.catalogue.abilities import ABILITIES, HARMLESS, Operation
from app.catalogue.model import Catalogue, Model, Price
from app.errors import ModelNotFound
from app.money import MILLION, NANOS
from app.web.asked import DOORS
from app.web.front import Front
from app.web.schemas.chat import ChatRequest

CAPABILITIES: Mapping[Operation, tuple[str, ...]] = {
    "chat": ("text-completion", "chat-completion"),
    "embedding": ("embeddings",),
    "image": ("image-generation",),
    "transcription": ("transcription",),
}
"""What Lunos calls the operations; every model of chat completes texts too."""

FIELDS = frozenset(ChatRequest.model_fields) - HARMLESS
PARTS = frozenset({"text", "refusal", "image_url", "input_audio", "file"})
"""The fields and types of content parts that some provider does not take."""


def model_routes(front: Front) -> Blueprint:
    """`/v1/models`, for those who may call them."""
    routes = Blueprint("models", __name__)
    catalogue = front.catalogue

    @routes.get("/v1/models")
    @routes.get("/models")
    def list_models() -> Response:
        data = [model_object(catalogue, model) for model in catalogue.models.values()]
        return _json({"object": "list", "data": data})

    @routes.get("/v1/models/<path:model_id>")
    @routes.get("/models/<path:model_id>")
    def get_model(model_id: str) -> Response:
        model = catalogue.find(model_id)
        if model is None:
            raise ModelNotFound(f"The model {model_id!r} does not exist here.", param="model")
        return _json(model_object(catalogue, model))

    return routes


def public_routes(front: Front) -> Blueprint:
    """`/public/models`, open to all."""
    routes = Blueprint("public", __name__)

    @routes.get("/public/models")
    def list_public_models() -> Response:
        began = time.perf_counter()
        models = [_public(model) for model in front.catalogue.models.values()]
        meta = {"processing_time": round(time.perf_counter() - began, 6)}
        return _json({"status": "success", "data": {"models": models}, "meta": meta})

    return routes


def model_object(catalogue: Catalogue, model: Model) -> dict[str, Any]:
    """A model in OpenAI's form; `description` says what it really is."""
    chat = model.spec.does == "chat"
    return {
        "id": model.id,
        "object": "model",
        "created": model.spec.created,
        "owned_by": model.spec.owned_by,
        "description": model.spec.description,
        "does": model.spec.does,
        "endpoint": DOORS[model.spec.does],
        "stands_on": model.stands_on,
        "context_window": model.spec.context if chat or model.spec.does == "embedding" else None,
        "max_output_tokens": model.spec.max_output if chat else None,
        "providers": [route.provider for route in model.routes],
        "abilities": _abilities(catalogue, model) if chat else None,
        "pricing": pricing(model.price),
    }


def _abilities(catalogue: Catalogue, model: Model) -> dict[str, list[str]]:
    """The fields and content parts that at least one route takes, of those that not all do."""
    fields: set[str] = set()
    parts: set[str] = set()
    for route in model.routes:
        provider = catalogue.providers[route.provider]
        able = ABILITIES[provider.kind]
        lacks = {*provider.without, *model.spec.without}
        fields |= (FIELDS if able.fields is None else FIELDS & able.fields) - lacks
        parts |= PARTS if able.parts is None else able.parts
    return {"fields": sorted(fields), "parts": sorted(parts)}


def _public(model: Model) -> dict[str, Any]:
    return {
        "id": model.id,
        "provider": model.routes[0].provider,
        "created": model.spec.created,
        "object": "model",
        "owned_by": model.spec.owned_by,
        "capabilities": CAPABILITIES[model.spec.does],
        "pricing": pricing(model.price),
    }


def pricing(price: Price) -> dict[str, Any]:
    """A price by the unit that is mostly paid for: what goes in and what comes out. Tokens that
    cost something beside images or minutes of audio are told under `token`."""
    tokens = {"input": price.input / (NANOS * MILLION), "output": price.output / (NANOS * MILLION)}
    if price.image:
        told = {"input": 0.0, "output": price.image / NANOS, "unit": "image"}
    elif price.minute:
        told = {"input": price.minute / NANOS, "output": 0.0, "unit": "minute"}
    else:
        return {**tokens, "unit": "token", "currency": "USD"}
    also = {"token": tokens} if any(tokens.values()) else {}
    return {**told, "currency": "USD", **also}


def _json(body: object) -> Response:
    return Response(orjson.dumps(body), mimetype="application/json")
