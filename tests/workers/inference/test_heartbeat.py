"""The heartbeat: a lease kept, and the desk's jobs the same as Postgres's."""

import os
from collections.abc import Iterator
from typing import Any

import gevent
import psycopg
import pytest

from app.db.connect import Connection
from app.events.hub import Hub
from app.jobs import store
from app.jobs.model import HandedBack
from app.jobs.service import control_channel
from app.redis import Wire
from tests.app.events.parts import names, until
from tests.app.line import LANE, assert_proven, claim_one, state, tenant
from tests.workers.inference.conftest import MakeDesk
from tests.workers.inference.desks import CREDIT, finished, jobs_of, log_of, started
from workers.inference import heartbeat as room
from workers.inference.desk import Desk
from workers.inference.heartbeat import LOOK_MAX, Heartbeat


@pytest.fixture
def heart(desk: Desk) -> Iterator[Heartbeat]:
    """A heartbeat that is signed on and beats when the test says so."""
    made = Heartbeat(desk)
    made._sign_on()
    yield made
    made.stop()


@pytest.fixture
def hubs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Hub]]:
    """The hubs that heartbeats make, which end with the test."""
    made: list[Hub] = []

    def make(url: str) -> Hub:
        made.append(Hub(url))
        return made[-1]

    monkeypatch.setattr(room, "Hub", make)
    yield made
    for one in made:
        gevent.killall([g for g in (one._reader, one._teller) if g is not None])
        if one._wire is not None:
            one._wire.close()


def leases(connection: Connection) -> dict[str, float]:
    rows = connection.execute(
        "SELECT id, extract(epoch FROM lease_until - now())::float8 FROM worker"
    )
    return dict(rows.fetchall())


def test_signs_on_beats_and_signs_off(
    make_desk: MakeDesk, connection: Connection, hubs: list[Hub]
) -> None:
    desk = make_desk(heartbeat_seconds=0.01, lease_seconds=60)
    heart = Heartbeat(desk)
    heart.start()
    row = connection.execute("SELECT id, lane, pid FROM worker").fetchone()
    assert row == (desk.worker_id, LANE, os.getpid())
    connection.execute("UPDATE worker SET lease_until = now()")
    until(lambda: leases(connection)[desk.worker_id] > 50)
    heart.stop()
    assert leases(connection) == {}


def test_a_worker_that_starts_without_postgres_waits_for_it(
    make_desk: MakeDesk, connection: Connection, hubs: list[Hub], monkeypatch: pytest.MonkeyPatch
) -> None:
    outages = [psycopg.OperationalError("shutting down"), psycopg.OperationalError("away")]
    register = store.register_worker

    def registered(*args: Any) -> None:
        if outages:
            raise outages.pop()
        register(*args)

    monkeypatch.setattr(store, "register_worker", registered)
    monkeypatch.setattr(room, "SIGN_ON_RETRY_S", 0.01)
    desk = make_desk()
    heart = Heartbeat(desk)
    heart.start()
    assert outages == []
    assert list(leases(connection)) == [desk.worker_id]
    heart.stop()


def test_a_beat_renews_the_lease(heart: Heartbeat, desk: Desk, connection: Connection) -> None:
    connection.execute("UPDATE worker SET lease_until = now() - interval '1 s'")
    heart._beat()
    assert 0 < leases(connection)[desk.worker_id] <= desk.settings.lease_seconds


def test_a_worker_that_is_unknown_signs_on_again(
    heart: Heartbeat, desk: Desk, connection: Connection
) -> None:
    store.sign_off(connection, desk.worker_id)
    heart._beat()
    assert desk.worker_id in leases(connection)


def test_a_beat_finds_work_without_a_bell(
    heart: Heartbeat, desk: Desk, connection: Connection
) -> None:
    ids = jobs_of(connection, tenant(connection, CREDIT), 3)
    heart._beat()
    until(lambda: all(state(connection, job_id) == "completed" for job_id in ids))
    assert desk.settings.slots(LANE) >= LOOK_MAX


def test_a_draining_worker_looks_for_nothing(
    heart: Heartbeat, desk: Desk, connection: Connection
) -> None:
    [job_id] = jobs_of(connection, tenant(connection, CREDIT))
    desk.draining = True
    heart._beat()
    gevent.sleep(0)
    assert state(connection, job_id) == "queued"


