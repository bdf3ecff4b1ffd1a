"""Embedded Postgres and Redis: they start as any user, answer, and keep their data."""

import os
import signal
import stat
from pathlib import Path
from urllib.parse import unquote

import psutil
import pytest

from app.db.connect import connect
from app.redis import Wire
from app.settings import Settings
from app.stack.account import Account, let_through, make_private, postgres_account
from app.stack.child import Child
from app.stack.failure import StackError
from app.stack.postgres import Postgres
from app.stack.probe import postgres_answers, redis_version, without_password
from app.stack.redis import Redis
from tests.conftest import running
from tests.waiting import wait_for

FAST = ("fsync=off",)


def _kill(child: Child) -> None:
    child.send(signal.SIGKILL)
    wait_for(child.has_died)


@pytest.fixture
def place(folder: Path) -> Settings:
    # A path that has to be quoted in addresses and in Postgres's own settings.
    return Settings(data_dir=folder / "a b%20")


def test_postgres_keeps_its_data_over_a_kill(place: Settings) -> None:
    cluster = Postgres(place.home, place.socket_dir, FAST)
    with running(cluster.program(), lambda: postgres_answers(place.postgres)) as child:
        with connect(place.postgres) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS seven")
        _kill(child)
    with (
        running(cluster.program(), lambda: postgres_answers(place.postgres)),
        connect(place.postgres) as connection,
    ):
        assert connection.execute("SELECT seven FROM kept").fetchall() == [(7,)]


def test_postgres_offers_pgvector_and_refuses_tcp(postgres_url: str) -> None:
    with connect(postgres_url) as connection:
        row = connection.execute(
            "SELECT current_setting('server_version_num')::int / 10000, "
            "current_setting('listen_addresses'), "
            "EXISTS (SELECT FROM pg_available_extensions WHERE name = 'vector'), "
            "current_setting('server_encoding')"
        ).fetchone()
    assert row == (18, "", True, "UTF8")


def test_postgres_never_runs_as_root(postgres_url: str, servers_folder: Path) -> None:
    server, *_ = Postgres(servers_folder, servers_folder / "run").processes()
    account = postgres_account()
    assert server.uids().real == (account.uid if account else os.getuid()) != 0
    assert stat.S_IMODE((servers_folder / "run").stat().st_mode) == 0o700


def test_a_lock_of_a_reused_pid_does_not_bar_the_start(place: Settings) -> None:
    cluster = Postgres(place.home, place.socket_dir, FAST)
    program = cluster.program()
    with running(program, lambda: postgres_answers(place.postgres)):
        pass
    lines = [str(os.getpid()), str(cluster.data), "1", "5432", str(place.socket_dir), "", "", ""]
    (cluster.data / "postmaster.pid").write_text("\n".join(lines))
    with running(program, lambda: postgres_answers(place.postgres)) as child:
        assert child.process is not None
        assert child.process.poll() is None


def test_orphans_of_a_killed_server_are_ended_before_the_next(place: Settings) -> None:
    cluster = Postgres(place.home, place.socket_dir, FAST)
    program = cluster.program()
    with running(program, lambda: postgres_answers(place.postgres)) as child:
        orphans = [p for p in cluster.processes() if p.pid != child.pid]
        assert orphans
        for orphan in orphans:
            orphan.suspend()
        _kill(child)
        child.start()
        assert not [p for p in orphans if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def test_an_interrupted_creation_leaves_no_half_cluster(place: Settings) -> None:
    half = place.home / "postgres.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    cluster = Postgres(place.home, place.socket_dir, FAST)
    with running(cluster.program(), lambda: postgres_answers(place.postgres)):
        assert not half.exists()


def test_redis_keeps_its_data_over_a_restart_and_starts_without(place: Settings) -> None:
    program = Redis(place.home, place.socket_dir).program()

    def answers() -> bool:
        return redis_version(place.redis) is not None

    with running(program, answers):
        wire = Wire(place.redis)
        wire.call(("SET", "kept", "7"))
        policy = wire.call(("CONFIG", "GET", "maxmemory-policy"), ("CONFIG", "GET", "port"))
        assert policy == [[b"maxmemory-policy", b"noeviction"], [b"port", b"0"]]
    with running(program, answers):
        assert Wire(place.redis).call(("GET", "kept")) == [b"7"]
    for file in (place.home / "redis").iterdir():
        file.unlink()
    (place.home / "redis").rmdir()
    with running(program, answers):
        assert Wire(place.redis).call(("DBSIZE",)) == [0]


@pytest.mark.parametrize("name", ["long" * 30, "one,two"])
def test_a_path_unfit_for_sockets_gets_them_elsewhere(folder: Path, name: str) -> None:
    place = Settings(data_dir=folder / name)
    assert not place.socket_dir.is_relative_to(folder)
    cluster = Postgres(place.home, place.socket_dir, FAST)
    with running(cluster.program(), lambda: postgres_answers(place.postgres)):
        assert unquote(place.postgres).endswith(str(place.socket_dir))
    place.socket_dir.rmdir()


def test_only_the_right_to_pass_is_given_and_only_where_it_lacks(folder: Path) -> None:
    closed, open_ = folder / "closed", folder / "closed" / "open"
    open_.mkdir(parents=True)
    closed.chmod(0o700)
    open_.chmod(0o755)
    stranger = Account("stranger", 54321, 54321)
    assert let_through(open_ / "x", stranger) == [folder, closed]
    assert stat.S_IMODE(closed.stat().st_mode) == 0o701
    assert stat.S_IMODE(open_.stat().st_mode) == 0o755
    assert let_through(open_ / "x", stranger) == []


def test_a_socket_directory_that_is_a_link_is_refused(folder: Path) -> None:
    (folder / "real").mkdir()
    (folder / "link").symlink_to(folder / "real")
    with pytest.raises(StackError, match="belongs to another user"):
        make_private(folder / "link", None)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://me:secret@db:5432/moon?a=b", "postgresql://me@db:5432/moon?a=b"),
        ("postgresql://db/moon?user=me&password=secret&a=b", "postgresql://db/moon?user=me&a=b"),
        ("host=db password='sec ret' user=me", "host=db user=me"),
        ("redis://:secret@cache/0", "redis://@cache/0"),
        ("postgresql://me@/moon?host=/run", "postgresql://me@/moon?host=/run"),
    ],
)
def test_a_shown_address_has_no_password(address: str, shown: str) -> None:
    assert without_password(address) == shown
