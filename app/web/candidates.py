"""The models that the router may choose from for a request, and why others may not be chosen."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.catalogue.model import Model
from app.catalogue.tokens import BYTES_PER_TOKEN, estimate_tokens
from app.errors import InvalidRequest, ModelNotFound
from app.money import usd_text
from app.uniroute.model import AUTO
from app.web.front import Front

MODELS_MIN = 2


@dataclass(slots=True)
class Wanted:
    """What a request asks of whichever model is chosen. `models`: the only ones to choose from;
    `answer_tokens`: the most that the answer may have; `context_bytes`: what is put before the
    messages; `test`: with a test key."""

    request: dict[str, Any]
    fields: dict[str, Any]
    models: Iterable[str] | None = None
    provider: str | None = None
    answer_tokens: int | None = None
    context_bytes: int = 0
    test: bool = False


@dataclass(slots=True)
class Candidates:
    """`models` in the order of their names, by the names that the catalogue finds them by again;
    `excluded`: why others are not among them. `routed`: the router chooses, since they have
    profiles; else the catalogue's default model answers."""

    models: dict[str, Model] = field(default_factory=dict)
    excluded: dict[str, str] = field(default_factory=dict)
    routed: bool = True

    def afford(self, holds: dict[str, int], left: int) -> None:
        """Takes out what would hold more than is left. If nothing would hold less, the cheapest
        stays: its admission says what is lacking."""
        cheapest = min(holds, key=lambda name: holds[name])
        for name, hold in holds.items():
            if hold > left and name != cheapest:
                model = self.models.pop(name)
                self.excluded[model.id] = f"it may cost up to {usd_text(hold)}, more than is left"

    def told(self) -> dict[str, Any]:
        """As the worker gets them."""
        return {
            "candidates": list(self.models),
            "excluded": [[name, reason] for name, reason in self.excluded.items()],
            "routed": self.routed,
        }


def candidates(front: Front, wanted: Wanted) -> Candidates:
    """The models of the active profile, or of those that are named, that can do what is wanted.
    Without any that is configured it is the catalogue's default model.

    Raises ModelNotFound, and InvalidRequest for a model that cannot be chosen from and where none
    is left.
    """
    found = Candidates()
    prompt_tokens = estimate_tokens(_text(wanted.request)) + wanted.context_bytes // BYTES_PER_TOKEN
    lacks: list[InvalidRequest] = []
    named = list(wanted.models) if wanted.models is not None else None
    provider = wanted.provider
    for name, model in _named(front, named, provider) if named else _profiled(front, provider):
        why = _unable(front, model, wanted) or _too_long(model, wanted, prompt_tokens)
        if why is not None:
            lacks.append(why)
            found.excluded[model.id] = why.message
        elif wanted.test and not model.builtin:
            found.excluded[model.id] = "a test key runs only builtin models"
        else:
            found.models[name] = model
    if found.models:
        return found
    if lacks:
        raise InvalidRequest(
            f"No model is left to choose from: {'; '.join(found.excluded.values())}.",
            param=lacks[0].param, code=lacks[0].code,
        )  # fmt: skip
    return _default(front, wanted, found)


def _profiled(front: Front, provider: str | None) -> Iterator[tuple[str, Model]]:
    catalogue = front.catalogue
    for name in front.profiles.now():
        own = catalogue.models.get(name)
        if own is None or own.stands_on is not None or own.spec.does != "chat":
            continue
        model = catalogue.find(name, provider)
        if model is not None:
            yield f"{provider}/{name}" if provider else name, model


def _named(front: Front, names: list[str], provider: str | None) -> Iterator[tuple[str, Model]]:
    """Those that a request names, each once."""
    known = front.profiles.now()
    found: dict[str, tuple[str, Model]] = {}
    for name in names:
        model = front.catalogue.find(name, provider)
        if model is None:
            raise ModelNotFound(f"The model {name!r} does not exist here.", param="models")
        if model.id not in known or model.stands_on is not None or model.spec.does != "chat":
            raise InvalidRequest(
                f"The model {name!r} has no routing profile; GET /v1/router/profiles lists those "
                "that do.", param="models",
            )  # fmt: skip
        found.setdefault(model.id, (f"{provider}/{model.id}" if provider else name, model))
    if len(found) < MODELS_MIN:
        raise InvalidRequest("models must name at least two models.", param="models")
    return iter([found[name] for name in sorted(found)])


def _default(front: Front, wanted: Wanted, found: Candidates) -> Candidates:
    model = front.catalogue.find(None, wanted.provider)
    if model is None:
        raise ModelNotFound(
            f"{wanted.provider!r} has no model to choose from here.", param="provider"
        )
    if (why := _unable(front, model, wanted)) is not None:
        raise why
    found.routed = False
    found.models[f"{wanted.provider}/{model.id}" if wanted.provider else model.id] = model
    return found


def _unable(front: Front, model: Model, wanted: Wanted) -> InvalidRequest | None:
    lacks = [front.catalogue.unable(model, route, wanted.fields) for route in model.routes]
    if not lacks or not all(lacks):
        return None
    return InvalidRequest(
        f"{model.id} does not take {lacks[0]}", param=lacks[0], code="unsupported_parameter"
    )


def _too_long(model: Model, wanted: Wanted, prompt_tokens: int) -> InvalidRequest | None:
    answer = wanted.answer_tokens or 0
    if prompt_tokens + answer <= model.spec.context:
        return None
    return InvalidRequest(
        f"{model.id} has room for {model.spec.context} tokens, and this may have "
        f"{prompt_tokens} + {answer}", param="messages", code="context_length_exceeded",
    )  # fmt: skip


def _text(request: dict[str, Any]) -> bytes:
    """What is read as text: all messages and tools but for images, sounds and files."""
    parts: list[Any] = [request.get("tools"), request.get("response_format")]
    for message in request.get("messages") or ():
        content = message.get("content")
        if isinstance(content, list):
            content = [part.get("text") for part in content]
        parts += [content, message.get("tool_calls")]
    return orjson.dumps(parts)


def with_candidates(request: dict[str, Any], found: Candidates, **more: Any) -> str:
    """The request as the worker gets it: with what it may choose from."""
    asked = {**(request.get("asked") or {}), "router": {**found.told(), **more}}
    return orjson.dumps({**request, "model": AUTO, "asked": asked}).decode()
