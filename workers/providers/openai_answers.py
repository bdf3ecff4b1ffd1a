"""What vendors of OpenAI's form write otherwise than OpenAI, put into OpenAI's form."""

from typing import Any

import orjson

from workers.providers.base import ProviderError

FINISHES = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})
"""OpenAI's words for why an answer ended."""

OTHER_FINISHES = {
    "eos": "stop",  # Together
    "end_turn": "stop",  # xAI
    "model_length": "length",  # Mistral
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "safety": "content_filter",
}
FAILURES = frozenset({"error", "abort", "insufficient_system_resource"})
"""Words for an answer that the provider broke off: OpenRouter's, Mistral's, vLLM's, DeepSeek's."""


def finish_of(word: Any) -> str:
    """OpenAI's word for why an answer ended, `stop` for one that nobody knows. Raises ProviderError
    `unavailable` where the provider broke it off, `protocol` where it is no word."""
    if type(word) is not str:
        raise ProviderError("protocol", "a finish reason is not a string")
    if word in FINISHES:
        return word
    if word in FAILURES:
        raise ProviderError("unavailable", f"the provider broke the answer off: {word}")
    return OTHER_FINISHES.get(word.lower(), "stop")


def mend(message: dict[str, Any]) -> None:
    """Brings thoughts under `reasoning_content`: from `reasoning`, as Groq, OpenRouter and Ollama
    name them, or from parts of the content, as Mistral sends them."""
    thought = message.pop("reasoning", None)
    if type(thought) is str and thought:
        message.setdefault("reasoning_content", thought)
    content = message.get("content")
    if type(content) is list:
        text = "".join(part["text"] for part in content if part["type"] == "text")
        inner = [part["thinking"] for part in content if part["type"] == "thinking"]
        thoughts = "".join(part["text"] for parts in inner for part in parts if "text" in part)
        message["content"] = text or None
        if thoughts:
            message["reasoning_content"] = thoughts
    elif content is not None and type(content) is not str:
        raise TypeError


def mend_calls(calls: Any) -> None:
    """Makes arguments that are an object, as Ollama's own API has them, the text that they are in
    OpenAI's. Raises TypeError or AttributeError if these are no tool calls."""
    if type(calls) is not list:
        raise TypeError
    for call in calls:
        for name, piece in (("function", "arguments"), ("custom", "input")):
            payload = call.get(name)
            if payload is None:
                continue
            told = payload.get(piece)
            if type(told) is dict:
                payload[piece] = orjson.dumps(told).decode()
            elif told is not None and type(told) is not str:
                raise TypeError


def whole_choices(choices: Any) -> list[dict[str, Any]]:
    """The choices of a whole answer, mended; raises AttributeError, TypeError or KeyError if they
    are none."""
    if type(choices) is not list or not choices:
        raise TypeError
    for at, choice in enumerate(choices):
        message = choice["message"]
        if type(message) is not dict:
            raise TypeError
        choice.setdefault("index", at)
        message.setdefault("content", None)
        mend(message)
        if message.get("tool_calls") is not None:
            mend_calls(message["tool_calls"])
        # A whole answer has ended, whether its vendor says why or not.
        untold = "tool_calls" if message.get("tool_calls") else "stop"
        choice["finish_reason"] = finish_of(choice.get("finish_reason") or untold)
    return choices


def counted(usage: Any) -> dict[str, Any] | None:
    """Usage with OpenAI's counts: `prompt_tokens` includes cached ones, which DeepSeek and others
    name elsewhere, and `completion_tokens` those of thoughts, which xAI counts apart. None if what
    was told is no usage."""
    if type(usage) is not dict or not usage:
        return None
    if not usage.get("prompt_tokens_details"):
        cached = usage.get("prompt_cache_hit_tokens", usage.get("cached_tokens"))
        if cached:
            usage["prompt_tokens_details"] = {"cached_tokens": cached}
    details = usage.get("completion_tokens_details")
    if type(details) is dict and (thought := details.get("reasoning_tokens")):
        prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
        counts = (prompt, completion, thought, usage.get("total_tokens"))
        if all(type(count) is int for count in counts) and sum(counts[:3]) == counts[3]:
            usage["completion_tokens"] = completion + thought
    return usage
