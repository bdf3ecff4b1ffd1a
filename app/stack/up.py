"""The story of a start: lock, left-overs, ports, servers, migrations, processes, first words."""

import os
import resource
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from app.settings import Settings, child_environment
from app.stack.child import Child
from app.stack.failure import StackError
from app.stack.leftovers import end_leftovers
from app.stack.output import Output
from app.stack.ports import free_port, require_port
from app.stack.program import Program, procfile_programs
from app.stack.record import Record, held, rows
from app.stack.servers import deaths, server_programs
from app.stack.supervisor import Stopped, Supervisor

ROOT = Path(__file__).resolve().parents[2]
PROCFILE = ROOT / "Procfile"
PREPARE_S = 120.0
GREET_S = 180.0
OPEN_FILES = 65536


class Stack:
    """One stack while it is up."""

    def __init__(self, now: Settings, procfile: Path, output: Output) -> None:
        self._now = now
        self._procfile = procfile
        self._output = output
        self._complete = False
        self._flower_port = 0

    def run(self, *, greeting: bool) -> None:
        """Runs the stack until it is asked to stop. Raises StackError if it cannot start."""
        with held(self._now.home):
            end_leftovers(self._now.home, self._now.socket_dir, self._output.say)
            self._take_ports()
            _allow_open_files()
            with Supervisor(self._output, self._write_record) as supervisor, suppress(Stopped):
                try:
                    self._bring_up(supervisor, greeting)
                except StackError:
                    if not supervisor.asked_to_stop:
                        raise
                supervisor.run_until(lambda: False)
        self._output.say("stopped")

    def _take_ports(self) -> None:
        now = self._now
        require_port(now.host, now.port, "MOONPOOL_PORT")
        wanted = urlsplit(now.flower_address).port or 0
        if now.flower_port:
            require_port("127.0.0.1", wanted, "MOONPOOL_FLOWER_PORT")
        self._flower_port = now.flower_port or free_port("127.0.0.1", wanted)

    def _bring_up(self, supervisor: Supervisor, greeting: bool) -> None:
        env = child_environment(MOONPOOL_FLOWER_PORT=str(self._flower_port), PYTHONUNBUFFERED="1")
        say = self._output.say
        # A group each, so that Redis is gone before Postgres stops.
        servers = [
            child
            for program in server_programs(self._now, say)
            for child in supervisor.start([program])
        ]
        supervisor.once(_own("prepare", env), PREPARE_S, deaths(servers))
        programs = procfile_programs(self._procfile, env)
        say(f"starting {', '.join(program.name for program in programs)}")
        started = supervisor.start(programs)
        self._complete = True
        self._write_record(supervisor.children)
        if greeting:
            supervisor.once(_own("greet", env, bare=True), GREET_S, deaths(started))

    def _write_record(self, children: list[Child]) -> None:
        now, port = self._now, self._flower_port
        listed = rows(children)
        record = Record(os.getpid(), self._complete, now.host, now.port, port, listed)
        record.write(now.home)


def _own(command: str, env: dict[str, str], *, bare: bool = False) -> Program:
    return Program(command, [sys.executable, "-m", "app.cli.main", command], env, ROOT, bare=bare)


def _allow_open_files() -> None:
    # A stream is an open socket in the web; the usual soft limit of 1024 is soon reached.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
