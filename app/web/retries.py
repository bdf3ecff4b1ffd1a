"""`/v1/jobs/{id}/retry`: jobs that failed for good, made again with holds of their own."""

from dataclasses import replace
from typing import Any

import orjson
from flask import Blueprint, Response

from app.catalogue.model import Model
from app.errors import Forbidden, InvalidRequest, ModelNotFound, MoonpoolError, NotFound
from app.ids import is_job_id
from app.jobs.model import Draft
from app.jobs.retries.again import draft_again
from app.jobs.retries.store import Origin, find_origin
from app.uniroute.model import AUTO
from app.web.auth import caller
from app.web.body import body_hash, idempotency_key, parsed, read_body
from app.web.delivery import unless_deleted
from app.web.front import Front
from app.web.limits import admit
from app.web.posting import answered, read_json
from app.web.present import answer_headers, job_object, urls
from app.web.schemas.retries import RetriesBody, RetryBody


def retry_routes(front: Front) -> Blueprint:
    """The blueprint of jobs that are made again."""
    routes = Blueprint("retries", __name__, url_prefix="/v1/jobs")

    @routes.post("/<job_id>/retry")
    def retry_job(job_id: str) -> Response:
        origin = _origin(front, job_id)
        body = read_body(front) or b"{}"
        draft = _draft(front, origin, parsed(RetryBody, body).force)
        draft.path, draft.idempotency_key = f"/jobs/{job_id}/retry", idempotency_key()
        draft.body_hash = body_hash(body) if draft.idempotency_key else None
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
        _one_of_both(wanted)
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


def _one_of_both(wanted: RetriesBody) -> None:
    """Raises InvalidRequest for a body that names no jobs, or names them twice."""
    if wanted.ids is None and wanted.filter is None:
        raise InvalidRequest(
            "ids is missing: name the jobs by ids or by a filter.", param="ids",
            code="missing_required_parameter",
        )  # fmt: skip
    if wanted.ids is not None and wanted.filter is not None:
        raise InvalidRequest("filter: name the jobs either by ids or by a filter.", param="filter")


def _ids(front: Front, wanted: RetriesBody) -> list[str]:
    if wanted.filter is None:
        return list(dict.fromkeys(wanted.ids or ()))
    which = replace(wanted.filter.jobs(), again="any" if wanted.force else "new")
    rows = front.jobs.page(caller().tenant_id, None, which, wanted.limit)
    return [row.id for row in rows]


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
    """The job made again for the caller; a test key's job stays that key's, and costs nothing.
    Raises Conflict, Gone, ModelNotFound and Forbidden."""
    settings, who = front.settings, caller()
    draft = draft_again(
        origin, key_id=origin.key_id if origin.test else who.key_id,
        deadline_s=settings.total_timeout, backlog=settings.backlog("background"), force=force,
    )  # fmt: skip
    models = _models(front, origin)
    if origin.test or who.mode == "test":
        if not all(model.builtin for model in models):
            raise Forbidden("A test key runs only builtin models.", param="model")
        draft.hold = 0
    return draft


def _models(front: Front, origin: Origin) -> list[Model]:
    """The models that may answer a job once more. Raises ModelNotFound if one that it named is no
    longer there, or none that the router may choose from."""
    asked = orjson.loads(origin.request)
    router = (asked.get("asked") or {}).get("router")
    if origin.model == AUTO and router is not None:
        found = [front.catalogue.find(name) for name in router["candidates"]]
        models = [model for model in found if model is not None]
        if not models:
            raise ModelNotFound("None of its models exists here any more.", param="model")
        return models
    fields = {**(asked.get("extra_body") or {}), **asked}
    models = []
    for name in (origin.model, *(fields.get("fallbacks") or ())):
        model = front.catalogue.find(name, fields.get("provider") if name == origin.model else None)
        if model is None:
            raise ModelNotFound(f"The model {name!r} does not exist here any more.", param="model")
        models.append(model)
    return models
