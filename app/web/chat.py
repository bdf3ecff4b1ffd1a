"""`POST /v1/chat/completions`: the OpenAI door to the job line."""

import hashlib
import re
from dataclasses import dataclass, replace

import gevent
import orjson
from flask import Blueprint, Response, after_this_request, request
from pydantic import ValidationError

from app.catalogue.model import Model
from app.errors import BodyTooSlow, InvalidRequest, ModelNotFound, TooLarge, UnsupportedEncoding
from app.events.log import QUEUED
from app.ids import new_id
from app.jobs.model import Door, Draft, Lane
from app.web.auth import caller
from app.web.front import Front
from app.web.openai_stream import ChunkStream
from app.web.present import job_object, urls
from app.web.problems import invalid
from app.web.schemas.chat import ChatRequest
from app.web.sse import stream_response
from app.web.waiting import answer_when_done

APP_ID_MAX = 128
BODY_TIMEOUT_S = 15.0
IDEMPOTENCY_KEY_MAX = 255
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
            job_id = front.jobs.admit(draft)
        except BaseException:
            tail.close()
            raise
        if job_id != draft.id:
            tail.close()
            draft = replace(draft, id=job_id)
            return _replay(front, draft, wish, include_usage(asked))
        leave = asked.option("cancel_on_disconnect") is not False and wish.door != "background"
        if wish.door == "stream":
            chunks = ChunkStream(tail, draft, include_usage(asked), leave, request.environ)
            return stream_response(chunks.started(), answer_headers(draft.id))
        if wish.door == "sync" or wish.wait_s is not None:
            done = answer_when_done(front, tail, wish.wait_s, leave, request.environ)
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

    @after_this_request
    def mark(response: Response) -> Response:
        response.headers["Idempotent-Replayed"] = "true"
        return response

    if wish.door == "background" and wish.wait_s is None:
        return accepted(front, draft, wish)
    tail = front.tail(draft.id, draft.tenant_id, QUEUED)
    if wish.door == "stream":
        chunks = ChunkStream(tail, draft, usage, False, request.environ)
        frames = chunks.started(tail.stored() or tail.catch_up())
        return stream_response(frames, answer_headers(draft.id))
    tail.catch_up()
    done = answer_when_done(front, tail, wish.wait_s, False, request.environ)
    if done is None:
        return accepted(front, draft, wish)
    return _json(done, 200, answer_headers(draft.id))


def read_body(front: Front) -> bytes:
    """The request's body. Raises TooLarge, BodyTooSlow and UnsupportedEncoding."""
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedEncoding("Compressed request bodies are not read; send plain JSON.")
    limit = front.settings.body_limit
    if (request.content_length or 0) > limit:
        raise TooLarge(f"The body is over {limit} bytes.")
    try:
        with gevent.Timeout(BODY_TIMEOUT_S):
            return request.get_data(cache=False)
    except gevent.Timeout:
        raise BodyTooSlow(f"The body did not arrive within {BODY_TIMEOUT_S:g} seconds.") from None


def answer_headers(job_id: str) -> dict[str, str]:
    """The headers by which a client finds its job again."""
    return {"x-request-id": "req_" + job_id.removeprefix("job_"), "x-job-id": job_id}


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
    settings = front.settings
    principal = caller()
    key = request.headers.get("Idempotency-Key")
    if key is not None and not 1 <= len(key) <= IDEMPOTENCY_KEY_MAX:
        raise InvalidRequest(
            f"An Idempotency-Key has 1 to {IDEMPOTENCY_KEY_MAX} characters.",
            param="Idempotency-Key",
        )
    choices = asked.n or 1
    return Draft(
        id=new_id("job"),
        tenant_id=principal.tenant_id,
        key_id=principal.key_id,
        app_id=request.headers.get("X-App-ID", "Unknown")[:APP_ID_MAX],
        kind="chat.completion",
        lane=wish.lane,
        door=wish.door,
        model=asked.model or front.catalogue.default,
        request=body.decode(),
        metadata=orjson.dumps(asked.metadata).decode() if asked.metadata else None,
        hold=max(m.hold(len(body), asked.tokens_asked(), choices) for m in models),
        deadline_s=settings.total_timeout,
        backlog=settings.backlog(wish.lane),
        path="/chat/completions",
        idempotency_key=key,
        body_hash=hashlib.sha256(body).hexdigest() if key is not None else None,
    )
