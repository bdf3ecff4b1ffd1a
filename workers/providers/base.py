"""The seam between the job line and whoever answers: what a provider takes, gives, raises."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

ErrorKind = Literal[
    "connect",  # no connection, or it broke before an answer
    "timeout",  # no first token, or none for too long
    "rate_limited",  # 429
    "unavailable",  # 5xx
    "auth",  # our key was refused
    "invalid",  # the provider refuses this request
    "incomplete",  # the stream ended without a finish reason
    "protocol",  # an answer that is not of the agreed form
]

RETRYABLE: frozenset[str] = frozenset(
    {"connect", "timeout", "rate_limited", "unavailable", "incomplete", "protocol"}
)


HIDDEN = "***"


class ProviderError(Exception):
    """A provider call that failed.

    `retryable`: whether another try, here or elsewhere, can help. `retry_after`: seconds the
    provider asks to wait. `status`: its HTTP status where it gave one. `param`: the field of the
    request that it is about, for kind `invalid`.
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        retryable: bool | None = None,
        retry_after: float | None = None,
        status: int | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.retryable = kind in RETRYABLE if retryable is None else retryable
        self.retry_after = retry_after
        self.status = status
        self.param = param

    def hide(self, secret: str) -> None:
        """Takes `secret` out of the message, which clients and the record of attempts are told."""
        if secret and secret in self.message:
            self.message = self.message.replace(secret, HIDDEN)
            self.args = (self.message,)


@dataclass(slots=True)
class Call:
    """One provider call.

    `request` is the OpenAI-form body without Moonpool's own fields; `model` is the provider's
    name of the model; `parameters` come from the catalogue's route; `max_output` is the most tokens
    that the model answers with, for vendors that must be told. Timeouts are in seconds.
    """

    request: dict[str, Any]
    model: str
    parameters: dict[str, Any] = field(default_factory=dict)
    max_output: int = 4096
    connect_timeout: float = 5.0
    first_token_timeout: float = 60.0
    idle_timeout: float = 30.0


@dataclass(slots=True)
class Chunk:
    """What one read from a stream gave.

    `choices`: OpenAI chunk choices in order (`index`, `delta`, `finish_reason`, perhaps
    `logprobs`). `usage`: OpenAI usage, once, where the provider tells it.
    """

    choices: list[dict[str, Any]]
    usage: dict[str, Any] | None = None


@dataclass(slots=True)
class Completion:
    """A whole answer: `choices` with `message` and `finish_reason`; `usage` or None if untold."""

    choices: list[dict[str, Any]]
    usage: dict[str, Any] | None


@dataclass(slots=True)
class Answer:
    """A whole answer to what is no conversation: `body` in OpenAI's form, without `model` and
    `usage`. `usage` has `prompt_tokens` and `completion_tokens`, 0 where there are none, and
    `images` or `seconds` of audio where those are what is paid for."""

    body: dict[str, Any]
    usage: dict[str, Any] | None


class Provider(Protocol):
    """One way to get a completion. Both methods raise ProviderError and nothing else.

    A stream that ends before each choice has a finish reason raises `incomplete`. Closing the
    iterator (`close()`, or an exception thrown at a yield) ends the provider call at once.
    """

    def complete(self, call: Call) -> Completion: ...

    def stream(self, call: Call) -> Iterator[Chunk]: ...


class Operator(Protocol):
    """A way to get what is no conversation: `embed`, `draw` or `transcribe` (see `OPERATORS`).
    Raises ProviderError and nothing else."""

    def __call__(self, call: Call) -> Answer: ...


OPERATORS: dict[str, str] = {
    "embedding": "embed", "image": "draw", "transcription": "transcribe",
}  # fmt: skip
"""The method of a provider for each operation of the catalogue that is not chat. A provider has
those that `app.catalogue.abilities` says of its kind."""


def operator(provider: object, operation: str) -> Operator:
    """The provider's method for an operation; raises ProviderError `invalid` if it has none."""
    found: Operator | None = getattr(provider, OPERATORS[operation], None)
    if found is None:
        raise ProviderError("invalid", f"the provider has no {operation}", param="model")
    return found
