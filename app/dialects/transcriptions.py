"""Transcriptions in OpenAI's forms."""

from collections.abc import Mapping
from typing import Any

PLAIN = frozenset({"text", "srt", "vtt"})
"""The forms that are answered as plain text."""


def transcription_shown(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A stored transcription with its usage as OpenAI tells it, in seconds or in tokens, beside
    what ours has more."""
    usage = stored.get("usage") or {}
    if usage.get("seconds") is not None:
        counted = {"type": "duration"}
    else:
        counted = {
            "type": "tokens",
            "input_tokens": usage.get("prompt_tokens", 0),
            "output_tokens": usage.get("completion_tokens", 0),
        }
    return {**stored, "usage": {**counted, **usage}}
