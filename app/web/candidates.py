"""The models that the router may choose from for a request, and why others may not be chosen."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from app.catalogue.model import Catalogue, Model
from app.catalogue.tokens import BYTES_PER_TOKEN, estimate_tokens
from app.errors import Forbidden, InvalidRequest, ModelNotFound, MoonpoolError
from app.money import usd_text
from app.uniroute.model import AUTO, AUTO_IS_FOR
from app.uniroute.shelf import Names

MODELS_MIN = 2
NOT_HERE = "it is not configured here"
NOT_BUILTIN = "a test key runs only builtin models"

Named = Iterator[tuple[str, str, Model | None]]
"""Models by the names that the catalogue finds them by again and by their ids; None for one that
has a profile and cannot be called here."""


class Catalogued(Protocol):
    """What knows the catalogue that a request is held against."""

    @property
    def catalogue(self) -> Catalogue: ...


class Choosing(Catalogued, Protocol):
    """What knows the active profile too."""

    @property
    def profiles(self) -> Names: ...


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays for what is chosen. `test`: with a test key, nothing; `left`: tells the most that a
    job may hold now, in nano-dollars."""

    test: bool
    left: Callable[[], int]


@dataclass(slots=True)
class Wanted:
    """What a request asks of whichever model is chosen. `models`: the only ones to choose from;
    `answer_tokens`: the most that the answer may have; `context_bytes`: what is put before the
    messages; `test`: with a test key; `answered`: not only a decision is asked for."""

    request: dict[str, Any]
    fields: dict[str, Any]
    models: Iterable[str] | None = None
    provider: str | None = None
    answer_tokens: int | None = None
    context_bytes: int = 0
    test: bool = False
    answered: bool = True


@dataclass(slots=True)
class Candidates:
    """`models` in the order of their names, by the names that the catalogue finds them by again;
    `excluded`: why others are not among them. `unavailable`: models with profiles that cannot be
    called here, and are judged all the same. `routed`: the router chooses, since they have
    profiles; else the catalogue's default model answers."""

    models: dict[str, Model] = field(default_factory=dict)
    excluded: dict[str, str] = field(default_factory=dict)
    unavailable: list[str] = field(default_factory=list)
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
            "unavailable": self.unavailable,
            "routed": self.routed,
        }


def affordable(
    front: Choosing, wanted: Wanted, left: Callable[[], int], most: Callable[[Model], int]
) -> Candidates:
    """As `candidates`, without those that may cost more than is `left`; `most`: that a model may
    cost."""
    found = candidates(front, wanted)
    if not wanted.test and len(found.models) > 1:
        found.afford({name: most(model) for name, model in found.models.items()}, left())
    return found


def candidates(front: Choosing, wanted: Wanted) -> Candidates:
    """The models of the active profile, or of those that are named, that can do what is wanted.
    Without any that can be called it is the catalogue's default model; for a decision alone it is
    none, if there are others to judge.

    Raises ModelNotFound, InvalidRequest for a model that cannot be chosen from and where none is
    left, and Forbidden where a test key may run none of those that are named.
    """
    found = Candidates()
    prompt_tokens = estimate_tokens(_text(wanted.request)) + wanted.context_bytes // BYTES_PER_TOKEN
    lacks: list[InvalidRequest] = []
    away: dict[str, str] = {}
    named = list(wanted.models) if wanted.models is not None else None
    provider = wanted.provider
    profiled = _profiled(front, front.profiles.now(), provider)
    for name, own, model in _named(front, named, provider) if named else profiled:
        if model is None:
            away[own] = NOT_HERE
        elif why := _unable(front, model, wanted) or _too_long(model, wanted, prompt_tokens):
            lacks.append(why)
            found.excluded[own] = why.message
        elif wanted.test and not model.builtin:
            away[own] = NOT_BUILTIN
        else:
            found.models[name] = model
    if not found.models and lacks:
        raise InvalidRequest(
            f"No model is left to choose from: {'; '.join(found.excluded.values())}.",
            param=lacks[0].param, code=lacks[0].code,
        )  # fmt: skip
    if found.models and wanted.answered:
        told = away if named else {name: why for name, why in away.items() if why != NOT_HERE}
        found.excluded |= told
        return found
    if named and wanted.answered:
        raise _none_here(away)
    found.unavailable = list(away)
    if found.models or (found.unavailable and not wanted.answered):
        return found
    return _default(front, wanted, found)


def callable_here(front: Choosing, names: Iterable[str], *, test: bool) -> frozenset[str]:
    """Those of a profile's models that a request with no wishes of its own may be answered by;
    `test`: with a test key."""
    return frozenset(
        own
        for _, own, model in _profiled(front, names, None)
        if model is not None and (model.builtin or not test)
    )


def unknown_model(front: Catalogued, name: str | None, provider: str | None) -> ModelNotFound:
    """That a model is not here, or not on the provider that is asked for."""
    on, param = "", "model"
    if provider is not None and front.catalogue.find(name) is not None:
        on, param = f" on the provider {provider!r}", "provider"
    known = AUTO_IS_FOR if name == AUTO else "GET /v1/models lists those that do"
    return ModelNotFound(f"The model {name!r} does not exist here{on}; {known}.", param=param)


def _profiled(front: Choosing, names: Iterable[str], provider: str | None) -> Named:
    catalogue = front.catalogue
    for name in names:
        own = catalogue.models.get(name)
        if own is None and provider is None:
            yield name, name, None
        if own is None or own.stands_on is not None or own.spec.does != "chat":
            continue
        model = catalogue.find(name, provider)
        if model is not None:
            yield f"{provider}/{name}" if provider else name, name, model


def _named(front: Choosing, names: list[str], provider: str | None) -> Named:
    """Those that a request names, each once."""
    known = front.profiles.now()
    found: dict[str, tuple[str, str, Model | None]] = {}
    for name in names:
        model = front.catalogue.find(name, provider)
        if model is None:
            if provider is not None or name not in known:
                raise ModelNotFound(f"The model {name!r} does not exist here.", param="models")
            found.setdefault(name, (name, name, None))
            continue
        if model.id not in known or model.stands_on is not None or model.spec.does != "chat":
            raise InvalidRequest(
                f"The model {name!r} has no routing profile; GET /v1/router/profiles lists those "
                "that do.", param="models",
            )  # fmt: skip
        at = f"{provider}/{model.id}" if provider else name
        found.setdefault(model.id, (at, model.id, model))
    if len(found) < MODELS_MIN:
        raise InvalidRequest("models must name at least two models.", param="models")
    return iter([found[name] for name in sorted(found)])


def _none_here(away: dict[str, str]) -> MoonpoolError:
    """Why none of the models that a request names can answer."""
    names = ", ".join(away)
    if NOT_BUILTIN in away.values():
        return Forbidden(f"{NOT_BUILTIN.capitalize()}; none of {names} is one.", param="models")
    return ModelNotFound(
        f"None of {names} can be called here: set the key of a provider that has them, such as "
        "OPENAI_API_KEY, or write them into a catalogue (MOONPOOL_CATALOGUE). POST /v1/router with "
        "execute: false judges them all the same.", param="models",
    )  # fmt: skip


def _default(front: Catalogued, wanted: Wanted, found: Candidates) -> Candidates:
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


def _unable(front: Catalogued, model: Model, wanted: Wanted) -> InvalidRequest | None:
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
