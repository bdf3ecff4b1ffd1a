"""Chunk choices in OpenAI's form, the same for each of `count` choices."""

from typing import Any


def opening(count: int) -> list[dict[str, Any]]:
    """An empty first delta, for an answer without a token."""
    return token("", count, first=True)


def token(text: str, count: int, *, first: bool) -> list[dict[str, Any]]:
    """One token; the first one tells the role as well."""
    return [
        {
            "index": index,
            "delta": {"role": "assistant", "content": text} if first else {"content": text},
            "finish_reason": None,
        }
        for index in range(count)
    ]


def part(told: dict[str, Any], count: int, *, first: bool) -> list[dict[str, Any]]:
    """A token that is more than text: `told` has its `delta`, perhaps `logprobs`; the first one
    tells the role as well."""
    if first:
        told = {**told, "delta": {"role": "assistant", "content": None, **told["delta"]}}
    return [{"index": index, **told, "finish_reason": None} for index in range(count)]


def finish(reason: str, count: int) -> list[dict[str, Any]]:
    """The end of each choice."""
    return [{"index": index, "delta": {}, "finish_reason": reason} for index in range(count)]
