"""Moonpool measured against its provider called directly: `make bench`."""

import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click

# Run as a file, Python looks for modules in the file's folder alone.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.cli import options, perform
from bench.footprint import Footprint, footprint
from bench.machine import machine, moment
from bench.measure import BURST, JSON, PACED, Sample, Work, interleaved, noted
from bench.report import cpu, memory_table, throughput, ttft
from bench.rig import LINE, LINE_AND_FLOWER, Provider, Target, moonpool, provider

PARTS = ("throughput", "ttft", "memory")
VARIANTS = (
    ("Moonpool", "on", LINE, True),
    ("Moonpool, task events off", "off", LINE, False),
    ("Moonpool and Flower", "flower", LINE_AND_FLOWER, True),
)


TABLES = (
    ("throughput", "throughput", throughput),
    ("cpu", "throughput", cpu),
    ("ttft", "ttft", ttft),
)
"""Place, part that was measured, and how to draw it."""


@dataclass(slots=True)
class Report:
    """What was measured: samples by part, and the memory of a whole stack."""

    machine: str
    when: str
    seconds: float
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    memory: Footprint | None = None

    def tables(self) -> dict[str, str]:
        """The tables by the names of their places."""
        found = {"machine": self.machine}
        for name, part, draw in TABLES:
            if samples := self.samples.get(part):
                note = noted(self.when, samples, self.seconds)
                found[name] = f"{draw(samples)}\n\n{note}"
        if self.memory:
            found["memory"] = f"{memory_table(self.memory)}\n\n_{self.when}._"
        return found

    def as_dict(self) -> dict[str, Any]:
        samples = {part: [s.as_dict() for s in found] for part, found in self.samples.items()}
        memory = asdict(self.memory) if self.memory else None
        return {"machine": self.machine, "when": self.when, "samples": samples, "memory": memory}


def measure_lines(
    folder: Path, upstream: Provider, works: dict[str, Sequence[Work]], seconds: float, rounds: int
) -> dict[str, list[Sample]]:
    """Starts a stack per variant, all at once, and measures each part on all of them in turn."""
    with ExitStack() as stacks:
        targets: list[Target] = [upstream.target]
        for name, short, processes, events in VARIANTS:
            stack = moonpool(name, folder / short, upstream, processes=processes, events=events)
            targets.append(stacks.enter_context(stack))
        return {
            part: [s for w in found for s in interleaved(w, targets, upstream, seconds, rounds)]
            for part, found in works.items()
        }


def measure_all(only: Sequence[str], seconds: float, rounds: int) -> Report:
    """Measures the parts named in `only`. Raises BenchError."""
    report = Report(machine(), moment(), seconds)
    all_works: dict[str, Sequence[Work]] = {"throughput": (JSON, BURST), "ttft": (PACED,)}
    works = {part: found for part, found in all_works.items() if part in only}
    with tempfile.TemporaryDirectory(prefix="moon-", dir="/tmp") as name:
        folder = Path(name)
        with provider(folder) as upstream:
            if works:
                report.samples = measure_lines(folder, upstream, works, seconds, rounds)
            if "memory" in only:
                report.memory = footprint(folder / "whole", upstream)
    return report


@click.command()
@click.option("--only", multiple=True, type=click.Choice(PARTS), help="A part; all if not given.")
@options(seconds=4.0)
def main(
    only: tuple[str, ...], seconds: float, rounds: int, as_json: bool, write: Path | None
) -> None:
    """Measure Moonpool against its provider called directly, and print Markdown tables.

    Starts stacks of its own, with their data in a temporary folder, and a mock provider; removes
    everything at the end. Progress goes to standard error.

    \b
    Examples:
      .venv/bin/python bench/run.py
      .venv/bin/python bench/run.py --only ttft --seconds 3 --rounds 2
      .venv/bin/python bench/run.py --write docs/performance.md

    Exit codes: 0 measured, 1 something did not start or gave no answer, 2 a wrong option.
    """
    perform(lambda: measure_all(only or PARTS, seconds, rounds), as_json, write)


if __name__ == "__main__":
    main()
