"""`/v1/feedback`: what became of an answer, in the words of who read it."""

from typing import Any

from flask import Blueprint, Response, request

from app.db.connect import Connection
from app.dialects.completions import ID_PREFIX as TEXT_COMPLETION
from app.dialects.messages.answer import ID_PREFIX as MESSAGE
from app.dialects.responses.answer import ID_PREFIX as RESPONSE
from app.errors import InvalidRequest, NotFound
from app.evolution.drift import share
from app.evolution.feedback.store import list_feedback, rated_job
from app.evolution.model import Feedback, NewFeedback, Terms
from app.evolution.service import rate
from app.ids import is_job_id
from app.uniroute.model import ANSWER_PREFIX as ROUTED
from app.web.accounts import unix
from app.web.auth import caller
from app.web.front import Front
from app.web.paging import after, json_answer, limit, page
from app.web.posting import posted, read_json
from app.web.schemas.evolution import FeedbackBody

JOB = "job_"
ANSWERS = ("chatcmpl-", TEXT_COMPLETION, RESPONSE, MESSAGE, ROUTED)
"""What ids of answers begin with in place of their job's `job_`."""


def feedback_routes(front: Front) -> Blueprint:
    """The blueprint of feedback."""
    routes = Blueprint("feedback", __name__, url_prefix="/v1/feedback")
    terms = Terms.of(front.catalogue.personality, front.settings)

    @routes.get("")
    def list_all() -> Response:
        tenant_id, before, size = caller().tenant_id, after(), limit()
        text = request.args.get("job_id")
        of = None if text is None else job_id_of(text)
        if of is not None and not is_job_id(of):
            raise InvalidRequest("job_id must be the id of a job or its answer", param="job_id")
        found = front.reads.run(lambda c: list_feedback(c, tenant_id, before, of, size + 1))
        return json_answer(page([feedback_object(one) for one in found], size))

    @routes.post("")
    def give_feedback() -> Response:
        asked, who = read_json(front, FeedbackBody), caller()
        field, job_id = _subject(asked)
        new = NewFeedback(_rating(asked), asked.reason, asked.correction, asked.traits or {})

        def work(connection: Connection) -> tuple[int, dict[str, Any]]:
            job = rated_job(connection, who.tenant_id, job_id) if is_job_id(job_id) else None
            if job is None:
                raise NotFound(f"There is no answer by this {field}.", param=field)
            made = rate(connection, terms, who.tenant_id, job, new, who.key_id)
            return 201, feedback_object(made)

        return posted(front, work)

    return routes


def feedback_object(given: Feedback) -> dict[str, Any]:
    """Feedback as its tenant sees it, with what it moved."""
    return {
        "id": given.id,
        "object": "feedback",
        "job_id": given.job_id,
        "kind": given.kind,
        "model": given.model,
        "provider": given.provider,
        "rating": given.rating,
        "reason": given.reason,
        "correction": given.correction,
        "traits": given.traits,
        "adaptations": [
            {"id": one.id, "trait": one.trait, "from": share(one.start), "to": share(one.end)}
            for one in given.moves
        ],
        "memories": [
            {"id": name, "importance_change": round(step, 6)}
            for name, step in given.weighed.items()
        ],
        "key_id": given.key_id,
        "created_at": unix(given.created_at),
        "replaced_by": given.replaced_by,
    }


def job_id_of(answer_id: str) -> str:
    """The id of the job whose answer this is the id of; any other text as it is."""
    for prefix in ANSWERS:
        if answer_id.startswith(prefix):
            return JOB + answer_id.removeprefix(prefix)
    return answer_id


def _subject(asked: FeedbackBody) -> tuple[str, str]:
    """The field that names the answer, and its job's id. Raises InvalidRequest."""
    if asked.job_id is not None and asked.completion_id is not None:
        raise InvalidRequest("Send job_id or completion_id, not both.", param="completion_id")
    if asked.completion_id is not None:
        return "completion_id", job_id_of(asked.completion_id)
    if asked.job_id is None:
        raise InvalidRequest("Send job_id or completion_id: what is rated.", param="job_id")
    return "job_id", job_id_of(asked.job_id)


def _rating(asked: FeedbackBody) -> float:
    """The rating; without one, that traits are named says neither good nor bad."""
    if asked.rating is not None and asked.stars is not None:
        raise InvalidRequest("Send rating or stars, not both.", param="stars")
    if asked.told is None and not asked.traits:
        raise InvalidRequest("Send a rating: -1 to 1, up or down; or stars.", param="rating")
    return asked.told or 0.0
