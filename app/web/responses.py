"""`/v1/responses`: OpenAI's Responses, run as chat completions."""

import time
from collections.abc import Mapping
from typing import Any

import orjson
from flask import Blueprint, Response

from app.dialects.responses.answer import (
    ID_PREFIX,
    asked_items,
    conversation,
    response_object,
    whole_response,
)
from app.dialects.responses.request import NAMES, chat_request
from app.errors import Conflict, InvalidRequest, NotFound
from app.jobs.forget import forget_now
from app.jobs.model import END_STATES, STATUS, Draft, JobRow
from app.web.asked import Asked
from app.web.auth import caller
from app.web.body import read_request
from app.web.delivery import forgetting, when_sent
from app.web.front import Front
from app.web.inference import Shape, json_answer, respond
from app.web.jobs import cancelled
from app.web.marks import takes_marks
from app.web.paging import after, limit, page, parameters
from app.web.paging import json_answer as shown
from app.web.planning import plan
from app.web.posting import answered
from app.web.present import answer_headers
from app.web.problems import renamed
from app.web.response_stream import ResponseFrames, follow
from app.web.results import ended_response_of, origin_of
from app.web.schemas.responses import ItemsQuery, ResponseRequest, RetrieveQuery


def response_routes(front: Front) -> Blueprint:
    """The blueprint of responses."""
    routes = Blueprint("responses", __name__)

    @routes.post("/v1/responses")
    @routes.post("/responses")
    def create_response() -> Response:
        wanted, body = read_request(front, ResponseRequest)
        if wanted.stream and wanted.run_at is not None:
            raise InvalidRequest("A stream does not wait for run_at: drop one.", param="run_at")
        given = wanted.given()
        before = _before(front, wanted.previous_response_id)
        chat = chat_request(given, before, takes_marks(front, wanted))
        with renamed(NAMES):
            return respond(front, response_asked(wanted, chat, body), _shape(front, wanted))

    @routes.get("/v1/responses/<response_id>")
    @routes.get("/responses/<response_id>")
    def get_response(response_id: str) -> Response:
        query = parameters(RetrieveQuery)
        job = _found(front, response_id)
        if query.stream == "true":
            start = query.starting_after
            return follow(front, job, None if start is None else int(start))
        return _as_it_is(front, job)

    @routes.post("/v1/responses/<response_id>/cancel")
    @routes.post("/responses/<response_id>/cancel")
    def cancel_response(response_id: str) -> Response:
        job = _found(front, response_id)
        if not job.store:
            # A kept answer would keep what is not to be stored; cancelling twice does no harm.
            return _as_it_is(front, cancelled(front, job))
        return answered(front, lambda: (200, _object(cancelled(front, job))))

    @routes.delete("/v1/responses/<response_id>")
    @routes.delete("/responses/<response_id>")
    def delete_response(response_id: str) -> Response:
        job = _found(front, response_id)
        if job.finished_s is None:
            raise Conflict(f"{response_id} has not ended; cancel it before you delete it.")
        ago_s = time.time() - job.finished_s
        forget_now(front.reads, front.settings.redis, job.id, ago_s)
        return shown({"id": response_id, "object": "response", "deleted": True})

    @routes.get("/v1/responses/<response_id>/input_items")
    @routes.get("/responses/<response_id>/input_items")
    def list_input_items(response_id: str) -> Response:
        query = parameters(ItemsQuery)
        items = asked_items(origin_of(_found(front, response_id)))
        if query.order == "desc":
            items.reverse()
        start, size = after(), limit()
        if start is not None:
            places = [place for place, item in enumerate(items, 1) if item["id"] == start]
            if not places:
                raise InvalidRequest("after must be the id of an item here", param="after")
            items = items[places[0] :]
        return shown(page(items, size))

    return routes


def _before(front: Front, previous: str | None) -> list[Mapping[str, Any]]:
    """The conversation that a request goes on from. Raises InvalidRequest."""
    if previous is None:
        return []
    try:
        job = _found(front, previous)
    except NotFound:
        raise InvalidRequest(
            f"There is no response {previous!r} to go on from.",
            param="previous_response_id", code="previous_response_not_found",
        ) from None  # fmt: skip
    completion = orjson.loads(job.body) if job.body else {}
    if job.state != "completed" or not completion.get("choices"):
        raise InvalidRequest(
            f"The response {previous!r} is {STATUS[job.state]}; one can go on "
            "only from a completed one.",
            param="previous_response_id",
        )  # fmt: skip
    return conversation(origin_of(job).request, completion)


def response_asked(wanted: ResponseRequest, chat: dict[str, Any], body: bytes) -> Asked:
    """What a response asks of the line; `chat`: the chat request that stands for it."""
    return Asked(
        kind="response",
        path="/responses",
        body=body,
        request=orjson.dumps(chat).decode(),
        model=wanted.model,
        provider=wanted.provider,
        fallbacks=wanted.fallbacks or (),
        models=wanted.models,
        cost_weight=wanted.cost_weight,
        fields=chat,
        answer_tokens=wanted.max_output_tokens,
        stream=bool(wanted.stream and not wanted.background),
        background=wanted.background or False,
        cancel_on_disconnect=wanted.cancel_on_disconnect is not False,
        session=wanted.session_id or None,
        store=wanted.store is not False,
        metadata=wanted.metadata,
        plan=plan(wanted.run_at, wanted.not_after, wanted.webhook_url),
    )


def _shape(front: Front, wanted: ResponseRequest) -> Shape:
    """A background job is answered as OpenAI does, with the response, or with its stream."""

    def in_background(draft: Draft) -> Response:
        job = front.jobs.find(draft.id, draft.tenant_id)
        return follow(front, job, None) if wanted.stream else _as_it_is(front, job)

    return Shape(
        form=ResponseFrames,
        whole=_whole,
        in_background=in_background if wanted.background else None,
    )


def _whole(body: bytes, draft: Draft) -> Response:
    return json_answer(orjson.dumps(whole_response(orjson.loads(body), origin_of(draft))), draft)


def _found(front: Front, response_id: str) -> JobRow:
    """A tenant's response whose content is there. Raises NotFound."""
    missing = NotFound(f"There is no response {response_id!r}.", param="response_id")
    if not response_id.startswith(ID_PREFIX):
        raise missing
    try:
        job = front.jobs.find("job_" + response_id.removeprefix(ID_PREFIX), caller().tenant_id)
    except NotFound:
        raise missing from None
    if job.kind != "response" or job.forgotten_s is not None:
        raise missing
    return job


def _object(job: JobRow) -> dict[str, Any]:
    """A response as it is now."""
    if job.state not in END_STATES:
        return response_object(origin_of(job), STATUS[job.state])
    return ended_response_of(orjson.loads(job.body) if job.body else None, job)


def _as_it_is(front: Front, job: JobRow) -> Response:
    """A response as it is now. One that is not to be stored is forgotten once its end was shown."""
    if job.finished_s is not None:
        when_sent(forgetting(front, job))
    answer = shown(_object(job))
    for name, value in answer_headers(job.id).items():
        answer.headers[name] = value
    return answer
