"""Moonpool measured beside LiteLLM's proxy: `make bench-peers`."""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

# Run as a file, Python looks for modules in the file's folder alone.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.cli import options, perform
from bench.litellm_proxy import litellm, peer_python, versions
from bench.machine import moment
from bench.measure import BURST, JSON, Sample, interleaved, noted
from bench.report import by_round, gateways
from bench.rig import moonpool, provider

WORKS = {"json": JSON, "burst": BURST}


@dataclass(frozen=True, slots=True)
class Report:
    """What was measured."""

    note: str
    samples: list[Sample]

    def tables(self) -> dict[str, str]:
        """The tables by the names of their places."""
        both = f"{by_round(self.samples)}\n\n{gateways(self.samples)}"
        return {"peers": f"{both}\n\n{self.note}"}

    def as_dict(self) -> dict[str, Any]:
        return {"note": self.note, "samples": [sample.as_dict() for sample in self.samples]}


def measure_peers(
    only: Sequence[str], seconds: float, rounds: int, python: Path, workers: int, events: bool
) -> Report:
    """Measures the loads named in `only`. Raises BenchError."""
    what, when = versions(python), moment()
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory(prefix="moon-", dir="/tmp") as name:
        folder = Path(name)
        with (
            provider(folder) as upstream,
            moonpool("Moonpool", folder / "moonpool", upstream, events=events) as ours,
            litellm(folder / "litellm", upstream, python, workers) as theirs,
        ):
            targets = (upstream.target, ours, theirs)
            for work in (WORKS[key] for key in only):
                samples += interleaved(work, targets, upstream, seconds, rounds)
    setup = f"{what}, {workers} workers; task events {'on' if events else 'off'}"
    return Report(noted(f"{when}; {setup}", samples, seconds), samples)


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(WORKS)), help="A load; default both.")
@click.option(
    "--peer-python",
    "given",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Python of an environment that has litellm[proxy] and uvloop, instead of making one.",
)
@click.option("--workers", default=2, show_default=True, help="Worker processes of LiteLLM.")
@click.option("--task-events/--no-task-events", default=True, help="Moonpool's task events.")
@options(seconds=8.0)
def main(
    only: tuple[str, ...],
    given: Path | None,
    workers: int,
    task_events: bool,
    seconds: float,
    rounds: int,
    as_json: bool,
    write: Path | None,
) -> None:
    """Measure Moonpool beside LiteLLM's proxy, and print Markdown tables.

    Makes .venv-peers, an environment of its own with what bench/peers.txt names. Both gateways run
    in front of the same mock provider; one is under load at a time.

    \b
    Examples:
      .venv/bin/python bench/peers.py
      .venv/bin/python bench/peers.py --only burst --seconds 4 --rounds 2
      .venv/bin/python bench/peers.py --write docs/performance.md

    Exit codes: 0 measured, 1 something did not start or gave no answer, 2 a wrong option.
    """
    perform(
        lambda: measure_peers(
            only or tuple(WORKS),
            seconds,
            rounds,
            given or peer_python(),
            workers,
            task_events,
        ),
        as_json,
        write,
    )


if __name__ == "__main__":
    main()
