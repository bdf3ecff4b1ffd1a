"""What the supervisor runs: a program, its surroundings, and how it is asked to stop."""

import re
import shlex
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from honcho import environ

from app.stack.account import Account
from app.stack.failure import Misuse

_parse_procfile: Callable[[str], Any] = environ.parse_procfile
_NEEDS_SHELL = re.compile(r"[;&|<>$`(){}*?~]|^\w+=|^exec\s")

StopSteps = tuple[tuple[signal.Signals, float], ...]
"""Signals in order, each with the seconds to wait before the next; SIGKILL ends the list."""


@dataclass(frozen=True, slots=True)
class Program:
    """One supervised program. `log`: a file that takes its output, which otherwise is printed with
    its name in front. `bare`: its output is printed as it comes. `prepare` runs before each start.
    `own_group`: when it dies, the processes it left behind are killed before it starts again.
    """

    name: str
    argv: list[str]
    env: Mapping[str, str] = field(repr=False)
    cwd: Path = Path("/")
    account: Account | None = None
    log: Path | None = None
    bare: bool = False
    stop: StopSteps = ((signal.SIGTERM, 8.0),)
    prepare: Callable[[], None] | None = None
    own_group: bool = True


def procfile_programs(path: Path, env: Mapping[str, str]) -> list[Program]:
    """The programs of a Procfile, which run in its folder. Raises Misuse if it is not usable."""
    try:
        processes = _parse_procfile(path.read_text()).processes
    except (OSError, AssertionError) as error:
        raise Misuse(f"{path} is not a readable Procfile: {error}") from error
    if not processes:
        raise Misuse(f"{path} names no process; a line reads `name: command`")
    return [Program(n, _argv(command), env, path.parent) for n, command in processes.items()]


def _argv(command: str) -> list[str]:
    # Without a shell in between, the pid that is recorded is the program's own.
    return ["/bin/sh", "-c", command] if _NEEDS_SHELL.search(command) else shlex.split(command)
