"""A big batch against the mock provider, while somebody else wants an answer and a small batch, and
beside LiteLLM's proxy that is asked for the same lines one after another."""

import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import httpx

# Run as a file, Python looks for modules in the file's folder alone.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.accounts.store import create_key
from app.accounts.tenants import create_tenant
from app.db.connect import connect
from app.ledger.store import add_credit
from app.settings import Settings
from bench.cli import perform
from bench.litellm_proxy import litellm, peer_python, versions
from bench.machine import machine, moment
from bench.processes import memory
from bench.rig import CREDIT, WHOLE, Target, moonpool, provider
from bench.running import BenchError
from bench.sequential import Beside, beside_table, one_after_another

LOOK_S = 0.5
PACE_S = 0.1
SMALL = 100
PACES = (0.0, 100.0)
PACED_LINES = 5_000
"""The most lines of a batch at any pace but the first."""

SEQUENTIAL = 100
"""Lines that are sent one after another."""

CATALOGUE = """\
providers:
  mock: {{{{kind: openai, base_url: "{{url}}/v1"}}}}
  paced: {{{{kind: openai, base_url: "{paced}/v1"}}}}
models:
  mock:
    price: {{{{input: 0.15, output: 0.60}}}}
    max_output: 1024
    routes: [{{{{provider: mock, model: mock}}}}]
  paced:
    price: {{{{input: 0.15, output: 0.60}}}}
    max_output: 1024
    routes: [{{{{provider: paced, model: mock}}}}]
"""


@dataclass(slots=True)
class Report:
    """What was measured. Memory is in bytes by role: at rest, and the most of it meanwhile."""

    machine: str
    when: str
    lines: int
    upload_s: float = 0.0
    reading_s: float = 0.0
    running_s: float = 0.0
    files_s: float = 0.0
    small_s: float = 0.0
    alone_ms: list[float] = field(default_factory=list)
    meanwhile_ms: list[float] = field(default_factory=list)
    rest: dict[str, int] = field(default_factory=dict)
    most: dict[str, int] = field(default_factory=dict)
    beside: list[Beside] = field(default_factory=list)
    peer: str = ""

    def tables(self) -> dict[str, str]:
        """The tables by the names of their places."""
        alone, busy = statistics.median(self.alone_ms), statistics.median(self.meanwhile_ms)
        rows = [
            ("lines", f"{self.lines:,}"),
            ("upload", f"{self.upload_s:.1f} s"),
            ("reading and checking", f"{self.reading_s:.1f} s"),
            ("running", f"{self.running_s:.1f} s, {self.lines / self.running_s:.0f} lines/s"),
            ("writing the files", f"{self.files_s:.1f} s"),
            (f"another tenant's {SMALL} lines meanwhile", f"{self.small_s:.1f} s"),
            ("p50 to the first token, alone", f"{alone:.1f} ms"),
            ("p50 to the first token, meanwhile", f"{busy:.1f} ms ({busy / alone - 1:+.0%})"),
        ]
        speed = "\n".join(["| | |", "|---|---|", *(f"| {name} | {told} |" for name, told in rows)])
        heads = ["| process | at rest | at most | growth |", "|---|---|---|---|"]
        sizes = [
            f"| {role} | {_mb(rest)} | {_mb(self.most[role])} | {_mb(self.most[role] - rest)} |"
            for role, rest in self.rest.items()
        ]
        note = f"_{self.when}._"
        return {
            "machine": self.machine,
            "batch": f"{speed}\n\n{note}",
            "batch memory": "\n".join([*heads, *sizes]) + f"\n\n{note}",
            "batch beside": f"{beside_table(self.beside)}\n\n_{self.when}; {self.peer}._",
        }

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def _mb(size: int) -> str:
    return f"{size / 1_000_000:.0f} MB"


