"""Anthropic, from https://platform.claude.com/docs/en/api/messages and "Streaming messages" beside
it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from tests.workers.providers.vendors.base import MODEL, Heard, Reply, Request, Said, UsageSaid
from workers.providers.anthropic import Anthropic
from workers.providers.base import Provider

FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}
NAMES = {"stop_sequences": "stop"}
CHOICES = {"auto": "auto", "none": "none", "any": "required"}
ERRORS = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error",
    403: "permission_error", 404: "not_found_error", 413: "request_too_large",
    429: "rate_limit_error", 500: "api_error", 504: "timeout_error", 529: "overloaded_error",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Claude:
    """The API as it is documented, with a ping after each event where it is told so."""

    name: str
    pings: bool = False
    kind: str = "anthropic"
    finishes: Mapping[str, str] = field(default_factory=lambda: FINISHES)
    thinks: bool = True
    counts_reasoning: bool = True
    keeps_ids: bool = True

    def provider(self, transport: httpx.BaseTransport, url: str, key: str) -> Provider:
        return Anthropic(transport, f"{url}/v1", key)

    def whole(self, said: Said) -> bytes:
        content = [block for block, _ in _blocks(said)]
        body = {**_message(), "content": content, "stop_reason": _end(said)}
        if said.usage is not None:
            body["usage"] = _usage(said.usage)
        return orjson.dumps(body)

    def frames(self, said: Said) -> list[bytes]:
        told = [*self._events(said)]
        if self.pings:
            told = [one for event in told for one in (event, {"type": "ping"})]
        return [b"event: %b\ndata: %b\n\n" % (one["type"].encode(), orjson.dumps(one))
                for one in told]  # fmt: skip

    def _events(self, said: Said) -> Iterator[dict[str, Any]]:
        start = {**_message(), "content": [], "stop_reason": None}
        if said.usage is not None:
            start["usage"] = {**_usage(said.usage), "output_tokens": 1}
        yield {"type": "message_start", "message": start}
        for index, (block, deltas) in enumerate(_blocks(said)):
            empty = {"text": "", "thinking": "", "signature": "", "input": {}}
            bare = {name: empty.get(name, value) for name, value in block.items()}
            yield {"type": "content_block_start", "index": index, "content_block": bare}
            for delta in deltas:
                yield {"type": "content_block_delta", "index": index, "delta": delta}
            yield {"type": "content_block_stop", "index": index}
        end: dict[str, Any] = {"type": "message_delta"}
        end["delta"] = {"stop_reason": _end(said), "stop_sequence": None}
        if said.usage is not None:
            end["usage"] = _usage(said.usage)
        yield end
        yield {"type": "message_stop"}

    def error(self, status: int, message: str) -> bytes:
        told = {"type": ERRORS.get(status, "api_error"), "message": message}
        return orjson.dumps({"type": "error", "error": told, "request_id": "req_1"})

    def error_frame(self, message: str) -> bytes:
        return b"event: error\ndata: " + self.error(529, message) + b"\n\n"

    def heard(self, request: Request) -> Heard:
        assert (request.method, request.path) == ("POST", "/v1/messages")
        assert request.headers["anthropic-version"] == "2023-06-01"
        assert request.headers["content-type"] == "application/json"
        told = orjson.loads(request.body)
        model, streamed = told.pop("model"), told.pop("stream", False)
        system = [{"role": "system", "content": _text(told["system"])}] if "system" in told else []
        told.pop("system", None)
        turns = [one for turn in told.pop("messages") for one in _messages(turn)]
        fields = {NAMES.get(name, name): value for name, value in told.items()}
        _tools(fields)
        if fields.get("thinking") == {"type": "disabled"}:
            del fields["thinking"]
        return Heard(model, request.headers["x-api-key"], streamed, system + turns, fields)

    def answer(self, operation: str) -> Reply:
        raise AssertionError(f"the API has no {operation}")

    def asked(self, operation: str, request: Request) -> dict[str, Any]:
        raise AssertionError(f"the API has no {operation}")


def _message() -> dict[str, Any]:
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL,
            "stop_sequence": None}  # fmt: skip


def _blocks(said: Said) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Each block whole, and the deltas that spell it out."""
    if said.thoughts:
        block = {"type": "thinking", "thinking": "".join(said.thoughts), "signature": "c2ln"}
        deltas = [{"type": "thinking_delta", "thinking": text} for text in said.thoughts]
        yield block, [*deltas, {"type": "signature_delta", "signature": "c2ln"}]
    if said.texts:
        yield (
            {"type": "text", "text": said.text},
            [{"type": "text_delta", "text": text} for text in said.texts],
        )
    for tool in said.tools:
        call = {"type": "tool_use", "id": tool.id, "name": tool.name}
        pieces = ("", *tool.pieces)
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
        yield {**call, "input": orjson.loads(tool.arguments)}, deltas


