"""Jobs that ask no provider: admitted for the caller, and answered with the job or its result."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
from flask import Response, request

from app.events.log import QUEUED
from app.jobs.model import Draft, Lane, chore_draft
from app.web.auth import caller
from app.web.body import body_hash, idempotency_key
from app.web.delivery import forgetting
from app.web.front import Front
from app.web.limits import admit
from app.web.present import answer_headers, job_object, urls
from app.web.waiting import answer_when_done, asked_wait

Head = Callable[[str], dict[str, Any]]
"""What an answer tells beside the job, made of the id of the job that stands for the request."""


def run_chore(
    front: Front,
    kind: str,
    asked: dict[str, Any],
    path: str,
    body: bytes,
    *,
    lane: Lane = "background",
    deadline_s: float = 120.0,
    head: Head | None = None,
    waits: bool = False,
    job_id: str | None = None,
) -> Response:
    """Admits a chore of `kind` with `asked` as its request: 202 with the job object, or with
    `Prefer: wait` 200 with its result if that comes in time. `path`: of the door, and `body`: the
    bytes that came, for which an Idempotency-Key stands. `waits`: a client that prefers nothing
    waits for the result. `job_id`: the new job's id, where its door has written it down before.

    Raises what `admit` raises, and the error of a chore that failed while its client waited."""
    principal = caller()
    draft = chore_draft(
        kind, orjson.dumps(asked).decode(), principal.tenant_id,
        key_id=principal.key_id, app_id=principal.app_id or "Unknown",
        lane=lane, deadline_s=deadline_s, backlog=front.settings.backlog(lane),
    )  # fmt: skip
    draft.id = job_id or draft.id
    return run_drafted(front, draft, path, body, head=head, waits=waits)


def run_drafted(
    front: Front,
    draft: Draft,
    path: str,
    body: bytes,
    *,
    head: Head | None = None,
    waits: bool = False,
) -> Response:
    """As `run_chore`, for a chore that its door has drafted."""
    draft.path, draft.idempotency_key = path, idempotency_key()
    if draft.idempotency_key is not None:
        draft.body_hash = body_hash(body)
    return _answer(front, draft, head or (lambda _: {}), waits)


def _answer(front: Front, draft: Draft, head: Head, waits: bool) -> Response:
    prefer = request.environ.get("HTTP_PREFER", "")
    wait_s = asked_wait(prefer)
    waits = waits and wait_s is None and "respond-async" not in prefer
    job_id = admit(front, draft).job_id
    headers = {**answer_headers(job_id), "Location": urls(job_id)["self"]}
    if job_id != draft.id:
        headers["Idempotent-Replayed"] = "true"
    if wait_s is not None:
        headers["Preference-Applied"] = f"wait={wait_s:g}"
    if waits or wait_s is not None:
        tail = front.tail(job_id, draft.tenant_id, QUEUED)
        tail.catch_up()
        forget = forgetting(front, replace(draft, id=job_id))
        done = answer_when_done(front, tail, wait_s, False, request.environ, forget)
        if done is not None:
            told = {**head(job_id), **orjson.loads(done)}
            return Response(orjson.dumps(told), 200, headers, mimetype="application/json")
    job = front.jobs.find(job_id, draft.tenant_id)
    told = {**job_object(job), **head(job_id)}
    return Response(orjson.dumps(told), 202, headers, mimetype="application/json")
