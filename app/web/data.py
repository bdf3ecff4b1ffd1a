"""`/v1/data/deletions`: a tenant deletes what its jobs were asked and answered. A deletion is a job
of its own, which tells its progress and ends with a proof."""

import hashlib

from flask import Blueprint, Response
from pydantic import ValidationError

from app.errors import NotFound
from app.jobs.model import Draft
from app.retention.model import KIND, LANE, Selection, deletion_draft
from app.retention.store import deletions
from app.web.auth import caller
from app.web.body import idempotency_key, read_body
from app.web.front import Front
from app.web.paging import after, json_answer, limit, page
from app.web.present import answer_headers, job_object, urls
from app.web.problems import invalid
from app.web.schemas.data import DeletionRequest


def data_routes(front: Front) -> Blueprint:
    """The blueprint of a tenant's content."""
    routes = Blueprint("data", __name__, url_prefix="/v1/data")

    @routes.post("/deletions")
    def create_deletion() -> Response:
        draft = _draft(front)
        admission = front.jobs.admit(draft)
        job = front.jobs.find(admission.job_id, draft.tenant_id)
        answer = json_answer(job_object(job), 202)
        answer.headers["Location"] = urls(job.id)["self"]
        answer.headers.extend(answer_headers(job.id))
        if admission.job_id != draft.id:
            answer.headers["Idempotent-Replayed"] = "true"
        return answer

    @routes.get("/deletions")
    def list_deletions() -> Response:
        size, before, tenant_id = limit(), after(), caller().tenant_id
        rows = front.reads.run(lambda c: deletions(c, tenant_id, before, size + 1))
        return json_answer(page([job_object(row) for row in rows], size))

    @routes.get("/deletions/<job_id>")
    def get_deletion(job_id: str) -> Response:
        job = front.jobs.find(job_id, caller().tenant_id)
        if job.kind != KIND:
            raise NotFound(f"There is no deletion {job_id!r}.", param="job_id")
        return json_answer(job_object(job))

    return routes


def _draft(front: Front) -> Draft:
    """The deletion that the request in hand asks for. Raises InvalidRequest."""
    principal, body = caller(), read_body(front)
    try:
        asked = DeletionRequest.model_validate_json(body)
    except ValidationError as error:
        raise invalid(error) from None
    key = idempotency_key()
    draft = deletion_draft(
        Selection(**asked.model_dump()),
        principal.tenant_id,
        key_id=principal.key_id,
        app_id=principal.app_id or "Unknown",
        backlog=front.settings.backlog(LANE),
    )
    draft.path = "/data/deletions"
    draft.idempotency_key = key
    draft.body_hash = hashlib.sha256(body).hexdigest() if key is not None else None
    return draft
