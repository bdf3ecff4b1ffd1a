"""`POST /v1/chat/completions`: the OpenAI door to the job line."""

import hashlib
import re
from dataclasses import dataclass, replace

import orjson
from flask import Blueprint, Response, after_this_request, request
from pydantic import ValidationError

from app.accounts.keys import Principal
from app.catalogue.model import Model
from app.catalogue.tokens import estimate_tokens
from app.errors import Forbidden, InvalidRequest, ModelNotFound
from app.events.log import QUEUED
from app.ids import new_id
from app.jobs.model import Door, Draft, Lane
from app.web.auth import caller
from app.web.body import idempotency_key, read_body
from app.web.delivery import forgetting, unless_deleted
from app.web.front import Front
from app.web.limits import admit
from app.web.openai_stream import ChunkStream
from app.web.present import answer_headers, job_object, urls
from app.web.problems import invalid
from app.web.schemas.chat import ChatRequest
from app.web.sse import stream_response
from app.web.waiting import answer_when_done

APP_ID_MAX = 128
DEFAULT_ANSWER_TOKENS = 512
"""What is reserved of the day's tokens for an answer whose length the client does not bound."""

NOT_HERE = (
    "emotion_tracking", "memory", "lunes", "include_references", "include_web_chat",
)  # fmt: skip
_WAIT = re.compile(r"\bwait=(\d{1,5})\b")


@dataclass(frozen=True, slots=True)
class Wish:
    """How the client wants to be answered. `wait_s`: how long it waits before it takes a job."""

    door: Door
    lane: Lane
    wait_s: float | None


def chat_routes(front: Front) -> Blueprint:
    """The blueprint of the chat door."""
    routes = Blueprint("chat", __name__)

    @routes.post("/v1/chat/completions")
    @routes.post("/chat/completions")
    def create_chat_completion() -> Response:
        body = read_body(front)
        try:
            asked = ChatRequest.model_validate_json(body)
        except ValidationError as error:
            raise invalid(error) from None
        for name in NOT_HERE:
            if asked.option(name):
                raise InvalidRequest(f"{name} is not available on this server.", param=name)
        models = _models(front, asked)
        wish = _wish(asked)
        draft = _draft(front, asked, models, wish, body)
        tail = front.tail(draft.id, draft.tenant_id, QUEUED)
        try:
            admission = admit(front, draft)
        except BaseException:
            tail.close()
            raise
        if admission.job_id != draft.id:
            tail.close()
            draft = replace(draft, id=admission.job_id)
            return _replay(front, draft, wish, include_usage(asked))
        leave = asked.option("cancel_on_disconnect") is not False and wish.door != "background"
        if wish.door == "stream":
            chunks = ChunkStream(
                tail, draft, include_usage(asked), leave, request.environ, forgetting(front, draft)
            )
            return stream_response(chunks.started(), answer_headers(draft.id))
        if wish.door == "sync" or wish.wait_s is not None:
            forget = forgetting(front, draft)
            done = answer_when_done(front, tail, wish.wait_s, leave, request.environ, forget)
            if done is not None:
                return _json(done, 200, answer_headers(draft.id))
        tail.close()
        return accepted(front, draft, wish)

    return routes


def include_usage(asked: ChatRequest) -> bool:
    """Whether a stream ends with a chunk that tells the usage."""
    return asked.stream_options is not None and bool(asked.stream_options.include_usage)


def _replay(front: Front, draft: Draft, wish: Wish, usage: bool) -> Response:
    """Answers from the job that an Idempotency-Key stands for: a stream attaches to it, a client
    that waits waits for it. It is not this client's to cancel."""
    unless_deleted(front, draft)

    @after_this_request
    def mark(response: Response) -> Response:
        response.headers["Idempotent-Replayed"] = "true"
        return response

    if wish.door == "background" and wish.wait_s is None:
        return accepted(front, draft, wish)
    tail = front.tail(draft.id, draft.tenant_id, QUEUED)
    if wish.door == "stream":
        chunks = ChunkStream(tail, draft, usage, False, request.environ, forgetting(front, draft))
        frames = chunks.started(tail.stored() or tail.catch_up())
        return stream_response(frames, answer_headers(draft.id))
    tail.catch_up()
    forget = forgetting(front, draft)
    done = answer_when_done(front, tail, wish.wait_s, False, request.environ, forget)
    if done is None:
        return accepted(front, draft, wish)
    return _json(done, 200, answer_headers(draft.id))


