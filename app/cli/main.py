"""The `moonpool` command. Each command's module is imported when it is called."""

import sys
from importlib import import_module

import click
from pydantic import ValidationError

from app.errors import MoonpoolError
from app.stack.failure import Misuse, StackError

COMMANDS = {
    "up": "app.cli.stack:up",
    "down": "app.cli.stack:down",
    "status": "app.cli.stack:status_command",
    "demo": "app.cli.demo:demo",
    "doctor": "app.cli.doctor:doctor",
    "tenants": "app.cli.tenants:tenants",
    "keys": "app.cli.keys:keys",
    "credit": "app.cli.credit:credit",
    "ledger": "app.cli.ledger:ledger",
    "jobs": "app.cli.jobs:jobs",
    "evolution": "app.cli.evolution:evolution",
    "audit": "app.cli.audit:audit",
    "router": "app.cli.router:router",
    "migrate": "app.cli.prepare:migrate_command",
    "settings": "app.cli.settings:settings_command",
    "prepare": "app.cli.prepare:prepare",
    "greet": "app.cli.prepare:greet_command",
    "worker": "app.cli.processes:worker",
    "beat": "app.cli.processes:beat",
    "upkeep": "app.cli.processes:upkeep",
    "flower": "app.cli.processes:flower_command",
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="moonpool", message="moonpool %(version)s")
def cli() -> None:
    """Moonpool: a self-hosted inference platform whose every request is a durable job.

    \b
    First steps:
      moonpool up                  start everything, in the foreground
      moonpool demo                see three completions and what they cost
      moonpool keys create         make an API key
      moonpool doctor              what is wrong with this set-up, and how to mend it

    \b
    Exit codes:
      0  done
      1  failed, or a check found something
      2  a wrong option or setting, or a port that is in use
      3  the stack is not up
    """


def main(args: list[str] | None = None) -> None:
    """Runs the command; ends the process with an exit code as `moonpool --help` lists them."""
    try:
        code = cli.main(args, prog_name="moonpool", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except ValidationError as error:
        for problem in error.errors():
            click.echo(f"{_variable(problem['loc'])}: {problem['msg']}", err=True)
        sys.exit(Misuse.exit_code)
    except MoonpoolError as error:
        click.echo(f"moonpool: {error.message}", err=True)
        sys.exit(StackError.exit_code)
    except StackError as error:
        click.echo(f"moonpool: {error}", err=True)
        sys.exit(error.exit_code)


def _variable(place: tuple[int | str, ...]) -> str:
    name = str(place[0]) if place else "settings"
    return name.upper() if name.isupper() else f"MOONPOOL_{name.upper()}"


if __name__ == "__main__":
    main()
