"""One measured run: the load client against a target, and the CPU that each role used for it."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.settings import child_environment
from bench.processes import busy_seconds, cpu_seconds, settle
from bench.rig import BENCH, Provider, Target
from bench.running import BenchError
from bench.tables import middle

CONNECTIONS = 64
WARM_S = 1.0
ALARM_S = 120.0
"""Beyond the planned length of a run; the load client itself gives up after 60."""


@dataclass(frozen=True, slots=True)
class Work:
    """A kind of load. Milliseconds to the first token and between two; `stagger_s` spreads the
    first arrivals."""

    name: str
    stream: bool = True
    ttft_ms: float = 0
    itl_ms: float = 0
    chunks: int = 32
    stagger_s: float = 0
    connections: int = CONNECTIONS


JSON = Work("non-stream", stream=False)
BURST = Work("burst stream")
PACED = Work("paced stream", ttft_ms=100, itl_ms=10, stagger_s=0.42)
OPEN = Work("open streams", itl_ms=1000, stagger_s=3, connections=1000)


@dataclass(frozen=True, slots=True)
class Sample:
    """One run. `load` is what the load client printed; `cpu_ms` is CPU per request, by role;
    `others_cores` is how many cores everything else on the machine kept busy meanwhile."""

    work: str
    target: str
    round: int
    load: dict[str, Any]
    cpu_ms: dict[str, float]
    others_cores: float

    @property
    def rps(self) -> float:
        return float(self.load["rps"])

    @property
    def errors(self) -> int:
        return int(self.load["n_errors"])

    def cpu(self, *roles: str) -> float:
        """CPU milliseconds per request of several roles together."""
        return sum(self.cpu_ms.get(role, 0.0) for role in roles)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def start_load(work: Work, target: Target, seconds: float, warm_s: float) -> subprocess.Popen[str]:
    """Starts the load client; its standard output is one JSON object."""
    argv = [sys.executable, str(BENCH / "load.py"), target.url]
    argv += ["-c", str(work.connections), "-d", str(seconds), "-w", str(warm_s)]
    argv += ["--stagger", str(work.stagger_s), "--expect", str(work.chunks)]
    argv += ["-H", f"Authorization: Bearer {target.key}"]
    argv += ["--stream"] if work.stream else []
    # In a session of its own, Ctrl-C does not reach it: `end_load` ends it.
    return subprocess.Popen(
        argv, stdout=subprocess.PIPE, text=True, env=child_environment(), start_new_session=True
    )


def end_load(process: subprocess.Popen[str], seconds: float) -> dict[str, Any]:
    """Waits for the load client, and ends it in any case. Raises BenchError if it fails or gets no
    good answer at all."""
    try:
        text, _ = process.communicate(timeout=seconds + ALARM_S)
    except subprocess.TimeoutExpired as error:
        raise BenchError("the load client does not end") from error
    finally:
        process.kill()
        process.wait()
    if process.returncode:
        raise BenchError(f"the load client failed (status {process.returncode})")
    found: dict[str, Any] = json.loads(text)
    if not found["n"]:
        raise BenchError(f"no good answer: {found['errors']} {found.get('sample_error', '')}")
    return found


def measure(
    work: Work, target: Target, upstream: Provider, seconds: float, number: int = 0
) -> Sample:
    """One run of `seconds` after a second of warm-up. CPU is that of the whole run, over all of its
    requests."""
    roles = {**target.roles, "provider": upstream.pid}
    before, busy_before, began = cpu_seconds(roles), busy_seconds(), time.monotonic()
    load = end_load(start_load(work, target, seconds, WARM_S), seconds)
    after, busy_after, ended = cpu_seconds(roles), busy_seconds(), time.monotonic()
    used = {role: after[role] - before[role] for role in roles}
    used["client"] = load["client_cpu_s"]
    cpu_ms = {role: round(s * 1000 / load["total"], 4) for role, s in used.items()}
    others = (busy_after - busy_before - sum(used.values())) / (ended - began)
    return Sample(work.name, target.name, number, load, cpu_ms, round(max(0.0, others), 3))


def interleaved(
    work: Work, targets: Sequence[Target], upstream: Provider, seconds: float, rounds: int
) -> list[Sample]:
    """`rounds` runs of each target in turn, one target under load at a time, so that a machine that
    drifts does so for all. A first short run of each does not count."""
    upstream.pace(work.ttft_ms, work.itl_ms, work.chunks)
    everything = {f"{t.name}/{role}": pid for t in targets for role, pid in t.roles.items()}
    samples = []
    for number in range(rounds + 1):
        for target in targets:
            settle(everything)
            sample = measure(work, target, upstream, seconds if number else 1, number)
            if number:
                samples.append(sample)
                _progress(sample)
    return samples


def _progress(sample: Sample) -> None:
    errors = f", errors {sample.load['errors']}" if sample.errors else ""
    text = f"{sample.work}, round {sample.round}, {sample.target}: {sample.rps:.0f}/s{errors}"
    print(text, file=sys.stderr, flush=True)


def noted(when: str, samples: Sequence[Sample], seconds: float) -> str:
    """The line below a table: when, how often, and how busy the machine was with other things."""
    rounds = max(sample.round for sample in samples)
    others = middle([sample.others_cores for sample in samples], 2, spread=True)
    how = f"{rounds} rounds of {seconds:g} s" if rounds > 1 else f"1 round of {seconds:g} s"
    return f"_{when}; {how}; everything else on the machine kept {others} cores busy._"
