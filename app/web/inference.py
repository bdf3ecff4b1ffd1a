"""What all inference doors share: from what a client asked to an admitted job and its answer.

A door reads its body into an `Asked`, and shows what the line gives in its own `Shape`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import orjson
from flask import Response, after_this_request, request

from app.accounts.keys import Principal
from app.cache.store import TTL_MAX_S
from app.catalogue.abilities import Operation
from app.catalogue.model import Model
from app.catalogue.tokens import BYTES_PER_TOKEN, estimate_tokens
from app.errors import Forbidden, InvalidRequest, ModelNotFound
from app.events.log import QUEUED
from app.ids import new_id
from app.jobs.model import Door, Draft, Kind, Lane, Plan
from app.ledger.budgets import spendable
from app.uniroute.model import AUTO, ROUTED
from app.web.auth import caller
from app.web.body import body_hash, header_text, idempotency_key
from app.web.candidates import (
    Candidates,
    Catalogued,
    Choosing,
    Payer,
    Wanted,
    affordable,
    lacks_key,
    unknown_model,
    with_candidates,
)
from app.web.delivery import forgetting, unless_deleted
from app.web.front import Front
from app.web.job_stream import Form, JobStream
from app.web.limits import admit
from app.web.planning import checked_plan
from app.web.present import answer_headers, job_object, urls
from app.web.sse import stream_response
from app.web.waiting import answer_when_done, asked_wait

APP_ID_MAX = 128
DEFAULT_ANSWER_TOKENS = 512
"""What is reserved of the day's tokens for an answer whose length the client does not bound."""

DOORS: dict[Operation, str] = {
    "chat": "/v1/chat/completions",
    "embedding": "/v1/embeddings",
    "image": "/v1/images/generations",
    "transcription": "/v1/audio/transcriptions",
}
Environ = Mapping[str, Any]
"""The WSGI environment: the hot path reads headers there, where it is one look in a dict."""

_SECONDS = re.compile("[0-9]{1,9}")


@dataclass(slots=True)
class Asked:
    """What a door understood of its request.

    `body`: the bytes that came, which an Idempotency-Key stands for; `request`: the JSON that the
    worker gets, of a chat completion where the kind is a conversation; `path`: of the door, without
    `/v1`. `fields`: what of a chat request may be beyond a provider. `answer_tokens`: the most that
    the client wants, None for the model's own bound. `images` and `seconds` of audio are the most
    that the answer can use; `context_bytes` the most that the worker adds to the prompt, and
    `prompt_bytes` what of `request` goes there, if not all. `models` and `cost_weight` are for the
    router; `answer_prefix`: what ids of its answers begin with. `plan`: as it was asked for,
    unchecked.
    """

    kind: Kind
    path: str
    body: bytes
    request: str
    operation: Operation = "chat"
    model: str | None = None
    provider: str | None = None
    fallbacks: Sequence[str] = ()
    fields: dict[str, Any] = field(default_factory=dict)
    answer_tokens: int | None = None
    choices: int = 1
    images: int = 0
    seconds: float = 0
    context_bytes: int = 0
    prompt_bytes: int | None = None
    models: Sequence[str] | None = None
    cost_weight: float | None = None
    answer_prefix: str = ""
    stream: bool = False
    background: bool = False
    cancel_on_disconnect: bool = True
    session: str | None = None
    store: bool = True
    metadata: dict[str, str] | None = None
    plan: Plan | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """How a door answers. `form` makes the frames of a stream; `whole` makes the response out of
    the JSON that the line gives for a whole answer; `accepted` the one to a background job, and
    `in_background` the whole response to one, of doors where it is not 202 with the job."""

    form: Callable[[Draft], Form]
    whole: Callable[[bytes, Draft], Response]
    accepted: Callable[[dict[str, Any]], dict[str, Any]] = lambda job: job
    in_background: Callable[[Draft], Response] | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """How the client wants to be answered. `wait_s`: how long it waits before it takes a job."""

    door: Door
    lane: Lane
    wait_s: float | None


