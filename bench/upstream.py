"""A mock provider that speaks OpenAI's API: a raw asyncio protocol on uvloop, one process.

    python bench/upstream.py --port 9100 [--ttft-ms 0] [--itl-ms 0] [--chunks 32]

    POST /v1/chat/completions  streamed or not; stream_options.include_usage is honoured
    GET  /v1/models
    POST /_config              {"ttft_ms":…,"itl_ms":…,"chunks":…} sets the pace of later requests
    GET  /_stats               requests, streams, connections and aborted streams so far

Every content delta carries the moment at which it is sent (CLOCK_MONOTONIC, microseconds) as
"t0000000000000000 ", so that a client on the same machine can tell how long each chunk took through
whatever is in between.
"""

import argparse
import asyncio
import itertools
import time
from dataclasses import asdict, dataclass
from typing import Any, cast

import orjson
import uvloop

SERIAL = itertools.count(1)
TEXT = (
    "The quick brown fox jumps over the lazy dog while the model keeps talking about nothing. " * 8
)[:640]
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\nx-request-id: req_bench\r\n\r\n"
)
CHUNK_HEAD = (
    b'data: {"id":"chatcmpl-%024x","object":"chat.completion.chunk","created":1750000000,'
    b'"model":%b,"service_tier":"default","system_fingerprint":"fp_bench",'
)
MODELS = b'{"object":"list","data":[{"id":"mock","object":"model","owned_by":"bench"}]}'
NOT_FOUND = b'{"error":{"message":"not found","type":"invalid_request_error"}}'


@dataclass(slots=True)
class Pace:
    """How answers come: milliseconds to the first token and between two, deltas per answer."""

    ttft_ms: float = 0.0
    itl_ms: float = 0.0
    chunks: int = 32


@dataclass(slots=True)
class Stats:
    """What has been asked for since the start."""

    requests: int = 0
    streams: int = 0
    connections: int = 0
    aborted: int = 0


PACE = Pace()
STATS = Stats()


def now_us() -> int:
    return time.monotonic_ns() // 1000


