"""What each kind of provider can do: operations, request fields, parts of messages.

A field that a provider cannot honour is refused by name at the door, never dropped on the way.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.catalogue.fields import OURS

Operation = Literal["chat", "embedding", "image", "transcription"]
"""What a model does with a request."""

HARMLESS = OURS | {
    "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens",
    "user", "metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
    "service_tier", "verbosity",
}  # fmt: skip
"""Fields that every provider of chat takes, or that change nothing in the answer's meaning."""

NEUTRAL: Mapping[str, Any] = {
    "n": 1, "logprobs": False, "presence_penalty": 0, "frequency_penalty": 0, "logit_bias": {},
    "tools": [], "functions": [], "tool_choice": "auto", "function_call": "auto",
    "parallel_tool_calls": True, "response_format": {"type": "text"}, "modalities": ["text"],
    "top_logprobs": 0, "stop": [], "repetition_penalty": 1, "min_p": 0,
    "temperature": 1, "top_p": 1,
}  # fmt: skip
"""Values that ask for what a provider does anyway."""

SAMPLING = frozenset({
    "temperature", "top_p", "top_k", "min_p", "seed", "stop", "presence_penalty",
    "frequency_penalty", "repetition_penalty", "logit_bias",
})  # fmt: skip
TOOLS = frozenset({"tools", "tool_choice", "parallel_tool_calls"})


@dataclass(frozen=True, slots=True)
class Abilities:
    """What one kind of provider can do. `fields`: those of a chat request beside `HARMLESS`, None
    for all; `parts`: the types of content parts that it reads, None for all."""

    operations: frozenset[Operation]
    fields: frozenset[str] | None = None
    parts: frozenset[str] | None = None


TEXT = frozenset({"text", "refusal"})

ABILITIES: Mapping[str, Abilities] = {
    "openai": Abilities(frozenset({"chat", "embedding", "image", "transcription"})),
    "anthropic": Abilities(
        frozenset({"chat"}),
        frozenset({"temperature", "top_p", "top_k", "stop", "response_format", "reasoning_effort"})
        | TOOLS,
        TEXT | {"image_url", "file"},
    ),
    "gemini": Abilities(
        frozenset({"chat", "embedding", "image"}),
        frozenset({
            "temperature", "top_p", "top_k", "stop", "seed", "n", "presence_penalty",
            "frequency_penalty", "logprobs", "top_logprobs", "response_format",
            "reasoning_effort", "tools", "tool_choice",
        }),
        TEXT | {"image_url", "input_audio", "file"},
    ),
    "eliza": Abilities(frozenset({"chat"}), SAMPLING | {"n"}, TEXT),
    "sim": Abilities(
        frozenset({"chat"}),
        SAMPLING | TOOLS | {"n", "response_format", "logprobs", "top_logprobs", "reasoning_effort"},
        TEXT | {"image_url", "input_audio", "file"},
    ),
    "minilm": Abilities(frozenset({"embedding"})),
    "image": Abilities(frozenset({"image"})),
}  # fmt: skip
"""By kind of provider (`ProviderSpec.kind`)."""


def unable(kind: str, request: Mapping[str, Any], without: Iterable[str] = ()) -> str | None:
    """The path of the first field of a chat request that a provider of `kind` cannot honour, or
    None. `without`: fields that this provider or model lacks beside."""
    able, lacks = ABILITIES[kind], frozenset(without)
    for name, value in request.items():
        if name in HARMLESS or value is None or NEUTRAL.get(name) == value:
            continue
        if name in lacks or (able.fields is not None and name not in able.fields):
            return name
    return None if able.parts is None else _unread_part(request, able.parts)


def _unread_part(request: Mapping[str, Any], parts: frozenset[str]) -> str | None:
    for at, message in enumerate(request.get("messages") or ()):
        content = message.get("content")
        if isinstance(content, list):
            for place, part in enumerate(content):
                if str(part.get("type", "text")) not in parts:
                    return f"messages.{at}.content.{place}.type"
    return None