class Watch:
    """What goes on beside a batch: memory of each role, and somebody who wants an answer."""

    def __init__(self, target: Target, url: str, key: str) -> None:
        self._target, self._url, self._key = target, url, key
        self._over = threading.Event()
        self.most: dict[str, int] = {}
        self.first_ms: list[float] = []

    @contextmanager
    def running(self) -> Iterator["Watch"]:
        parts = [threading.Thread(target=part) for part in (self._weigh, self._ask)]
        for part in parts:
            part.start()
        try:
            yield self
        finally:
            self._over.set()
            for part in parts:
                part.join()

    def _weigh(self) -> None:
        while not self._over.wait(LOOK_S):
            for role, found in memory(self._target.roles).items():
                self.most[role] = max(self.most.get(role, 0), found.bytes)

    def _ask(self) -> None:
        with client(self._url, self._key) as http:
            while not self._over.wait(PACE_S):
                self.first_ms.append(first_token_ms(http))


def client(url: str, key: str) -> httpx.Client:
    """A client of the API below `url`."""
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=url, headers=headers, timeout=300, trust_env=False)


def first_token_ms(http: httpx.Client) -> float:
    """How long the first token of a stream takes."""
    body = {"model": "paced", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
    began = time.perf_counter()
    with http.stream("POST", "/chat/completions", json=body) as answer:
        answer.raise_for_status()
        found = 0.0
        for line in answer.iter_lines():
            if not found and '"content":"' in line and '"content":""' not in line:
                found = (time.perf_counter() - began) * 1000
    return found


def content(lines: int) -> Iterator[bytes]:
    """The input file, line by line."""
    for number in range(lines):
        messages = [{"role": "user", "content": f"What is {number} times seven? " * 4}]
        body = {"model": "mock", "max_tokens": 64, "messages": messages}
        line = {"custom_id": f"line-{number}", "method": "POST", "url": "/v1/chat/completions"}
        yield json.dumps({**line, "body": body}).encode() + b"\n"


def begun(http: httpx.Client, lines: int) -> str:
    """Uploads an input and makes a batch of it; returns its id."""
    with tempfile.TemporaryFile() as file:
        file.writelines(content(lines))
        file.seek(0)
        sent = http.post("/files", data={"purpose": "batch"}, files={"file": ("in.jsonl", file)})
    sent.raise_for_status()
    asked = {
        "input_file_id": sent.json()["id"], "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    }  # fmt: skip
    answer = http.post("/batches", json=asked)
    answer.raise_for_status()
    return str(answer.json()["id"])


def reached(http: httpx.Client, batch_id: str, states: set[str]) -> dict[str, Any]:
    """The batch once it is in one of `states`. Raises BenchError if it ends otherwise."""
    while True:
        batch: dict[str, Any] = http.get(f"/batches/{batch_id}").json()
        if batch["status"] in states:
            return batch
        if batch["status"] in ("failed", "expired", "cancelled"):
            raise BenchError(f"the batch has {batch['status']}: {batch['errors']}")
        time.sleep(0.2)


def measure(
    lines: int, ttft_ms: float, alone_s: float, paces: Sequence[float], python: Path
) -> Report:
    """Runs a batch of so many lines while the provider takes the first of `paces` (milliseconds)
    for an answer, and smaller ones at the others. Raises BenchError."""
    report = Report(machine(), moment(), lines, peer=f"{versions(python)}, 1 worker")
    with ExitStack() as parts:
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="moon-", dir="/tmp")))
        upstream = parts.enter_context(provider(folder))
        (folder / "paced").mkdir()
        paced = parts.enter_context(provider(folder / "paced"))
        paced.pace(ttft_ms, 5, 16)
        upstream.pace(paces[0], 0, 32)
        stack = moonpool(
            "whole stack", folder / "whole", upstream, processes=WHOLE,
            catalogue=CATALOGUE.format(paced=paced.base), MOONPOOL_LOG_LEVEL="warning",
        )  # fmt: skip
        target = parts.enter_context(stack)
        _measured(report, target, Settings(data_dir=folder / "whole" / "data"), alone_s)
        # Not before: a batch is measured without another gateway on the machine.
        theirs = parts.enter_context(litellm(folder / "litellm", upstream, python, 1))
        whole_s = report.upload_s + report.reading_s + report.running_s + report.files_s
        for pace in paces:
            upstream.pace(pace, 0, 32)
            size = lines if pace == paces[0] else min(lines, PACED_LINES)
            rate = lines / whole_s if pace == paces[0] else _rate(target, size)
            ours, others = (
                one_after_another(one, content(SEQUENTIAL), SEQUENTIAL) for one in (target, theirs)
            )
            report.beside.append(Beside(pace, size, rate, ours, others))
    return report


