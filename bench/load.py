"""A closed-loop load client: a raw asyncio protocol on uvloop, kept-alive connections, one request
in flight on each.

    python bench/load.py http://127.0.0.1:9100/v1/chat/completions -c 64 -d 5 [--stream] [-H 'k: v']

Prints one JSON object: requests per second, latency p50 and p99; for streams the time to the first
content delta and the lag of each chunk (its arrival minus the moment that bench/upstream.py wrote
into it); events, and errors by kind (a status other than 200, a short stream, no usage, no [DONE],
an early close, a timeout). Times are in milliseconds.
"""

import argparse
import asyncio
import json
import re
import resource
import time
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import uvloop

STAMP = re.compile(rb'"t(\d{16}) ')
GRACE_S = 60.0
CONNECT_TRIES = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send and for how long. `warm_s` comes before `seconds` and is not counted;
    `stagger_s` is the time over which the first requests are spread; `limit` ends the run after so
    many requests; `expect` is the number of content deltas of a stream."""

    url: str
    body: bytes
    headers: dict[str, str]
    connections: int = 16
    seconds: float = 5
    warm_s: float = 1
    stagger_s: float = 0
    limit: int = 10**9
    stream: bool = False
    usage: bool = True
    expect: int = 32

    def request(self) -> bytes:
        """The request as it goes over the wire."""
        url = urlsplit(self.url)
        headers = {
            "Host": url.netloc,
            "Content-Type": "application/json",
            "Accept": "*/*",
            "Authorization": "Bearer sk-bench",
            "Content-Length": str(len(self.body)),
            **self.headers,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST {url.path} HTTP/1.1\r\n{lines}\r\n".encode() + self.body


class Connection(asyncio.Protocol):
    """One connection: sends the request again as soon as its answer is whole."""

    def __init__(self, run: "Run") -> None:
        self.run = run
        self.transport: asyncio.Transport | None = None
        self.dead = False
        self.reset()

    def reset(self) -> None:
        self.parts: list[bytes] = []
        self.head: bytes | None = None
        self.ttft: float | None = None
        self.need, self.got = -1, 0
        self.chunked = self.close = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's.
        self.transport = cast(asyncio.Transport, transport)
        self.send()

    def send(self) -> None:
        assert self.transport is not None
        self.reset()
        self.began = time.monotonic()
        self.transport.write(self.run.raw)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        if self.head is None:
            self.parts.append(data)
            buffer = b"".join(self.parts)
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self.take_head(buffer[:end])
            data = buffer[end + 4 :]
        if data:
            self.take_body(data, now)
        if self.need >= 0:
            if self.got >= self.need:
                self.finish(now)
        elif self.chunked and data.endswith(b"0\r\n\r\n") and self.tail_is_last():
            self.finish(now)

    def take_head(self, head: bytes) -> None:
        self.head = head
        low = head.lower()
        self.chunked = b"transfer-encoding: chunked" in low
        at = low.find(b"content-length:")
        self.need = int(low[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else -1
        self.close = b"connection: close" in low
        self.parts = []

    def take_body(self, data: bytes, now: float) -> None:
        self.parts.append(data)
        self.got += len(data)
        if not self.run.plan.stream:
            return
        for stamp in STAMP.finditer(data):
            if self.ttft is None:
                self.ttft = now - self.began
            self.run.lags.append(now - int(stamp.group(1)) / 1e6)

    def tail_is_last(self) -> bool:
        tail = b"".join(self.parts[-2:])[-7:]
        return tail in {b"\r\n0\r\n\r\n", b"0\r\n\r\n"}

    def finish(self, now: float) -> None:
        assert self.head is not None
        run, body = self.run, b"".join(self.parts)
        problem = run.problem(self.head[9:12], body)
        if problem:
            run.error(problem, body)
        run.record(self.began, now, self.ttft, not problem)
        if run.goes_on() and not self.close:
            self.send()
        else:
            self.end()

    def end(self) -> None:
        self.dead = True
        if self.transport is not None:
            self.transport.close()
        if self.run.goes_on():
            self.run.reopen()
        else:
            self.run.closed()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.dead:
            return
        body = b"".join(self.parts)
        if self.head is not None and not self.chunked and self.need < 0 and b"[DONE]" in body:
            self.close = True
            self.finish(time.monotonic())
            return
        self.run.error("closed early", body)
        self.end()


@dataclass(slots=True)
class Run:
    """One run of a plan and what has been seen in it."""

    plan: Plan
    raw: bytes = b""
    latencies: list[float] = field(default_factory=list)
    ttfts: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    sample: str | None = None
    events: int = 0
    total: int = 0
    inside: float = 0.0
    live: int = 0
    mark: float = 0.0
    stop: float = 0.0
    over: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def error(self, kind: str, body: bytes) -> None:
        self.errors[kind] = self.errors.get(kind, 0) + 1
        if self.sample is None:
            self.sample = body[:300].decode("utf8", "replace")

    def problem(self, status: bytes, body: bytes) -> str:
        """What is wrong with an answer; empty if nothing is."""
        if status != b"200":
            return "status " + status.decode()
        if not self.plan.stream:
            return "" if b'"total_tokens"' in body else "no usage"
        self.events += body.count(b"data: ")
        deltas = body.count(b'"t0')
        if b"data: [DONE]" not in body:
            return "no [DONE]"
        if deltas != self.plan.expect:
            return f"content deltas {deltas} != {self.plan.expect}"
        return "no usage" if self.plan.usage and b'"total_tokens":' not in body else ""

    def record(self, began: float, ended: float, ttft: float | None, good: bool) -> None:
        """Takes note of an answer. The rate counts the share of each request that lies inside the
        window, so that it has no bias when a request lasts nearly as long as the window."""
        self.total += 1
        if not good:
            return
        share = max(0.0, min(ended, self.stop) - max(began, self.mark))
        self.inside += share / (ended - began)
        if ended >= self.mark:
            self.latencies.append(ended - began)
            if ttft is not None:
                self.ttfts.append(ttft)

    def goes_on(self) -> bool:
        return time.monotonic() < self.stop and self.total < self.plan.limit

    def closed(self) -> None:
        self.live -= 1
        if not self.live:
            self.over.set()

    def reopen(self) -> None:
        task = asyncio.ensure_future(self.open())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def open(self, delay_s: float = 0) -> None:
        if delay_s:
            await asyncio.sleep(delay_s)
        url = urlsplit(self.plan.url)
        host, port = url.hostname or "127.0.0.1", url.port or 80
        loop = asyncio.get_running_loop()
        for attempt in range(CONNECT_TRIES):
            try:
                await loop.create_connection(lambda: Connection(self), host, port)
                return
            except OSError as error:
                self.error(f"connect {error.errno}", b"")
                await asyncio.sleep(0.05 * (attempt + 1))
        self.closed()

    async def go(self) -> dict[str, Any]:
        """Runs the plan; returns what is to be printed."""
        plan = self.plan
        self.raw = plan.request()
        self.live = plan.connections
        self.mark = time.monotonic() + plan.warm_s
        self.stop = self.mark + plan.seconds
        step_s = plan.stagger_s / plan.connections
        await asyncio.gather(*(self.open(step_s * i) for i in range(plan.connections)))
        try:
            await asyncio.wait_for(self.over.wait(), plan.warm_s + plan.seconds + GRACE_S)
        except TimeoutError:
            self.error("run timeout", b"")
        return self.result()

    def result(self) -> dict[str, Any]:
        """The figures. `little`: rate x mean latency / connections (Little 1961), which is 1 when
        every request is counted."""
        rate = self.inside / self.plan.seconds
        mean = sum(self.latencies) / len(self.latencies) if self.latencies else 0.0
        used = resource.getrusage(resource.RUSAGE_SELF)
        found: dict[str, Any] = {
            "conc": self.plan.connections,
            "n": len(self.latencies),
            "total": self.total,
            "rps": round(rate, 1),
            "little": round(rate * mean / self.plan.connections, 2),
            "p50_ms": quantile_ms(self.latencies, 0.5),
            "p99_ms": quantile_ms(self.latencies, 0.99),
            "errors": self.errors,
            "n_errors": sum(self.errors.values()),
            "client_cpu_s": round(used.ru_utime + used.ru_stime, 3),
        }
        if self.plan.stream:
            found |= {
                "ttft_p50_ms": quantile_ms(self.ttfts, 0.5),
                "ttft_p99_ms": quantile_ms(self.ttfts, 0.99),
                "lag_p50_ms": quantile_ms(self.lags, 0.5),
                "lag_p99_ms": quantile_ms(self.lags, 0.99),
                "events": self.events,
            }
        return found | ({"sample_error": self.sample} if self.sample else {})


def quantile_ms(seconds: list[float], share: float) -> float | None:
    """The value in milliseconds below which `share` of all values lie; None if there is none."""
    if not seconds:
        return None
    return round(sorted(seconds)[min(len(seconds) - 1, int(len(seconds) * share))] * 1000, 3)


def chat_body(model: str, stream: bool, usage: bool) -> bytes:
    """The request body that is sent unless another is given."""
    request: dict[str, Any] = {
        "model": model,
        "messages": [
            {
                "role": "system",
                "content": "You are a helpful assistant that answers in one short paragraph.",
            },
            {
                "role": "user",
                "content": "Explain in plain words why the sky is blue, "
                "and name two other examples.",
            },
        ],
        "temperature": 0.7,
        "max_tokens": 256,
    }
    if stream:
        request["stream"] = True
        if usage:
            request["stream_options"] = {"include_usage": True}
    return json.dumps(request).encode()


def plan_from(args: list[str] | None = None) -> Plan:
    """The plan that command-line arguments ask for."""
    parser = argparse.ArgumentParser(description="A closed-loop load client.")
    parser.add_argument("url")
    parser.add_argument("-c", type=int, default=16, help="connections")
    parser.add_argument("-d", type=float, default=5, help="seconds that count")
    parser.add_argument("-n", type=int, default=10**9, help="stop after N requests in all")
    parser.add_argument("-w", type=float, default=1, help="warm-up seconds, not counted")
    parser.add_argument("-H", action="append", default=[], help="a header, 'name: value'")
    parser.add_argument("--stagger", type=float, default=0, help="seconds to spread arrivals over")
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--no-usage", action="store_true", help="do not ask for usage in a stream")
    parser.add_argument("--expect", type=int, default=32, help="content deltas per stream")
    parser.add_argument("--model", default="mock")
    parser.add_argument("--body", help="JSON to send instead of the usual request")
    a = parser.parse_args(args)
    body = a.body.encode() if a.body else chat_body(a.model, a.stream, not a.no_usage)
    headers = dict(header.split(": ", 1) for header in a.H)
    return Plan(
        url=a.url,
        body=body,
        headers=headers,
        connections=a.c,
        seconds=a.d,
        warm_s=a.w,
        stagger_s=a.stagger,
        limit=a.n,
        stream=a.stream,
        usage=not a.no_usage,
        expect=a.expect,
    )


def main() -> None:
    print(json.dumps(uvloop.run(Run(plan_from()).go())))


if __name__ == "__main__":
    main()
