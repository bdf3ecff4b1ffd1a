"""A job's stored answer in the form of the door that it came through."""

from collections.abc import Callable
from typing import Any

import orjson

from app.dialects.completions import text_completion
from app.dialects.messages.answer import whole_message
from app.dialects.responses.answer import Origin, ended_response
from app.dialects.transcriptions import transcription_shown
from app.jobs.model import STATUS, Draft, JobRow
from app.web.pictures import image_result
from app.web.web_chat_link import linked_result

Shown = Callable[[dict[str, Any], JobRow], dict[str, Any]]


def origin_of(job: Draft | JobRow) -> Origin:
    """What a response of this job is shown with."""
    return Origin(job.id, job.model, orjson.loads(job.request or "{}"))


def ended_response_of(stored: dict[str, Any] | None, job: JobRow) -> dict[str, Any]:
    """The response object of a job that has ended; `stored` is its completion, if it has one."""
    told = stored or {}
    choices, origin = told.get("choices") or [None], origin_of(job).answered(told)
    status = "failed" if job.state == "expired" else STATUS[job.state]
    return ended_response(origin, status, choices[0], job.usage, job.error)


RESULTS: dict[str, Shown] = {
    "chat.completion": linked_result,
    "image": image_result,
    "text_completion": lambda stored, job: text_completion(stored, orjson.loads(job.request or "")),
    "response": ended_response_of,
    "transcription": lambda stored, job: transcription_shown(stored),
    "message": lambda stored, job: whole_message(stored, job.id, job.model),
}
"""By kind of job, where what is stored is not what the door answers with."""


def result_of(job: JobRow) -> dict[str, Any] | None:
    """The answer of a job as its door shows it; None if there is none."""
    if job.body is None:
        return None
    stored: dict[str, Any] = orjson.loads(job.body)
    shown = RESULTS.get(job.kind)
    return stored if shown is None else shown(stored, job)