def _rate(target: Target, lines: int) -> float:
    """Lines a second of a batch, from its upload to its files."""
    with client(target.url.removesuffix("/chat/completions"), target.key) as http:
        began = time.monotonic()
        reached(http, begun(http, lines), {"completed"})
        return lines / (time.monotonic() - began)


def _measured(report: Report, target: Target, place: Settings, alone_s: float) -> None:
    url = target.url.removesuffix("/chat/completions")
    other = _tenant(place)
    with client(url, target.key) as http, client(url, other) as second:
        with Watch(target, url, other).running() as alone:
            time.sleep(alone_s)
        report.alone_ms, report.rest = alone.first_ms, alone.most
        with Watch(target, url, other).running() as meanwhile:
            at = [time.monotonic()]
            big = begun(http, report.lines)
            at.append(time.monotonic())
            reached(http, big, {"in_progress", "finalizing", "completed"})
            at.append(time.monotonic())
            small = begun(second, SMALL)
            reached(second, small, {"completed"})
            report.small_s = time.monotonic() - at[-1]
            if (
                reached(http, big, {"in_progress", "finalizing", "completed"})["status"]
                != "in_progress"
            ):
                click.echo("The small batch ended after the lines of the big one.", err=True)
            reached(http, big, {"finalizing", "completed"})
            at.append(time.monotonic())
            done = reached(http, big, {"completed"})
            at.append(time.monotonic())
        if done["request_counts"]["completed"] != report.lines:
            raise BenchError(f"lines are missing: {done['request_counts']}")
    report.meanwhile_ms, report.most = meanwhile.first_ms, meanwhile.most
    steps = [after - before for before, after in pairwise(at)]
    report.upload_s, report.reading_s, report.running_s, report.files_s = steps


def _tenant(place: Settings) -> str:
    with connect(place.postgres, "bench") as connection, connection.transaction():
        tenant_id = create_tenant(connection, "another")
        add_credit(connection, tenant_id, CREDIT, "bench credit")
        return create_key(connection, tenant_id, "bench").key


@click.command()
@click.option("--lines", default=50_000, show_default=True, type=click.IntRange(100, 50_000))
@click.option("--ttft-ms", default=200.0, show_default=True, help="Of the interactive provider.")
@click.option("--alone", default=10.0, show_default=True, help="Seconds without any batch.")
@click.option(
    "--provider-ms",
    "paces",
    multiple=True,
    type=click.FloatRange(0),
    default=PACES,
    show_default=True,
    help="Time to the whole answer of the batch's provider; several.",
)
@click.option(
    "--peer-python",
    "given",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Python of an environment that has litellm[proxy] and uvloop.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option("--write", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="Write the tables into this page as well.")  # fmt: skip
def main(
    lines: int, ttft_ms: float, alone: float, paces: tuple[float, ...], given: Path | None,
    as_json: bool, write: Path | None,
) -> None:  # fmt: skip
    """Measure a batch against the mock provider, and what else goes on meanwhile; then the same
    lines one after another, through LiteLLM's proxy too, which gets an environment of its own.

    \b
    Examples:
      .venv/bin/python bench/batch.py
      .venv/bin/python bench/batch.py --lines 2000 --provider-ms 0
      .venv/bin/python bench/batch.py --write docs/performance.md

    Exit codes: 0 measured, 1 something did not start or gave no answer, 2 a wrong option.
    """
    perform(lambda: measure(lines, ttft_ms, alone, paces, given or peer_python()), as_json, write)


if __name__ == "__main__":
    main()
