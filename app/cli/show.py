"""How commands print: JSON for scripts, tables for people, colour on a terminal alone."""

import json
import sys
from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

COLOURS = {
    "ok": "green",
    "ready": "green",
    "running": "green",
    "warn": "yellow",
    "restarting": "yellow",
    "fail": "red",
    "stopped": "red",
}


def show_json(value: Any) -> None:
    """Prints one JSON value on one line."""
    click.echo(json.dumps(value, default=str))


def show_table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints a table: drawn on a terminal, else in columns with two spaces between them."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        table = Table()
        for head in heads:
            table.add_column(head, overflow="fold")
        for row in cells:
            table.add_row(*[Text(cell, COLOURS.get(cell, "")) for cell in row])
        Console().print(table)
        return
    widths = [max(len(row[i]) for row in [list(heads), *cells]) for i in range(len(heads))]
    for row in [list(heads), *cells]:
        line = "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True))
        click.echo(line.rstrip())
