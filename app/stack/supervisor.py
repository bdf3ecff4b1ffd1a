"""Keeps processes running: one thread that waits for output, deaths and signals.

honcho stops everything when one process ends; here the process starts again.
"""

import os
import selectors
import signal
import time
from collections.abc import Callable, Iterable
from typing import Any

from app.stack.child import Child
from app.stack.failure import StackError
from app.stack.output import Output, Pipe
from app.stack.program import Program

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TURN_S = 0.5
HURRY_S = 0.5
"""How long a process gets to stop after a second Ctrl-C."""

KILL_S = 5.0
DRAIN_S = 1.0


class Stopped(Exception):
    """The supervisor was asked to stop."""


class Supervisor:
    """Starts programs, prints what they say and starts them again when they die.

    `changed` is called after each start and death with all children. To be used from the main
    thread, as a context manager that takes over the stop signals: leaving it stops all children,
    those started last first, each `start` call being one group.
    """

    def __init__(
        self, output: Output, changed: Callable[[list[Child]], None] = lambda _: None
    ) -> None:
        self.output = output
        self.children: list[Child] = []
        self._changed = changed
        self._groups: list[list[Child]] = []
        self._selector = selectors.DefaultSelector()
        self._asked = 0
        self._ending = False

    def __enter__(self) -> "Supervisor":
        self._wake_read, self._wake_write = os.pipe()
        for end in (self._wake_read, self._wake_write):
            os.set_blocking(end, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._wakeup_before = signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        handlers: dict[signal.Signals, Any] = dict.fromkeys(STOP_SIGNALS, self._on_stop)
        self._handlers_before = {
            number: signal.signal(number, handler)
            for number, handler in (handlers | {signal.SIGCHLD: lambda *_: None}).items()
        }
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            signal.set_wakeup_fd(self._wakeup_before)
            for number, handler in self._handlers_before.items():
                signal.signal(number, handler)
            self._selector.close()
            os.close(self._wake_read)
            os.close(self._wake_write)

    def _on_stop(self, number: int, _: Any) -> None:
        self._asked += 1

    def start(self, programs: Iterable[Program]) -> list[Child]:
        """Starts programs and keeps them running. Raises StackError if one cannot be started."""
        group: list[Child] = []
        self._groups.append(group)
        for program in programs:
            child = Child(program)
            self._spawn(child)
            group.append(child)
            self.children.append(child)
        self._changed(self.children)
        return group

    def once(
        self, program: Program, seconds: float, trouble: Callable[[], str] = lambda: ""
    ) -> None:
        """Runs a program to its end. Raises StackError if it fails or takes longer, or as soon as
        `trouble()` says why it is of no use."""
        child = Child(program)
        pipe = self._spawn(child)
        try:
            self.run_until(lambda: child.has_died() or bool(trouble()), seconds)
            alive = child.process is not None
        finally:
            self._end([child], [(signal.SIGTERM, HURRY_S)])
        if pipe is not None:
            self.run_until(lambda: bool(pipe.file.closed), DRAIN_S)
        if alive:
            reason = trouble() or f"not done after {seconds:.0f} s"
            raise StackError(f"{program.name}: {reason}")
        if child.last_exit != "status 0":
            raise StackError(f"{program.name} failed ({child.last_exit})")

    @property
    def asked_to_stop(self) -> bool:
        return self._asked > 0

    def run_until(
        self, done: Callable[[], bool], seconds: float | None = None, *, look: float = TURN_S
    ) -> bool:
        """Watches over the children until `done()`, which is asked every `look` seconds or more
        often; False if that takes longer than `seconds`. Raises Stopped when asked to stop."""
        limit = None if seconds is None else time.monotonic() + seconds
        while not done():
            if self._asked:
                raise Stopped
            if limit is not None and time.monotonic() >= limit:
                return False
            self._turn(min(limit or float("inf"), time.monotonic() + look))
        return True

    def stop(self) -> None:
        """Stops all children, the last group first; none outlives this."""
        self._ending = True
        for group in reversed(self._groups):
            if group:
                names = ", ".join(child.program.name for child in group)
                self.output.say(f"stopping {names}")
                self._end(group, group[0].program.stop)
        self._groups.clear()
        self._changed(self.children)

    def _spawn(self, child: Child) -> Pipe | None:
        child.start()
        assert child.process is not None
        if child.process.stdout is None:
            return None
        pipe = Pipe(child.process.stdout, child.program.name, self.output, bare=child.program.bare)
        self._selector.register(pipe.file, selectors.EVENT_READ, pipe)
        return pipe

    def _turn(self, limit: float) -> None:
        moments = [c.due for c in self.children if c.due is not None and not self._ending]
        until = min([*moments, limit, time.monotonic() + TURN_S])
        for key, _ in self._selector.select(max(0.0, until - time.monotonic())):
            if key.data is None:
                os.read(self._wake_read, 4096)
            elif not key.data.read():
                self._selector.unregister(key.fileobj)
                key.data.file.close()
        for child in self.children:
            self._look_after(child)

    def _look_after(self, child: Child) -> None:
        if child.has_died():
            if not self._ending:
                self._announce(child)
            self._changed(self.children)
        elif child.due is not None and time.monotonic() >= child.due and not self._ending:
            try:
                self._spawn(child)
            except StackError as error:
                child.last_exit = str(error)
                self._announce(child)
            self._changed(self.children)

    def _announce(self, child: Child) -> None:
        delay = child.plan_restart()
        name = child.program.name
        self.output.say(f"{name} ended ({child.last_exit}); starts again in {delay:.1f} s")

    def _end(self, children: list[Child], steps: Iterable[tuple[signal.Signals, float]]) -> None:
        before = self._asked
        for number, seconds in [*steps, (signal.SIGKILL, KILL_S)]:
            for child in children:
                child.send(number)
            limit = time.monotonic() + seconds
            while any(c.process is not None for c in children) and time.monotonic() < limit:
                if self._asked > max(before, 1):
                    limit = min(limit, time.monotonic() + HURRY_S)
                self._turn(limit)
                for child in children:
                    child.has_died()
        for child in children:
            child.due = None
        self._turn(time.monotonic())
