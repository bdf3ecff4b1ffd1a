"""The supervisor with small real processes: restarts, order of stopping, output."""

import io
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from app.stack.child import FIRST_DELAY_S, LONGEST_DELAY_S, STEADY_S, Child
from app.stack.failure import Misuse, StackError
from app.stack.output import Output
from app.stack.program import Program, procfile_programs
from app.stack.supervisor import Stopped, Supervisor
from tests.waiting import wait_for

SOON_S = 20.0
ENV = {"PATH": "/usr/bin:/bin"}
FOREVER = "import signal; signal.pause()"


def program(name: str, code: str, **more: object) -> Program:
    return Program(name, [sys.executable, "-u", "-c", code], ENV, **more)  # type: ignore[arg-type]


def dead() -> Child:
    child = Child(program("app", ""))
    child.start()
    wait_for(child.has_died)
    return child


@pytest.fixture
def printed() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def output(printed: io.StringIO) -> Output:
    return Output(printed, width=6)


def says(printed: io.StringIO, text: str) -> Callable[[], bool]:
    return lambda: text in printed.getvalue()


def test_a_killed_process_runs_again_at_once(output: Output) -> None:
    with Supervisor(output) as supervisor:
        (child,) = supervisor.start([program("app", FOREVER)])
        old = child.pid
        assert old is not None
        os.kill(old, signal.SIGKILL)
        assert supervisor.run_until(lambda: child.pid not in {None, old}, SOON_S)
        assert (child.restarts, child.last_exit) == (1, "Killed")
        supervisor.stop()
        assert not psutil.pid_exists(old)


def test_a_process_that_keeps_dying_waits_longer_each_time() -> None:
    child = dead()
    delays = [child.plan_restart() for _ in range(7)]
    assert delays == [0.2, 0.4, 0.8, 1.6, 3.2, LONGEST_DELAY_S, LONGEST_DELAY_S]


def test_a_process_that_lived_long_starts_at_once_again(monkeypatch: pytest.MonkeyPatch) -> None:
    child = dead()
    assert [child.plan_restart(), child.plan_restart()] == [FIRST_DELAY_S, FIRST_DELAY_S * 2]
    later = time.monotonic() + STEADY_S
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert child.plan_restart() == FIRST_DELAY_S


def test_groups_stop_in_the_reverse_order_of_their_start(
    folder: Path, output: Output, printed: io.StringIO
) -> None:
    trace = folder / "trace"
    code = (
        "import signal, sys\n"
        "def stop(number, _):\n"
        f"    open({str(trace)!r}, 'a').write(f'{{sys.argv[1]}} {{number}}\\n')\n"
        "    sys.exit()\n"
        "for n in (signal.SIGTERM, signal.SIGINT): signal.signal(n, stop)\n"
        "print(sys.argv[1], 'is here', flush=True)\n"
        "signal.pause()"
    )

    def named(name: str, number: signal.Signals) -> Program:
        argv = [sys.executable, "-c", code, name]
        return Program(name, argv, ENV, stop=((number, 5.0),))

    with Supervisor(output) as supervisor:
        supervisor.start([named("server", signal.SIGINT)])
        supervisor.start([named("app", signal.SIGTERM)])
        for name in ("server", "app"):
            assert supervisor.run_until(says(printed, f"{name} is here"), SOON_S)
    assert trace.read_text() == f"app {signal.SIGTERM}\nserver {signal.SIGINT}\n"


def test_a_process_that_ignores_the_request_is_killed(output: Output, printed: io.StringIO) -> None:
    code = (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf');signal.pause()"
    )
    with Supervisor(output) as supervisor:
        stop = ((signal.SIGTERM, 0.2),)
        (child,) = supervisor.start([program("app", code, stop=stop)])
        assert supervisor.run_until(says(printed, "deaf"), SOON_S)
    assert (child.pid, child.last_exit) == (None, "Killed")


def test_a_frozen_process_stops_too(output: Output, printed: io.StringIO) -> None:
    with Supervisor(output) as supervisor:
        (child,) = supervisor.start([program("app", f"print('here'); {FOREVER}")])
        assert supervisor.run_until(says(printed, "here"), SOON_S)
        assert child.pid is not None
        os.kill(child.pid, signal.SIGSTOP)
        supervisor.stop()
    assert child.last_exit == "Terminated"


