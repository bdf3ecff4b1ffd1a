"""What a running stack writes down: its lock, and the processes that it has started."""

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from app.stack.child import Child
from app.stack.failure import StackError

STARTING = 0
LOCK_TRIES = 5
LOCK_PAUSE_S = 0.05
SAME_START_S = 1.0
"""A pid belongs to the process that was recorded if it started at the recorded moment."""


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """A process as recorded. `started`: Unix seconds; `state`: running, restarting or stopped."""

    name: str
    pid: int | None
    state: str
    restarts: int
    started: float | None
    last_exit: str | None
    stop_signal: int = signal.SIGTERM

    def process(self) -> psutil.Process | None:
        """The process itself, if it is still the one that was recorded."""
        if self.pid is None or self.started is None:
            return None
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.started) < SAME_START_S:
                return process
        return None


@dataclass(frozen=True, slots=True)
class Record:
    """A stack as recorded in `run/processes.json`: where it listens, and what it runs. `complete`:
    every process has been started."""

    pid: int
    complete: bool = False
    host: str = ""
    port: int = 0
    flower_port: int = 0
    processes: list[ProcessRow] = field(default_factory=list)

    def write(self, home: Path) -> None:
        """Replaces the record in one step."""
        path = _path(home)
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".tmp")
        fresh.write_text(json.dumps(asdict(self), indent=1) + "\n")
        fresh.replace(path)


def read_record(home: Path) -> Record | None:
    """The last record of a stack in `home`, or None if there is none that can be read."""
    try:
        found = json.loads(_path(home).read_text())
        rows = [ProcessRow(**row) for row in found.pop("processes")]
        return Record(**found, processes=rows)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def rows(children: list[Child]) -> list[ProcessRow]:
    """The children of a supervisor as they are recorded."""
    return [_row(child) for child in children]


def _row(child: Child) -> ProcessRow:
    started = None
    if child.pid is not None:
        with suppress(psutil.NoSuchProcess):
            started = psutil.Process(child.pid).create_time()
    state = "running" if child.pid else "restarting" if child.due is not None else "stopped"
    stop = int(child.program.stop[0][0])
    name = child.program.name
    return ProcessRow(name, child.pid, state, child.restarts, started, child.last_exit, stop)


def _path(home: Path) -> Path:
    return home / "run" / "processes.json"


def _lock_path(home: Path) -> Path:
    return home / "moonpool.lock"


@contextmanager
def held(home: Path) -> Iterator[None]:
    """Holds a data directory for one stack; the kernel lets go of it when the process dies.
    Raises StackError if another stack holds it."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = _lock_path(home).open("a+")
    except OSError as error:
        raise StackError(f"the data directory {home} cannot be used: {error}") from error
    with file:
        if not _try_lock(file.fileno()):
            raise StackError(
                f"a stack is already up in {home} (process {holder(home)}). "
                "Stop it with `moonpool down`, or choose another MOONPOOL_DATA_DIR"
            )
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _try_lock(number: int) -> bool:
    # Again and again for a moment, since `holder` takes the lock in passing to see if it is free.
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(LOCK_PAUSE_S)
    return False


def holder(home: Path) -> int | None:
    """The pid of the supervisor that holds a data directory, STARTING if it has not written it
    yet, or None if none does."""
    try:
        with _lock_path(home).open() as file:
            try:
                fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read().strip() or STARTING)
    except (OSError, ValueError):
        pass
    return None
