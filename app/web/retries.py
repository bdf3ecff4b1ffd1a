"""`/v1/jobs/{id}/retry`: jobs that failed for good, made again with holds of their own."""

import hashlib
from typing import Any

import orjson
from flask import Blueprint, Response

from app.errors import Forbidden, ModelNotFound, MoonpoolError, NotFound
from app.ids import is_job_id
from app.jobs.model import Draft, JobRow
from app.jobs.retries.again import draft_again, may_be_made_again
from app.jobs.retries.store import Origin, find_origin
from app.web.auth import caller
from app.web.body import idempotency_key, parsed, read_body
from app.web.delivery import unless_deleted
from app.web.front import Front
from app.web.limits import admit
from app.web.posting import answered, read_json
from app.web.present import answer_headers, job_object, urls
from app.web.schemas.retries import RETRIES_MAX, RetriesBody, RetryBody

PAGES_MAX = 50
"""How far a filter looks for jobs that are not made again yet."""


def retry_routes(front: Front) -> Blueprint:
    """The blueprint of jobs that are made again."""
    routes = Blueprint("retries", __name__, url_prefix="/v1/jobs")

    @routes.post("/<job_id>/retry")
    def retry_job(job_id: str) -> Response:
        origin = _origin(front, job_id)
        body = read_body(front) or b"{}"
        draft = _draft(front, origin, parsed(RetryBody, body).force)
        draft.path, draft.idempotency_key = f"/jobs/{job_id}/retry", idempotency_key()
        draft.body_hash = hashlib.sha256(body).hexdigest() if draft.idempotency_key else None
        made = admit(front, draft).job_id
        if made != draft.id:
            draft.id, replayed = made, {"Idempotent-Replayed": "true"}
            unless_deleted(front, draft)
        else:
            replayed = {}
        job = front.jobs.find(made, origin.tenant_id)
        headers = {"Location": urls(made)["self"], **answer_headers(made), **replayed}
        return Response(orjson.dumps(job_object(job)), 202, headers, mimetype="application/json")

    @routes.post("/retry")
    def retry_jobs() -> Response:
        wanted = read_json(front, RetriesBody)
        return answered(front, lambda: (202, _retried(front, wanted)))

    return routes


def _retried(front: Front, wanted: RetriesBody) -> dict[str, Any]:
    """Makes jobs again one by one; what is refused stops none of the others."""
    made: list[dict[str, Any]] = []
    refused: list[dict[str, Any]] = []
    for job_id in _ids(front, wanted):
        try:
            origin = _origin(front, job_id)
            admission = admit(front, _draft(front, origin, wanted.force))
            made.append(job_object(front.jobs.find(admission.job_id, origin.tenant_id)))
        except MoonpoolError as error:
            refused.append({"job_id": job_id, "status": error.status, "error": error.body()})
    return {"object": "list", "data": made, "refused": refused}


def _ids(front: Front, wanted: RetriesBody) -> list[str]:
    if wanted.ids is not None:
        return list(dict.fromkeys(wanted.ids))
    assert wanted.filter is not None
    which, last = wanted.filter.jobs(), None
    found: list[JobRow] = []
    for _ in range(PAGES_MAX):
        rows = front.jobs.page(caller().tenant_id, last, which, RETRIES_MAX)
        found += [row for row in rows if may_be_made_again(row, wanted.force)]
        if len(rows) < RETRIES_MAX or len(found) >= wanted.limit:
            break
        last = rows[-1].id
    return [row.id for row in found[: wanted.limit]]


def _origin(front: Front, job_id: str) -> Origin:
    """The caller's job. Raises NotFound."""
    tenant_id = caller().tenant_id
    found = None
    if is_job_id(job_id):
        found = front.reads.run(lambda c: find_origin(c, job_id, tenant_id))
    if found is None:
        raise NotFound(f"There is no job {job_id!r}.", param="job_id")
    return found


def _draft(front: Front, origin: Origin, force: bool) -> Draft:
    """The job made again for the caller. Raises Conflict, Gone, ModelNotFound and Forbidden."""
    settings, who = front.settings, caller()
    draft = draft_again(
        origin, key_id=who.key_id, deadline_s=settings.total_timeout,
        backlog=settings.backlog("background"), force=force,
    )  # fmt: skip
    asked = orjson.loads(origin.request)
    fields = {**(asked.get("extra_body") or {}), **asked}
    for name in (origin.model, *(fields.get("fallbacks") or ())):
        model = front.catalogue.find(name, fields.get("provider") if name == origin.model else None)
        if model is None:
            raise ModelNotFound(f"The model {name!r} does not exist here any more.", param="model")
        if who.mode == "test" and not model.builtin:
            raise Forbidden("A test key runs only builtin models.", param="model")
    return draft
