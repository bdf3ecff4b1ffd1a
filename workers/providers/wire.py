"""What the adapters of providers' HTTP APIs share: sending, reading within bounds, frames of
server-sent events, and errors."""

import time
import zlib
from collections.abc import Iterator
from contextlib import suppress

import httpx
import orjson

from workers.providers.base import Call, ProviderError
from workers.providers.refusals import message_in, told_error, wait_told
from workers.providers.transport import Body

ANSWER_MAX = 64_000_000
FRAME_MAX = 16_000_000
END_S = 0.05
"""How long the end of a body is waited for once its stream has said that it is done."""

ERROR_MAX = 65_536
"""How much of an error's body is read."""

ERROR_S = 2.0
"""How long each part of an error's body is waited for."""

BOM = b"\xef\xbb\xbf"

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
    for part in _parts(response):
        size += len(part)
        if size > ANSWER_MAX:
            raise ProviderError("protocol", f"the answer is over {ANSWER_MAX} bytes")
        parts.append(part)
    return b"".join(parts)


def _parts(response: httpx.Response) -> Iterator[bytes]:
    """The body as it comes, inflated where the provider deflates what it was asked not to."""
    parts = iter(response.stream)  # type: ignore[arg-type]
    coding = response.headers.get("content-encoding", "identity")
    if coding == "identity":
        return parts
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise ProviderError("protocol", f"the answer is encoded as {coding[:20]}")
    return _inflated(parts)


def _inflated(parts: Iterator[bytes]) -> Iterator[bytes]:
    inflate = zlib.decompressobj(wbits=32 + zlib.MAX_WBITS)  # gzip's head or zlib's
    try:
        for part in parts:
            yield inflate.decompress(part)
    except zlib.error as error:
        raise ProviderError("protocol", f"the answer cannot be inflated: {error}") from error


class Frames:
    """The data of server-sent events, all that one read brought at a time.

    Events are read as the HTML standard says (section 9.2.6, Interpreting an event stream), but for
    their types and ids: every API that is read here says in the data what the event is. Empty data
    are left out. Watches over the time between tokens: the reader calls `spoke` when a frame held
    one.
    """

    def __init__(self, response: httpx.Response, call: Call) -> None:
        self._response, self._stream, self._call = response, response.stream, call
        self._parts = _parts(response)
        self._spoken, self._spoke_at = False, time.monotonic()
        self._after_cr = False
        self._held: list[bytes] = []
        self._size = 0

    def __iter__(self) -> Iterator[list[bytes]]:
        for part in self._parts:
            if self._after_cr or b"\r" in part:
                part = self._line_feeds(part)  # noqa: PLW2901
            if self._held or not part.endswith(b"\n\n"):
                frames = self._ended(part)
            else:  # Mostly a read brings whole events.
                frames = part[:-2].split(b"\n\n")
            data = []
            for frame in frames:
                if frame.startswith(b"data:") and b"\n" not in frame:
                    one = frame[5:].strip()
                else:
                    one = _data_of(frame)
                if one:
                    data.append(one)
            before = self._spoke_at
            yield data
            if self._spoke_at == before:
                self._unless_late()

    def _ended(self, part: bytes) -> list[bytes]:
        """The events that end in a read. The beginning of another is held in parts, lest a long
        one be copied with each read."""
        frames: list[bytes] = []
        if b"\n" in part:
            *frames, part = b"".join([*self._held, part]).split(b"\n\n")
            self._held, self._size = [], 0
        if part:
            self._held.append(part)
            self._size += len(part)
            if self._size > FRAME_MAX:
                raise ProviderError("protocol", f"a chunk is over {FRAME_MAX} bytes")
        return frames

    def _line_feeds(self, part: bytes) -> bytes:
        """Each end of a line as one LF: it may be CR and LF, which a read may cut in two, or CR."""
        if self._after_cr and part.startswith(b"\n"):
            part = part[1:]
        self._after_cr = part.endswith(b"\r")
        return part.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def incomplete(self) -> ProviderError:
        """The error of a stream that ended before its answer did: what the body says where it is
        an error and no stream."""
        kind = self._response.headers.get("content-type", "text/event-stream")
        if self._spoken or kind.startswith("text/event-stream"):
            return ProviderError("incomplete", "the stream ended without a finish reason")
        with suppress(orjson.JSONDecodeError):
            told = orjson.loads(b"".join(self._held))
            if isinstance(told, dict | list) and message_in(told):
                return told_error(told)
        return ProviderError("protocol", f"the answer is {kind[:40]}, not a stream of events")

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


def _data_of(frame: bytes) -> bytes:
    """The data of an event of several lines, or with a byte order mark before it."""
    data = []
    for line in frame.removeprefix(BOM).split(b"\n"):
        name, _, value = line.partition(b":")
        if name == b"data":
            data.append(value.removeprefix(b" "))
    return b"\n".join(data).strip()


def refusal(response: httpx.Response) -> ProviderError:
    """The error that an answer of another status than 200 stands for."""
    try:
        told = orjson.loads(_beginning(response))
    except orjson.JSONDecodeError:
        told = None
    headers, status = response.headers, response.status_code
    if 300 <= status < 400:
        place = headers.get("location", "")[:100]
        told = f"the provider redirects to {place!r}, which is not followed"
    error = told_error(told, status)
    error.retry_after = wait_told(headers, told)
    return error


def _beginning(response: httpx.Response) -> bytes:
    """As much of an error's body as can be had."""
    stream, parts, size = response.stream, [], 0
    if isinstance(stream, Body):
        stream.read_s = ERROR_S
    with suppress(httpx.HTTPError, ProviderError):
        for part in _parts(response):
            parts.append(part)
            size += len(part)
            if size >= ERROR_MAX:
                break
    stream.close()  # type: ignore[union-attr]
    return b"".join(parts)


class as_provider_errors:
    """Turns httpx's errors into ProviderError, and lets none tell the `key` of the call, which some
    providers repeat when they refuse it."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, ProviderError):
            error.hide(self._key)
        if isinstance(error, httpx.ConnectTimeout | httpx.ConnectError):
            raise ProviderError("connect", str(error)) from error
        if isinstance(error, httpx.TimeoutException):
            raise ProviderError("timeout", str(error)) from error
        if isinstance(error, httpx.HTTPError):
            raise ProviderError("connect", str(error)) from error
