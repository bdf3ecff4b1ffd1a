"""Anthropic's Messages API: https://platform.claude.com/docs/en/api/messages and its page
"Streaming messages"."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import orjson

from workers.providers.anthropic_form import JSON_TOOL, body_of
from workers.providers.base import Call, Chunk, Completion, ErrorKind, ProviderError
from workers.providers.collect import collect
from workers.providers.refusals import message_in
from workers.providers.wire import (
    Frames,
    as_provider_errors,
    headers_for,
    post,
    read,
)

VERSION = b"2023-06-01"
FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
ERRORS: dict[str, ErrorKind] = {
    "rate_limit_error": "rate_limited",
    "authentication_error": "auth",
    "permission_error": "auth",
    "billing_error": "auth",
    "invalid_request_error": "invalid",
    "request_too_large": "invalid",
    "not_found_error": "invalid",
}
"""Kinds of the `error.type` of an event; all others pass: `overloaded_error`, `api_error`, …"""

FIELDS = {
    "max_tokens": "max_tokens", "temperature": "temperature", "top_p": "top_p", "top_k": "top_k",
    "stop_sequences": "stop", "tools": "tools", "tool_choice": "tool_choice",
    "output_config": "response_format", "thinking": "reasoning_effort", "messages": "messages",
    "system": "messages", "metadata": "safety_identifier",
}  # fmt: skip
"""The request's fields by the names under which the API refuses them."""


class Anthropic:
    """Anthropic's API at `base_url`, called with `api_key` if there is one."""

    def __init__(self, transport: httpx.BaseTransport, base_url: str, api_key: str) -> None:
        self._transport, self._key = transport, api_key
        self._url = httpx.URL(base_url.rstrip("/") + "/messages")
        self._headers = headers_for(self._url, (b"anthropic-version", VERSION))
        if api_key:
            self._headers.append((b"x-api-key", api_key.encode()))

    def complete(self, call: Call) -> Completion:
        """The whole answer; raises ProviderError."""
        with as_provider_errors(self._key):
            response = self._post(body_of(call), call)
            try:
                return _completion(orjson.loads(read(response)))
            except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
                raise ProviderError("protocol", "the answer is not a message") from error

    def stream(self, call: Call) -> Iterator[Chunk]:
        """The answer, a chunk a read; raises ProviderError."""
        with as_provider_errors(self._key):
            response = self._post({**body_of(call), "stream": True}, call)
            frames = Frames(response, call)
            try:
                yield from _chunks(frames)
            finally:
                frames.close()

    def _post(self, body: dict[str, Any], call: Call) -> httpx.Response:
        try:
            return post(self._transport, self._url, self._headers, orjson.dumps(body), call)
        except ProviderError as error:
            raise _named(error) from None


def _named(error: ProviderError) -> ProviderError:
    """A refusal with the field that its message begins with. That the platform's account is empty
    is told as an invalid request, and is not the client's to mend."""
    if error.kind == "invalid":
        if "credit balance" in error.message:
            return ProviderError("auth", error.message, status=error.status)
        told = re.match(r"`?([a-z_]+)\b", error.message)
        error.param = FIELDS.get(told.group(1)) if told else None
    return error


def _completion(message: dict[str, Any]) -> Completion:
    """A whole message, read as the stream that it could have been."""
    if message.get("type") == "error":
        raise _error(message)
    if message["type"] != "message":
        raise TypeError
    reader, chunk = _Reader(), Chunk([])
    reader.begin(message, chunk)
    for index, block in enumerate(message["content"]):
        reader.open(index, block, chunk)
        reader.close(index, chunk)
    reader.end(message, message.get("usage") or {}, chunk)
    return collect([chunk])


def _chunks(frames: Frames) -> Iterator[Chunk]:
    """One Chunk for all that one read brought."""
    reader = _Reader()
    for told in frames:
        chunk = Chunk([])
        for data in told:
            reader.take(data, chunk)
        if any(choice["delta"].keys() != {"role"} for choice in chunk.choices):
            frames.spoke()
        if chunk.choices or chunk.usage:
            yield chunk
        if reader.done:
            frames.read_end()
            break
    if not reader.finished:
        raise frames.incomplete()


