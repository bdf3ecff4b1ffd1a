"""One supervised process: started, watched, started again when it dies."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from app.stack.failure import StackError
from app.stack.program import Program

FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 5.0
STEADY_S = 30.0
"""A process that lived this long starts again at once when it dies; one that dies sooner waits
twice as long each time."""

LOG_BYTES = 20_000_000
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(slots=True)
class Child:
    """A program and the process that runs it at the moment, if any."""

    program: Program
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    last_exit: str | None = None
    due: float | None = None
    _delay: float = FIRST_DELAY_S
    _started: float = field(default=0.0)

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None

    def start(self) -> None:
        """Starts the process. Raises StackError if it cannot be started."""
        program = self.program
        if program.prepare is not None:
            program.prepare()
        self._started = time.monotonic()
        self.due = None
        sink = _open_log(program) if program.log else None
        try:
            self.process = subprocess.Popen(
                program.argv,
                stdin=subprocess.DEVNULL,
                stdout=sink if sink else subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=program.cwd,
                env=program.env,
                user=program.account.uid if program.account else None,
                group=program.account.gid if program.account else None,
                extra_groups=[] if program.account else None,
                start_new_session=True,
                preexec_fn=_die_with_parent(program.stop[0][0]),  # noqa: PLW1509 one thread here
            )
        except OSError as error:
            raise StackError(f"{program.name} cannot start: {program.argv[0]}: {error}") from error
        finally:
            if sink:
                os.close(sink)

    def has_died(self) -> bool:
        """Takes note of a death; True once for each."""
        if self.process is None or self.process.poll() is None:
            return False
        code = self.process.returncode
        if code >= 0:
            self.last_exit = f"status {code}"
        else:
            self.last_exit = signal.strsignal(-code) or f"signal {-code}"
        if self.program.own_group:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process = None
        return True

    def plan_restart(self) -> float:
        """Says when to start again; returns the seconds until then."""
        if time.monotonic() - self._started >= STEADY_S:
            self._delay = FIRST_DELAY_S
        delay, self._delay = self._delay, min(self._delay * 2, LONGEST_DELAY_S)
        self.due = time.monotonic() + delay
        self.restarts += 1
        return delay

    def send(self, number: signal.Signals) -> None:
        """Signals the process, or with SIGKILL its whole group; wakes it if it is stopped."""
        if self.process is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            if number == signal.SIGKILL:
                os.killpg(self.process.pid, number)
            else:
                self.process.send_signal(number)
                self.process.send_signal(signal.SIGCONT)


def _open_log(program: Program) -> int:
    assert program.log is not None
    program.log.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        if program.log.stat().st_size > LOG_BYTES:
            program.log.replace(program.log.with_suffix(".1.log"))
    return os.open(program.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def _die_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """Has the kernel signal the child when the supervisor dies, however it dies (prctl(2)).

    Where there is no such call, the next `moonpool up` or `moonpool down` ends the left-overs.
    """
    if _LIBC is None:
        return None
    prctl, parent = _LIBC.prctl, os.getpid()

    def bind() -> None:
        prctl(_PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:
            os.kill(os.getpid(), number)

    return bind
