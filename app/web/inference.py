"""What all inference doors share: from what a client asked to an admitted job and its answer.

A door reads its body into an `Asked`, and shows what the line gives in its own `Shape`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import orjson
from flask import Response, after_this_request, request

from app.cache.store import TTL_MAX_S
from app.catalogue.model import Model
from app.errors import Forbidden, InvalidRequest
from app.events.log import QUEUED
from app.ids import new_id
from app.jobs.model import Door, Draft, Lane
from app.web.asked import Asked, Environ, app_id_of, most_cost, prompt_tokens
from app.web.auth import caller
from app.web.body import body_hash, idempotency_key
from app.web.choosing import models_for
from app.web.delivery import forgetting, unless_deleted
from app.web.front import Front
from app.web.job_stream import Form, JobStream
from app.web.limits import admit
from app.web.planning import checked_plan
from app.web.present import answer_headers, job_object, urls
from app.web.sse import stream_response
from app.web.waiting import answer_when_done, asked_wait

DEFAULT_ANSWER_TOKENS = 512
"""What is reserved of the day's tokens for an answer whose length the client does not bound."""

_SECONDS = re.compile("[0-9]{1,9}")


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
        reserved=prompt_tokens(asked) + answer_tokens * asked.choices,
        session=asked.session,
        # A conversation at work, or an open stream that belongs to none.
        holds_session=principal.counts_sessions
        and (wish.door == "stream" or (wish.door == "sync" and asked.session is not None)),
        store=asked.store,
    )
