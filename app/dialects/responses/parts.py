"""The content parts of a response's items as those of chat messages, and back."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.dialects.reading import known_keys, objects, text_at, wrong

_OPTIONAL = frozenset({"type", "prompt_cache_breakpoint"})
_KEYS: Mapping[str, frozenset[str]] = {
    "input_text": frozenset({"text"}),
    "output_text": frozenset({"text", "annotations", "logprobs"}),
    "input_image": frozenset({"image_url", "detail"}),
    "input_file": frozenset({"filename", "file_data"}),
    "input_audio": frozenset({"input_audio"}),
    "refusal": frozenset({"refusal"}),
}
"""The keys of each type of part that can be honoured."""


def chat_content(content: Any, at: str) -> str | list[dict[str, Any]]:
    """Content of an item as content of a chat message. A lone text stays a text, which every
    provider reads. Raises InvalidRequest."""
    if isinstance(content, str):
        return content
    parts = [_chat_part(p, f"{at}.{i}") for i, p in enumerate(objects(content, at))]
    if len(parts) == 1 and parts[0]["type"] == "text":
        return str(parts[0]["text"])
    return parts


def _chat_part(part: dict[str, Any], at: str) -> dict[str, Any]:
    kind = str(part.get("type"))
    if kind not in _KEYS:
        raise wrong(f"{at}.type", f"{kind!r} is not supported; {', '.join(_KEYS)} are.")
    known_keys(part, _KEYS[kind] | _OPTIONAL, at)
    if kind == "input_image":
        image = {"url": text_at(part, "image_url", at)}
        if part.get("detail") is not None:
            image["detail"] = part["detail"]
        return {"type": "image_url", "image_url": image}
    if kind == "input_file":
        file = {"file_data": text_at(part, "file_data", at)}
        if part.get("filename") is not None:
            file["filename"] = text_at(part, "filename", at)
        return {"type": "file", "file": file}
    if kind == "input_audio":
        if not isinstance(part.get("input_audio"), dict):
            raise wrong(f"{at}.input_audio", "an object with data and format must stand here.")
        return {"type": "input_audio", "input_audio": part["input_audio"]}
    if kind == "refusal":
        return {"type": "refusal", "refusal": text_at(part, "refusal", at)}
    return {"type": "text", "text": text_at(part, "text", at)}


def item_content(content: Any, role: str) -> list[dict[str, Any]]:
    """Content of a chat message as parts of an item of this role."""
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    parts: Sequence[dict[str, Any]] = content or ()
    return [_item_part(part, role) for part in parts]


def _item_part(part: dict[str, Any], role: str) -> dict[str, Any]:
    kind = part["type"]
    if kind == "text":
        if role == "assistant":
            return {"type": "output_text", "text": part["text"], "annotations": []}
        return {"type": "input_text", "text": part["text"]}
    if kind == "image_url":
        image = part["image_url"]
        detail = image.get("detail", "auto")
        return {"type": "input_image", "image_url": image["url"], "detail": detail}
    if kind == "file":
        return {"type": "input_file", **part["file"]}
    return part
