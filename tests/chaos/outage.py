"""A provider that fails in every way while clients call, beside one that answers.

    .venv/bin/python -m tests.chaos.outage

starts a stack of its own and prints what each outage cost its clients, as a Markdown table.
"""

import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

from tests.stacks import Stack
from tests.waiting import wait_for

Mode = Literal["well", "500", "429", "stall"]
CLIENTS = 4
PACE_S = 0.02
RETRY_AFTER_S = 1
FIRST_TOKEN_S = 1.0
SETTINGS = {
    "MOONPOOL_FIRST_TOKEN_TIMEOUT": str(FIRST_TOKEN_S),
    "MOONPOOL_BREAKER_COOLDOWN": "0.5",
    "MOONPOOL_BREAKER_COOLDOWN_MAX": "2",
    "MOONPOOL_LOG_LEVEL": "error",
}
CATALOGUE = """
default: house
providers:
  primary: {{kind: openai, base_url: "{url}/primary/v1"}}
  backup: {{kind: openai, base_url: "{url}/backup/v1"}}
models:
  house:
    price: {{input: 1, output: 2}}
    routes: [{{provider: primary, model: m}}, {{provider: backup, model: m, priority: 1}}]
"""
STREAM = b"".join(
    b'data: {"choices":[{"index":0,"delta":{"content":%b},"finish_reason":%b}]}\n\n' % part
    for part in ((b'"fine"', b"null"), (b'""', b'"stop"'))
) + (
    b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}\n\n'
    b"data: [DONE]\n\n"
)


class Provider:
    """Two providers at one port, of which the primary does what `mode` says."""

    def __init__(self) -> None:
        self.mode: Mode = "well"
        self.mended = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                mode = owner.mode if self.path.startswith("/primary") else "well"
                if mode == "stall":
                    owner.mended.wait(30)
                    self.close_connection = True
                elif mode == "well":
                    self._send(200, STREAM, {"Content-Type": "text/event-stream"})
                else:
                    asked = {"Retry-After": str(RETRY_AFTER_S)} if mode == "429" else {}
                    self._send(int(mode), b'{"error":{"message":"as told"}}', asked)

            def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Provider":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.mended.set()
        self._server.shutdown()
        self._server.server_close()

    def become(self, mode: Mode) -> None:
        """Behaves so from now on; who was stalled is let go."""
        self.mode = mode
        self.mended.set()
        self.mended = threading.Event()


@dataclass
class Phase:
    """What clients saw while the primary behaved in one way, until all was well again. `seconds`
    has the time of each request, `lost_s` how long after its first provider call the one was made
    that answered; `closed_s` is how long after the outage the breaker closed."""

    mode: str
    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    lost_s: list[float] = field(default_factory=list)
    closed_s: float = 0.0

    def failed(self, why: str) -> int:
        """Calls that were made for this reason and failed."""
        return sum(c["outcome"] != "completed" and c["why"] == why for c in self.calls)

    def by(self, provider: str) -> int:
        """Requests that this provider answered."""
        return sum(c["outcome"] == "completed" and c["provider"] == provider for c in self.calls)


class Drill:
    """A stack over the two providers, and clients that never cease to call for long."""

    def __init__(self, stack: Stack, provider: Provider, phase_s: float) -> None:
        self._stack, self._provider, self._phase_s = stack, provider, phase_s
        self._client = stack.client()
        self._phase = Phase("warm-up")
        self._over = threading.Event()
        self._between = [threading.Lock() for _ in range(CLIENTS)]

    def primary(self) -> dict[str, Any]:
        """The primary route as `/v1/providers` shows it."""
        found: dict[str, Any] = self._client.get("/providers").json()[0]
        assert found["id"] == "primary"
        return found

    def run(self) -> list[Phase]:
        """Each outage after a time in which all is well, under the same load."""
        with ThreadPoolExecutor(CLIENTS) as pool:
            clients = [pool.submit(self._call, lock) for lock in self._between]
            try:
                wait_for(lambda: len(self._phase.seconds) > 20, 20, "the warm-up")
                phases = []
                modes: list[Mode] = ["500", "429", "stall"]
                for mode in modes:
                    phases.append(self._begin("well"))
                    self._over.wait(self._phase_s)
                    phases.append(self._outage(mode))
            finally:
                self._over.set()
            for client in clients:
                client.result(60)
        for phase in phases:
            self._read_attempts(phase)
        return phases

    def _begin(self, mode: Mode) -> Phase:
        """A phase that no request of the one before reaches into."""
        for lock in self._between:
            lock.acquire()
        self._provider.become(mode)
        phase = self._phase = Phase(mode)
        for lock in self._between:
            lock.release()
        return phase

    def _outage(self, mode: Mode) -> Phase:
        phase = self._begin(mode)
        until = time.monotonic() + self._phase_s
        wait_for(lambda: self.primary()["state"] != "closed", 20, "the breaker open")
        self._over.wait(max(0.0, until - time.monotonic()))
        mended = time.monotonic()
        self._provider.become("well")
        wait_for(lambda: self.primary()["state"] == "closed", 20, "the breaker closed")
        phase.closed_s = time.monotonic() - mended
        return phase

    def _call(self, between: threading.Lock) -> None:
        body = {"messages": [{"role": "user", "content": "hi"}], "stream": True}
        with self._stack.client() as client:
            while not self._over.wait(PACE_S):
                with between:
                    phase, began = self._phase, time.monotonic()
                    answer = client.post("/chat/completions", json=body)
                    phase.seconds.append(time.monotonic() - began)
                    phase.jobs.append(answer.headers.get("x-job-id", ""))
                    if answer.status_code != 200 or "fine" not in answer.text:
                        phase.wrong.append(answer.text)

    def _read_attempts(self, phase: Phase) -> None:
        for job_id in phase.jobs:
            [attempt] = self._client.get(f"/jobs/{job_id}/attempts").json()["data"]
            phase.calls += attempt["calls"]
            started = [call["started_at"] for call in attempt["calls"]]
            phase.lost_s.append(started[-1] - started[0])


@contextmanager
def drill(phase_s: float) -> Iterator[Drill]:
    """A drill over a stack of its own, with phases of so many seconds."""
    with Provider() as provider, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "catalogue.yaml"
        path.write_text(CATALOGUE.format(url=provider.url))
        with Stack({**SETTINGS, "MOONPOOL_CATALOGUE": str(path)}) as stack:
            yield Drill(stack, provider, phase_s)


HEADS = (
    "primary", "requests", "not 200", "first calls that failed", "trials that failed", "median",
    "slowest", "lost a request", "most lost", "closed again after",
)  # fmt: skip


def table(phases: list[Phase]) -> str:
    """What the phases cost: whole times of requests, and what failed calls added to them."""
    lines = ["| " + " | ".join(HEADS) + " |", "|---" * len(HEADS) + "|"]
    for phase in phases:
        ms = [1000 * second for second in phase.seconds]
        lost = [1000 * second for second in phase.lost_s]
        cells = [
            phase.mode, len(ms), len(phase.wrong), phase.failed("first"), phase.failed("trial"),
            f"{statistics.median(ms):.1f} ms", f"{max(ms):.0f} ms",
            f"{statistics.mean(lost):.1f} ms", f"{max(lost):.0f} ms",
            "" if phase.mode == "well" else f"{phase.closed_s:.1f} s",
        ]  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main() -> None:
    """Prints the table."""
    with drill(5.0) as running:
        print(table(running.run()))


if __name__ == "__main__":
    main()
