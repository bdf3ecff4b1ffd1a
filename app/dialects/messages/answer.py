"""A stored chat completion as Anthropic's message."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from app.catalogue.tokens import MEDIA_TOKENS

ID_PREFIX = "msg_"
STOPS = {
    "stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use",
    "function_call": "tool_use", "content_filter": "refusal",
}  # fmt: skip
"""Why a message ended, by the finish reason of the chat completion."""


def message_id(job_id: str) -> str:
    """The id of a job's message."""
    return ID_PREFIX + job_id.removeprefix("job_")


def message_object(
    job_id: str, model: str, content: Sequence[Mapping[str, Any]] = (),
    stop: Mapping[str, Any] | None = None, usage: Mapping[str, Any] | None = None,
    routing: Mapping[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The message object; `usage` is that of a chat completion, `stop` what `stop_of` gives.
    `routing`: how `model` was chosen, where the router did."""
    return {
        "id": message_id(job_id),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": list(content),
        **(stop or {"stop_reason": None, "stop_sequence": None}),
        "usage": message_usage(usage or {}),
        **({} if routing is None else {"routing": routing}),
    }


def stop_of(finish_reason: str | None, stop_sequence: str | None) -> dict[str, Any]:
    """Why a message ended. A stop sequence is told where the provider says which it was."""
    reason = STOPS.get(finish_reason, "end_turn") if finish_reason else None
    if stop_sequence is not None and reason == "end_turn":
        return {"stop_reason": "stop_sequence", "stop_sequence": stop_sequence}
    return {"stop_reason": reason, "stop_sequence": None}


def message_usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    """A chat completion's usage in Anthropic's words, whose input leaves out what came from a cache
    or went into one; costs and times stay as they are."""
    details = usage.get("prompt_tokens_details") or {}
    cached = details.get("cached_tokens") or 0
    created = details.get("cache_creation_tokens") or 0
    chats = (
        "prompt_tokens", "prompt_tokens_details", "completion_tokens", "total_tokens",
        "completion_tokens_details",
    )  # fmt: skip
    return {
        "input_tokens": max(0, usage.get("prompt_tokens", 0) - cached - created),
        "cache_creation_input_tokens": created,
        "cache_read_input_tokens": cached,
        "output_tokens": usage.get("completion_tokens", 0),
        **{name: value for name, value in usage.items() if name not in chats},
    }


def whole_message(completion: Mapping[str, Any], job_id: str, model: str) -> dict[str, Any]:
    """The message of a job that has answered with `completion`."""
    choice = completion["choices"][0]
    said = choice["message"]
    stop = stop_of(choice.get("finish_reason"), said.get("stop_sequence"))
    content = list(_content(said, job_id))
    routing = completion.get("routing")
    model = model if routing is None else completion["model"]
    return message_object(job_id, model, content, stop, completion.get("usage"), routing)


def _content(said: Mapping[str, Any], job_id: str) -> Iterator[dict[str, Any]]:
    blocks = said.get("thinking_blocks") or ()
    yield from blocks
    if said.get("reasoning_content") and not any(b["type"] == "thinking" for b in blocks):
        yield {"type": "thinking", "thinking": said["reasoning_content"], "signature": ""}
    text = said.get("content") or said.get("refusal")
    if text:
        yield {"type": "text", "text": text, "citations": None}
    for index, call in enumerate(said.get("tool_calls") or ()):
        function = call.get("function") or {}
        yield {
            "type": "tool_use", "id": tool_id(call.get("id"), job_id, index),
            "name": function.get("name") or "", "input": _input(function.get("arguments")),
        }  # fmt: skip


def tool_id(told: str | None, job_id: str, index: int) -> str:
    """The id by which a tool's result names its call, where the provider gave none too."""
    return told or f"toolu_{job_id.removeprefix('job_')}_{index}"


def _input(arguments: str | None) -> dict[str, Any]:
    """A call's arguments; those that are no object, which a model may write, stand under `raw`."""
    try:
        found = orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError:
        return {"raw": arguments}
    return found if isinstance(found, dict) else {"raw": arguments}


def counted(chat: Mapping[str, Any]) -> tuple[str, int]:
    """What of a chat request is to be counted: its text, and tokens of its images and files."""
    tokens = 0
    texts = [orjson.dumps(tool).decode() for tool in chat.get("tools", ())]
    for message in chat["messages"]:
        content = message.get("content") or ""
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        texts += [part["text"] for part in parts if part["type"] == "text"]
        tokens += MEDIA_TOKENS * sum(part["type"] != "text" for part in parts)
        texts += [call["function"]["arguments"] for call in message.get("tool_calls") or ()]
    return "\n".join(texts), tokens
