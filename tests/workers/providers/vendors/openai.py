"""OpenAI and the vendors that speak its chat API, each with its own habits.

From https://platform.openai.com/docs/api-reference/chat and the API references of the others.
"""

import email
import email.policy
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from tests.workers.providers.vendors.base import (
    AUDIO,
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
from workers.providers.openai import OpenAI

FINISHES = {"stop": "stop", "length": "length", "content_filter": "content_filter"}
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Compatible:
    """A vendor of OpenAI's form.

    `thought`: the field of its thoughts, `parts` where they are parts of the content. `usage_at`:
    in a chunk without choices, in the last chunk, or on every chunk. `null_choices`: a chunk
    without choices has null in their place. `opening` goes before the first chunk, `between` before
    each other. `flat_errors`: the message of an error stands at the top of its object.
    """

    name: str
    finishes: Mapping[str, str] = field(default_factory=lambda: FINISHES)
    thought: str = ""
    counts_reasoning: bool = True
    usage_at: str = "own"
    null_choices: bool = False
    opening: bytes = b""
    between: bytes = b""
    flat_errors: bool = False
    done: bytes = DONE
    kind: str = "openai"
    keeps_ids: bool = True

    @property
    def thinks(self) -> bool:
        return bool(self.thought)

    def provider(self, transport: httpx.BaseTransport, url: str, key: str) -> Provider:
        return OpenAI(transport, f"{url}/v1", key)

    def whole(self, said: Said) -> bytes:
        message: dict[str, Any] = {"role": "assistant", **self._content(said)}
        if said.tools:
            message["tool_calls"] = [_tool(tool, tool.arguments) for tool in said.tools]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _end(said)}
        body = {"id": "c", "object": "chat.completion", "model": MODEL, "choices": [choice]}
        return orjson.dumps(body if said.usage is None else {**body, "usage": _usage(said.usage)})

    def _content(self, said: Said) -> dict[str, Any]:
        text, thought = said.text, "".join(said.thoughts)
        if self.thought == "parts" and said.thoughts:
            return {"content": [_thinking(thought), {"type": "text", "text": text}]}
        content: dict[str, Any] = {"content": text or None}
        return {**content, self.thought: thought} if said.thoughts else content

    def frames(self, said: Said) -> list[bytes]:
        choices = [*self._choices(said)]
        usage = None if said.usage is None else _usage(said.usage)
        told: list[dict[str, Any]] = [{"choices": [choice]} for choice in choices]
        if usage is not None:
            if self.usage_at == "own":
                told.append({"choices": None if self.null_choices else [], "usage": usage})
            elif self.usage_at == "last":
                told[-1]["usage"] = usage
            else:
                told = [{**one, "usage": usage} for one in told]
        head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
        frames = [b"data: " + orjson.dumps({**head, **one}) + b"\n\n" for one in told]
        frames = [frames[0], *(self.between + frame for frame in frames[1:])]
        return [*filter(None, [self.opening]), *frames, *filter(None, [self.done])]

    def _choices(self, said: Said) -> Iterator[dict[str, Any]]:
        yield _choice({"role": "assistant", "content": ""})
        for thought in said.thoughts:
            if self.thought == "parts":
                yield _choice({"content": [_thinking(thought)]})
            else:
                yield _choice({self.thought: thought})
        for text in said.texts:
            yield _choice({"content": text})
        for index, tool in enumerate(said.tools):
            yield _choice({"tool_calls": [{"index": index, **_tool(tool, "")}]})
            for piece in tool.pieces:
                delta = {"index": index, "function": {"arguments": piece}}
                yield _choice({"tool_calls": [delta]})
        yield _choice({}, _end(said))

    def error(self, status: int, message: str) -> bytes:
        told = {"message": message, "type": "error", "param": None, "code": None}
        return orjson.dumps({"object": "error", **told} if self.flat_errors else {"error": told})

    def error_frame(self, message: str) -> bytes:
        return b"data: " + self.error(500, message) + b"\n\n"

    def heard(self, request: Request) -> Heard:
        assert (request.method, request.path) == ("POST", "/v1/chat/completions")
        assert request.headers["content-type"] == "application/json"
        told = orjson.loads(request.body)
        options = told.pop("stream_options", None)
        streamed = told.pop("stream", False)
        assert options == ({"include_usage": True} if streamed else None)
        if "max_completion_tokens" in told:
            told["max_tokens"] = told.pop("max_completion_tokens")
        key = request.headers["authorization"].removeprefix("Bearer ")
        return Heard(told.pop("model"), key, streamed, told.pop("messages"), told)

    def answer(self, operation: str) -> Reply:
        tokens = {"prompt_tokens": 4, "total_tokens": 4}
        body: dict[str, Any] = {"model": MODEL}
        if operation == "embedding":
            rows = enumerate(VECTORS)
            data = [{"object": "embedding", "index": at, "embedding": row} for at, row in rows]
            body |= {"object": "list", "data": data, "usage": tokens}
        elif operation == "image":
            body |= {"created": 1, "data": [{"b64_json": b64encode(IMAGE).decode()}]}
        else:
            body = {"text": "a moon", "usage": {"type": "duration", "seconds": 3}}
        return Reply((orjson.dumps(body),))

    def asked(self, operation: str, request: Request) -> dict[str, Any]:
        paths = {"embedding": "embeddings", "image": "images/generations",
                 "transcription": "audio/transcriptions"}  # fmt: skip
        assert request.path == f"/v1/{paths[operation]}"
        told = form(request) if operation == "transcription" else orjson.loads(request.body)
        assert told.pop("model") == MODEL
        return told