def respond(front: Front, asked: Asked, shape: Shape) -> Response:
    """Admits a job and answers as its client wishes. Raises ModelNotFound, InvalidRequest,
    Forbidden and what `admit` raises, and the error of a job that failed while its client
    waited."""
    environ = request.environ
    _take_cache_header(asked, environ)
    models = models_for(front, asked)
    wish = _wish(asked, environ)
    draft = draft_of(front, asked, models, wish, environ)
    if asked.plan is not None:
        later = wish.door == "background" and wish.wait_s is None
        draft.plan = checked_plan(front, asked.plan, asked.path, later)
    tail = front.tail(draft.id, draft.tenant_id, QUEUED)
    try:
        admission = admit(front, draft)
    except BaseException:
        tail.close()
        raise
    if admission.job_id != draft.id:
        tail.close()
        return _replay(front, replace(draft, id=admission.job_id), wish, shape)
    leave = asked.cancel_on_disconnect and wish.door != "background"
    if wish.door == "stream":
        form = shape.form(draft)
        frames = JobStream(tail, draft, form, leave, environ, forgetting(front, draft))
        return stream_response(frames.started(), answer_headers(draft.id))
    if wish.door == "sync" or wish.wait_s is not None:
        forget = forgetting(front, draft)
        done = answer_when_done(front, tail, wish.wait_s, leave, environ, forget)
        if done is not None:
            return _whole(done, draft, shape)
    tail.close()
    return _accepted(front, draft, wish, shape)


def _take_cache_header(asked: Asked, environ: Environ) -> None:
    """`X-Cache-TTL` says what the field `cache_ttl` does, for clients that cannot add fields."""
    text = environ.get("HTTP_X_CACHE_TTL")
    if text is None:
        return
    if _SECONDS.fullmatch(text) is None or not 1 <= int(text) <= TTL_MAX_S:
        raise InvalidRequest(
            f"X-Cache-TTL must be a number of seconds from 1 to {TTL_MAX_S}.", param="X-Cache-TTL"
        )
    asked.request = orjson.dumps({"cache_ttl": int(text), **orjson.loads(asked.request)}).decode()


def json_answer(body: bytes, draft: Draft) -> Response:
    """A whole answer as it is."""
    return Response(body, 200, mimetype="application/json")


def _whole(body: bytes, draft: Draft, shape: Shape) -> Response:
    answer = shape.whole(body, draft)
    for name, value in answer_headers(draft.id).items():
        answer.headers.add(name, value)
    return answer


def _replay(front: Front, draft: Draft, wish: Wish, shape: Shape) -> Response:
    """Answers from the job that an Idempotency-Key stands for: a stream attaches to it, a client
    that waits waits for it. It is not this client's to cancel."""
    unless_deleted(front, draft)

    @after_this_request
    def mark(response: Response) -> Response:
        response.headers["Idempotent-Replayed"] = "true"
        return response

    if wish.door == "background" and wish.wait_s is None:
        return _accepted(front, draft, wish, shape)
    tail = front.tail(draft.id, draft.tenant_id, QUEUED)
    forget = forgetting(front, draft)
    if wish.door == "stream":
        stream = JobStream(tail, draft, shape.form(draft), False, request.environ, forget)
        frames = stream.started(tail.stored() or tail.catch_up())
        return stream_response(frames, answer_headers(draft.id))
    tail.catch_up()
    done = answer_when_done(front, tail, wish.wait_s, False, request.environ, forget)
    return _accepted(front, draft, wish, shape) if done is None else _whole(done, draft, shape)


def _accepted(front: Front, draft: Draft, wish: Wish, shape: Shape) -> Response:
    """202 with the job object, unless the door answers otherwise."""
    if shape.in_background is not None:
        return shape.in_background(draft)
    job = front.jobs.find(draft.id, draft.tenant_id)
    headers = {"Location": urls(draft.id)["self"], **answer_headers(draft.id)}
    if request.headers.get("Prefer"):
        wait = None if wish.wait_s is None else f"wait={wish.wait_s:g}"
        headers["Preference-Applied"] = wait or "respond-async"
    told = shape.accepted(job_object(job))
    return Response(orjson.dumps(told), 202, headers, mimetype="application/json")


