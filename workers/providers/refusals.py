"""What providers say when they refuse or fail: kind, message, field and wait of an error."""

import email.utils
import math
import time
from collections.abc import Mapping
from typing import Any

from workers.providers.base import ErrorKind, ProviderError

MESSAGE_MAX = 500
RETRY_AFTER_MAX_S = 3600.0
"""A longer wait is told by mistake: a clock that is wrong, or milliseconds taken for seconds."""


def told_error(told: Any, status: int | None = None) -> ProviderError:
    """The error that a body or an event tells of. Without a `status`, as in an answer that began
    well, it is the number that OpenRouter and Google write as the error's `code`, else none."""
    error = told.get("error") if isinstance(told, dict) else None
    inner = error if isinstance(error, dict) else told if isinstance(told, dict) else {}
    code = inner.get("code")
    if status is None and type(code) is int and 400 <= code < 600:
        status = code
    kind, retryable = _kind(status, code)
    param = _param(told, inner) if kind == "invalid" else None
    message = message_in(told) or (f"status {status}" if status else "the provider failed")
    return ProviderError(kind, message, retryable=retryable, status=status, param=param)


def _param(told: Any, inner: dict[str, Any]) -> str | None:
    """The field that an error is about: OpenAI's `param`, or the place that FastAPI tells."""
    if type(inner.get("param")) is str:
        return str(inner["param"])
    while isinstance(told, dict):
        told = told.get("detail") or told.get("message")
    first = told[0] if isinstance(told, list) and told else None
    place = first.get("loc") if isinstance(first, dict) else None
    return ".".join(map(str, place[1:])) if isinstance(place, list) and place[1:] else None


def _kind(status: int | None, code: Any) -> tuple[ErrorKind, bool | None]:
    """What an error is, and whether trying again helps where that does not follow from it."""
    if status is None or status >= 500 or status in (408, 409, 425, 498):
        return "unavailable", None
    if status == 429:
        # The account has run dry, which no wait mends.
        return ("auth", None) if code == "insufficient_quota" else ("rate_limited", None)
    if status in (401, 402, 403):
        return "auth", None
    if status < 400 or status in (404, 405, 410):
        # The operator's mistake, not the client's: another address, or no such model there.
        return "unavailable", False
    return "invalid", None


def message_in(told: Any) -> str:
    """The message of an error body, cut short: OpenAI's, Anthropic's and Google's form, plain
    `error`, `message` or `detail`, and the lists of FastAPI and Google. Empty if there is none."""
    while isinstance(told, dict | list):
        if isinstance(told, list):
            told = told[0] if told else None
        else:
            names = ("error", "message", "detail", "msg")
            told = next((told[name] for name in names if told.get(name)), None)
    return told[:MESSAGE_MAX] if isinstance(told, str) else ""


def wait_told(headers: Mapping[str, str], told: Any) -> float | None:
    """Seconds that an error asks to wait: by OpenAI's finer header, by the usual one, or in its
    body."""
    wait = retry_after(headers.get("retry-after-ms"), 0.001)
    if wait is None:
        wait = retry_after(headers.get("retry-after"))
    return _told_wait(told) if wait is None else wait


def _told_wait(told: Any) -> float | None:
    """Seconds of a `google.rpc.RetryInfo` in an error's details (https://google.aip.dev/193)."""
    error = told.get("error") if isinstance(told, dict) else None
    details = error.get("details") if isinstance(error, dict) else None
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and type(delay := detail.get("retryDelay")) is str:
            return retry_after(delay.removesuffix("s"))
    return None


def retry_after(text: str | None, unit: float = 1.0) -> float | None:
    """Seconds from a Retry-After header, a number or a date (RFC 9110, section 10.2.3), at most
    `RETRY_AFTER_MAX_S`; `unit` is how many seconds a number counts."""
    if text is None:
        return None
    try:
        seconds = float(text) * unit
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return min(max(0.0, seconds), RETRY_AFTER_MAX_S) if math.isfinite(seconds) else None
