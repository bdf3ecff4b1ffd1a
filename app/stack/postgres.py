"""Postgres 18 as a child in the foreground: its cluster, its command line, its left-overs."""

import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from app.stack.account import Account, let_through, make_private, postgres_account
from app.stack.binaries import postgres_program
from app.stack.failure import StackError
from app.stack.program import Program

DATABASE = "moonpool"
INITDB_SECONDS = 120
ORPHAN_SECONDS = 3
_PLAIN = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"}


@dataclass(frozen=True, slots=True)
class Postgres:
    """An embedded cluster in `home`/postgres that answers in `socket_dir` and nowhere else.

    `options` are further server settings, `name=value`.
    """

    home: Path
    socket_dir: Path
    options: tuple[str, ...] = ()

    @property
    def data(self) -> Path:
        return self.home / "postgres"

    @property
    def log(self) -> Path:
        return self.home / "log" / "postgres.log"

    def program(self, tell: Callable[[str], None] = lambda _: None) -> Program:
        """What to supervise. Makes the cluster first if there is none; `tell` hears of each folder
        that Postgres's user is let through. Raises StackError."""
        account = postgres_account()
        make_private(self.socket_dir, account)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.home.mkdir(parents=True, exist_ok=True)
        if account is not None:
            for path in (self.data, self.socket_dir / "x", postgres_program("postgres")):
                for folder in let_through(path, account):
                    tell(f"{folder}: gave the right to pass (o+x), for the user {account.name}")
        if not (self.data / "PG_VERSION").exists():
            self._create(account)
        return Program(
            "postgres",
            [str(postgres_program("postgres")), "-D", str(self.data), *self._options()],
            _PLAIN,
            self.data,
            account,
            self.log,
            stop=((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0)),
            prepare=self.bury,
            own_group=False,
        )

    def _options(self) -> list[str]:
        quoted = str(self.socket_dir).replace('"', '""')
        wanted = (
            "listen_addresses=",
            f'unix_socket_directories="{quoted}"',
            "autovacuum_naptime=5s",
            "shared_buffers=128MB",
            "max_connections=100",
            "log_min_messages=warning",
            *self.options,
        )
        return [word for option in wanted for word in ("-c", option)]

    def _create(self, account: Account | None) -> None:
        # Beside the place and then renamed, so that an interrupted start leaves no half cluster.
        fresh = self.home / "postgres.new"
        shutil.rmtree(fresh, ignore_errors=True)
        make_private(fresh, account)
        options = ["-U", "postgres", "-A", "trust", "--locale=C", "--encoding=UTF8"]
        sync = ["--no-sync"] if "fsync=off" in self.options else []
        _run(account, "initdb", ["-D", str(fresh), *options, *sync])
        _run(
            account,
            "postgres",
            ["--single", "-D", str(fresh), "postgres"],
            f"CREATE DATABASE {DATABASE}\n",
        )
        if self.data.exists():
            self.data.rmdir()
        fresh.rename(self.data)

    def processes(self) -> list[psutil.Process]:
        """Live processes of this cluster, its server first. They work in the data directory."""
        found = [p for p in psutil.process_iter() if _works_in(p, self.data)]
        return sorted(found, key=lambda process: process.create_time())

    def bury(self) -> None:
        """Before a start: ends what a killed server left behind and removes its lock files.

        Orphans keep the shared memory that bars a new server. Postgres itself drops the lock of a
        dead pid, yet takes any live process of its own user with that pid for a server, as happens
        in a restarted container, and then never starts.
        """
        orphans = self.processes()
        for process in orphans:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(orphans, timeout=ORPHAN_SECONDS)
        for lock in (self.data / "postmaster.pid", self.socket_dir / ".s.PGSQL.5432.lock"):
            lock.unlink(missing_ok=True)


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.name().startswith("postgres") and Path(process.cwd()).samefile(folder)
    except (psutil.Error, OSError):
        return False


def _run(account: Account | None, name: str, args: list[str], text: str = "") -> None:
    # capture_output would wait for every process that inherits the pipe; none is left behind here.
    try:
        subprocess.run(
            [str(postgres_program(name)), *args],
            check=True,
            input=text,
            capture_output=True,
            text=True,
            timeout=INITDB_SECONDS,
            cwd="/",
            env=_PLAIN,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    except subprocess.CalledProcessError as error:
        raise StackError(
            f"{name} failed: {error.stderr.strip() or error.stdout.strip()}"
        ) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StackError(f"{name} failed: {error}") from error
