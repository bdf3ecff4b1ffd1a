"""A stack in the background, which outlives the command that started it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from app.settings import Settings, child_environment
from app.stack.child import LOG_BYTES
from app.stack.client import readiness
from app.stack.failure import Misuse, NotUp, StackError
from app.stack.greet import LOOK_S, READY_S
from app.stack.leftovers import end_leftovers
from app.stack.output import Output
from app.stack.record import STARTING, held, holder, read_record
from app.stack.servers import DEATHS, tail

START_S = READY_S + 120
STOP_S = 45.0


def up_detached(now: Settings, procfile: Path, *, ready: bool) -> None:
    """Starts a stack in the background, and returns when it is ready, or with `ready` false as soon
    as all its processes are started. Raises StackError with the end of its log if it fails."""
    log = now.home / "log" / "moonpool.log"
    now.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    log.parent.mkdir(mode=0o700, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".1.log"))
    with log.open("ab") as sink:
        start = sink.tell()
        argv = [sys.executable, "-m", "app.cli.main", "up", "--no-greeting"]
        process = subprocess.Popen(
            [*argv, "--procfile", str(procfile.absolute())],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            env=child_environment(),
            start_new_session=True,
        )
    try:
        _await(now, process, ready)
    except BaseException as error:
        process.terminate()
        process.wait(STOP_S)
        if not isinstance(error, StackError):
            raise
        said = f"{error}. The end of {log}:\n{tail(log, start=start)}"
        raise (Misuse if process.returncode == Misuse.exit_code else StackError)(said) from error


def _await(now: Settings, process: subprocess.Popen[bytes], ready: bool) -> None:
    limit = time.monotonic() + START_S
    problem = "its processes are not started"
    while time.monotonic() < limit:
        if process.poll() is not None:
            raise StackError(f"the stack ended (status {process.returncode})")
        record = read_record(now.home)
        if record and record.pid == process.pid and record.complete:
            for row in record.processes:
                if row.restarts >= DEATHS:
                    raise StackError(f"{row.name} ends again and again ({row.last_exit})")
            good, problem = readiness(now.web_address) if ready else (True, "")
            if good:
                return
        time.sleep(LOOK_S)
    raise StackError(f"not ready after {START_S:.0f} s: {problem}")


def down(now: Settings, output: Output) -> None:
    """Stops the stack of a data directory, also what is left of one whose supervisor was killed.
    Raises NotUp if there is none, and StackError if it does not stop."""
    if read_record(now.home) is None:
        raise NotUp(f"no stack is up in {now.home}")
    while (pid := holder(now.home)) == STARTING:
        time.sleep(LOOK_S)
    if pid is None:
        with held(now.home):
            if not end_leftovers(now.home, now.socket_dir, output.say):
                raise NotUp(f"no stack is up in {now.home}")
        return
    os.kill(pid, signal.SIGTERM)
    limit = time.monotonic() + STOP_S
    while holder(now.home) == pid:
        if time.monotonic() >= limit:
            raise StackError(f"process {pid} does not stop; `kill -9 {pid}`, then `moonpool down`")
        time.sleep(LOOK_S)
