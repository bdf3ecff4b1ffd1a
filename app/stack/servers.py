"""The servers of a stack that are embedded, and which of its processes will not stay up."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from app.settings import Settings
from app.stack.account import make_private, postgres_account
from app.stack.child import Child
from app.stack.postgres import Postgres
from app.stack.program import Program
from app.stack.redis import Redis

DEATHS = 3
"""A process that died this often before the stack was ready will not become ready."""


def server_programs(now: Settings, tell: Callable[[str], None]) -> list[Program]:
    """The embedded servers, in the order in which they start. Makes the Postgres cluster if there
    is none; raises StackError."""
    programs = []
    make_private(now.socket_dir, postgres_account())
    if now.embedded_postgres:
        cluster = Postgres(now.home, now.socket_dir)
        tell("starting Postgres" if cluster.data.exists() else "making a Postgres cluster")
        programs.append(cluster.program(tell))
    if now.embedded_redis:
        tell("starting Redis")
        programs.append(Redis(now.home, now.socket_dir).program())
    return programs


def deaths(children: list[Child]) -> Callable[[], str]:
    """A question to ask again and again: which of `children` will not stay up, if any."""

    def trouble() -> str:
        for child in children:
            if child.restarts >= DEATHS:
                name, log = child.program.name, child.program.log
                words = f"{name} ends again and again ({child.last_exit})"
                return words if log is None else f"{words}. The end of {log}:\n{tail(log)}"
        return ""

    return trouble


def tail(path: Path, lines: int = 15, start: int = 0) -> str:
    """The last lines of a file, none of them before byte `start`."""
    with suppress(OSError), path.open("rb") as file:
        file.seek(start)
        return b"\n".join(file.read().splitlines()[-lines:]).decode("utf-8", "replace")
    return "(it cannot be read)"
