"""Errors as JSON: the four keys under `error`, and `detail` for clients that read only that."""

from typing import Any

import orjson
from flask import Flask, Response
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

from app import errors
from app.errors import MoonpoolError
from app.ids import new_id
from app.telemetry import log

BY_CODE: dict[str, type[MoonpoolError]] = {
    "cancelled": errors.Cancelled,
    "model_not_found": errors.ModelNotFound,
    "rate_limit_exceeded": errors.RateLimited,
    "all_providers_failed": errors.ProvidersFailed,
    "stream_interrupted": errors.ProvidersFailed,
    "max_attempts": errors.ProvidersFailed,
    "deadline_exceeded": errors.DeadlinePassed,
    "provider_refused": errors.InvalidRequest,
}

PLAIN: dict[int, type[MoonpoolError]] = {
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    413: errors.TooLarge,
}


def problem(error: MoonpoolError, headers: dict[str, str] | None = None) -> Response:
    """The response that tells an error."""
    body: dict[str, Any] = {"error": error.body(), "detail": error.message}
    answer = Response(orjson.dumps(body), error.status, mimetype="application/json")
    answer.headers["x-request-id"] = new_id("req")
    if error.retry_after is not None:
        answer.headers["Retry-After"] = str(max(1, round(error.retry_after)))
        if error.status == errors.RateLimited.status:
            body["retry_after"] = error.retry_after
            answer.data = orjson.dumps(body)
    if error.should_retry is not None:
        answer.headers["x-should-retry"] = "true" if error.should_retry else "false"
    if error.status == errors.Unauthorized.status:
        answer.headers["WWW-Authenticate"] = 'Bearer realm="moonpool"'
    for name, value in (headers or {}).items():
        answer.headers[name] = value
    return answer


def from_job_error(error: dict[str, Any] | None) -> MoonpoolError:
    """The exception that a job's stored error stands for."""
    error = error or {"message": "The job failed.", "code": "internal_error"}
    kind = BY_CODE.get(str(error.get("code")), MoonpoolError)
    known = {"message", "type", "param", "code", "retry_after"}
    return kind(
        str(error["message"]),
        param=error.get("param"),
        code=error.get("code"),
        retry_after=error.get("retry_after"),
        extra={name: value for name, value in error.items() if name not in known},
    )


def invalid(error: ValidationError) -> errors.InvalidRequest:
    """A request that failed its schema, told by its first wrong field."""
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return errors.InvalidRequest(f"The body is not JSON we can read: {first['msg']}.")
    steps = [str(step) for step in first["loc"] if not str(step).startswith(("list[", "constr"))]
    path = ".".join(steps)
    if first["type"] == "extra_forbidden":
        return errors.InvalidRequest(
            f"Unknown field: {path}.", param=path, code="unknown_parameter"
        )
    message = f"{path}: {first['msg']}." if path else f"The body: {first['msg']}."
    return errors.InvalidRequest(message, param=path or None)


def install(app: Flask) -> None:
    """Makes every error of `app` answer as JSON."""

    @app.errorhandler(MoonpoolError)
    def ours(error: MoonpoolError) -> Response:
        return problem(error)

    @app.errorhandler(HTTPException)
    def plain(error: HTTPException) -> Response:
        kind = PLAIN.get(error.code or 500, errors.InvalidRequest)
        told = kind(error.description or error.name)
        told.status = error.code or 500
        return problem(told)

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        log("web").error("unexpected error", exception=repr(error), exc_info=error)
        return problem(MoonpoolError("The server failed unexpectedly; the error is logged."))