def usage(tokens: int) -> dict[str, Any]:
    """OpenAI's usage object for an answer of `tokens` tokens."""
    return {
        "prompt_tokens": 21,
        "completion_tokens": tokens,
        "total_tokens": 21 + tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def completion(model: str, tokens: int) -> bytes:
    """A whole chat.completion."""
    message: dict[str, Any] = {
        "role": "assistant",
        "content": f"t{now_us():016d} {TEXT}",
        "refusal": None,
        "annotations": [],
    }
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return orjson.dumps(
        {
            "id": f"chatcmpl-{next(SERIAL):024x}",
            "object": "chat.completion",
            "created": 1750000000,
            "model": model,
            "choices": [choice],
            "usage": usage(tokens),
            "service_tier": "default",
            "system_fingerprint": "fp_bench",
        }
    )


def http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def dechunked(buffer: bytes, start: int) -> bytes:
    """The body of a chunked request whose first chunk begins at `start`."""
    parts: list[bytes] = []
    while True:
        newline = buffer.index(b"\r\n", start)
        size = int(buffer[start:newline].split(b";")[0], 16)
        if not size:
            return b"".join(parts)
        parts.append(buffer[newline + 2 : newline + 2 + size])
        start = newline + 4 + size


def take_request(buffer: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Request line, body and what follows the first request; None until it is whole."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = buffer[:end].lower()
    body, total = b"", end + 4
    at = head.find(b"\r\ncontent-length:")
    if at >= 0:
        stop = head.find(b"\r\n", at + 2)
        total += int(head[at + 17 : stop if stop > 0 else None])
        if len(buffer) < total:
            return None
        body = buffer[end + 4 : total]
    elif b"\r\ntransfer-encoding: chunked" in head:
        last = buffer.find(b"0\r\n\r\n", end + 2)
        if last < 0:
            return None
        total = last + 5
        body = dechunked(buffer, end + 4)
    return buffer[: buffer.find(b"\r\n")], body, buffer[total:]


class Stream:
    """Sends one SSE answer: role delta, content deltas, finish, usage if asked for, [DONE]."""

    __slots__ = ("chunks", "head", "itl_s", "protocol", "sent", "usage")

    def __init__(self, protocol: "Upstream", model: str, want_usage: bool) -> None:
        self.protocol = protocol
        self.chunks = PACE.chunks
        self.itl_s = PACE.itl_ms / 1000
        self.usage = want_usage
        self.sent = 0
        self.head = CHUNK_HEAD % (next(SERIAL), orjson.dumps(model))

    def event(self, delta: bytes, finish: bytes = b"null") -> bytes:
        tail = b',"usage":null}' if self.usage else b"}"
        choice = b'"choices":[{"index":0,"delta":%b,"logprobs":null,"finish_reason":%b}]'
        return http_chunk(self.head + choice % (delta, finish) + tail + b"\n\n")

    def transport(self) -> asyncio.Transport | None:
        """Where to write, or None once the client has gone."""
        transport = self.protocol.transport
        if transport is None or transport.is_closing():
            STATS.aborted += 1
            return None
        return transport

    def start(self) -> None:
        transport = self.transport()
        if transport is not None:
            role = b'{"role":"assistant","content":"","refusal":null}'
            transport.write(STREAM_HEAD + self.event(role))
            self.step()

    def step(self) -> None:
        transport = self.transport()
        if transport is None:
            return
        while self.sent < self.chunks:
            self.sent += 1
            transport.write(self.event(b'{"content":"t%016d "}' % now_us()))
            if self.itl_s and self.sent < self.chunks:
                self.protocol.loop.call_later(self.itl_s, self.step)
                return
        end = self.event(b"{}", b'"stop"')
        if self.usage:
            tail = b'"choices":[],"usage":' + orjson.dumps(usage(self.chunks)) + b"}\n\n"
            end += http_chunk(self.head + tail)
        transport.write(end + http_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        self.protocol.done()


class Upstream(asyncio.Protocol):
    """One connection; requests that are pipelined on it are answered in order."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport | None = None
        self.buffer = b""
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's.
        self.transport = cast(asyncio.Transport, transport)
        STATS.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        if not self.busy:
            self.pump()

    def done(self) -> None:
        self.busy = False
        if self.buffer:
            self.pump()

    def pump(self) -> None:
        taken = take_request(self.buffer)
        if taken is not None:
            line, body, self.buffer = taken
            self.busy = True
            self.route(line, body)

    def reply(self, body: bytes, status: bytes = b"200 OK") -> None:
        if self.transport is not None:
            self.transport.write(
                b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
                b"x-request-id: req_bench\r\n\r\n%b" % (status, len(body), body)
            )
        self.done()

    def route(self, line: bytes, body: bytes) -> None:
        if line.startswith(b"POST /_config"):
            for name, value in orjson.loads(body).items():
                setattr(PACE, name, value)
            self.reply(orjson.dumps(asdict(PACE)))
        elif line.startswith(b"GET /_stats"):
            self.reply(orjson.dumps(asdict(STATS)))
        elif line.startswith(b"GET /v1/models"):
            self.reply(MODELS)
        elif b"/chat/completions" not in line:
            self.reply(NOT_FOUND, b"404 Not Found")
        else:
            self.complete(body)

    def complete(self, body: bytes) -> None:
        STATS.requests += 1
        try:
            request = orjson.loads(body)
        except ValueError:
            self.reply(b'{"error":{"message":"bad json"}}', b"400 Bad Request")
            return
        model = request.get("model", "mock")
        ttft_s = PACE.ttft_ms / 1000
        if request.get("stream"):
            STATS.streams += 1
            options = request.get("stream_options") or {}
            stream = Stream(self, model, bool(options.get("include_usage")))
            if ttft_s:
                self.loop.call_later(ttft_s, stream.start)
            else:
                stream.start()
        elif ttft_s:
            self.loop.call_later(ttft_s, lambda: self.reply(completion(model, PACE.chunks)))
        else:
            self.reply(completion(model, PACE.chunks))


async def serve(port: int) -> None:
    """Answers on 127.0.0.1 until the process is stopped."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Upstream, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description="A mock provider that speaks OpenAI's API.")
    parser.add_argument("--port", type=int, default=9100)
    parser.add_argument("--ttft-ms", type=float, default=0, help="time to the first token")
    parser.add_argument("--itl-ms", type=float, default=0, help="time between two tokens")
    parser.add_argument("--chunks", type=int, default=32, help="content deltas of an answer")
    wanted = parser.parse_args()
    PACE.ttft_ms, PACE.itl_ms, PACE.chunks = wanted.ttft_ms, wanted.itl_ms, wanted.chunks
    uvloop.run(serve(wanted.port))


if __name__ == "__main__":
    main()