def test_what_a_dead_process_leaves_behind_is_killed_before_it_runs_again(
    output: Output, printed: io.StringIO
) -> None:
    code = (
        "import subprocess, sys, signal\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        "print('left', p.pid, 'end')\n"
        "signal.pause()"
    )
    with Supervisor(output) as supervisor:
        (child,) = supervisor.start([program("app", code)])
        assert supervisor.run_until(says(printed, " end"), SOON_S)
        left = int(printed.getvalue().split("left ")[1].split()[0])
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        assert supervisor.run_until(lambda: not _alive(left), SOON_S)


def test_a_signal_stops_the_watch_and_all_children(output: Output) -> None:
    with Supervisor(output) as supervisor:
        (child,) = supervisor.start([program("app", FOREVER)])
        pid = child.pid
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Stopped):
            supervisor.run_until(lambda: False, SOON_S)
    assert pid is not None
    assert not psutil.pid_exists(pid)


def test_changes_are_told(output: Output) -> None:
    told: list[list[int | None]] = []
    with Supervisor(output, lambda children: told.append([c.pid for c in children])) as supervisor:
        (child,) = supervisor.start([program("app", FOREVER)])
        first = child.pid
        child.send(signal.SIGKILL)
        assert supervisor.run_until(lambda: child.pid not in {None, first}, SOON_S)
        second = child.pid
    assert told[:4] == [[first], [None], [second], [None]]


def test_a_step_that_fails_says_so_after_its_words(output: Output, printed: io.StringIO) -> None:
    with Supervisor(output) as supervisor:
        with pytest.raises(StackError, match=r"prepare failed \(status 3\)"):
            supervisor.once(program("prepare", "print('no room'); exit(3)"), SOON_S)
        assert "prepare| no room" in printed.getvalue().replace(" |", "|")


def test_a_step_that_takes_too_long_is_ended(output: Output) -> None:
    with Supervisor(output) as supervisor:
        began = time.monotonic()
        with pytest.raises(StackError, match="not done after 0 s"):
            supervisor.once(program("prepare", FOREVER), 0.1)
        assert time.monotonic() - began < SOON_S


def test_a_step_ends_when_it_has_become_useless(output: Output) -> None:
    with Supervisor(output) as supervisor:
        dying = supervisor.start([program("web", "exit(1)")])
        with pytest.raises(StackError, match="web is gone"):
            supervisor.once(
                program("greet", FOREVER),
                SOON_S,
                lambda: "web is gone" if dying[0].restarts else "",
            )


def test_a_program_that_is_not_there_is_named(output: Output) -> None:
    with Supervisor(output) as supervisor, pytest.raises(StackError, match="app cannot start"):
        supervisor.start([Program("app", ["/no/such/program"], ENV)])


def test_lines_carry_their_name_and_wait_for_an_unfinished_line(
    output: Output, printed: io.StringIO
) -> None:
    output.say("first\nsecond", "web")
    output.bare("a tok")
    output.say("between", "web")
    output.bare("en\n")
    *lines, last = printed.getvalue().splitlines()
    assert [line.split(" ", 1)[1] for line in lines[:2]] == ["web    | first", "web    | second"]
    assert lines[2] == "a token"
    assert last.endswith("web    | between")


def test_a_closed_terminal_does_not_end_the_printing(output: Output) -> None:
    output.stream.close()
    output.say("nobody hears this")
    output.bare("nor this")


def test_a_procfile_becomes_programs_without_a_shell_in_between(folder: Path) -> None:
    (folder / "Procfile").write_text("# comment\nweb: serve --port 'a b'\nold: A=1 run | tee x\n")
    web, old = procfile_programs(folder / "Procfile", ENV)
    assert (web.name, web.argv, web.cwd) == ("web", ["serve", "--port", "a b"], folder)
    assert old.argv == ["/bin/sh", "-c", "A=1 run | tee x"]


@pytest.mark.parametrize("text", ["", "no process here\n", "a: x\na: y\n"])
def test_an_unusable_procfile_is_refused(folder: Path, text: str) -> None:
    (folder / "Procfile").write_text(text)
    with pytest.raises(Misuse, match="Procfile"):
        procfile_programs(folder / "Procfile", ENV)


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
