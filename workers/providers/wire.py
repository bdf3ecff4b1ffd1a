"""What the adapters of providers' HTTP APIs share: sending, reading within bounds, frames of
server-sent events, and errors."""

import email.utils
import math
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import orjson

from workers.providers.base import Call, ErrorKind, ProviderError
from workers.providers.transport import Body

ANSWER_MAX = 64_000_000
FRAME_MAX = 16_000_000
END_S = 0.05
"""How long the end of a body is waited for once its stream has said that it is done."""

MESSAGE_MAX = 500

Headers = list[tuple[bytes, bytes]]


def headers_for(url: httpx.URL, *more: tuple[bytes, bytes]) -> Headers:
    """The head of every JSON request to `url`, then `more`."""
    return [
        (b"Host", url.netloc),
        (b"Content-Type", b"application/json"),
        (b"Accept-Encoding", b"identity"),
        (b"User-Agent", b"moonpool"),
        *more,
    ]


def post(
    transport: httpx.BaseTransport, url: httpx.URL, headers: Headers, content: bytes, call: Call
) -> httpx.Response:
    """Sends a request; returns once the head of a 200 is there. Raises ProviderError for any other
    status, and what `as_provider_errors` turns."""
    request = httpx.Request(
        "POST",
        url,
        headers=[*headers, (b"Content-Length", b"%d" % len(content))],
        content=content,
        extensions={"timeout": {"connect": call.connect_timeout, "read": call.first_token_timeout}},
    )
    response = transport.handle_request(request)
    if response.status_code != 200:
        raise refusal(response)
    return response


def read(response: httpx.Response) -> bytes:
    """The whole body; raises ProviderError if it is too large."""
    parts, size = [], 0
    for part in response.stream:  # type: ignore[union-attr]
        size += len(part)
        if size > ANSWER_MAX:
            raise ProviderError("protocol", f"the answer is over {ANSWER_MAX} bytes")
        parts.append(part)
    return b"".join(parts)


class Frames:
    """The data of server-sent events, all that one read brought at a time.

    Only `data:` lines count: every API that is read here says in the data what the event is.
    Watches over the time between tokens: the reader calls `spoke` when a frame held one.
    """

    def __init__(self, response: httpx.Response, call: Call) -> None:
        self._stream, self._call = response.stream, call
        self._parts = iter(self._stream)  # type: ignore[arg-type]
        self._spoken, self._spoke_at = False, time.monotonic()

    def __iter__(self) -> Iterator[list[bytes]]:
        rest = b""
        for part in self._parts:
            # A pair of CR and LF may be cut by the read: the CR waits in `rest` for its LF.
            *frames, rest = (rest + part).replace(b"\r\n", b"\n").split(b"\n\n")
            if len(rest) > FRAME_MAX:
                raise ProviderError("protocol", f"a chunk is over {FRAME_MAX} bytes")
            before = self._spoke_at
            yield [data for frame in frames for data in _data_of(frame)]
            if self._spoke_at == before:
                self._unless_late()

    def spoke(self) -> None:
        """Says that the frames in hand held a token."""
        self._spoken, self._spoke_at = True, time.monotonic()
        if isinstance(self._stream, Body):
            self._stream.read_s = self._call.idle_timeout

    def _unless_late(self) -> None:
        call = self._call
        limit = call.idle_timeout if self._spoken else call.first_token_timeout
        if time.monotonic() - self._spoke_at > limit:
            raise ProviderError("timeout", "no token from the provider, only keep-alives")

    def read_end(self) -> None:
        """Lets the connection serve again: a body's end is often a packet of its own, and a
        connection whose body has not ended is closed."""
        if isinstance(self._stream, Body):
            self._stream.read_s = END_S
        with suppress(httpx.HTTPError):
            next(self._parts, None)

    def close(self) -> None:
        self._stream.close()  # type: ignore[union-attr]


def _data_of(frame: bytes) -> Iterator[bytes]:
    for line in frame.split(b"\n"):
        if line.startswith(b"data:"):
            yield line[5:].strip()


def refusal(response: httpx.Response) -> ProviderError:
    """The error that an answer of another status than 200 stands for."""
    status = response.status_code
    try:
        told = orjson.loads(read(response))
    except orjson.JSONDecodeError:
        told = None
    kind: ErrorKind = "invalid"
    if status == 429:
        kind = "rate_limited"
    elif status in (401, 403):
        kind = "auth"
    elif status >= 500 or status in (408, 409):
        kind = "unavailable"
    wait = retry_after(response.headers.get("retry-after"))
    return ProviderError(
        kind, message_in(told) or f"status {status}", retry_after=wait, status=status
    )


def message_in(told: Any) -> str:
    """The message of an error body of OpenAI's, Anthropic's or Google's form, cut short."""
    error = told.get("error") if isinstance(told, dict) else None
    text = error.get("message") if isinstance(error, dict) else error
    return str(text or "")[:MESSAGE_MAX]


def retry_after(text: str | None) -> float | None:
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


class as_provider_errors:
    """Turns httpx's errors into ProviderError."""

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, httpx.ConnectTimeout | httpx.ConnectError):
            raise ProviderError("connect", str(error)) from error
        if isinstance(error, httpx.TimeoutException):
            raise ProviderError("timeout", str(error)) from error
        if isinstance(error, httpx.HTTPError):
            raise ProviderError("connect", str(error)) from error
