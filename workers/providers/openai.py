"""Whatever speaks OpenAI's chat API: OpenAI, Groq, Mistral, vLLM, Ollama, llama.cpp."""

import email.utils
import math
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import orjson

from workers.providers.base import Call, Chunk, Completion, ErrorKind, ProviderError
from workers.providers.transport import Body

ANSWER_MAX = 64_000_000
FRAME_MAX = 16_000_000
END_S = 0.05
"""How long the end of a body is waited for once its stream has said that it is done."""

MESSAGE_MAX = 500


class OpenAI:
    """A provider at `base_url`, called with `api_key` if there is one."""

    def __init__(self, transport: httpx.BaseTransport, base_url: str, api_key: str) -> None:
        self._transport = transport
        self._url = httpx.URL(base_url.rstrip("/") + "/chat/completions")
        self._headers = [
            (b"Host", self._url.netloc),
            (b"Content-Type", b"application/json"),
            (b"Accept-Encoding", b"identity"),
            (b"User-Agent", b"moonpool"),
        ]
        if api_key:
            self._headers.append((b"Authorization", b"Bearer " + api_key.encode()))

    def complete(self, call: Call) -> Completion:
        """The whole answer; raises ProviderError."""
        with _as_provider_errors():
            response = self._post({**call.request, "model": call.model}, call)
            try:
                body = orjson.loads(_read(response))
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
        with _as_provider_errors():
            response = self._post(body, call)
            try:
                yield from _chunks(response, call)
            finally:
                response.stream.close()  # type: ignore[union-attr]

    def _post(self, body: dict[str, Any], call: Call) -> httpx.Response:
        content = orjson.dumps(body)
        request = httpx.Request(
            "POST",
            self._url,
            headers=[*self._headers, (b"Content-Length", b"%d" % len(content))],
            content=content,
            extensions={
                "timeout": {"connect": call.connect_timeout, "read": call.first_token_timeout}
            },
        )
        response = self._transport.handle_request(request)
        if response.status_code != 200:
            raise _refusal(response)
        return response


def _read(response: httpx.Response) -> bytes:
    parts, size = [], 0
    for part in response.stream:  # type: ignore[union-attr]
        size += len(part)
        if size > ANSWER_MAX:
            raise ProviderError("protocol", f"the answer is over {ANSWER_MAX} bytes")
        parts.append(part)
    return b"".join(parts)


def _chunks(response: httpx.Response, call: Call) -> Iterator[Chunk]:
    """Parses `data:` frames; one Chunk for all that one read brought."""
    stream = response.stream
    open_choices: set[int] = set()
    seen = 0
    rest = b""
    last_token = time.monotonic()
    parts = iter(stream)  # type: ignore[arg-type]
    for part in parts:
        # A pair of CR and LF may be cut by the read: the CR waits in `rest` for its LF.
        *frames, rest = (rest + part).replace(b"\r\n", b"\n").split(b"\n\n")
        if len(rest) > FRAME_MAX:
            raise ProviderError("protocol", f"a chunk is over {FRAME_MAX} bytes")
        chunk = Chunk([])
        done = False
        for frame in frames:
            done = _take(frame, chunk) or done
        for choice in chunk.choices:
            seen = max(seen, choice["index"] + 1)
            (open_choices.discard if choice.get("finish_reason") else open_choices.add)(
                choice["index"]
            )
        if chunk.choices:
            last_token = time.monotonic()
            if isinstance(stream, Body):
                stream.read_s = call.idle_timeout
        elif time.monotonic() - last_token > (
            call.idle_timeout if seen else call.first_token_timeout
        ):
            raise ProviderError("timeout", "no token from the provider, only keep-alives")
        if chunk.choices or chunk.usage:
            yield chunk
        if done:
            _read_end(stream, parts)
            break
    if open_choices or not seen:
        raise ProviderError("incomplete", "the stream ended without a finish reason")


def _read_end(stream: object, parts: Iterator[bytes]) -> None:
    """Lets the connection serve again: a body's end is often a packet of its own, and a connection
    whose body has not ended is closed."""
    if isinstance(stream, Body):
        stream.read_s = END_S
    with suppress(httpx.HTTPError):
        next(parts, None)


def _take(frame: bytes, chunk: Chunk) -> bool:
    """Adds one frame to `chunk`; True for the one that says the stream is done."""
    for line in frame.split(b"\n"):
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            return True
        try:
            told = orjson.loads(data)
            if told.get("error"):
                raise ProviderError("unavailable", _message(told))
            for choice in told["choices"]:
                if type(choice["index"]) is not int or type(choice["delta"]) is not dict:
                    raise TypeError
                chunk.choices.append(choice)
            chunk.usage = told.get("usage") or chunk.usage
        except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
            raise ProviderError("protocol", "a chunk is not of OpenAI's form") from error
    return False


def _refusal(response: httpx.Response) -> ProviderError:
    status = response.status_code
    try:
        told = orjson.loads(_read(response))
    except orjson.JSONDecodeError:
        told = None
    kind: ErrorKind = "invalid"
    if status == 429:
        kind = "rate_limited"
    elif status in (401, 403):
        kind = "auth"
    elif status >= 500 or status in (408, 409):
        kind = "unavailable"
    wait = _retry_after(response.headers.get("retry-after"))
    return ProviderError(
        kind, _message(told) or f"status {status}", retry_after=wait, status=status
    )


def _message(told: Any) -> str:
    error = told.get("error") if isinstance(told, dict) else None
    text = error.get("message") if isinstance(error, dict) else error
    return str(text or "")[:MESSAGE_MAX]


def _retry_after(text: str | None) -> float | None:
    """Seconds from a Retry-After header, a number or a date (RFC 9110, section 10.2.3)."""
    if text is None:
        return None
    try:
        seconds = float(text)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


class _as_provider_errors:
    """Turns httpx's errors into ProviderError."""

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, httpx.ConnectTimeout | httpx.ConnectError):
            raise ProviderError("connect", str(error)) from error
        if isinstance(error, httpx.TimeoutException):
            raise ProviderError("timeout", str(error)) from error
        if isinstance(error, httpx.HTTPError):
            raise ProviderError("connect", str(error)) from error