def test_a_beat_brings_a_cancel_that_was_not_heard(
    heart: Heartbeat, desk: Desk, connection: Connection
) -> None:
    [job_id] = jobs_of(connection, tenant(connection, CREDIT), tokens=9, stall_after=3)
    answering = started(desk, 1)
    store.ask_cancel(connection, job_id)
    heart._beat()
    finished(answering)
    assert state(connection, job_id) == "cancelled"


def test_a_beat_drops_a_job_that_another_worker_has(
    heart: Heartbeat, desk: Desk, connection: Connection, wire: Wire
) -> None:
    [job_id] = jobs_of(connection, tenant(connection, CREDIT), tokens=9, stall_after=3)
    answering = started(desk, 1)
    store.requeue(connection, [HandedBack(job_id, 1, None)], "lost")
    claim_one(connection, "wrk_heir")
    desk.draining = True
    heart._beat()
    finished(answering)
    assert (state(connection, job_id), desk.running) == ("running", {})
    assert names(log_of(desk, wire, job_id)) == ["started", "delta"]


def test_a_beat_drops_a_job_that_was_given_back_and_claimed_again_by_itself(
    heart: Heartbeat, desk: Desk, connection: Connection
) -> None:
    """The attempt it runs is not the attempt that it owns."""
    [job_id] = jobs_of(connection, tenant(connection, CREDIT), tokens=9, stall_after=3)
    answering = started(desk, 1)
    store.requeue(connection, [HandedBack(job_id, 1, None)], "lost")
    assert claim_one(connection, desk.worker_id).attempt == 2
    desk.draining = True
    heart._beat()
    finished(answering)
    assert desk.running == {}


def test_a_claim_that_was_never_heard_of_is_handed_back_at_the_second_beat(
    heart: Heartbeat, desk: Desk, connection: Connection
) -> None:
    [job_id] = jobs_of(connection, tenant(connection, CREDIT))
    claim_one(connection, desk.worker_id)
    desk.draining = True
    heart._beat()
    assert state(connection, job_id) == "running"
    heart._beat()
    assert state(connection, job_id) == "queued"
    assert [a["outcome"] for a in store.attempts_of(connection, job_id)] == ["released"]
    assert_proven(connection)


def test_a_job_that_runs_is_no_stranger(
    heart: Heartbeat, desk: Desk, connection: Connection
) -> None:
    [job_id] = jobs_of(connection, tenant(connection, CREDIT), tokens=9, stall_after=3)
    answering = started(desk, 1)
    for _ in range(3):
        heart._beat()
    assert state(connection, job_id) == "running"
    desk.cancel(job_id)
    finished(answering)


def test_a_missed_beat_is_made_up_for(make_desk: MakeDesk, connection: Connection) -> None:
    """Its connection broke: the next beat has another."""
    desk = make_desk(heartbeat_seconds=0.01, lease_seconds=60)
    heart = Heartbeat(desk)
    heart._sign_on()
    assert heart._connection is not None
    connection.execute(
        "SELECT pg_terminate_backend(%s, 5000)", (heart._connection.info.backend_pid,)
    )
    connection.execute("UPDATE worker SET lease_until = now()")
    beating = gevent.spawn(heart._run)
    until(lambda: leases(connection)[desk.worker_id] > 50)
    gevent.kill(beating)
    heart.stop()


def test_orders_are_taken_from_the_control_channel(
    make_desk: MakeDesk, connection: Connection, wire: Wire, hubs: list[Hub]
) -> None:
    desk = make_desk(heartbeat_seconds=60)
    heart = Heartbeat(desk)
    heart.start()
    [job_id] = jobs_of(connection, tenant(connection, CREDIT), tokens=9, stall_after=3)
    answering = started(desk, 1)
    channel = control_channel(desk.worker_id)
    until(lambda: wire.call(("PUBSUB", "NUMSUB", channel))[0][1])
    wire.call(("PUBLISH", channel, f"snapshot {job_id}"), ("PUBLISH", channel, "dance job_x"))
    until(lambda: "snapshot" in names(log_of(desk, wire, job_id)))
    wire.call(("PUBLISH", channel, f"cancel {job_id}"))
    finished(answering)
    assert state(connection, job_id) == "cancelled"
    heart.stop()
