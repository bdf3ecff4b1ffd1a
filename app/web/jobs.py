"""`/v1/jobs`: the queue, seen by its owner."""

import re
import time
from collections.abc import Callable, Iterator

from flask import Blueprint, Response, request

from app.errors import InvalidRequest
from app.events.log import QUEUED, Event, EventId, parse_id
from app.ids import is_job_id
from app.jobs.model import STATUS, JobFilter, JobRow
from app.jobs.planned.moments import moment_in_text
from app.jobs.tail import Tail
from app.web.attempts import attempt_object
from app.web.auth import caller
from app.web.delivery import Forget, forgetting, when_sent
from app.web.front import Front
from app.web.paging import json_answer, limit, page
from app.web.posting import answered
from app.web.present import job_object, native_frame, queued_frame
from app.web.sse import PING_S, TICK_S, client_gone, stream_response

CANCEL_WAIT_S = 1.5
TEXT_MAX = 256
_CODE = re.compile(r"[\w.-]{1,64}", re.ASCII)


def job_routes(front: Front) -> Blueprint:
    """The blueprint of jobs."""
    routes = Blueprint("jobs", __name__, url_prefix="/v1/jobs")

    @routes.get("")
    def list_jobs() -> Response:
        size = limit()
        before = request.args.get("after")
        if before is not None and not is_job_id(before):
            raise InvalidRequest("after must be a job id: the last_id of a page", param="after")
        attempts = _with_attempts()
        rows = front.jobs.page(caller().tenant_id, before, _wanted(), size + 1)
        found = [job_object(row) for row in rows]
        if attempts:
            told = front.jobs.attempts_of_all([row.id for row in rows])
            for job in found:
                job["attempt_list"] = [attempt_object(one) for one in told[job["id"]]]
        return json_answer(page(found, size))

    @routes.get("/<job_id>")
    def get_job(job_id: str) -> Response:
        return _shown(front, front.jobs.find(job_id, caller().tenant_id))

    @routes.get("/<job_id>/attempts")
    def list_attempts(job_id: str) -> Response:
        job = front.jobs.find(job_id, caller().tenant_id)
        data = [attempt_object(attempt) for attempt in front.jobs.attempts(job)]
        return json_answer({"object": "list", "data": data})

    @routes.post("/<job_id>/cancel")
    def cancel_job(job_id: str) -> Response:
        job = front.jobs.find(job_id, caller().tenant_id)
        if not job.store:
            # A kept answer would keep what is not to be stored; cancelling twice does no harm.
            return _shown(front, cancelled(front, job))
        return answered(front, lambda: (200, job_object(cancelled(front, job))))

    @routes.get("/<job_id>/events")
    def job_events(job_id: str) -> Response:
        last = _place()
        job = front.jobs.find(job_id, caller().tenant_id)
        tail = front.tail(job.id, job.tenant_id, last or QUEUED)
        from_start = last is None or last < QUEUED
        frames = event_frames(tail, job, from_start, request.environ, forgetting(front, job))
        return stream_response(frames, {"x-job-id": job.id})

    return routes


def cancelled(front: Front, job: JobRow) -> JobRow:
    """The job after it was asked to end and given a moment to."""
    tail = front.tail(job.id, job.tenant_id, QUEUED)
    try:
        front.jobs.cancel(job)
        until = time.monotonic() + CANCEL_WAIT_S
        tail.catch_up()
        while job.finished_s is None and not tail.ended and time.monotonic() < until:
            tail.wait(until - time.monotonic())
    finally:
        tail.close()
    return front.jobs.find(job.id, job.tenant_id)


def _shown(front: Front, job: JobRow) -> Response:
    """A job as it is now. One that is not to be stored is forgotten once its end has been shown."""
    if job.finished_s is not None and job.forgotten_s is None:
        when_sent(forgetting(front, job))
    return json_answer(job_object(job))


def _place() -> EventId | None:
    header, query = request.headers.get("Last-Event-ID"), request.args.get("starting_after")
    read = None if header is None else parse_id(header, "Last-Event-ID")
    return read if query is None else parse_id(query, "starting_after")


def _wanted() -> JobFilter:
    """Which jobs the query asks for. Raises InvalidRequest."""
    query = request.args
    code = query.get("error_code")
    if code is not None and _CODE.fullmatch(code) is None:
        raise InvalidRequest("error_code must be the code of an error", param="error_code")
    return JobFilter(
        _states(query.get("status")), code, _text("model"), _text("kind"),
        _moment("since"), _moment("until"),
    )  # fmt: skip


def _text(name: str) -> str | None:
    text = request.args.get(name)
    if text is not None and (len(text) > TEXT_MAX or "\0" in text):
        raise InvalidRequest(f"{name} must be a name", param=name)
    return text


def _moment(name: str) -> float | None:
    text = request.args.get(name)
    if text is None:
        return None
    try:
        return moment_in_text(text)
    except ValueError as error:
        raise InvalidRequest(f"{name}: {error}.", param=name) from None


def _with_attempts() -> bool:
    include = request.args.get("include")
    if include not in (None, "attempts"):
        raise InvalidRequest("include must be attempts", param="include")
    return include is not None


def _states(status: str | None) -> tuple[str, ...] | None:
    if status is None:
        return None
    asked = status.split(",")
    if not set(asked) <= set(STATUS.values()):
        known = ", ".join(dict.fromkeys(STATUS.values()))
        raise InvalidRequest(f"status must be some of {known}", param="status")
    return tuple(state for state, told in STATUS.items() if told in asked)


def event_frames(
    tail: Tail, job: JobRow, from_start: bool, environ: dict[str, object], forget: Forget | None,
    told: Callable[[Event], bytes] = native_frame,
) -> Iterator[bytes]:  # fmt: skip
    """A job's events until its end, each as `told` frames it; `from_start`: with the one that opens
    them. `forget` is called once the end has been sent."""
    try:
        if from_start:
            yield queued_frame(job)
        events: list[Event] = tail.catch_up()
        if not events and job.finished_s is not None:
            events = tail.stored()
        silent_since = time.monotonic()
        while True:
            there = forget is not None and tail.ended and not client_gone(environ)
            if events:
                yield b"".join([told(event) for event in events])
                silent_since = time.monotonic()
            elif time.monotonic() - silent_since >= PING_S:
                yield b": ping\n\n"
                silent_since = time.monotonic()
            if tail.ended:
                if forget is not None and there:
                    forget()
                return
            events = tail.wait(TICK_S)
            if not events and client_gone(environ):
                return
    finally:
        tail.close()
