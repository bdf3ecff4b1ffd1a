"""The job line's statements against one another: real connections in real threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from typing import Any

import psycopg
import pytest

from app.db.connect import Connection
from app.jobs import store
from app.jobs.model import Draft, HandedBack
from tests.app.jobs.conftest import Make, together
from tests.app.line import LANE, admit, assert_proven, draft, funds, outcome, running, tenant
from tests.waiting import wait_for


@pytest.mark.parametrize("what", ["admit", "settle", "void"])
def test_accounts_are_locked_in_the_order_of_their_ids(
    connection: Connection, connections: Make, what: str
) -> None:
    """Given the higher tenant first, a statement that has to wait for the lower one's account holds
    nothing of the higher one's yet, so that two such statements cannot wait for each other."""
    low, high = sorted([tenant(connection), tenant(connection)])
    jobs = [running(connection, high), running(connection, low)]
    holder, line, probe = connections(3)
    act: dict[str, Callable[[], Any]] = {
        "admit": lambda: store.admit_group(line, [draft(high), draft(low)]),
        "settle": lambda: store.settle_group(line, "wrk_a", [outcome(job) for job in jobs]),
        "void": lambda: store.void(line, [j.id for j in jobs], "running", "failed", None, "x"),
    }
    lock = "SELECT 1 FROM account WHERE tenant_id = %s FOR UPDATE"
    with ThreadPoolExecutor(1) as pool:
        with holder.transaction():
            holder.execute(lock, (low,))
            done = pool.submit(act[what])
            wait_for(lambda: waits_for_a_lock(connection, line.info.backend_pid))
            probe.execute(f"{lock} NOWAIT".encode(), (high,))
        assert len(done.result(60)) == 2


def waits_for_a_lock(connection: Connection, pid: int) -> bool:
    row = connection.execute(
        "SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s", (pid,)
    ).fetchone()
    return row == ("Lock",)


def test_admissions_and_settlements_of_opposite_tenant_order_do_not_deadlock(
    connection: Connection, connections: Make
) -> None:
    tenants = [tenant(connection) for _ in range(4)]
    left, right, settler = connections(3)
    rounds = 40
    settled = 0

    def admissions(on: Connection, order: list[str]) -> Callable[[], None]:
        def run() -> None:
            for _ in range(rounds):
                drafts: list[Draft] = [draft(one, 5) for one in order]
                assert store.admit_group(on, drafts) == ["admitted"] * 4

        return run

    def settlements() -> None:
        nonlocal settled
        while settled < 2 * rounds * 4:
            jobs = store.claim(settler, LANE, "wrk_a", 6)[::-1]
            if jobs:
                outcomes = [outcome(job, 2) for job in jobs]
                assert all(store.settle_group(settler, "wrk_a", outcomes))
                settled += len(jobs)

    together(admissions(left, tenants), admissions(right, tenants[::-1]), settlements)
    assert [funds(connection, one) for one in tenants] == [(1_000_000 - 4 * rounds, 0)] * 4
    assert_proven(connection)


def test_workers_that_claim_at_once_never_share_a_job(
    connection: Connection, connections: Make
) -> None:
    ids = admit(connection, tenant(connection), 300)
    got: SimpleQueue[str] = SimpleQueue()

    def claims(on: Connection, owner: str) -> Callable[[], None]:
        def run() -> None:
            while jobs := store.claim(on, LANE, owner, 7):
                for job in jobs:
                    got.put(job.id)

        return run

    together(*[claims(on, f"wrk_{n}") for n, on in enumerate(connections(4))])
    taken = [got.get() for _ in range(got.qsize())]
    assert sorted(taken) == sorted(ids)


def undone_at_most_once(statement: Callable[[], list[Any]]) -> list[Any]:
    """What the statement returns; it is repeated if Postgres ended a deadlock at its cost."""
    try:
        return statement()
    except psycopg.errors.DeadlockDetected:
        return statement()


def test_a_settle_and_a_reap_of_the_same_attempts_leave_one_winner_each(
    connection: Connection, connections: Make
) -> None:
    """A worker that wakes up as its jobs are taken from it."""
    mine = tenant(connection)
    zombie, reaper = connections(2)
    for _ in range(15):
        admit(connection, mine, 12)
        jobs = store.claim(connection, LANE, "wrk_a", 12)
        outcomes = [outcome(job) for job in jobs]
        lost = [HandedBack(job.id, job.attempt, None) for job in reversed(jobs)]
        settle = partial(store.settle_group, zombie, "wrk_a", outcomes)
        reap = partial(store.requeue, reaper, lost, "lost")
        stands, back = together(
            partial(undone_at_most_once, settle), partial(undone_at_most_once, reap)
        )
        won = {job.id for job, stood in zip(jobs, stands, strict=True) if stood}
        returned = {job_id for job_id, _ in back}
        assert won | returned == {job.id for job in jobs}
        assert won & returned == set()
        store.void(connection, list(returned), "queued", "cancelled", None, "test")
    assert funds(connection, mine)[1] == 0
    assert_proven(connection)
