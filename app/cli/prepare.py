"""`moonpool migrate`, and the two steps that `moonpool up` runs as processes of their own."""

import click

from app.cli import options
from app.db.connect import connect
from app.db.migrate import migrate
from app.settings import settings
from app.stack import demo
from app.stack.greet import greet


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
    """Migrate, and make the demo tenant, its credit and its key if they are missing."""
    now = settings()
    for name in migrate(now.postgres):
        click.echo(f"applied {name}")
    with connect(now.postgres, "prepare") as connection:
        demo.ensure_demo(connection, now.home)


@click.command("greet", hidden=True)
@options.data_dir
@options.port
def greet_command() -> None:
    """Wait until the stack is ready, stream one completion, and say where everything is."""
    greet(settings(), lambda text: click.echo(text, nl=False))
