"""Errors that a client may see, each with the status and shape it is answered with.

MoonpoolError
├── InvalidRequest      400  bad JSON or a wrong field, its path in `param`
├── Unauthorized        401  missing, wrong, revoked or expired key
├── NoCredit            402  the wallet does not cover the hold
├── OverBudget          402  a budget's hard limit does not cover the hold
├── Forbidden           403  the key lacks the scope for this
├── NotFound            404  not there, or another tenant's
├── ModelNotFound       404  no such model
├── MethodNotAllowed    405  the path is there, the method is not
├── BodyTooSlow         408  the body did not arrive in time
├── Conflict            409  what is there does not allow this change
├── KeyInFlight         409  the Idempotency-Key's first request is still running
├── Gone                410  it was deleted
├── TooLarge            413  body over the limit
├── UnsupportedEncoding 415  compressed or non-JSON request body
├── RangeUnmet          416  none of the bytes that were asked for are there
├── KeyReused           422  the Idempotency-Key came with another body before
├── Cancelled           499  the job was cancelled while its client waited
├── RateLimited         429  a limit is reached, or every provider that may answer asks to wait
├── ProvidersFailed     502  every route was tried
├── Overloaded          503  the lane's backlog is at its bound
├── Unavailable         503  a part the promise needs is away
└── DeadlinePassed      504  the job ran out of time
"""

from typing import Any


class MoonpoolError(Exception):
    """Base of all errors that are answered as JSON.

    `retry_after` is in seconds; it becomes the `Retry-After` header. `should_retry` tells OpenAI's
    SDKs whether to try again, whatever they would make of the status.
    """

    status = 500
    type = "server_error"
    code: str | None = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        extra: dict[str, Any] | None = None,
        should_retry: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after
        self.extra = extra or {}
        self.should_retry = should_retry
        if code is not None:
            self.code = code

    def body(self) -> dict[str, Any]:
        """The object that stands under `error`: message, type, param, code, always all four."""
        return {
            "message": self.message,
            "type": self.type,
            "param": self.param,
            "code": self.code,
            **self.extra,
        }


class InvalidRequest(MoonpoolError):
    status, type, code = 400, "invalid_request_error", None


class Unauthorized(MoonpoolError):
    status, type, code = 401, "authentication_error", "invalid_api_key"


class NoCredit(MoonpoolError):
    status, type, code = 402, "insufficient_quota", "insufficient_quota"


class OverBudget(NoCredit):
    code = "budget_exceeded"


class Forbidden(MoonpoolError):
    status, type, code = 403, "permission_error", "permission_denied"


class NotFound(MoonpoolError):
    status, type, code = 404, "invalid_request_error", "not_found"


class ModelNotFound(NotFound):
    code = "model_not_found"


class MethodNotAllowed(MoonpoolError):
    status, type, code = 405, "invalid_request_error", "method_not_allowed"


class BodyTooSlow(MoonpoolError):
    status, type, code = 408, "invalid_request_error", "request_timeout"


class Conflict(MoonpoolError):
    status, type, code = 409, "invalid_request_error", "conflict"


class KeyInFlight(MoonpoolError):
    status, type, code = 409, "invalid_request_error", "idempotency_key_in_flight"


class Gone(MoonpoolError):
    status, type, code = 410, "invalid_request_error", "deleted"


class TooLarge(MoonpoolError):
    status, type, code = 413, "invalid_request_error", "request_too_large"


class UnsupportedEncoding(MoonpoolError):
    status, type, code = 415, "invalid_request_error", "unsupported_media_type"


class RangeUnmet(MoonpoolError):
    status, type, code = 416, "invalid_request_error", "range_not_satisfiable"


class KeyReused(MoonpoolError):
    status, type, code = 422, "invalid_request_error", "idempotency_key_reused"


class Cancelled(MoonpoolError):
    status, type, code = 499, "cancelled", "cancelled"


class RateLimited(MoonpoolError):
    status, type, code = 429, "rate_limit_exceeded", "rate_limit_exceeded"


class ProvidersFailed(MoonpoolError):
    status, type, code = 502, "provider_error", "all_providers_failed"


class Overloaded(MoonpoolError):
    status, type, code = 503, "overloaded", "overloaded"


class Unavailable(MoonpoolError):
    """`in_doubt`: what was asked for may have been done all the same."""

    status, type, code = 503, "overloaded", "unavailable"
    in_doubt = False


class DeadlinePassed(MoonpoolError):
    status, type, code = 504, "timeout", "deadline_exceeded"


BY_CODE: dict[str, type[MoonpoolError]] = {
    "cancelled": Cancelled,
    "deleted": Gone,
    "not_found": NotFound,
    "model_not_found": ModelNotFound,
    "conflict": Conflict,
    "unavailable": Unavailable,
    "rate_limit_exceeded": RateLimited,
    "all_providers_failed": ProvidersFailed,
    "stream_interrupted": ProvidersFailed,
    "max_attempts": ProvidersFailed,
    "deadline_exceeded": DeadlinePassed,
    "not_after": DeadlinePassed,
    "provider_refused": InvalidRequest,
    "document_unreadable": InvalidRequest,
}
"""What a job's stored error stands for, by its code."""


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
