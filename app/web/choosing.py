"""Which models may answer a request."""

from functools import partial

import orjson
from flask import request

from app.catalogue.model import Model
from app.errors import InvalidRequest, ModelNotFound
from app.ledger.budgets import spendable
from app.uniroute.model import AUTO, ROUTED
from app.web.asked import DOORS, Asked, app_id_of, most_cost, text_bytes
from app.web.auth import caller
from app.web.candidates import (
    Candidates,
    Catalogued,
    Choosing,
    Payer,
    Wanted,
    affordable,
    unknown_model,
    with_candidates,
)
from app.web.front import Front


def models_of(front: Catalogued, asked: Asked) -> list[Model]:
    """The model asked for, then its fallbacks, each of which can do what is asked. Raises
    ModelNotFound, and InvalidRequest naming the field that no route can honour. Fallbacks that lack
    a key are struck from the request."""
    catalogue = front.catalogue
    name = asked.model
    if not name and asked.operation != "chat":
        name = catalogue.defaults.get(asked.operation)
        if name is None:
            raise InvalidRequest(
                f"model is missing, and no default model for {asked.operation} is configured: "
                f"defaults.{asked.operation} in the catalogue names one.", param="model",
            )  # fmt: skip
    model = catalogue.find(name, asked.provider)
    if asked.models is not None or asked.cost_weight is not None:
        given = "cost_weight" if asked.models is None else "models"
        raise InvalidRequest(f"{given} is for the model {AUTO!r} alone.", param=given)
    if model is None:
        raise unknown_model(front, name, asked.provider)
    _unless_unable(front, model, asked, "model")
    models, away = [model], []
    for other in asked.fallbacks:
        fallback = catalogue.find(other)
        if fallback is None and other in catalogue.unconfigured:
            away.append(other)
            continue
        if fallback is None:
            raise ModelNotFound(f"The fallback model {other!r} does not exist.", param="fallbacks")
        _unless_unable(front, fallback, asked, "fallbacks")
        models.append(fallback)
    if away:
        asked.request = _without(away, asked.request)
    return models


def _without(away: list[str], request: str) -> str:
    """A request that does not name the fallbacks that lack a key: its hold is not for them, so that
    they must not answer even if a key is set before it is run."""
    told = orjson.loads(request)
    for fields in (told, told.get("extra_body") or {}):
        if names := fields.get("fallbacks"):
            fields["fallbacks"] = [name for name in names if name not in away]
    return orjson.dumps(told).decode()


def models_for(front: Front, asked: Asked) -> list[Model]:
    """As `models_of`, but for the model AUTO the router's candidates, if none has that name."""
    if asked.model == AUTO and is_open(front, asked):
        return routed(front, asked, payer(front))
    return models_of(front, asked)


def is_open(front: Catalogued, asked: Asked) -> bool:
    """Whether the model AUTO leaves the choice to the router."""
    return asked.kind in ROUTED and front.catalogue.find(AUTO, asked.provider) is None


def payer(front: Front) -> Payer:
    """The caller, with what it may spend."""
    who = caller()
    app_id = app_id_of(who, request.environ)
    spend = partial(spendable, tenant_id=who.tenant_id, app_id=app_id, key_id=who.key_id)
    return Payer(who.mode == "test", partial(front.reads.run, spend))


def routed(front: Choosing, asked: Asked, who: Payer) -> list[Model]:
    """The models that the router may choose from, which the worker is told in the request. Raises
    what `choosable` does."""
    asked.prompt_bytes = text_bytes(asked.request)
    found, asked.request = choosable(front, asked, who)
    return list(found.models.values())


def choosable(
    front: Choosing, asked: Asked, who: Payer, answered: bool = True
) -> tuple[Candidates, str]:
    """What the router may choose from, and the request that tells it to a worker; `answered`: the
    choice is to answer. Raises as `candidates` does, and InvalidRequest for what does not go with
    a choice."""
    if asked.fallbacks:
        raise InvalidRequest(
            f"fallbacks does not go with the model {AUTO!r}: the other candidates stand in; models "
            "names which these are.", param="fallbacks",
        )  # fmt: skip
    told = orjson.loads(asked.request)
    wanted = Wanted(
        told, asked.fields, asked.models, asked.provider, asked.answer_tokens,
        asked.context_bytes, who.test, answered,
    )  # fmt: skip
    found = affordable(front, wanted, who.left, partial(most_cost, asked=asked))
    return found, with_candidates(told, found, prefix=asked.answer_prefix)


def _unless_unable(front: Catalogued, model: Model, asked: Asked, param: str) -> None:
    if model.spec.does != asked.operation:
        raise InvalidRequest(
            f"The model {model.id!r} is for {DOORS[model.spec.does]}.", param=param,
            code="model_not_for_this",
        )  # fmt: skip
    if asked.operation == "chat":
        lacks = [front.catalogue.unable(model, route, asked.fields) for route in model.routes]
        if lacks and all(lacks):
            raise InvalidRequest(
                f"{lacks[0]} is not supported by the model {model.id!r} on "
                f"{', '.join(dict.fromkeys(route.provider for route in model.routes))}.",
                param=lacks[0], code="unsupported_parameter",
            )  # fmt: skip