class _Reader:
    """Turns the events of one message into deltas of one choice."""

    __slots__ = ("_blocks", "_calls", "_usage", "done", "finished")

    def __init__(self) -> None:
        self._blocks: dict[int, dict[str, Any]] = {}
        self._calls = 0
        self._usage: dict[str, Any] = {}
        self.finished = self.done = False

    def take(self, data: bytes, chunk: Chunk) -> None:
        """Adds what one event says to `chunk`. Raises ProviderError for an error and what is not
        of the API's form."""
        try:
            event = orjson.loads(data)
            kind = event["type"]
            if kind == "content_block_delta":
                self._delta(event["index"], event["delta"], chunk)
            elif kind == "content_block_start":
                self.open(event["index"], event["content_block"], chunk)
            elif kind == "content_block_stop":
                self.close(event["index"], chunk)
            elif kind == "message_start":
                self.begin(event["message"], chunk)
            elif kind == "message_delta":
                self.end(event["delta"], event.get("usage") or {}, chunk)
            elif kind == "message_stop":
                self.done = True
            elif kind == "error":
                raise _error(event)
        except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
            raise ProviderError("protocol", "an event is not of Anthropic's form") from error

    def begin(self, message: dict[str, Any], chunk: Chunk) -> None:
        """The head of a message: its role, and usage as far as it is known."""
        self._usage = {**(message.get("usage") or {})}
        _say(chunk, {"role": "assistant"})

    def open(self, index: int, block: dict[str, Any], chunk: Chunk) -> None:
        """A block, whole or empty: what it holds already is told."""
        kind = block["type"]
        known = self._blocks[index] = {"type": kind}
        if kind == "text" and block["text"]:
            _say(chunk, {"content": _text(block["text"])})
        elif kind == "thinking":
            known |= {"thinking": [], "signature": _text(block.get("signature") or "")}
            self._thought(known, _text(block["thinking"]), chunk)
        elif kind == "redacted_thinking":
            _say(chunk, {"thinking_blocks": [{"type": kind, "data": block["data"]}]})
        elif kind == "tool_use":
            self._call(known, block, chunk)

    def _call(self, known: dict[str, Any], block: dict[str, Any], chunk: Chunk) -> None:
        known |= {"at": None, "empty": True}
        if block["name"] != JSON_TOOL:
            known["at"] = self._calls
            self._calls += 1
            function = {"name": _text(block["name"]), "arguments": ""}
            call = {"index": known["at"], "id": _text(block["id"]), "type": "function"}
            _say(chunk, {"tool_calls": [{**call, "function": function}]})
        if block.get("input"):
            self._arguments(known, orjson.dumps(block["input"]).decode(), chunk)

    def _delta(self, index: int, delta: dict[str, Any], chunk: Chunk) -> None:
        known, kind = self._blocks[index], delta["type"]
        if kind == "text_delta":
            _say(chunk, {"content": _text(delta["text"])})
        elif kind == "input_json_delta" and known["type"] == "tool_use":
            self._arguments(known, _text(delta["partial_json"]), chunk)
        elif kind == "thinking_delta" and known["type"] == "thinking":
            self._thought(known, _text(delta["thinking"]), chunk)
        elif kind == "signature_delta" and known["type"] == "thinking":
            known["signature"] += _text(delta["signature"])

    @staticmethod
    def _arguments(known: dict[str, Any], piece: str, chunk: Chunk) -> None:
        at = known["at"]
        if not piece:
            return
        known["empty"] = False
        if at is None:
            _say(chunk, {"content": piece})
        else:
            _say(chunk, {"tool_calls": [{"index": at, "function": {"arguments": piece}}]})

    @staticmethod
    def _thought(known: dict[str, Any], text: str, chunk: Chunk) -> None:
        if text:
            known["thinking"].append(text)
            _say(chunk, {"reasoning_content": text})

    def close(self, index: int, chunk: Chunk) -> None:
        """The end of a block: thoughts with their signature go back to the API in the next
        request, and a call without input has the arguments `{}`."""
        known = self._blocks.pop(index)
        if known["type"] == "thinking" and known["signature"]:
            thought = {"type": "thinking", "thinking": "".join(known["thinking"])}
            thought["signature"] = known["signature"]
            _say(chunk, {"thinking_blocks": [thought]})
        elif known["type"] == "tool_use" and known["empty"]:
            self._arguments(known, "{}", chunk)

    def end(self, delta: dict[str, Any], usage: dict[str, Any], chunk: Chunk) -> None:
        """Why a message ended, and its usage."""
        self._usage |= {name: count for name, count in usage.items() if count is not None}
        chunk.usage = _usage(self._usage) or chunk.usage
        reason = delta.get("stop_reason")
        if reason is None:
            return
        self.finished = True
        details = delta.get("stop_details") or {}
        if reason == "refusal" and details.get("explanation"):
            _say(chunk, {"refusal": _text(details["explanation"])})
        finish = FINISHES.get(_text(reason), "stop")
        if finish == "tool_calls" and not self._calls:
            finish = "stop"
        stop = delta.get("stop_sequence")
        _say(chunk, {"stop_sequence": _text(stop)} if stop else {}, finish)


def _say(chunk: Chunk, delta: dict[str, Any], finish: str | None = None) -> None:
    chunk.choices.append({"index": 0, "delta": delta, "finish_reason": finish})


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError
    return value


def _error(event: dict[str, Any]) -> ProviderError:
    told = event["error"]
    return ProviderError(ERRORS.get(told["type"], "unavailable"), message_in(event))


def _usage(told: dict[str, Any]) -> dict[str, Any] | None:
    """OpenAI's usage: its prompt includes what came from the cache and what went there. None where
    the API did not tell."""
    if "input_tokens" not in told or "output_tokens" not in told:
        return None
    cached = told.get("cache_read_input_tokens") or 0
    created = told.get("cache_creation_input_tokens") or 0
    prompt, completion = told["input_tokens"] + cached + created, told["output_tokens"]
    details = told.get("output_tokens_details") or {}
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_creation_tokens": created},
        "completion_tokens_details": {"reasoning_tokens": details.get("thinking_tokens") or 0},
    }
