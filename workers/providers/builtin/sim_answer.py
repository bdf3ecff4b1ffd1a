"""What the simulator answers: numbered words, or what a request asks for beyond them."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import chain, islice
from typing import Any

from workers.providers.builtin import sim_logprobs
from workers.providers.builtin.quote import sources_given
from workers.providers.builtin.request import (
    invalid,
    limited,
    messages,
    stopped,
    words,
)
from workers.providers.builtin.sim_findings import Findings
from workers.providers.builtin.sim_schema import instance
from workers.providers.builtin.sim_settings import SimSettings
from workers.providers.builtin.sim_tools import (
    ToolCall,
    results,
    said_last,
    tool_calls,
    tool_results,
)

BEYOND_WORDS = (
    "tools", "tool_choice", "response_format", "logprobs", "top_logprobs", "reasoning_effort",
)  # fmt: skip
EFFORTS = {"none": 0, "minimal": 4, "low": 8, "medium": 16, "high": 32, "xhigh": 64}
"""Tokens of reasoning for each effort."""

TOKENS_MAX = 4096
"""Tokens of an answer that is more than numbered words: the model's `max_output`."""

_WORDS = ("basalt", "crater", "dune", "eclipse", "impact", "mare", "orbit", "regolith", "tide")
_DIGEST = 32  # bytes, each of which chooses words
_RESULT_WORDS = 200
_PIECE = re.compile(r"\s*(?:\w{1,12}|[^\w\s]{1,4}|$)")
_KEY = re.compile(r"\w{1,64}")

Part = dict[str, Any]


@dataclass(slots=True)
class Said:
    """An answer: its tokens, each a text or a part of a choice (`delta`, perhaps `logprobs`); the
    finish reason; how many of the tokens are reasoning."""

    tokens: Sequence[str | Part]
    reason: str
    reasoning: int = 0


@dataclass(slots=True)
class _Answer:
    """An answer under way; `text` or `calls`."""

    text: list[str] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)


def digest_of(text: bytes) -> bytes:
    """What the words of an answer follow from."""
    return blake2b(text, digest_size=_DIGEST).digest()


def answer_to(request: dict[str, Any], settings: SimSettings, digest: bytes) -> Said:
    """The answer to a request. Raises ProviderError `invalid`, which names the field."""
    conversation = messages(request)
    after_tool = bool(conversation) and conversation[-1].get("role") == "tool"
    if not after_tool and not any(request.get(name) for name in BEYOND_WORDS):
        told = numbered(settings.tokens, digest)
        if settings.cites:
            told += [f" [{number}]" for number, _ in sources_given(conversation)]
        tokens, cut = limited(stopped(told, request, words), request)
        return Said(tokens, "length" if cut else "stop")
    thought = [{"delta": {"reasoning_content": text}} for text in _reasoning(request, digest)]
    answer = _beyond_words(request, settings, digest, after_tool=after_tool)
    said: Iterable[Part] = _call_parts(answer.calls, digest)
    if not answer.calls:
        said = sim_logprobs.parts(stopped(answer.text, request, pieces), request, digest)
    parts = list(islice(chain(thought, said), TOKENS_MAX + 1))
    parts, cut = limited(parts, request)
    cut, parts = cut or len(parts) > TOKENS_MAX, parts[:TOKENS_MAX]
    reason = "length" if cut else "tool_calls" if answer.calls else "stop"
    return Said(parts, reason, min(len(thought), len(parts)))


def numbered(length: int, digest: bytes) -> list[str]:
    """Numbered words, no two alike."""
    return [
        f"{' ' if number > 1 else ''}{_WORDS[digest[number % _DIGEST] % len(_WORDS)]}{number:04d}"
        for number in range(1, length + 1)
    ]


def pieces(text: str) -> list[str]:
    """The tokens of a text that is not made of words alone; they join to it again."""
    return [piece for piece in _PIECE.findall(text) if piece]


def _beyond_words(
    request: dict[str, Any], settings: SimSettings, digest: bytes, *, after_tool: bool
) -> _Answer:
    if calls := tool_calls(request):
        return _Answer(calls=calls)
    conversation = messages(request)
    text = _formatted(request, conversation)
    if text is not None:
        return _Answer(pieces(text))
    if after_tool:
        told = [f"{name} says: {text}" for name, text in tool_results(conversation)]
        return _Answer(words(" ".join(told))[:_RESULT_WORDS])
    return _Answer(numbered(settings.tokens, digest))


def _formatted(request: dict[str, Any], conversation: list[dict[str, Any]]) -> str | None:
    """The JSON text that `response_format` asks for, None if it asks for plain text."""
    form = request.get("response_format") or {}
    kind = form.get("type", "text") if isinstance(form, dict) else form
    if kind == "text":
        return None
    findings = Findings(f"{results(conversation)}\n{said_last(conversation, 'user')}")
    if kind == "json_object":
        return json.dumps(_object(findings), ensure_ascii=False)
    told = form.get("json_schema") if isinstance(form, dict) else None
    if kind != "json_schema" or not isinstance(told, dict):
        raise invalid("response_format", "must be of type text, json_object or json_schema")
    schema = told.get("schema", {})
    value = instance(schema, findings, "response_format.json_schema.schema")
    return json.dumps(value, ensure_ascii=False)


def _object(findings: Findings) -> dict[str, str]:
    """An object with the keys that the text has in quotes; `answer` if it has none."""
    keys = [word for word in findings.quoted if _KEY.fullmatch(word)] or ["answer"]
    return {key: key for key in keys}


def _reasoning(request: dict[str, Any], digest: bytes) -> list[str]:
    effort = request.get("reasoning_effort")
    if effort is None:
        return []
    if not isinstance(effort, str) or effort not in EFFORTS:
        raise invalid("reasoning_effort", f"must be one of {', '.join(EFFORTS)}")
    return numbered(EFFORTS[effort], digest_of(b"reasoning" + digest))


def _call_parts(calls: list[ToolCall], digest: bytes) -> Iterator[Part]:
    """Each call in pieces: first its name, then its arguments."""
    for index, call in enumerate(calls):
        opening = {
            "index": index,
            "id": f"call_{digest_of(digest + bytes([index]))[:12].hex()}",
            "type": "function",
            "function": {"name": call.name, "arguments": ""},
        }
        yield {"delta": {"tool_calls": [opening]}}
        for piece in pieces(call.arguments):
            more = {"index": index, "function": {"arguments": piece}}
            yield {"delta": {"tool_calls": [more]}}
