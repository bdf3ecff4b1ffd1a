"""Whole stacks as real processes, for tests that break them."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil

from app.settings import Settings
from app.stack.client import readiness
from app.stack.demo import read_key
from app.stack.record import Record, read_record
from tests.folders import new_folder
from tests.waiting import wait_for

START_S = 120.0
PORTS = range(10_000, 30_000)
STOP_S = 45.0
ROOT = Path(__file__).resolve().parents[1]
CALENDAR = frozenset({"beat", "flower"})
"""Processes that few tests have a use for; each takes two seconds of a processor to start."""


def free_port() -> int:
    """A port that nothing listens on, nor on the next, nor 1000 above them, where their Flowers
    would. It is below those that systems give to connections, so that none takes it meanwhile."""
    while True:
        port = random.randrange(PORTS.start, PORTS.stop, 2)
        if all(_is_free(port + more) for more in (0, 1, 1000, 1001)):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def without_calendar() -> str:
    """The usual processes but for those of CALENDAR, as a Procfile."""
    usual = (ROOT / "Procfile").read_text().replace(" deploy/", f" {ROOT}/deploy/")
    lines = usual.splitlines(keepends=True)
    return "".join(line for line in lines if line.partition(":")[0] not in CALENDAR)


class Stack:
    """A stack of its own: data directory, port, processes. A context manager: it starts at entry
    and is stopped, and its data removed, at the end.

    `env`: further environment, such as `MOONPOOL_CATALOGUE`. `procfile`: other processes than the
    usual ones; without a web it counts as started once its processes are.
    """

    def __init__(
        self,
        env: dict[str, str] | None = None,
        *,
        procfile: str | None = None,
        data_dir: Path | None = None,
        port: int | None = None,
    ) -> None:
        self._own = data_dir is None
        self.folder = data_dir or new_folder()
        self.data_dir = self.folder / "data"
        self.port = port or free_port()
        self.log = self.folder / "up.log"
        self._settings = Settings(data_dir=self.data_dir, port=self.port)
        self._procfile = procfile
        self.env = os.environ | {
            "MOONPOOL_DATA_DIR": str(self.data_dir),
            "MOONPOOL_PORT": str(self.port),
            **(env or {}),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Stack":
        try:
            return self.start()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        try:
            if self.process is not None and self.process.poll() is None:
                self._end()
        finally:
            if self._own:
                shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def base_url(self) -> str:
        """The base URL for an OpenAI client; ends in /v1."""
        return self._settings.base_url

    @property
    def database_url(self) -> str:
        return self._settings.postgres

    @property
    def redis_url(self) -> str:
        return self._settings.redis

    @property
    def key(self) -> str:
        """The demo key."""
        key = read_key(self.data_dir)
        assert key is not None, "the stack has made no demo key"
        return key

    def client(self, headers: dict[str, str] | None = None) -> httpx.Client:
        """An HTTP client with the demo key, and more headers; paths are below /v1."""
        headers = {"Authorization": f"Bearer {self.key}", **(headers or {})}
        # There is no TLS to verify, and to read the certificates takes a client most of its time.
        return httpx.Client(
            base_url=self.base_url, headers=headers, timeout=60, trust_env=False, verify=False
        )

    def command(self, *args: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """Runs a `moonpool` command against this stack."""
        argv = [sys.executable, "-m", "app.cli.main", *args]
        return subprocess.run(
            argv, env=self.env, capture_output=True, text=True, timeout=seconds, check=False
        )

    def up_arguments(self) -> list[str]:
        """How `moonpool up` is called: without the first completion, so that the ledger is bare."""
        if self._procfile is None:
            return ["up", "--no-greeting"]
        path = self.folder / "Procfile"
        path.write_text(self._procfile)
        return ["up", "--no-greeting", "--procfile", str(path)]

    def start(self) -> "Stack":
        """Starts the stack and waits until it is ready."""
        argv = [sys.executable, "-m", "app.cli.main", *self.up_arguments()]
        with self.log.open("ab") as sink:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=self.env
            )
        wait_for(self._is_ready, START_S, "the stack being ready")
        return self

    def _is_ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the stack ended:\n{self.log.read_text()[-4000:]}")
        record = read_record(self.data_dir)
        if record is None or record.pid != self.process.pid or not record.complete:
            return False
        return self._procfile is not None or readiness(self._settings.web_address)[0]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stops the stack; returns its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"did not stop:\n{self.log.read_text()[-4000:]}") from None

    def _end(self) -> None:
        """Ends all processes at once, since nobody needs their data again. Postgres, which keeps
        memory of the system's, is asked to."""
        assert self.process is not None
        record = read_record(self.data_dir)
        rows = record.processes if record is not None else []
        server = next((row.pid for row in rows if row.name == "postgres"), None)
        family = _family(self.process.pid)
        servers = _family(server) if server is not None and psutil.pid_exists(server) else []
        _signal_all([one for one in family if one not in servers], signal.SIGKILL)
        _signal_all(servers[:1], signal.SIGQUIT)
        psutil.wait_procs(family, STOP_S)
        self.process.wait(STOP_S)

    def record(self) -> Record:
        """What the supervisor has recorded."""
        record = read_record(self.data_dir)
        assert record is not None
        return record

    def pids(self) -> dict[str, int]:
        """The pids of the processes that run, by name: web, worker_interactive, postgres, …"""
        return {row.name: row.pid for row in self.record().processes if row.pid}

    def pid(self, name: str) -> int:
        """The pid of a process; waits for one that is being started again."""
        return wait_for(lambda: self.pids().get(name), 20, f"a process {name}") or 0

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Signals a process and returns its pid."""
        pid = self.pid(name)
        os.kill(pid, number)
        return pid

    def await_restart(self, name: str, old: int, seconds: float = 20) -> int:
        """Waits until `name` runs again as another process than `old`; returns its pid."""

        def other() -> int | None:
            pid = self.pids().get(name)
            return pid if pid != old else None

        return wait_for(other, seconds, f"{name} running again") or 0

    def await_ready(self, seconds: float = 60) -> None:
        """Waits until the web says that everything is there."""
        wait_for(lambda: readiness(self._settings.web_address)[0], seconds, "readiness")

    @contextmanager
    def paused(self, name: str) -> Iterator[None]:
        """Freezes a process and its children (SIGSTOP): it keeps connections and is mute."""
        family = _family(self.pid(name))
        _signal_all(family, signal.SIGSTOP)
        try:
            yield
        finally:
            _signal_all(family, signal.SIGCONT)

    @contextmanager
    def without(self, name: str) -> Iterator[None]:
        """Kills a process with its children and keeps it down: connections are refused. It starts
        again at the end. The supervisor is frozen meanwhile."""
        assert self.process is not None
        family = _family(self.pid(name))
        self.process.send_signal(signal.SIGSTOP)
        try:
            _signal_all(family, signal.SIGKILL)
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def wipe_redis(self) -> None:
        """Kills Redis and removes all that it has written before it starts again."""
        with self.without("redis"):
            shutil.rmtree(self.data_dir / "redis")


def _family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def _signal_all(family: list[psutil.Process], number: signal.Signals) -> None:
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