def form(request: Request) -> dict[str, Any]:
    """The fields of a multipart request (RFC 7578), read by Python's parser of mail: a list where
    a name ends in brackets, a file as an adapter is given it."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + request.body, policy=email.policy.HTTP)
    fields: dict[str, Any] = {}
    for part in message.walk():
        if part.is_multipart():
            continue
        name = str(part.get_param("name", header="content-disposition"))
        content = part.get_payload(decode=True)
        assert type(content) is bytes
        if part.get_filename() is not None:
            assert content == AUDIO
            fields[name] = {
                "name": part.get_filename(), "content_type": part.get_content_type(),
                "data": b64encode(content).decode(),
            }  # fmt: skip
        elif name.endswith("[]"):
            fields.setdefault(name.removesuffix("[]"), []).append(content.decode())
        else:
            assert name not in fields
            fields[name] = content.decode()
    return fields


def _choice(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}


def _tool(tool: ToolSaid, arguments: str) -> dict[str, Any]:
    function = {"name": tool.name, "arguments": arguments}
    return {"id": tool.id, "type": "function", "function": function}


def _thinking(text: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}


def _end(said: Said) -> str:
    return said.finish or ("tool_calls" if said.tools else "stop")


def _usage(usage: UsageSaid) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


AZURE = b'data: {"id":"","object":"","model":"","choices":[],"prompt_filter_results":[]}\n\n'

VENDORS = (
    Compatible("openai"),
    Compatible("azure", opening=AZURE),
    Compatible("groq", thought="reasoning", usage_at="last"),
    Compatible(
        "mistral", {**FINISHES, "model_length": "length"}, "parts", usage_at="last",
        flat_errors=True,
    ),
    Compatible(
        "deepseek", thought="reasoning_content", usage_at="last", between=b": keep-alive\n\n",
    ),
    Compatible("xai", thought="reasoning_content", usage_at="every"),
    Compatible("together", {**FINISHES, "eos": "stop"}, "reasoning", usage_at="last"),
    Compatible("openrouter", thought="reasoning", opening=b": OPENROUTER PROCESSING\n\n"),
    Compatible("vllm", thought="reasoning_content", null_choices=True, flat_errors=True),
    Compatible("no-done", done=b""),
)  # fmt: skip
