"""Gemini, from https://ai.google.dev/api/generate-content and /embeddings beside it."""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from tests.workers.providers.vendors.base import (
    IMAGE,
    MODEL,
    VECTORS,
    Heard,
    Reply,
    Request,
    Said,
    ToolSaid,
    UsageSaid,
)
from workers.providers.base import Provider
from workers.providers.gemini import Gemini

FINISHES = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
}
NAMES = {
    "maxOutputTokens": "max_tokens", "stopSequences": "stop", "topP": "top_p", "topK": "top_k",
    "candidateCount": "n", "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty", "responseLogprobs": "logprobs",
    "logprobs": "top_logprobs",
}  # fmt: skip
STATUSES = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Google:
    """The API as it is documented. `own_ids`: it gives ids to its calls, as Gemini 3 does;
    `one_by_one`: each part of a stream's answer is an event, else all but the first are one."""

    name: str
    own_ids: bool
    one_by_one: bool
    kind: str = "gemini"
    finishes: Mapping[str, str] = field(default_factory=lambda: FINISHES)
    thinks: bool = True
    counts_reasoning: bool = True

    @property
    def keeps_ids(self) -> bool:
        return self.own_ids

    def provider(self, transport: httpx.BaseTransport, url: str, key: str) -> Provider:
        return Gemini(transport, f"{url}/v1beta", key)

    def whole(self, said: Said) -> bytes:
        parts = [*self._parts(said)]
        candidate = {"content": {"parts": parts, "role": "model"}, "finishReason": _end(said)}
        return orjson.dumps(_answer({**candidate, "index": 0}, said.usage))

    def _parts(self, said: Said) -> Iterator[dict[str, Any]]:
        yield from ({"text": text, "thought": True} for text in said.thoughts)
        yield from ({"text": text} for text in said.texts)
        yield from (self._call(tool) for tool in said.tools)

    def _call(self, tool: ToolSaid) -> dict[str, Any]:
        call = {"name": tool.name, "args": orjson.loads(tool.arguments)}
        return {"functionCall": {**call, "id": tool.id} if self.own_ids else call,
                "thoughtSignature": "c2ln"}  # fmt: skip

    def frames(self, said: Said) -> list[bytes]:
        parts = [*self._parts(said)]
        groups = [[part] for part in parts] if self.one_by_one else [parts[:1], parts[1:]]
        told = [_answer({"content": {"parts": group, "role": "model"}}, said.usage)
                for group in groups]  # fmt: skip
        last = {"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": _end(said)}
        told.append(_answer({**last, "index": 0}, said.usage))
        return [b"data: " + orjson.dumps(one) + b"\n\n" for one in told]

    def error(self, status: int, message: str) -> bytes:
        told = {"code": status, "message": message, "status": STATUSES.get(status, "UNKNOWN")}
        return orjson.dumps({"error": told})

    def error_frame(self, message: str) -> bytes:
        return b"data: " + self.error(503, message) + b"\n\n"

    def heard(self, request: Request) -> Heard:
        assert request.method == "POST"
        assert request.headers["content-type"] == "application/json"
        place, _, method = request.path.removeprefix("/v1beta/models/").partition(":")
        assert method in ("generateContent", "streamGenerateContent?alt=sse")
        told = orjson.loads(request.body)
        assert told.keys() <= {
            "contents", "systemInstruction", "generationConfig", "tools", "toolConfig",
        }  # fmt: skip
        messages = [one for turn in told["contents"] for one in _messages(turn)]
        if system := told.get("systemInstruction"):
            messages.insert(0, {"role": "system", "content": _text(system["parts"])})
        config = told.get("generationConfig", {})
        fields = {NAMES.get(name, name): value for name, value in config.items()}
        streamed = method.startswith("stream")
        return Heard(place, _key(request), streamed, messages, {**fields, **_tools(told)})

    def answer(self, operation: str) -> Reply:
        if operation == "image":
            image = {"inlineData": {"mimeType": "image/png", "data": b64encode(IMAGE).decode()}}
            content = {"parts": [image], "role": "model"}
            candidate = {"content": content, "finishReason": "STOP", "index": 0}
            return Reply((orjson.dumps(_answer(candidate, UsageSaid())),))
        embeddings = [{"values": vector} for vector in VECTORS]
        return Reply((orjson.dumps({"embeddings": embeddings}),))

    def asked(self, operation: str, request: Request) -> dict[str, Any]:
        _key(request)
        told = orjson.loads(request.body)
        if operation == "image":
            assert request.path == f"/v1beta/models/{MODEL}:generateContent"
            assert told["generationConfig"] == {"responseModalities": ["IMAGE"]}
            [content] = told["contents"]
            return {"prompt": _text(content["parts"]), "n": 1}
        assert request.path == f"/v1beta/models/{MODEL}:batchEmbedContents"
        told = told["requests"]
        assert {one["model"] for one in told} == {f"models/{MODEL}"}
        return {"input": [_text(one["content"]["parts"]) for one in told]}


