"""What the bench commands share: options, printing, writing into a page."""

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import click

from bench.running import BenchError, allow_open_files
from bench.tables import write_places

Command = Callable[..., None]


class Report(Protocol):
    """What was measured."""

    def tables(self) -> dict[str, str]:
        """Texts by the names of their places in a page."""

    def as_dict(self) -> dict[str, Any]:
        """All figures."""


def options(*, seconds: float) -> Callable[[Command], Command]:
    """The options that all measurements have; `seconds` is the default length of a run."""
    page = click.Path(path_type=Path, exists=True, dir_okay=False)
    kinds = (
        click.option("--write", type=page, help="Write the tables into this page as well."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables."),
        click.option(
            "--rounds",
            default=3,
            show_default=True,
            type=click.IntRange(1),
            help="Runs of each target.",
        ),
        click.option(
            "--seconds",
            default=seconds,
            show_default=True,
            type=click.FloatRange(1),
            help="Length of each run, after a second of warm-up.",
        ),
    )

    def add(command: Command) -> Command:
        for option in kinds:
            command = option(command)
        return command

    return add


def perform(measure: Callable[[], Report], as_json: bool, write: Path | None) -> None:
    """Measures, prints and writes. What cannot be measured becomes a message and exit code 1."""
    allow_open_files()
    # Being asked to end unwinds as Ctrl-C does, so that stacks and their data go.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        report = measure()
        if as_json:
            click.echo(json.dumps(report.as_dict()))
        else:
            click.echo("\n\n".join(f"### {name}\n\n{t}" for name, t in report.tables().items()))
        if write:
            write_places(write, report.tables())
    except BenchError as error:
        raise click.ClickException(str(error)) from error
