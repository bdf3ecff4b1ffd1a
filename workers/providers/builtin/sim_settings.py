"""What the simulator can be told, by the catalogue and by a request."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workers.providers.base import Call
from workers.providers.builtin.request import invalid

PREFIX = "sim_"


class SimSettings(BaseModel):
    """The simulator's parameters. Numbers and truth values may be given as strings.

    `ttft_ms`: time to the first token. `tokens_per_second`: 0 is as fast as possible. `tokens`:
    length of the answer. `seed`: part of what the answer and the draw of `failure_rate` follow
    from. `usage`: whether usage is told. `cached_tokens`: how many tokens of the prompt are told as
    cached. `cites`: whether numbered words end with a mark, such as [1], for each source that the
    request gives.

    `status`: the HTTP status to fail with, before the first token: always if alone, else in those
    calls that `fail_attempts` or `failure_rate` make fail, whose status is 503 if absent.
    `failure_rate`: the share of calls that fail. `fail_attempts`: the first so many attempts of a
    job fail, which takes `attempt`. `retry_after`: seconds, told with the failure.

    `stall_after`, `cut_after`: the tokens after which no more come until the call times out, or
    the stream ends without a finish reason. An answer shorter than that ends well.

    `attempt`: the number of this call's attempt at its job, from 1; the caller's to set, not a
    request's.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    ttft_ms: float = Field(0, ge=0)
    tokens_per_second: float = Field(0, ge=0)
    tokens: int = Field(32, ge=0, le=100_000)
    seed: int | None = None
    cites: bool = False
    usage: bool = True
    cached_tokens: int = Field(0, ge=0)
    status: int | None = Field(None, ge=400, le=599)
    failure_rate: float = Field(0, ge=0, le=1)
    fail_attempts: int = Field(0, ge=0)
    retry_after: float | None = Field(None, ge=0)
    stall_after: int | None = Field(None, ge=0)
    cut_after: int | None = Field(None, ge=0)
    attempt: int | None = Field(None, ge=1)

    def broken_at(self, length: int) -> int | None:
        """The number of tokens after which an answer of `length` breaks off, if it does."""
        ends = [end for end in (self.stall_after, self.cut_after) if end is not None]
        return min((end for end in ends if end <= length), default=None)

    def stalls_at(self, end: int) -> bool:
        """Whether the break at `end` is a stall, not a cut."""
        return self.stall_after == end


_OF_REQUEST = frozenset(PREFIX + name for name in SimSettings.model_fields if name != "attempt")


def read_settings(call: Call) -> SimSettings:
    """The catalogue's parameters, with those of the request's `metadata` that start with `sim_`
    put over them. Raises ProviderError `invalid`, which names the field, for one that is not
    known or has a wrong value.
    """
    metadata: dict[str, Any] = call.request.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise invalid("metadata", "must be an object")
    given = {key: value for key, value in metadata.items() if key.startswith(PREFIX)}
    for key in given.keys() - _OF_REQUEST:
        known = ", ".join(sorted(_OF_REQUEST))
        raise invalid(f"metadata.{key}", f"the simulator has no such parameter; it has {known}")
    merged = call.parameters | {key.removeprefix(PREFIX): value for key, value in given.items()}
    try:
        settings = SimSettings.model_validate(merged)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0])
        field = f"metadata.{PREFIX}{name}" if PREFIX + name in given else f"parameters.{name}"
        raise invalid(field, first["msg"]) from None
    if settings.fail_attempts and settings.attempt is None:
        raise invalid("parameters.attempt", "fail_attempts needs the number of the attempt")
    return settings
