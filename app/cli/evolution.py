"""`moonpool evolution`."""

from dataclasses import asdict

import click

from app.cli import options
from app.cli.show import show_json
from app.evolution.store import violations


@click.group()
def evolution() -> None:
    """Prove that feedback moved no trait beyond its bounds."""


@evolution.command("verify")
@options.as_json
@options.data_dir
def verify_command(as_json: bool) -> None:
    """Check that every trait, and every move that led there, keeps the bounds it was made under,
    that each move begins where the last one ended, and that none is missing. Changes nothing; a
    stack may be running.

    \b
    Examples:
      moonpool evolution verify
      moonpool evolution verify --json | jq '.findings[].place'

    Exit codes: 0 the bounds hold, 1 they do not (each bad row is named), 3 Postgres does not
    answer.
    """
    with options.database() as connection:
        found = violations(connection)
    if as_json:
        show_json({"ok": not found, "findings": [asdict(one) for one in found]})
    else:
        for one in found:
            click.echo(f"{one.place}: {one.message} ({one.check})")
        click.echo(f"{len(found)} findings" if found else "the bounds hold")
    if found:
        raise click.exceptions.Exit(1)
