"""A batch's lines as its results and files tell them: OpenAI's shape."""

from typing import Any

import orjson

from app.batches.model import EndedLine
from app.dialects.completions import text_completion
from app.dialects.images import with_image_usage
from app.dialects.responses.answer import Origin, whole_response
from app.errors import Cancelled, Gone, MoonpoolError, from_job_error

UNANSWERED = {
    "expired": ("batch_expired", "The batch expired before this line was answered."),
    "cancelled": ("batch_cancelled", "This line was cancelled before it was answered."),
}
"""How a line ends that nothing was answered to, by the state of its job or batch."""

ID_PREFIX = "batch_req_"


def told(line: EndedLine) -> dict[str, Any]:
    """A line that has ended. An error of the kind that a door answers with an HTTP status is a
    response with that status, and so is a cancel in the midst of an answer, with its usage; a line
    that nothing was answered to has no response."""
    told_id = ID_PREFIX + line.job_id.removeprefix("job_")
    body: Any
    if line.state == "completed":
        status, body = 200, _answer(line)
    elif line.state == "expired" or (line.state == "cancelled" and line.usage is None):
        # Whoever ended it: a line's deadline is its batch's.
        return unanswered(told_id, line.custom_id, line.state)
    else:
        status, body = _failure(line)
    if body is None:
        gone = Gone("What this line was answered was deleted.")
        status, body = gone.status, {"error": gone.body()}
    return {
        "id": told_id,
        "custom_id": line.custom_id,
        "response": {
            "status_code": status,
            "request_id": "req_" + line.job_id.removeprefix("job_"),
            "body": body,
        },
        "error": None,
    }


def unanswered(told_id: str, custom_id: str, state: str) -> dict[str, Any]:
    """A line that nothing was answered to, since it `expired` or was `cancelled` before."""
    code, message = UNANSWERED[state]
    return {
        "id": told_id,
        "custom_id": custom_id,
        "response": None,
        "error": {"code": code, "message": message},
    }


def _answer(line: EndedLine) -> dict[str, Any] | orjson.Fragment | None:
    if line.body is None:
        return None
    if line.kind == "text_completion":
        return text_completion(orjson.loads(line.body), orjson.loads(line.request or "{}"))
    if line.kind == "response":
        completion = orjson.loads(line.body)
        asked = orjson.loads(line.request or "{}")
        return whole_response(completion, Origin(line.job_id, completion["model"], asked))
    if line.kind == "image":
        return with_image_usage(orjson.loads(line.body))
    return orjson.Fragment(line.body)


def _failure(line: EndedLine) -> tuple[int, dict[str, Any]]:
    """The status and body that a door would have answered."""
    if line.state == "cancelled":
        error: MoonpoolError = Cancelled("The job of this line was cancelled while it ran.")
        return error.status, {"error": error.body(), "usage": orjson.Fragment(line.usage or "null")}
    error = from_job_error(orjson.loads(line.error or "null"))
    return error.status, {"error": error.body()}
