"""What the simulator says that an answer used."""

from typing import Any

from workers.providers.builtin.request import invalid, messages, usage

IMAGE_TOKENS = 85
"""What OpenAI counts for an image at low detail (Images and vision guide, "Calculating costs")."""

AUDIO_BYTES = 3200
"""Bytes of a token of audio: 100 ms at 16 kHz, 16 bits, one channel."""

FILE_BYTES = 64
"""Bytes of a token of a file."""


def sim_usage(
    request: dict[str, Any], tokens: int, reasoning: int = 0, cached: int = 0
) -> dict[str, Any]:
    """OpenAI usage, the words of the prompt with what images, audio and files count. `cached` is
    cut to the prompt. Details are told where they are not 0. Raises ProviderError `invalid` for a
    part that is not as OpenAI has it."""
    told: dict[str, Any] = usage(request, tokens)
    audio = 0
    for at, message in enumerate(messages(request)):
        content = message.get("content")
        for number, part in enumerate(content if isinstance(content, list) else ()):
            counted = _part_tokens(part, f"messages.{at}.content.{number}")
            told["prompt_tokens"] += counted
            audio += counted if part.get("type") == "input_audio" else 0
    told["total_tokens"] = told["prompt_tokens"] + tokens
    if cached or audio:
        details = {"cached_tokens": min(cached, told["prompt_tokens"]), "audio_tokens": audio}
        told["prompt_tokens_details"] = details
    if reasoning:
        told["completion_tokens_details"] = {"reasoning_tokens": reasoning}
    return told


def _part_tokens(part: Any, field: str) -> int:
    if not isinstance(part, dict):
        raise invalid(field, "must be an object")
    kind = part.get("type")
    if kind == "image_url":
        _string(part, "image_url", "url", field)
        return IMAGE_TOKENS
    if kind == "input_audio":
        return _tokens(_string(part, "input_audio", "data", field), AUDIO_BYTES)
    if kind == "file":
        file = part.get("file")
        if isinstance(file, dict) and isinstance(file.get("file_id"), str):
            return 1
        return _tokens(_string(part, "file", "file_data", field), FILE_BYTES)
    return 0


def _string(part: dict[str, Any], name: str, key: str, field: str) -> str:
    holder = part.get(name)
    found = holder.get(key) if isinstance(holder, dict) else None
    if not isinstance(found, str) or not found:
        raise invalid(f"{field}.{name}.{key}", "must be a string that is not empty")
    return found


def _tokens(base64: str, size: int) -> int:
    """One token for each `size` bytes of what base64 holds, and for the rest."""
    return -(-len(base64) * 3 // (4 * size))
