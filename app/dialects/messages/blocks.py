"""The content blocks of Anthropic's messages as chat messages and their parts."""

from collections.abc import Mapping
from typing import Any

import orjson

from app.dialects.reading import known_keys, objects, text_at, wrong

_COMMON = frozenset({"type", "cache_control"})
_KEYS: Mapping[str, frozenset[str]] = {
    "text": frozenset({"text", "citations"}),
    "image": frozenset({"source"}),
    "document": frozenset({"source", "title", "context"}),
    "tool_use": frozenset({"id", "name", "input"}),
    "tool_result": frozenset({"tool_use_id", "content", "is_error"}),
    "thinking": frozenset({"thinking", "signature"}),
    "redacted_thinking": frozenset({"data"}),
}
_OF_USER = ("text", "image", "document", "tool_result")
_OF_ASSISTANT = ("text", "tool_use", "thinking", "redacted_thinking")
_OF_RESULT = ("text", "image", "document")
FAILED = "Error: "
"""What the content of a failed tool's result begins with: a chat message has no flag for it."""

Json = dict[str, Any]


def blocks_at(content: Any, kinds: tuple[str, ...], at: str) -> list[Json]:
    """Content as blocks of these kinds; a text is one block. Raises InvalidRequest."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    found = objects(content, at)
    for index, block in enumerate(found):
        kind = str(block.get("type"))
        if kind not in kinds:
            raise wrong(
                f"{at}.{index}.type", f"{kind!r} is not supported here; {', '.join(kinds)} are."
            )
        known_keys(block, _KEYS[kind] | _COMMON, f"{at}.{index}")
        if kind == "text":
            text_at(block, "text", f"{at}.{index}")
    return found


def texts(content: Any, at: str) -> str | list[Json]:
    """Content of texts alone, as the content of a chat message. Raises InvalidRequest."""
    return _content([_part(b, at) for b in blocks_at(content, ("text",), at)])


def user_messages(content: Any, at: str) -> list[Json]:
    """A user's turn as chat messages: the results of tools, then what the user says. Raises
    InvalidRequest."""
    found, said = [], []
    for index, block in enumerate(blocks_at(content, _OF_USER, at)):
        here = f"{at}.{index}"
        if block["type"] == "tool_result":
            found.append(_result(block, here))
        else:
            said.append(_part(block, here))
    if said:
        found.append({"role": "user", "content": _content(said)})
    if not found:
        raise wrong(at, "at least one block must stand here.")
    return found


def assistant_message(content: Any, at: str) -> Json:
    """The model's turn as a chat message. Raises InvalidRequest."""
    message: Json = {"role": "assistant", "content": None}
    said, calls, thoughts = [], [], []
    for index, block in enumerate(blocks_at(content, _OF_ASSISTANT, at)):
        here = f"{at}.{index}"
        if block["type"] == "text":
            said.append(_part(block, here))
        elif block["type"] == "tool_use":
            calls.append(_call(block, here))
        else:
            for name in _KEYS[block["type"]]:
                text_at(block, name, here)
            thoughts.append(block)
    if said:
        message["content"] = _content(said)
    if thoughts:
        message["thinking_blocks"] = thoughts
    if calls:
        message["tool_calls"] = calls
    return message


def _content(parts: list[Json]) -> str | list[Json]:
    """Parts, or their text where they are text without marks."""
    if all(part.keys() == {"type", "text"} for part in parts):
        return "".join(part["text"] for part in parts)
    return parts


def _marked(block: Json, told: Json) -> Json:
    mark = block.get("cache_control")
    return told if mark is None else {**told, "cache_control": mark}


def _call(block: Json, at: str) -> Json:
    if not isinstance(block.get("input"), dict):
        raise wrong(f"{at}.input", "an object must stand here.")
    function = {
        "name": text_at(block, "name", at),
        "arguments": orjson.dumps(block["input"]).decode(),
    }
    return {"id": text_at(block, "id", at), "type": "function", "function": function}


def _result(block: Json, at: str) -> Json:
    found = blocks_at(block.get("content") or "", _OF_RESULT, f"{at}.content")
    parts = [_part(b, f"{at}.content.{index}") for index, b in enumerate(found)]
    if block.get("is_error"):
        parts.insert(0, {"type": "text", "text": FAILED})
    call_id = text_at(block, "tool_use_id", at)
    return _marked(block, {"role": "tool", "tool_call_id": call_id, "content": _content(parts)})


def _part(block: Json, at: str) -> Json:
    if block["type"] == "text":
        return _marked(block, {"type": "text", "text": block["text"]})
    source = block.get("source")
    if not isinstance(source, dict):
        raise wrong(f"{at}.source", "an object must stand here.")
    made = _image(source, at) if block["type"] == "image" else _document(block, source, at)
    return _marked(block, made)


def _image(source: Json, at: str) -> Json:
    if source.get("type") == "url":
        return {"type": "image_url", "image_url": {"url": text_at(source, "url", f"{at}.source")}}
    return {"type": "image_url", "image_url": {"url": _data_url(source, f"{at}.source")}}


def _data_url(source: Json, at: str) -> str:
    if source.get("type") != "base64":
        raise wrong(f"{at}.type", f"{source.get('type')!r} is not supported here.")
    return f"data:{text_at(source, 'media_type', at)};base64,{text_at(source, 'data', at)}"


def _document(block: Json, source: Json, at: str) -> Json:
    kind, here = source.get("type"), f"{at}.source"
    titles = [block[name] for name in ("title", "context") if isinstance(block.get(name), str)]
    if kind in ("text", "content"):
        given = source.get("data" if kind == "text" else "content")
        inner = blocks_at(given, ("text",), f"{here}.{'data' if kind == 'text' else 'content'}")
        return {"type": "text", "text": "\n".join([*titles, *(b["text"] for b in inner)])}
    file = {"filename": titles[0] if titles else "document.pdf"}
    return {"type": "file", "file": {**file, "file_data": _data_url(source, here)}}