def accepted(front: Front, draft: Draft, wish: Wish) -> Response:
    """202 with the job object."""
    job = front.jobs.find(draft.id, draft.tenant_id)
    headers = {"Location": urls(draft.id)["self"], **answer_headers(draft.id)}
    if request.headers.get("Prefer"):
        wait = None if wish.wait_s is None else f"wait={wish.wait_s:g}"
        headers["Preference-Applied"] = wait or "respond-async"
    return _json(orjson.dumps(job_object(job)), 202, headers)


def _json(body: bytes, status: int, headers: dict[str, str]) -> Response:
    return Response(body, status, headers, mimetype="application/json")


def _models(front: Front, asked: ChatRequest) -> list[Model]:
    """The model asked for, then its fallbacks."""
    model = front.catalogue.find(asked.model, asked.option("provider"))
    if model is None:
        raise ModelNotFound(
            f"The model {asked.model!r} does not exist here; GET /v1/models lists those that do.",
            param="model",
        )
    models = [model]
    for name in asked.option("fallbacks") or ():
        fallback = front.catalogue.find(name)
        if fallback is None:
            raise ModelNotFound(f"The fallback model {name!r} does not exist.", param="fallbacks")
        models.append(fallback)
    return models


def _wish(asked: ChatRequest) -> Wish:
    prefer = request.headers.get("Prefer", "")
    wait = _WAIT.search(prefer)
    background = asked.option("background") or "respond-async" in prefer
    if asked.stream and (background or wait):
        raise InvalidRequest(
            "A stream is not a background job: drop stream, and follow /v1/jobs/{id}/events.",
            param="stream",
        )
    if wait:
        return Wish("background", "interactive", float(wait[1]))
    if background:
        return Wish("background", "background", None)
    return Wish("stream" if asked.stream else "sync", "interactive", None)


def _draft(front: Front, asked: ChatRequest, models: list[Model], wish: Wish, body: bytes) -> Draft:
    settings, principal = front.settings, caller()
    key = idempotency_key()
    choices, tokens = asked.n or 1, asked.tokens_asked()
    test, session = principal.mode == "test", asked.option("session_id") or None
    if test and not all(model.builtin for model in models):
        raise Forbidden("A test key runs only builtin models.", param="model")
    answer_tokens = tokens or min(DEFAULT_ANSWER_TOKENS, models[0].spec.max_output)
    return Draft(
        id=new_id("job"),
        tenant_id=principal.tenant_id,
        key_id=principal.key_id,
        app_id=_app_id(principal),
        kind="chat.completion",
        lane=wish.lane,
        door=wish.door,
        model=asked.model or front.catalogue.default,
        request=body.decode(),
        metadata=orjson.dumps(asked.metadata).decode() if asked.metadata else None,
        hold=0 if test else max(m.hold(len(body), tokens, choices) for m in models),
        deadline_s=settings.total_timeout,
        backlog=settings.backlog(wish.lane),
        path="/chat/completions",
        idempotency_key=key,
        body_hash=hashlib.sha256(body).hexdigest() if key is not None else None,
        reserved=estimate_tokens(body) + answer_tokens * choices,
        session=session,
        # A conversation at work, or an open stream that belongs to none.
        holds_session=principal.counts_sessions
        and (wish.door == "stream" or (wish.door == "sync" and session is not None)),
        store=asked.store is not False,
    )


def _app_id(principal: Principal) -> str:
    named = request.headers.get("X-App-ID", "").strip() or principal.app_id or "Unknown"
    return named[:APP_ID_MAX]
