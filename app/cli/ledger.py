"""`moonpool ledger`."""

from dataclasses import asdict

import click

from app.cli import options
from app.cli.show import show_json
from app.ledger.verify import verify


@click.group()
def ledger() -> None:
    """Prove the books."""


@ledger.command("verify")
@options.as_json
@options.data_dir
def verify_command(as_json: bool) -> None:
    """Check that every job is open or ended, every ended job settled once, every hold settled and
    released, and every balance the sum of its transfers. Changes nothing; a stack may be running.

    \b
    Examples:
      moonpool ledger verify
      moonpool ledger verify --json | jq '.findings[].row'

    Exit codes: 0 the books are right, 1 they are not (each bad row is named), 3 Postgres does not
    answer.
    """
    with options.database() as connection:
        findings = verify(connection)
    if as_json:
        show_json({"ok": not findings, "findings": [asdict(found) for found in findings]})
    else:
        for found in findings:
            click.echo(f"{found.row}: {found.message} ({found.check})")
        click.echo(f"{len(findings)} findings" if findings else "the books are right")
    if findings:
        raise click.exceptions.Exit(1)
