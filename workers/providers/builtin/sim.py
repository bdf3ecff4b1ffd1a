"""A provider that behaves, and misbehaves, as it is told: for tests, demos and load."""

import random
from collections.abc import Iterator
from typing import Any

import orjson

from workers.providers.base import Call, Chunk, Completion, ErrorKind, ProviderError
from workers.providers.builtin import deltas
from workers.providers.builtin.pace import Pace
from workers.providers.builtin.request import choice_count, invalid, messages
from workers.providers.builtin.sim_answer import answer_to, digest_of
from workers.providers.builtin.sim_settings import SimSettings, read_settings
from workers.providers.builtin.sim_usage import sim_usage
from workers.providers.collect import collect

BATCH = 32  # choices to a chunk when no pace is asked for: cheap to make and to relay

_KINDS: dict[int, ErrorKind] = {401: "auth", 403: "auth", 429: "rate_limited"}


class Sim:
    """Answers numbered words such as "tide0001 mare0002", no two alike in one answer, so that a
    doubled or a missing token shows; or calls tools, or answers in a format, where a request asks
    for that (see `sim_tools` and `sim_schema`).

    The answer follows from the request and the seed alone. The parameters are those of
    `SimSettings`. `complete` gives what `stream` gives, after the same time.
    """

    def complete(self, call: Call) -> Completion:
        """The whole answer; raises ProviderError as told to."""
        return collect(self.stream(call))

    def stream(self, call: Call) -> Iterator[Chunk]:
        """The answer: a token a chunk if paced, else up to 32; raises ProviderError as told to."""
        settings = read_settings(call)
        request = call.request
        digest = _digest(messages(request), settings.seed)
        _fail(settings, digest)
        count = choice_count(request)
        said = answer_to(request, settings, digest)
        broken_at = settings.broken_at(len(said.tokens))
        used = sim_usage(
            request, len(said.tokens) * count, said.reasoning * count, settings.cached_tokens
        )
        pace = Pace(
            call,
            tokens_per_second=settings.tokens_per_second,
            first_after=settings.ttft_ms / 1000,
        )
        choices: list[dict[str, Any]] = []
        if not said.tokens:
            pace.wait()
            choices = deltas.opening(count)
        for position, token in enumerate(said.tokens[:broken_at]):
            if pace.even or position == 0:
                pace.wait()
            if isinstance(token, str):
                choices += deltas.token(token, count, first=position == 0)
            else:
                choices += deltas.part(token, count, first=position == 0)
            if pace.even or len(choices) >= BATCH:
                yield Chunk(choices)
                choices = []
        if broken_at is not None:
            if choices:
                yield Chunk(choices)
            if settings.stalls_at(broken_at):
                pace.stall()
            raise ProviderError("incomplete", "The stream ended without a finish reason.")
        choices += deltas.finish(said.reason, count)
        yield Chunk(choices, used if settings.usage else None)


def _digest(conversation: list[dict[str, Any]], seed: int | None) -> bytes:
    try:
        text = orjson.dumps([conversation, str(seed)], option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise invalid("messages", str(error)) from None
    return digest_of(text)


def _fail(settings: SimSettings, digest: bytes) -> None:
    """Raises the ProviderError that the settings ask for, if any, before the first token.

    With a seed the draw of `failure_rate` is made from it, the messages and the attempt, so that
    a run can be repeated and attempts of one job still differ.
    """
    fails = settings.status is not None and not (settings.fail_attempts or settings.failure_rate)
    if settings.fail_attempts:
        fails = settings.attempt is not None and settings.attempt <= settings.fail_attempts
    if settings.failure_rate and not fails:
        seed = None if settings.seed is None else digest + bytes(str(settings.attempt), "ascii")
        fails = random.Random(seed).random() < settings.failure_rate  # noqa: S311 not a secret
    if fails:
        status = settings.status or 503
        kind = _KINDS.get(status, "unavailable" if status >= 500 else "invalid")
        raise ProviderError(
            kind,
            f"The simulator failed with status {status}, as it was told to.",
            retry_after=settings.retry_after,
            status=status,
        )
