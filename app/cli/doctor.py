"""`moonpool doctor`."""

from dataclasses import asdict

import click

from app.cli import options
from app.cli.show import show_json, show_table
from app.settings import settings
from app.stack.checks import run_checks
from app.stack.status import running


@click.command()
@options.as_json
@options.port
@options.data_dir
def doctor(as_json: bool) -> None:
    """Say what is wrong with the set-up, and how to mend it. Works whether the stack is up or not.

    \b
    Examples:
      moonpool doctor
      moonpool doctor --json | jq '.[] | select(.state != "ok")'

    Exit codes: 0 nothing is wrong (there may be warnings), 1 something is, 2 a setting is wrong.
    """
    found = run_checks(running(settings()))
    if as_json:
        show_json([asdict(check) for check in found])
    else:
        show_table(
            ("state", "check", "found", "mend"),
            [(check.state, check.name, check.found, check.mend) for check in found],
        )
    if any(check.state == "fail" for check in found):
        raise click.exceptions.Exit(1)
