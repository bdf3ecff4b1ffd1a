"""Leases: who counts as alive, whose jobs are lost, and when the reaper may believe it."""

import pytest

from app.db.connect import Connection
from app.jobs import store
from app.jobs.model import HandedBack
from tests.app.line import LANE, admit, running, tenant
from tests.waiting import wait_for

LEASE_S = 0.4
GAP_S = 0.3
UP_S = 0.8
"""How long Postgres must have run already, so that its own start is not the gap of a test."""


def sign_on(connection: Connection, *workers: str, lease_s: float = 60, lane: str = LANE) -> None:
    for worker in workers:
        store.register_worker(connection, worker, lane, "host", 1, lease_s)


def age(connection: Connection, **columns: float) -> None:
    """Sets the reaper's notes to so many seconds ago."""
    for column, seconds in columns.items():
        assert column in ("last_run", "healthy_since")
        connection.execute(
            f"UPDATE reaper SET {column} = now() - %s * interval '1 second'".encode(), (seconds,)
        )


def uptime(connection: Connection) -> float:
    row = connection.execute(
        "SELECT extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8"
    ).fetchone()
    assert row is not None
    return float(row[0])


def test_a_heartbeat_renews_the_lease_and_tells_the_jobs(connection: Connection) -> None:
    sign_on(connection, "wrk_a", "wrk_b", lease_s=1)
    mine = tenant(connection)
    job = running(connection, mine, owner="wrk_a")
    running(connection, mine, owner="wrk_b")
    admit(connection, mine)
    assert store.heartbeat(connection, "wrk_a", 60) == [(job.id, 1, False)]
    left = connection.execute(
        "SELECT id, lease_until > now() + interval '50 s' FROM worker ORDER BY id"
    ).fetchall()
    assert left == [("wrk_a", True), ("wrk_b", False)]


def test_a_worker_that_is_not_signed_on_is_told(connection: Connection) -> None:
    assert store.heartbeat(connection, "wrk_a", 60) is None
    sign_on(connection, "wrk_a")
    store.sign_off(connection, "wrk_a")
    assert store.heartbeat(connection, "wrk_a", 60) is None


def test_a_worker_that_comes_back_late_keeps_what_was_not_taken(connection: Connection) -> None:
    sign_on(connection, "wrk_a", lease_s=-1)
    mine = tenant(connection)
    taken, kept = running(connection, mine), running(connection, mine)
    store.requeue(connection, [HandedBack(taken.id, 1, None)], "lost")
    assert store.heartbeat(connection, "wrk_a", 60) == [(kept.id, 1, False)]
    assert store.lost_jobs(connection, 10) == []


def test_signing_on_again_renews(connection: Connection) -> None:
    sign_on(connection, "wrk_a", lease_s=-1)
    assert store.live_workers(connection) == {}
    sign_on(connection, "wrk_a")
    assert store.live_workers(connection) == {LANE: 1}


def test_live_workers_are_counted_by_lane(connection: Connection) -> None:
    sign_on(connection, "wrk_a", "wrk_b")
    sign_on(connection, "wrk_c", lane="batch")
    sign_on(connection, "wrk_d", lane="system", lease_s=-1)
    assert store.live_workers(connection) == {LANE: 2, "batch": 1}


def test_jobs_of_a_worker_without_a_lease_are_lost(connection: Connection) -> None:
    sign_on(connection, "wrk_live")
    sign_on(connection, "wrk_dead", lease_s=-1)
    mine = tenant(connection)
    running(connection, mine, owner="wrk_live")
    dead = running(connection, mine, owner="wrk_dead")
    unknown = running(connection, mine, owner="wrk_unknown")
    admit(connection, mine)
    store.ask_cancel(connection, dead.id)
    assert store.lost_jobs(connection, 10) == [(dead.id, 1, 0, True), (unknown.id, 1, 0, False)]
    assert len(store.lost_jobs(connection, 1)) == 1


def test_workers_long_gone_are_forgotten(connection: Connection) -> None:
    sign_on(connection, "wrk_live")
    sign_on(connection, "wrk_lately", lease_s=-3500)
    sign_on(connection, "wrk_long_gone", lease_s=-3700)
    store.forget_workers(connection)
    rows = connection.execute("SELECT id FROM worker ORDER BY id").fetchall()
    assert rows == [("wrk_lately",), ("wrk_live",)]


@pytest.mark.parametrize(
    ("healthy", "last", "may"),
    [
        (LEASE_S * 1.5, GAP_S / 2, True),
        (LEASE_S / 2, GAP_S / 2, False),
        (LEASE_S * 1.5, GAP_S * 1.1, False),
        (LEASE_S * 1.5, LEASE_S * 1.5, False),
    ],
)
def test_the_reaper_waits_a_lease_after_each_gap(
    connection: Connection, healthy: float, last: float, may: bool
) -> None:
    """After an outage of Postgres every lease looks expired, since nobody could renew one."""
    wait_for(lambda: uptime(connection) > UP_S)
    age(connection, last_run=last, healthy_since=healthy)
    assert store.reaper_may_run(connection, GAP_S, LEASE_S) is may


def test_a_gap_is_healed_by_a_lease_of_running(connection: Connection) -> None:
    wait_for(lambda: uptime(connection) > UP_S)
    age(connection, last_run=GAP_S * 1.1, healthy_since=LEASE_S * 1.5)
    began = uptime(connection)
    assert not store.reaper_may_run(connection, GAP_S, LEASE_S)
    wait_for(lambda: store.reaper_may_run(connection, GAP_S, LEASE_S))
    assert uptime(connection) - began >= LEASE_S


def test_a_restart_of_postgres_is_a_gap_however_short(connection: Connection) -> None:
    connection.execute(
        "UPDATE reaper SET healthy_since = pg_postmaster_start_time() - interval '1 ms', "
        "last_run = now()"
    )
    assert not store.reaper_may_run(connection, GAP_S, LEASE_S)
    row = connection.execute(
        "SELECT healthy_since > pg_postmaster_start_time() FROM reaper"
    ).fetchone()
    assert row == (True,)
