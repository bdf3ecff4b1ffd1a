"""The errors that a job may end with, as they are stored and told."""

import re
from typing import Any

from app.errors import (
    DeadlinePassed,
    InvalidRequest,
    ModelNotFound,
    MoonpoolError,
    ProvidersFailed,
    RateLimited,
)
from workers.inference.calls import Interrupted
from workers.providers.base import ProviderError

_MESSAGE = re.compile(r"\bmessages\.(\d{1,6})\b")


def _stored(error: MoonpoolError) -> dict[str, Any]:
    told = error.body()
    if error.retry_after is not None:
        told["retry_after"] = error.retry_after
    return told


def all_failed(
    model: str, failures: list[tuple[str, ProviderError]], added: int = 0
) -> dict[str, Any]:
    """No provider answered. A request that the provider refuses is the client's to mend; when
    every one asked to wait, so is the client asked. `added`: messages that were put before the
    client's own, which does not count them."""
    last = failures[-1][1]
    told = [{"provider": provider, "reason": f"{e.kind}: {e.message}"} for provider, e in failures]
    if last.kind == "invalid":
        return _stored(InvalidRequest(
            f"The provider refused the request: {_as_counted(last.message, added)}",
            code="provider_refused", param=_as_counted(last.param or "", added) or None,
        ))  # fmt: skip
    message = f"All providers failed for model {model!r}: {last.message}"
    if all(error.kind == "rate_limited" for _, error in failures):
        waits = [error.retry_after or 1.0 for _, error in failures]
        return _stored(RateLimited(message, retry_after=min(waits), extra={"attempts": told}))
    return _stored(ProvidersFailed(message, extra={"attempts": told}))


def _as_counted(text: str, added: int) -> str:
    """A text with the paths of messages as the client counts them."""
    if not added:
        return text
    return _MESSAGE.sub(lambda found: f"messages.{max(int(found[1]) - added, 0)}", text)


def interrupted(cut: Interrupted) -> dict[str, Any]:
    """A provider failed in mid-answer and the job is not begun anew."""
    return _stored(ProvidersFailed(
        f"The stream was interrupted: {cut.provider}: {cut.error.message}",
        code="stream_interrupted",
    ))  # fmt: skip


def deadline(total_s: float) -> dict[str, Any]:
    """The job's time is over."""
    return _stored(DeadlinePassed(f"The job did not finish within {total_s:g} seconds."))


def no_model(name: str) -> dict[str, Any]:
    """The model that the job was admitted for is no longer in the catalogue."""
    return _stored(ModelNotFound(f"The model {name!r} is no longer available.", param="model"))
