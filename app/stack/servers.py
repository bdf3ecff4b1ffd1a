"""Postgres and Redis of a stack, embedded or elsewhere: started if need be, and waited for."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.settings import Settings
from app.stack.account import make_private, postgres_account
from app.stack.child import Child
from app.stack.failure import StackError
from app.stack.postgres import Postgres
from app.stack.probe import postgres_answers, redis_version, without_password
from app.stack.program import Program
from app.stack.redis import Redis
from app.stack.supervisor import Supervisor

ANSWER_S = 60.0
LOOK_S = 0.03
DEATHS = 3
"""A process that died this often before the stack was ready will not become ready."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that the stack needs. `embedded` makes its program; None: it runs elsewhere."""

    name: str
    url: str
    setting: str
    answers: Callable[[str], bool]
    embedded: Callable[[], Program] | None


def servers(now: Settings, tell: Callable[[str], None]) -> list[Server]:
    """Both servers, in the order in which they start."""

    def postgres() -> Program:
        cluster = Postgres(now.home, now.socket_dir)
        tell("starting Postgres" if cluster.data.exists() else "making a Postgres cluster")
        return cluster.program(tell)

    def redis() -> Program:
        tell("starting Redis")
        return Redis(now.home, now.socket_dir).program()

    return [
        Server(
            "Postgres",
            now.postgres,
            "MOONPOOL_DATABASE_URL",
            postgres_answers,
            postgres if now.embedded_postgres else None,
        ),
        Server(
            "Redis",
            now.redis,
            "MOONPOOL_REDIS_URL",
            lambda url: redis_version(url) is not None,
            redis if now.embedded_redis else None,
        ),
    ]


def start_servers(now: Settings, supervisor: Supervisor, tell: Callable[[str], None]) -> None:
    """Starts the embedded servers, then waits until each server answers. Raises StackError."""
    make_private(now.socket_dir, postgres_account())
    pairs = [
        (server, supervisor.start([server.embedded()])[0] if server.embedded else None)
        for server in servers(now, tell)
    ]
    for server, child in pairs:
        _await(supervisor, server, child)


def _await(supervisor: Supervisor, server: Server, child: Child | None) -> None:
    trouble = deaths([child] if child else [])
    supervisor.run_until(
        lambda: server.answers(server.url) or bool(trouble()), ANSWER_S, look=LOOK_S
    )
    if server.answers(server.url):
        return
    reason = trouble() or f"it does not answer after {ANSWER_S:.0f} s"
    if child is None or child.program.log is None:
        raise StackError(
            f"{server.name} at {without_password(server.url)}: {reason}. See whether it runs "
            f"there, or unset {server.setting} to have an embedded one"
        )
    log = child.program.log
    raise StackError(f"{server.name}: {reason}. The end of {log}:\n{tail(log)}")


def deaths(children: list[Child]) -> Callable[[], str]:
    """A question to ask again and again: which of `children` will not stay up, if any."""

    def trouble() -> str:
        for child in children:
            if child.restarts >= DEATHS:
                return f"{child.program.name} ends again and again ({child.last_exit})"
        return ""

    return trouble


def tail(path: Path, lines: int = 15, start: int = 0) -> str:
    """The last lines of a file, none of them before byte `start`."""
    with suppress(OSError), path.open("rb") as file:
        file.seek(start)
        return b"\n".join(file.read().splitlines()[-lines:]).decode("utf-8", "replace")
    return "(it cannot be read)"
