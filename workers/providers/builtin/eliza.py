"""The provider that works with no key: ELIZA under its DOCTOR script, of 1966."""

import math
from collections.abc import Iterator
from typing import Any

from workers.providers.base import Call, Chunk, Completion
from workers.providers.builtin import deltas, script
from workers.providers.builtin.doctor import Doctor
from workers.providers.builtin.lilly import opening
from workers.providers.builtin.pace import Pace
from workers.providers.builtin.quote import quotation
from workers.providers.builtin.request import (
    bounded,
    choice_count,
    invalid,
    messages,
    text_of,
    usage,
    words,
)
from workers.providers.collect import collect

UNTHOUGHT = {"completion_tokens_details": {"reasoning_tokens": 0}}


class Eliza:
    """Answers the last user message as DOCTOR would after all the ones before it.

    The conversation is replayed from the request: the same messages give the same answer, in
    every choice. System messages are no part of it; one that tells Lilly's feeling chooses a
    sentence to begin with, and of one that gives sources it quotes what fits, in place of DOCTOR's
    answer, and cites it. Without a user message it greets. A word is a token. What it cannot do
    (tools, a response format, log probabilities, images) it refuses, and sampling has nothing to
    act on.

    Parameter: `tokens_per_second`, 0 or absent for as fast as possible.
    """

    def complete(self, call: Call) -> Completion:
        """The whole answer; raises ProviderError."""
        return collect(self.stream(call))

    def stream(self, call: Call) -> Iterator[Chunk]:
        """The answer, a word a chunk, then finish reason, then usage; raises ProviderError."""
        request = call.request
        _refuse(request)
        count = choice_count(request)
        tokens, reason = bounded(words(_answer(messages(request))), request)
        pace = Pace(call, tokens_per_second=_tokens_per_second(call))
        if not tokens:
            yield Chunk(deltas.opening(count))
        for position, token in enumerate(tokens):
            pace.wait()
            yield Chunk(deltas.token(token, count, first=position == 0))
        yield Chunk(deltas.finish(reason, count))
        yield Chunk([], {**usage(request, len(tokens) * count), **UNTHOUGHT})


def _answer(conversation: list[dict[str, Any]]) -> str:
    doctor = Doctor(script.doctor())
    answer = doctor.greet()
    for message in conversation:
        if message.get("role") == "user":
            answer = doctor.reply(text_of(message.get("content")))
    answer = quotation(conversation) or answer
    begin = opening(conversation)
    return answer if begin is None else f"{begin} {answer}"


def _refuse(request: dict[str, Any]) -> None:
    """Raises ProviderError `invalid` for what a program of 1966 cannot do."""
    for field in ("tools", "functions"):
        if request.get(field) and request.get("tool_choice") != "none":
            raise invalid(field, "this model cannot call tools")
    form = request.get("response_format")
    if isinstance(form, dict) and form.get("type", "text") != "text":
        raise invalid("response_format", "this model answers in plain text only")
    if request.get("logprobs"):
        raise invalid("logprobs", "this model has no probabilities")
    for at, message in enumerate(messages(request)):
        content = message.get("content") if message.get("role") == "user" else None
        for number, part in enumerate(content if isinstance(content, list) else ()):
            if not isinstance(part, dict) or part.get("type") != "text":
                raise invalid(f"messages[{at}].content[{number}]", "this model reads text only")


def _tokens_per_second(call: Call) -> float:
    value = call.parameters.get("tokens_per_second", 0)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or value < 0 or not math.isfinite(value):
        raise invalid("parameters.tokens_per_second", "must be a number, 0 or more")
    return float(value)
