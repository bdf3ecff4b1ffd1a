"""A batch's lines as its results and files tell them: OpenAI's shape."""

from typing import Any

import orjson

from app.batches.model import EndedLine
from app.dialects.completions import text_completion
from app.errors import Gone, from_job_error

NEVER_RAN = {
    "expired": ("batch_expired", "The batch expired before this line was run."),
    "cancelled": ("batch_cancelled", "The batch was cancelled before this line was run."),
}
"""How a line ends that has no answer, by the state of its job or batch."""

ID_PREFIX = "batch_req_"


def told(line: EndedLine) -> dict[str, Any]:
    """A line that has ended. An error of the kind that a door answers with an HTTP status is a
    response with that status; a line that never ran has no response."""
    told_id = ID_PREFIX + line.job_id.removeprefix("job_")
    if line.state == "completed":
        status, body = 200, _answer(line)
    elif line.state in NEVER_RAN and line.error is None:
        return never_ran(told_id, line.custom_id, line.state)
    else:
        error = from_job_error(line.error)
        status, body = error.status, {"error": error.body()}
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


def never_ran(told_id: str, custom_id: str, state: str) -> dict[str, Any]:
    """A line that nothing was answered to, since its batch was `expired` or `cancelled`."""
    code, message = NEVER_RAN[state]
    return {
        "id": told_id,
        "custom_id": custom_id,
        "response": None,
        "error": {"code": code, "message": message},
    }


def _answer(line: EndedLine) -> dict[str, Any] | None:
    body: dict[str, Any] | None = line.body
    if body is not None and line.kind == "text_completion":
        return text_completion(body, orjson.loads(line.request or "{}"))
    return body
