"""Errors as JSON: the four keys under `error`, and `detail` for clients that read only that."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import orjson
from flask import Flask, Response, has_request_context, request
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from werkzeug.exceptions import HTTPException

from app import errors
from app.errors import MoonpoolError
from app.ids import new_id
from app.telemetry import log

PLAIN: dict[int, type[MoonpoolError]] = {
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    413: errors.TooLarge,
}


FORM = re.compile(r"(list|dict)\[.*|constr")
"""How pydantic names a form that a field may have, as one more step of its path."""

ANTHROPIC_PATHS = re.compile(r"(/v1)?/messages(/|\Z)")
ANTHROPIC_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
"""Anthropic's types of errors by status (https://docs.anthropic.com/en/api/errors)."""


def problem(error: MoonpoolError, headers: dict[str, str] | None = None) -> Response:
    """The response that tells an error, on the paths of Anthropic's API in its shape."""
    request_id = new_id("req")
    if has_request_context() and ANTHROPIC_PATHS.match(request.path):
        body = anthropic_error(error, request_id)
    else:
        body = {"error": error.body(), "detail": error.message}
    answer = Response(orjson.dumps(body), error.status, mimetype="application/json")
    answer.headers["x-request-id"] = request_id
    if "request_id" in body:
        answer.headers["request-id"] = request_id
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


def anthropic_error(error: MoonpoolError, request_id: str) -> dict[str, Any]:
    """An error in Anthropic's shape, with all that ours tells beside."""
    other = "invalid_request_error" if error.status < errors.Cancelled.status else "api_error"
    kind = ANTHROPIC_TYPES.get(error.status, other)
    return {
        "type": "error",
        "error": {**error.body(), "type": kind},
        "request_id": request_id,
        "detail": error.message,
    }


def invalid(error: ValidationError) -> errors.InvalidRequest:
    """A request that failed its schema, told by its first wrong field."""
    first = _meant(error.errors(include_url=False, include_input=False))
    if first["type"] == "json_invalid":
        return errors.InvalidRequest(f"The body is not JSON we can read: {first['msg']}.")
    path = ".".join(str(step) for step in first["loc"] if not FORM.fullmatch(str(step)))
    if first["type"] == "extra_forbidden":
        return errors.InvalidRequest(
            f"Unknown field: {path}.", param=path, code="unknown_parameter"
        )
    said = first["msg"].removeprefix("Value error, ")
    message = f"{path}: {said}." if path else f"The body: {said}."
    # A schema that looks at several fields at once names the one to blame.
    return errors.InvalidRequest(message, param=path or first.get("ctx", {}).get("param"))


def _meant(told: list[ErrorDetails]) -> ErrorDetails:
    """The first wrong field's error. Where the field is a text or something else, both say what is
    wrong: the one that came further tells what the client meant, and `str` is no step of it."""
    first = told[0]
    *field, last = first["loc"] or ("",)
    at = len(field)
    others = [
        one for one in told
        if [*one["loc"][:at]] == field and FORM.fullmatch(str((*one["loc"], "")[at]))
    ]  # fmt: skip
    if last != "str" or not others:
        return first
    first["loc"] = tuple(field)
    return max(
        [first, *others],
        key=lambda one: (len(one["loc"]) - (one is not first), not one["type"].endswith("_type")),
    )


@contextmanager
def renamed(names: Mapping[str, str]) -> Iterator[None]:
    """Lets refusals of a chat request name the field as the door's client knows it: `names` by the
    field of the chat request."""
    try:
        yield
    except errors.InvalidRequest as error:
        param = error.param or ""
        name = names.get(param) or names.get(param.partition(".")[0])
        if name is not None:
            error.message = error.message.replace(param, name, 1)
            error.param = name
        raise


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
        allowed = getattr(error, "valid_methods", None)
        # RFC 9110, section 15.5.6.
        return problem(told, {"Allow": ", ".join(allowed)} if allowed else None)

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        log("web").error("unexpected error", exception=repr(error), exc_info=error)
        return problem(MoonpoolError("The server failed unexpectedly; the error is logged."))
