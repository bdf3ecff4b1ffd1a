"""`moonpool migrate`, and the two steps that `moonpool up` runs as processes of their own."""

import click

from app.cli import options
from app.db.migrate import migrate
from app.settings import settings
from app.stack.greet import greet
from app.stack.prepare import prepare as make_ready


@click.command("migrate")
@options.data_dir
def migrate_command() -> None:
    """Bring the database up to date. `moonpool up` does it by itself.

    Exit codes: 0 up to date, 1 a migration failed, 3 Postgres does not answer.
    """
    with options.database():
        applied = migrate(settings().postgres)
    click.echo("\n".join(f"applied {name}" for name in applied) or "nothing to apply")


@click.command(hidden=True)
@options.data_dir
def prepare() -> None:
    """Wait for the servers, migrate, and make the demo tenant, its credit and its key."""
    make_ready(settings(), click.echo)


@click.command("greet", hidden=True)
@options.data_dir
@options.port
def greet_command() -> None:
    """Wait until the stack is ready, stream one completion, and say where everything is."""
    greet(settings(), lambda text: click.echo(text, nl=False))
