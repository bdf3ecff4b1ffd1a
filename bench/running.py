"""Programs that run while something is measured."""

import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from app.stack.child import Child
from app.stack.program import Program
from app.stack.servers import tail

LOOK_S = 0.05
KILL_S = 5.0
OPEN_FILES = 65536


class BenchError(Exception):
    """A measurement that cannot be made; the message says why."""


def allow_open_files() -> None:
    """Raises the limit of open files as far as it goes, for this process and those it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Waits until `condition()`. Raises BenchError if it takes longer than `seconds`."""
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= limit:
            raise BenchError(f"{what}: not within {seconds:.0f} s")
        time.sleep(LOOK_S)


@contextmanager
def running(program: Program, ready: Callable[[Child], bool], seconds: float) -> Iterator[Child]:
    """A program from the moment it is ready, stopped at the end. Raises BenchError with the end of
    its log if it ends or does not become ready in `seconds`."""
    child = Child(program)
    child.start()

    def done() -> bool:
        if child.has_died():
            assert program.log is not None
            end = f"{program.name} ended ({child.last_exit}). The end of its log:"
            raise BenchError(f"{end}\n{tail(program.log)}")
        return ready(child)

    try:
        wait_for(done, seconds, f"{program.name} being ready")
        yield child
    finally:
        _stop(child)


def _stop(child: Child) -> None:
    for number, seconds in child.program.stop:
        child.send(number)
        with suppress(BenchError):
            wait_for(lambda: child.process is None or child.has_died(), seconds, "the end")
            return
    child.send(signal.SIGKILL)
    if child.process is not None:
        child.process.wait(KILL_S)
