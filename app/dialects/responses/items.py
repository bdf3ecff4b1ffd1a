"""The items of a response's input as chat messages, and back."""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from app.dialects.reading import known_keys, objects, text_at, wrong
from app.dialects.responses.parts import chat_content, item_content

ROLES = frozenset({"user", "assistant", "system", "developer"})
_COMMON = frozenset({"type", "id", "status", "phase"})
_KEYS: Mapping[str, frozenset[str]] = {
    "message": frozenset({"role", "content"}),
    "function_call": frozenset({"call_id", "name", "arguments"}),
    "function_call_output": frozenset({"call_id", "output"}),
    "reasoning": frozenset({"summary", "content", "encrypted_content"}),
}


def chat_messages(given: Any) -> list[dict[str, Any]]:
    """The chat messages of an input, which is a text or a list of items. What the model said in
    one turn becomes one message; of its reasoning goes back to the provider what `sealed` made, and
    nothing else, which providers refuse. Raises InvalidRequest."""
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    found: list[dict[str, Any]] = []
    for index, item in enumerate(objects(given, "input")):
        _add(found, item, f"input.{index}")
    return found


def _add(found: list[dict[str, Any]], item: dict[str, Any], at: str) -> None:
    kind = item.get("type") or "message"
    if not isinstance(kind, str) or kind not in _KEYS:
        raise wrong(f"{at}.type", f"{kind!r} is not supported; {', '.join(_KEYS)} are.")
    known_keys(item, _KEYS[kind] | _COMMON, at)
    if kind == "function_call_output":
        content = chat_content(item.get("output"), f"{at}.output")
        call_id = text_at(item, "call_id", at)
        found.append({"role": "tool", "tool_call_id": call_id, "content": content})
    elif kind == "function_call":
        function = {"name": text_at(item, "name", at), "arguments": text_at(item, "arguments", at)}
        call = {"id": text_at(item, "call_id", at), "type": "function", "function": function}
        _turn(found).setdefault("tool_calls", []).append(call)
    elif kind == "reasoning":
        blocks = unsealed(item.get("encrypted_content"))
        if blocks:
            found.append({"role": "assistant", "content": None, "thinking_blocks": blocks})
    elif str(item.get("role")) not in ROLES:
        raise wrong(f"{at}.role", f"must be one of {', '.join(sorted(ROLES))}.")
    elif item["role"] == "assistant":
        message = found[-1] if found and _only_reasoned(found[-1]) else {"role": "assistant"}
        if not found or message is not found[-1]:
            found.append(message)
        message |= {"content": chat_content(item.get("content"), f"{at}.content")}
    else:
        said = chat_content(item.get("content"), f"{at}.content")
        found.append({"role": item["role"], "content": said})


def _turn(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The message of the model's turn that is under way, perhaps a new one."""
    if not found or found[-1]["role"] != "assistant":
        found.append({"role": "assistant", "content": None})
    return found[-1]


def _only_reasoned(message: Mapping[str, Any]) -> bool:
    said = message["content"] is not None or "tool_calls" in message
    return message["role"] == "assistant" and not said


def sealed(blocks: Sequence[Mapping[str, Any]]) -> str:
    """Thinking blocks with their signatures as the `encrypted_content` of a reasoning item, which a
    client sends back unread."""
    return base64.b64encode(orjson.dumps(blocks)).decode()


def unsealed(text: Any) -> list[dict[str, Any]]:
    """The blocks that `sealed` made `text` of; none where it is somebody else's."""
    try:
        blocks = orjson.loads(base64.b64decode(text, validate=True))
    except (TypeError, ValueError, binascii.Error):
        return []
    whole = isinstance(blocks, list) and all(isinstance(block, dict) for block in blocks)
    return blocks if whole else []


def input_items(messages: Sequence[Mapping[str, Any]], suffix: str) -> list[dict[str, Any]]:
    """Chat messages as items, each with an id that follows from `suffix` and its place."""
    items = [item for message in messages for item in _items(message)]
    for index, item in enumerate(items):
        item["id"] = f"{_PREFIX[item['type']]}_{suffix}_in{index}"
    return items


_PREFIX = {
    "message": "msg", "function_call": "fc", "function_call_output": "fco", "reasoning": "rs",
}  # fmt: skip


def _items(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    role, content = message["role"], message.get("content")
    if role == "tool":
        output = content if isinstance(content, str) else item_content(content, role)
        yield {
            "type": "function_call_output", "call_id": message["tool_call_id"], "output": output,
            "status": "completed",
        }  # fmt: skip
        return
    if message.get("thinking_blocks"):
        seal = sealed(message["thinking_blocks"])
        yield {"type": "reasoning", "summary": [], "encrypted_content": seal}
    if content is not None:
        yield {
            "type": "message", "role": role, "content": item_content(content, role),
            "status": "completed",
        }  # fmt: skip
    for call in message.get("tool_calls") or ():
        yield {
            "type": "function_call", "call_id": call["id"], **call["function"],
            "status": "completed",
        }  # fmt: skip
