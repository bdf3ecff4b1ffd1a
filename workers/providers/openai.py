"""Whatever speaks OpenAI's chat API: OpenAI, Groq, Mistral, vLLM, Ollama, llama.cpp."""

from collections.abc import Iterator
from typing import Any

import httpx
import orjson

from workers.providers.base import Call, Chunk, Completion, ProviderError
from workers.providers.wire import (
    Frames,
    as_provider_errors,
    headers_for,
    message_in,
    post,
    read,
)


class OpenAI:
    """A provider at `base_url`, called with `api_key` if there is one."""

    def __init__(self, transport: httpx.BaseTransport, base_url: str, api_key: str) -> None:
        self._transport = transport
        self._url = httpx.URL(base_url.rstrip("/") + "/chat/completions")
        self._headers = headers_for(self._url)
        if api_key:
            self._headers.append((b"Authorization", b"Bearer " + api_key.encode()))

    def complete(self, call: Call) -> Completion:
        """The whole answer; raises ProviderError."""
        with as_provider_errors():
            response = self._post({**call.request, "model": call.model}, call)
            try:
                body = orjson.loads(read(response))
                choices = body["choices"]
                if type(choices) is not list or not choices or type(choices[0]) is not dict:
                    raise TypeError
                return Completion(choices, body.get("usage"))
            except (orjson.JSONDecodeError, KeyError, TypeError) as error:
                raise ProviderError("protocol", "the answer is not a chat completion") from error

    def stream(self, call: Call) -> Iterator[Chunk]:
        """The answer, a chunk a read; raises ProviderError."""
        body = {**call.request, "model": call.model, "stream": True}
        body["stream_options"] = {"include_usage": True}
        with as_provider_errors():
            frames = Frames(self._post(body, call), call)
            try:
                yield from _chunks(frames)
            finally:
                frames.close()

    def _post(self, body: dict[str, Any], call: Call) -> httpx.Response:
        return post(self._transport, self._url, self._headers, orjson.dumps(body), call)


def _chunks(frames: Frames) -> Iterator[Chunk]:
    """One Chunk for all that one read brought."""
    open_choices: set[int] = set()
    seen = 0
    for told in frames:
        chunk = Chunk([])
        done = False
        for data in told:
            done = _take(data, chunk) or done
        for choice in chunk.choices:
            seen = max(seen, choice["index"] + 1)
            (open_choices.discard if choice.get("finish_reason") else open_choices.add)(
                choice["index"]
            )
        if chunk.choices:
            frames.spoke()
        if chunk.choices or chunk.usage:
            yield chunk
        if done:
            frames.read_end()
            break
    if open_choices or not seen:
        raise ProviderError("incomplete", "the stream ended without a finish reason")


def _take(data: bytes, chunk: Chunk) -> bool:
    """Adds one frame to `chunk`; True for the one that says the stream is done."""
    if data == b"[DONE]":
        return True
    try:
        told = orjson.loads(data)
        if told.get("error"):
            raise ProviderError("unavailable", message_in(told))
        for choice in told["choices"]:
            if type(choice["index"]) is not int or type(choice["delta"]) is not dict:
                raise TypeError
            chunk.choices.append(choice)
        chunk.usage = told.get("usage") or chunk.usage
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
        raise ProviderError("protocol", "a chunk is not of OpenAI's form") from error
    return False