def models_of(front: Catalogued, asked: Asked) -> list[Model]:
    """The model asked for, then its fallbacks, each of which can do what is asked. Raises
    ModelNotFound, and InvalidRequest naming the field that no route can honour."""
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
    models = [model]
    for other in asked.fallbacks:
        fallback = catalogue.find(other)
        if fallback is None and lacks_key(front, other):
            continue
        if fallback is None:
            raise ModelNotFound(f"The fallback model {other!r} does not exist.", param="fallbacks")
        _unless_unable(front, fallback, asked, "fallbacks")
        models.append(fallback)
    return models


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
    asked.prompt_bytes = _size(asked.request)
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


def _wish(asked: Asked, environ: Environ) -> Wish:
    prefer = environ.get("HTTP_PREFER", "")
    wait_s = asked_wait(prefer) if prefer else None
    background = asked.background or "respond-async" in prefer
    if asked.stream and (background or wait_s is not None):
        raise InvalidRequest(
            "A stream is not a background job: drop stream, and follow /v1/jobs/{id}/events.",
            param="stream",
        )
    if wait_s is not None:
        return Wish("background", "interactive", wait_s)
    if background:
        return Wish("background", "background", None)
    return Wish("stream" if asked.stream else "sync", "interactive", None)


def draft_of(
    front: Front, asked: Asked, models: list[Model], wish: Wish, environ: Environ
) -> Draft:
    """The job that a request is to become, of the caller's and for any of `models`. Raises
    Forbidden."""
    settings, principal = front.settings, caller()
    key, body = idempotency_key(), asked.body
    test = principal.mode == "test"
    if test and not all(model.builtin for model in models):
        raise Forbidden("A test key runs only builtin models.", param="model")
    answer_tokens = asked.answer_tokens or min(DEFAULT_ANSWER_TOKENS, models[0].spec.max_output)
    if asked.operation != "chat":
        answer_tokens = 0
    return Draft(
        id=new_id("job"),
        tenant_id=principal.tenant_id,
        key_id=principal.key_id,
        app_id=app_id_of(principal, environ),
        kind=asked.kind,
        lane=wish.lane,
        door=wish.door,
        model=asked.model or models[0].id,
        request=asked.request,
        metadata=orjson.dumps(asked.metadata).decode() if asked.metadata else None,
        hold=0 if test else max(most_cost(model, asked) for model in models),
        deadline_s=settings.total_timeout,
        backlog=settings.backlog(wish.lane),
        path=asked.path,
        idempotency_key=key,
        body_hash=body_hash(body) if key is not None else None,
        reserved=_prompt_tokens(asked) + answer_tokens * asked.choices,
        session=asked.session,
        # A conversation at work, or an open stream that belongs to none.
        holds_session=principal.counts_sessions
        and (wish.door == "stream" or (wish.door == "sync" and asked.session is not None)),
        store=asked.store,
    )


def _prompt_tokens(asked: Asked) -> int:
    # An audio file is paid by its length, not in tokens.
    if asked.operation == "transcription":
        return 0
    return estimate_tokens(asked.body) + asked.context_bytes // BYTES_PER_TOKEN


def most_cost(model: Model, asked: Asked) -> int:
    """The most that an answer of `model` can cost, in nano-dollars."""
    if asked.operation == "transcription":
        return model.hold_units(0, asked.seconds)
    hold = model.hold(prompt_size(asked), asked.answer_tokens, asked.choices)
    return hold + model.hold_units(asked.images, 0) if asked.images else hold


def prompt_size(asked: Asked) -> int:
    """How much goes into the prompt of any model at most, but for its persona, as holds count."""
    given = _size(asked.request) if asked.prompt_bytes is None else asked.prompt_bytes
    return given + asked.context_bytes


def _size(text: str) -> int:
    """Its bytes in UTF-8; Python knows without looking whether a text is ASCII."""
    return len(text) if text.isascii() else len(text.encode())


def app_id_of(principal: Principal, environ: Environ) -> str:
    """The app that a request says it is from, else that of its key."""
    named = environ.get("HTTP_X_APP_ID", "").strip() or principal.app_id or "Unknown"
    return (named if named.isascii() else header_text(named))[:APP_ID_MAX]
