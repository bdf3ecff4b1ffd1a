"""`moonpool up`, `down` and `status`."""

from dataclasses import asdict
from pathlib import Path

import click

from app.cli import options
from app.settings import settings
from app.stack.failure import NotUp
from app.stack.output import Output
from app.stack.up import PROCFILE, Stack


@click.command()
@click.option("--detach", "-d", is_flag=True, help="Run in the background; return when ready.")
@options.port
@options.data_dir
@click.option(
    "--procfile",
    type=click.Path(path_type=Path, dir_okay=False),
    default=PROCFILE,
    help="Other processes than those of the Procfile that comes with Moonpool.",
)
@click.option("--no-greeting", is_flag=True, help="Do not wait for the web; no completion, no key.")
def up(detach: bool, procfile: Path, no_greeting: bool) -> None:
    """Start the stack: Postgres, Redis, web, workers, beat, upkeep, Flower.

    Postgres and Redis are embedded unless MOONPOOL_DATABASE_URL and MOONPOOL_REDIS_URL name others.
    Once it is ready it answers itself, and prints its address, a key and a line to try. What dies
    starts again. Ctrl-C stops everything; the next start finds its data again.

    \b
    Examples:
      moonpool up
      moonpool up --detach --port 8100 --data-dir /var/lib/moonpool
      OPENAI_API_KEY=… moonpool up

    Exit codes: 0 stopped when asked to, 1 it could not start, 2 a port or a setting is wrong.
    """
    now = settings()
    if not detach:
        Stack(now, procfile, Output()).run(greeting=not no_greeting)
        return
    # Imported where they are used: the supervisor stays small without an HTTP client.
    from app.stack.detach import up_detached
    from app.stack.greet import greet
    from app.stack.status import running

    click.echo(f"starting in the background; log: {now.home / 'log' / 'moonpool.log'}")
    up_detached(now, procfile, ready=not no_greeting)
    if not no_greeting:
        greet(running(now), _print)
    click.echo(f"stop it with: moonpool down --data-dir {now.home}")


@click.command()
@options.data_dir
def down() -> None:
    """Stop the stack of a data directory, and what a killed one left running.

    \b
    Examples:
      moonpool down
      moonpool down --data-dir /var/lib/moonpool

    Exit codes: 0 stopped, 1 it does not stop, 3 it was not up.
    """
    from app.stack.detach import down as stop_stack

    stop_stack(settings(), Output())
    click.echo("stopped")


@click.command("status")
@options.as_json
@options.port
@options.data_dir
def status_command(as_json: bool) -> None:
    """Show whether the stack is up and ready, its processes and its addresses.

    \b
    Examples:
      moonpool status
      moonpool status --json | jq .base_url

    Exit codes: 0 up and ready, 3 not up or not ready.
    """
    from app.cli.show import show_json, show_table
    from app.stack.status import status

    found = status(settings())
    if as_json:
        show_json(asdict(found))
    else:
        show_table(
            ("process", "pid", "state", "restarts", "last exit"),
            [(p.name, p.pid, p.state, p.restarts, p.last_exit) for p in found.processes],
        )
        for name in ("data_dir", "base_url", "database_url", "redis_url", "flower"):
            click.echo(f"{name:<13} {getattr(found, name)}")
        click.echo(f"{'state':<13} {'ready' if found.ready else found.problem}")
    if not found.ready:
        raise click.exceptions.Exit(NotUp.exit_code)


def _print(text: str) -> None:
    click.echo(text, nl=False)