def _key(request: Request) -> str:
    return request.headers["x-goog-api-key"]


def _answer(candidate: dict[str, Any], usage: UsageSaid | None) -> dict[str, Any]:
    told = {"candidates": [candidate], "modelVersion": MODEL, "responseId": "r"}
    return told if usage is None else {**told, "usageMetadata": _usage(usage)}


def _end(said: Said) -> str:
    return said.finish or "STOP"


def _usage(usage: UsageSaid) -> dict[str, int]:
    """Counts that are 0 are left out, as protobuf's JSON does."""
    told = {
        "promptTokenCount": usage.prompt,
        "cachedContentTokenCount": usage.cached,
        "candidatesTokenCount": usage.completion - usage.reasoning,
        "thoughtsTokenCount": usage.reasoning,
        "totalTokenCount": usage.prompt + usage.completion,
    }
    return {name: count for name, count in told.items() if count}


def _text(parts: list[dict[str, Any]]) -> str:
    assert all(part.keys() == {"text"} and part["text"] for part in parts)
    return "".join(part["text"] for part in parts)


def _messages(turn: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The messages that a turn is made of: results of tools, then the rest."""
    results = [one["functionResponse"] for one in turn["parts"] if "functionResponse" in one]
    for result in results:
        assert result["response"].keys() == {"output"}
        yield {"role": "tool", "tool_call_id": result["id"],
               "content": result["response"]["output"]}  # fmt: skip
    rest = [part for part in turn["parts"] if "functionResponse" not in part]
    calls = [_call(part["functionCall"]) for part in rest if "functionCall" in part]
    parts = [_part(part) for part in rest if "functionCall" not in part]
    plain = all(part["type"] == "text" for part in parts)
    content: Any = "".join(part["text"] for part in parts) if plain else parts
    role = {"user": "user", "model": "assistant"}[turn["role"]]
    message = {"role": role, "content": content}
    if rest:
        yield {**message, "tool_calls": calls} if calls else message


def _call(call: dict[str, Any]) -> dict[str, Any]:
    function = {"name": call["name"], "arguments": orjson.dumps(call["args"]).decode()}
    return {"id": call["id"], "type": "function", "function": function}


def _part(part: dict[str, Any]) -> dict[str, Any]:
    if "text" in part:
        assert part.keys() == {"text"}
        return {"type": "text", **part}
    assert part.keys() == {"inlineData"}
    data, media_type = part["inlineData"]["data"], part["inlineData"]["mimeType"]
    url = f"data:{media_type};base64,{data}"
    if media_type.startswith("audio/"):
        audio = {"data": data, "format": media_type.removeprefix("audio/")}
        return {"type": "input_audio", "input_audio": audio}
    if media_type.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": url}}
    return {"type": "file", "file": {"file_data": url}}


def _tools(told: dict[str, Any]) -> dict[str, Any]:
    """Tools and their choice under OpenAI's names."""
    fields: dict[str, Any] = {}
    for tool in told.get("tools", ()):
        fields["tools"] = [_tool(one) for one in tool["functionDeclarations"]]
    config = told.get("toolConfig", {}).get("functionCallingConfig")
    if config is not None:
        names = config.get("allowedFunctionNames")
        modes = {"NONE": "none", "ANY": "required", "AUTO": "auto"}
        named = {"type": "function", "function": {"name": names[0]}} if names else None
        fields["tool_choice"] = named or modes[config["mode"]]
    return fields


def _tool(told: dict[str, Any]) -> dict[str, Any]:
    function = {name: value for name, value in told.items() if name != "parametersJsonSchema"}
    function["parameters"] = told["parametersJsonSchema"]
    return {"type": "function", "function": function}


VENDORS = (
    Google("gemini", own_ids=True, one_by_one=True),
    Google("gemini-2.5", own_ids=False, one_by_one=False),
)