def _end(said: Said) -> str:
    return said.finish or ("tool_use" if said.tools else "end_turn")


def _usage(usage: UsageSaid) -> dict[str, Any]:
    """Half of what is not cached is written to the cache: both are outside `input_tokens`."""
    fresh = usage.prompt - usage.cached
    return {
        "input_tokens": fresh - fresh // 2,
        "cache_read_input_tokens": usage.cached,
        "cache_creation_input_tokens": fresh // 2,
        "output_tokens": usage.completion,
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
        "server_tool_use": None,
    }


def _text(content: Any) -> str:
    """Content that is text alone."""
    if isinstance(content, str):
        return content
    assert all(block.keys() == {"type", "text"} and block["text"] for block in content)
    return "".join(block["text"] for block in content)


def _messages(turn: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The messages that a turn is made of: results of tools, which come first, then the rest."""
    content = turn["content"]
    results = [block for block in content if block["type"] == "tool_result"]
    assert results == content[: len(results)]
    for block in results:
        text = _text(block["content"])
        yield {"role": "tool", "tool_call_id": block["tool_use_id"], "content": text}
    rest = content[len(results) :]
    calls = [_call(block) for block in rest if block["type"] == "tool_use"]
    parts = [_part(block) for block in rest if block["type"] != "tool_use"]
    plain = all(part["type"] == "text" for part in parts)
    message = {"role": turn["role"], "content": _text(parts) if plain else parts}
    if rest:
        yield {**message, "tool_calls": calls} if calls else message


def _call(block: dict[str, Any]) -> dict[str, Any]:
    assert block.keys() == {"type", "id", "name", "input"}
    function = {"name": block["name"], "arguments": orjson.dumps(block["input"]).decode()}
    return {"id": block["id"], "type": "function", "function": function}


def _part(block: dict[str, Any]) -> dict[str, Any]:
    if block["type"] == "text":
        return block
    source = block["source"]
    assert source.keys() == {"type", "media_type", "data"}
    url = f"data:{source['media_type']};base64,{source['data']}"
    if block["type"] == "image":
        return {"type": "image_url", "image_url": {"url": url}}
    assert block["type"] == "document"
    return {"type": "file", "file": {"file_data": url, "filename": block["title"]}}


def _tools(fields: dict[str, Any]) -> None:
    """Tools and their choice under OpenAI's names."""
    choice = fields.pop("tool_choice", None)
    if "tools" in fields:
        fields["tools"] = [_tool(tool) for tool in fields["tools"]]
    if choice is None:
        return
    if choice["type"] == "tool":
        fields["tool_choice"] = {"type": "function", "function": {"name": choice["name"]}}
    else:
        fields["tool_choice"] = CHOICES[choice["type"]]
    if choice.get("disable_parallel_tool_use"):
        fields["parallel_tool_calls"] = False


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    function = {name: value for name, value in tool.items() if name != "input_schema"}
    return {"type": "function", "function": {**function, "parameters": tool["input_schema"]}}


VENDORS = (Claude("anthropic"), Claude("anthropic-pings", pings=True))
