"""Ends what a stack left behind whose supervisor was killed."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from app.stack.postgres import Postgres
from app.stack.record import ProcessRow, Record, read_record

APPS_S = 8.0
SERVERS_S = 10.0
KILL_S = 3.0
SERVERS = ("redis", "postgres")


def end_leftovers(home: Path, socket_dir: Path, tell: Callable[[str], None]) -> list[str]:
    """Stops the processes of the last stack in `home` that still live, in the order in which a
    stack stops. To be called while holding `home`. Returns their names."""
    record = read_record(home) or Record(0)
    alive = [(row, process) for row in record.processes if (process := row.process())]
    stray = Postgres(home, socket_dir).processes()[:1]
    known = {process.pid for _, process in alive}
    alive += [
        (ProcessRow("postgres", p.pid, "", 0, None, None, signal.SIGINT), p)
        for p in stray
        if p.pid not in known
    ]
    if alive:
        names = [row.name for row, _ in alive]
        tell(f"ending what an earlier stack left running: {', '.join(names)}")
    _end([pair for pair in alive if pair[0].name not in SERVERS], APPS_S)
    for name in SERVERS:
        _end([pair for pair in alive if pair[0].name == name], SERVERS_S)
    return [row.name for row, _ in alive]


def _end(pairs: list[tuple[ProcessRow, psutil.Process]], seconds: float) -> None:
    for row, process in pairs:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(row.stop_signal)
            process.send_signal(signal.SIGCONT)
    psutil.wait_procs([process for _, process in pairs], timeout=seconds)
    for _, process in pairs:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    psutil.wait_procs([process for _, process in pairs], timeout=KILL_S)
