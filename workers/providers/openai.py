"""Whatever speaks OpenAI's API: OpenAI, Groq, Mistral, DeepSeek, xAI, vLLM, Ollama, llama.cpp.

Where these differ from OpenAI in what they answer, it is put right here: the place of thoughts, the
words for why an answer ended, what is counted as a completion's token.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import orjson

from app.catalogue.abilities import HARMLESS, NEUTRAL
from workers.providers import openai_operations as operations
from workers.providers.base import Answer, Call, Chunk, Completion, ProviderError
from workers.providers.openai_answers import (
    counted,
    finish_of,
    mend,
    mend_calls,
    whole_choices,
)
from workers.providers.refusals import message_in, told_error
from workers.providers.wire import (
    Frames,
    as_provider_errors,
    headers_for,
    post,
    read,
)

DONE = b"[DONE]"
USAGE = {"include_usage": True}


class OpenAI:
    """A provider at `base_url`, called with `api_key` if there is one. Fields in `without` are left
    out where that changes nothing; a bound on tokens goes under the other of its two names.

    Parameters of a route: `with_tools`, fields that a request with tools has unless it says
    otherwise; `verbose`, for a model that tells a recording's length in `verbose_json` alone.
    """

    def __init__(
        self,
        transport: httpx.BaseTransport,
        base_url: str,
        api_key: str,
        without: Iterable[str] = (),
    ) -> None:
        self._transport, self._base = transport, base_url.rstrip("/")
        self._key = api_key
        self._without = frozenset(without)
        self._url = httpx.URL(f"{self._base}/chat/completions")
        self._headers = headers_for(self._url)
        if api_key:
            self._headers.append((b"Authorization", b"Bearer " + api_key.encode()))

    def complete(self, call: Call) -> Completion:
        """The whole answer; raises ProviderError."""
        with as_provider_errors(self._key):
            response = post(self._transport, self._url, self._headers, self._asked(call), call)
            try:
                body = orjson.loads(read(response))
                if not body.get("choices") and message_in(body):
                    raise told_error(body)
                return Completion(whole_choices(body["choices"]), counted(body.get("usage")))
            except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
                raise ProviderError("protocol", "the answer is not a chat completion") from error

    def stream(self, call: Call) -> Iterator[Chunk]:
        """The answer, a chunk a read; raises ProviderError."""
        with as_provider_errors(self._key):
            content = self._asked(call, {"stream": True, "stream_options": USAGE})
            frames = Frames(post(self._transport, self._url, self._headers, content, call), call)
            try:
                yield from _chunks(frames)
            finally:
                frames.close()

    def embed(self, call: Call) -> Answer:
        """Vectors of texts; raises ProviderError."""
        return operations.embedded(call, self._told("embeddings", call))

    def draw(self, call: Call) -> Answer:
        """Images of a prompt; raises ProviderError."""
        return operations.drawn(self._told("images/generations", operations.drawing(call)))

    def transcribe(self, call: Call) -> Answer:
        """The text of a recording; raises ProviderError."""
        content_type, content = operations.upload(call)
        return operations.transcribed(
            call, self._answer("audio/transcriptions", content, call, content_type)
        )

    def _told(self, path: str, call: Call) -> Any:
        try:
            return orjson.loads(self._answer(path, self._asked(call), call))
        except orjson.JSONDecodeError as error:
            raise ProviderError("protocol", "the answer is not JSON") from error

    def _answer(
        self, path: str, content: bytes, call: Call, content_type: bytes = b"application/json"
    ) -> bytes:
        headers = [
            (name, content_type if name == b"Content-Type" else value)
            for name, value in self._headers
        ]
        with as_provider_errors(self._key):
            url = httpx.URL(f"{self._base}/{path}")
            return read(post(self._transport, url, headers, content, call))

    def _asked(self, call: Call, more: dict[str, Any] | None = None) -> bytes:
        body = {**call.request, "model": call.model}
        if more is not None:
            body.update(more)
        if "with_tools" in call.parameters and body.get("tools"):
            body = {**call.parameters["with_tools"], **body}
        if self._without:
            self._leave_out(body)
        return orjson.dumps(body)

    def _leave_out(self, body: dict[str, Any]) -> None:
        for name, other in (
            ("max_tokens", "max_completion_tokens"), ("max_completion_tokens", "max_tokens"),
        ):  # fmt: skip
            if name in self._without and name in body:
                body.setdefault(other, body[name])
        for name in self._without & body.keys():
            if name in HARMLESS or (name in NEUTRAL and NEUTRAL[name] == body[name]):
                del body[name]


def _chunks(frames: Frames) -> Iterator[Chunk]:
    """One Chunk for all that one read brought."""
    open_choices: set[int] = set()
    seen = False
    for told in frames:
        chunk = Chunk([])
        done = False
        for data in told:
            done = _take(data, chunk) or done
        for choice in chunk.choices:
            if finish := choice.get("finish_reason"):
                choice["finish_reason"] = finish_of(finish)
                open_choices.discard(choice["index"])
            else:
                open_choices.add(choice["index"])
        if chunk.choices:
            seen = True
            frames.spoke()
        if chunk.usage:
            chunk.usage = counted(chunk.usage)
        if chunk.choices or chunk.usage:
            yield chunk
        if done:
            frames.read_end()
            break
    if open_choices or not seen:
        raise frames.incomplete()


def _take(data: bytes, chunk: Chunk) -> bool:
    """Adds one frame to `chunk`; True for the one that says the stream is done."""
    if data == DONE:
        return True
    try:
        told = orjson.loads(data)
        if told.get("error"):
            raise told_error(told)
        choices = told.get("choices")
        if choices is None:
            # vLLM may tell its usage so, and Mistral and vLLM their errors.
            if not told.get("usage"):
                raise told_error(told) if told.get("object") == "error" else TypeError
            choices = ()
        for choice in choices:
            delta = choice["delta"]
            if type(choice["index"]) is not int or type(delta) is not dict:
                raise TypeError
            content = delta.get("content")
            if "reasoning" in delta or (content is not None and type(content) is not str):
                mend(delta)
            if delta.get("tool_calls") is not None:
                mend_calls(delta["tool_calls"])
            chunk.choices.append(choice)
        chunk.usage = told.get("usage") or chunk.usage
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
        raise ProviderError("protocol", "a chunk is not of OpenAI's form") from error
    return False
