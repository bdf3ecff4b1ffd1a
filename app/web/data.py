"""`/v1/data/deletions`: a tenant deletes what its jobs were asked and answered. A deletion is a job
of its own, which tells its progress and ends with a proof."""

from dataclasses import asdict

from flask import Blueprint, Response

from app.errors import NotFound
from app.retention.model import DEADLINE_S, KIND, LANE, Selection
from app.retention.store import deletions
from app.web.auth import caller
from app.web.body import read_request
from app.web.chores import run_chore
from app.web.front import Front
from app.web.paging import after, json_answer, limit, page
from app.web.present import job_object
from app.web.schemas.data import DeletionRequest


def data_routes(front: Front) -> Blueprint:
    """The blueprint of a tenant's content."""
    routes = Blueprint("data", __name__, url_prefix="/v1/data")

    @routes.post("/deletions")
    def create_deletion() -> Response:
        asked, body = read_request(front, DeletionRequest)
        selection = asdict(Selection(**asked.model_dump()))
        return run_chore(
            front, KIND, selection, "/data/deletions", body, lane=LANE, deadline_s=DEADLINE_S
        )

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
