"""`moonpool up` with embedded servers and small processes: what it survives and refuses."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from app.db.connect import connect
from app.redis import Wire
from app.stack.failure import StackError
from app.stack.leftovers import end_leftovers
from app.stack.postgres import Postgres
from app.stack.probe import redis_version
from app.stack.record import ProcessRow, Record, held, holder
from tests.stacks import Stack
from tests.waiting import wait_for

FOREVER = "app: exec sleep 1000\n"
BROKEN = "web: echo no module named nothing; exit 4\n"


@pytest.fixture(scope="module")
def lasting() -> Iterator[Stack]:
    """A stack for tests that leave it up."""
    with Stack(procfile=FOREVER) as up:
        yield up


@pytest.fixture
def stack(folder: Path) -> Iterator[Stack]:
    with Stack(procfile=FOREVER, data_dir=folder) as up:
        yield up


def test_it_stops_clean_and_finds_its_data_again(stack: Stack) -> None:
    key, pids = stack.key, stack.pids()
    assert set(pids) == {"postgres", "redis", "app"}
    assert stat.S_IMODE((stack.data_dir / "demo.key").stat().st_mode) == 0o600
    Wire(stack.redis_url).call(("SET", "kept", "7"))
    assert stack.stop() == 0
    assert not [pid for pid in pids.values() if psutil.pid_exists(pid)]
    log = stack.log.read_text()
    order = [log.index(f"stopping {name}") for name in ("app", "redis", "postgres")]
    assert order == sorted(order)
    stack.start()
    assert stack.key == key
    assert Wire(stack.redis_url).call(("GET", "kept")) == [b"7"]
    with connect(stack.database_url) as connection:
        funded = connection.execute("SELECT amount FROM transfer WHERE kind = 'credit'").fetchall()
    assert funded == [(10_000_000_000,)]


def test_ctrl_c_stops_it(stack: Stack) -> None:
    assert stack.stop(signal.SIGINT) == 0
    assert "stopped" in stack.log.read_text()


def test_a_lost_key_file_gives_another_key_and_no_more_credit(stack: Stack) -> None:
    old = stack.key
    stack.stop()
    (stack.data_dir / "demo.key").unlink()
    stack.start()
    assert stack.key != old
    with connect(stack.database_url) as connection:
        (funded,) = connection.execute("SELECT sum(amount) FROM transfer").fetchone() or (0,)
    assert funded == 10_000_000_000


@pytest.mark.parametrize("name", ["app", "redis", "postgres"])
def test_what_is_killed_runs_again(lasting: Stack, name: str) -> None:
    others = {other: pid for other, pid in lasting.pids().items() if other != name}
    lasting.await_restart(name, lasting.kill(name))
    assert {other: lasting.pids()[other] for other in others} == others
    if name == "postgres":
        wait_for(lambda: lasting.command("migrate").returncode == 0, what="Postgres answering")


def test_redis_runs_again_without_its_data(lasting: Stack) -> None:
    Wire(lasting.redis_url).call(("SET", "lost", "7"))
    old = lasting.pid("redis")
    lasting.wipe_redis()
    lasting.await_restart("redis", old)
    wait_for(lambda: redis_version(lasting.redis_url), what="Redis answering")
    assert Wire(lasting.redis_url).call(("DBSIZE",)) == [0]


def test_postgres_stays_away_while_it_is_kept_down(lasting: Stack) -> None:
    old = lasting.pid("postgres")
    with lasting.without("postgres"):
        assert lasting.command("migrate").returncode == 3
    lasting.await_restart("postgres", old)
    wait_for(lambda: lasting.command("migrate").returncode == 0, what="Postgres answering")


def test_a_second_stack_in_the_same_place_is_refused(lasting: Stack) -> None:
    second = lasting.command(*lasting.up_arguments())
    assert second.returncode == 1
    assert f"already up in {lasting.data_dir}" in second.stderr
    assert lasting.pids()


def test_a_killed_supervisor_leaves_nothing_that_the_next_start_cannot_end(stack: Stack) -> None:
    assert stack.process is not None
    before = stack.pids()
    Wire(stack.redis_url).call(("SET", "kept", "7"))
    stack.process.kill()
    stack.process.wait()
    stack.start()
    after = stack.pids()
    assert set(after) == set(before)
    assert not set(after.values()) & set(before.values())
    assert not [pid for pid in before.values() if psutil.pid_exists(pid)]


def test_down_ends_it_and_says_when_there_is_nothing_to_end(stack: Stack) -> None:
    pids = stack.pids()
    down = stack.command("down")
    assert (down.returncode, down.stderr) == (0, "")
    assert stack.process is not None
    assert stack.process.wait(10) == 0
    assert not [pid for pid in pids.values() if psutil.pid_exists(pid)]
    again = stack.command("down")
    assert again.returncode == 3
    assert "no stack is up" in again.stderr


def test_two_stacks_run_side_by_side(lasting: Stack) -> None:
    with Stack(procfile=FOREVER, port=lasting.port + 1) as other:
        assert other.key != lasting.key
        assert other.record().flower_port != lasting.record().flower_port
        other.stop()
        assert lasting.command("keys", "list", "--json").returncode == 0


def test_a_port_in_use_is_named_before_anything_starts(folder: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        stack = Stack(procfile=FOREVER, data_dir=folder, port=taken.getsockname()[1])
        for more in ([], ["--detach"]):
            refused = stack.command(*stack.up_arguments(), *more)
            assert refused.returncode == 2
            assert f"port {stack.port} on 127.0.0.1: in use" in refused.stderr
            assert "MOONPOOL_PORT=" in refused.stderr
    assert not (stack.data_dir / "postgres").exists()


def test_a_flower_port_that_was_chosen_must_be_free(folder: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        chosen = str(taken.getsockname()[1])
        stack = Stack({"MOONPOOL_FLOWER_PORT": chosen}, procfile=FOREVER, data_dir=folder)
        refused = stack.command(*stack.up_arguments())
    assert refused.returncode == 2
    assert "MOONPOOL_FLOWER_PORT" in refused.stderr


def test_a_web_that_keeps_dying_fails_the_start(folder: Path) -> None:
    stack = Stack(procfile=BROKEN, data_dir=folder)
    stack.up_arguments()
    failed = stack.command("up", "--procfile", str(folder / "Procfile"))
    assert failed.returncode == 1
    assert "no module named nothing" in failed.stdout
    assert "web ends again and again (status 4)" in failed.stderr
    assert holder(stack.data_dir) is None


def test_an_external_postgres_that_is_away_is_named_without_its_password(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "postgresql://me:secret@127.0.0.1:9/moonpool"
    stack = Stack({"MOONPOOL_DATABASE_URL": url}, procfile=FOREVER, data_dir=folder)
    refused = stack.command("keys", "list")
    assert refused.returncode == 3
    assert "postgresql://me@127.0.0.1:9/moonpool" in refused.stderr
    assert "secret" not in refused.stderr + refused.stdout


def test_detached_it_returns_when_started_and_outlives_its_caller(folder: Path) -> None:
    stack = Stack(procfile=FOREVER, data_dir=folder)
    up = stack.command(*stack.up_arguments(), "--detach")
    try:
        assert up.returncode == 0, up.stderr
        assert f"moonpool down --data-dir {stack.data_dir}" in up.stdout
        assert stack.pids()["app"]
        assert "starting app" in (stack.data_dir / "log" / "moonpool.log").read_text()
    finally:
        assert stack.command("down").returncode == 0


def test_detached_it_fails_with_the_end_of_its_log(folder: Path) -> None:
    stack = Stack(procfile="app: /no/such/program\n", data_dir=folder)
    failed = stack.command(*stack.up_arguments(), "--detach")
    assert failed.returncode == 1
    assert "app cannot start: /no/such/program" in failed.stderr
    assert holder(stack.data_dir) is None


def test_detached_it_fails_as_soon_as_a_process_keeps_dying(folder: Path) -> None:
    stack = Stack(procfile=BROKEN, data_dir=folder)
    stack.up_arguments()
    failed = stack.command("up", "--detach", "--procfile", str(folder / "Procfile"))
    assert failed.returncode == 1
    assert "web ends again and again (status 4)" in failed.stderr
    assert "no module named nothing" in failed.stderr
    assert holder(stack.data_dir) is None


def test_commands_find_the_address_by_the_data_directory_alone(lasting: Stack) -> None:
    env = {name: value for name, value in lasting.env.items() if name != "MOONPOOL_PORT"}
    argv = [sys.executable, "-m", "app.cli.main", "status", "--json"]
    told = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert json.loads(told.stdout)["base_url"] == lasting.base_url


def test_leftovers_are_told_by_pid_and_start_not_by_pid_alone(folder: Path) -> None:
    mine = psutil.Process()
    reused = ProcessRow("web", mine.pid, "running", 0, mine.create_time() - 60, None)
    Record(1, processes=[reused]).write(folder)
    assert end_leftovers(folder, folder / "run", print) == []


def test_leftovers_are_ended_though_nothing_has_told_them(folder: Path) -> None:
    left = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    started = psutil.Process(left.pid).create_time()
    row = ProcessRow("web", left.pid, "running", 0, started, None)
    Record(1, processes=[row]).write(folder)
    assert end_leftovers(folder, folder / "run", print) == ["web"]
    assert not psutil.pid_exists(left.pid)


def test_asked_to_stop_while_it_starts_it_stops(folder: Path) -> None:
    stack = Stack(procfile=FOREVER, data_dir=folder)
    argv = [sys.executable, "-m", "app.cli.main", *stack.up_arguments()]
    with subprocess.Popen(argv, env=stack.env, stdout=subprocess.PIPE, text=True) as starting:
        assert starting.stdout is not None
        assert "making a Postgres cluster" in starting.stdout.readline()
        starting.terminate()
        said = starting.stdout.read()
        assert starting.wait(30) == 0
    assert "starting app" not in said
    assert not Postgres(stack.data_dir, stack.data_dir / "run").processes()


def test_a_data_directory_is_held_by_one(folder: Path) -> None:
    with held(folder):
        assert holder(folder) == os.getpid()
        with pytest.raises(StackError, match="already up"), held(folder):
            pass
    assert holder(folder) is None


def test_status_as_json_tells_addresses_and_processes(lasting: Stack) -> None:
    status = lasting.command("status", "--json")
    assert status.returncode == 3  # there is no web that could be ready
    found = json.loads(status.stdout)
    assert (found["up"], found["ready"]) == (True, False)
    assert found["base_url"] == lasting.base_url
    assert found["database_url"] == lasting.database_url
    assert found["redis_url"] == lasting.redis_url
    assert {p["name"]: p["pid"] for p in found["processes"]} == lasting.pids()
