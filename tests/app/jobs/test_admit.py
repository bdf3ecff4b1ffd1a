"""Admission: a verdict for each job of a group, and the hold and the job in one commit."""

import psycopg
import pytest

from app.accounts.tenants import change_tenant
from app.db.connect import Connection
from app.jobs import store
from tests.app.line import (
    admit,
    assert_proven,
    draft,
    funds,
    outcome,
    state,
    tenant,
    transfers,
)


def test_an_admitted_job_is_queued_with_its_hold(connection: Connection) -> None:
    mine = tenant(connection, 1000)
    [job_id] = admit(connection, mine, hold=400, request='{"a":"\\u0000"}')
    assert state(connection, job_id) == "queued"
    assert funds(connection, mine) == (600, 400)
    assert transfers(connection, job_id) == {"hold": 400}
    row = connection.execute(
        "SELECT tenant_id, key_id, app_id, kind, lane, door, model, request, hold FROM job"
    ).fetchall()
    assert row == [
        (mine, "key_x", "tests", "chat.completion", "interactive", "background", "m",
         '{"a":"\\u0000"}', 400)
    ]  # fmt: skip
    assert_proven(connection)


def test_a_job_is_written_with_what_it_has_reserved(connection: Connection) -> None:
    mine = tenant(connection)
    plain, full = draft(mine), draft(mine)
    full.reserved, full.session, full.holds_session, full.store = 700, "chat", True, False
    assert store.admit_group(connection, [plain, full]) == ["admitted"] * 2
    rows = connection.execute(
        "SELECT id, reserved, session, holds_session, store FROM job ORDER BY reserved"
    ).fetchall()
    assert rows == [(plain.id, 0, None, False, True), (full.id, 700, "chat", True, False)]


def test_a_job_too_large_for_the_wallet_does_not_block_a_smaller_one(
    connection: Connection,
) -> None:
    mine = tenant(connection, 100)
    drafts = [draft(mine, hold) for hold in (60, 41, 40, 1, 0)]
    verdicts = store.admit_group(connection, drafts)
    assert verdicts == ["admitted", "no_credit", "admitted", "no_credit", "admitted"]
    assert funds(connection, mine) == (0, 100)
    assert_proven(connection)


def test_a_refused_job_leaves_no_trace(connection: Connection) -> None:
    mine = tenant(connection, 10)
    drafts = [draft(mine, 11), draft(mine, 1, backlog=0, lane="batch")]
    assert store.admit_group(connection, drafts) == ["no_credit", "overloaded"]
    for table in ("job", "open_job", "turn"):
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    assert funds(connection, mine) == (10, 0)
    assert_proven(connection)


def test_each_tenant_pays_from_its_own_wallet(connection: Connection) -> None:
    rich, poor = tenant(connection, 1000), tenant(connection, 50)
    drafts = [draft(poor, 60), draft(rich, 60), draft(poor, 50), draft(rich, 940), draft(rich, 1)]
    verdicts = store.admit_group(connection, drafts)
    assert verdicts == ["no_credit", "admitted", "admitted", "admitted", "no_credit"]
    assert (funds(connection, rich), funds(connection, poor)) == ((0, 1000), (0, 50))


def test_a_lane_sheds_at_its_bound_in_the_order_given(connection: Connection) -> None:
    mine = tenant(connection)
    drafts = [
        draft(mine, backlog=2, lane=lane)
        for lane in ("interactive", "batch", "interactive", "interactive", "batch", "batch")
    ]
    verdicts = store.admit_group(connection, drafts)
    assert verdicts == ["admitted"] * 3 + ["overloaded", "admitted", "overloaded"]
    assert store.admit_group(connection, [draft(mine, backlog=2)]) == ["overloaded"]
    assert store.admit_group(connection, [draft(mine, backlog=3)]) == ["admitted"]


def test_running_jobs_do_not_count_against_the_bound(connection: Connection) -> None:
    mine = tenant(connection)
    admit(connection, mine, 3)
    store.claim(connection, "interactive", "wrk_a", 2)
    assert store.admit_group(connection, [draft(mine, backlog=2)]) == ["admitted"]
    assert store.admit_group(connection, [draft(mine, backlog=2)]) == ["overloaded"]


def test_an_overloaded_job_takes_no_credit_from_one_that_is_admitted(
    connection: Connection,
) -> None:
    mine = tenant(connection, 100)
    drafts = [draft(mine, 90, lane="batch", backlog=0), draft(mine, 100)]
    assert store.admit_group(connection, drafts) == ["overloaded", "admitted"]


def test_a_free_job_needs_no_credit(connection: Connection) -> None:
    broke = tenant(connection, 0)
    [job_id] = admit(connection, broke, hold=0)
    assert transfers(connection, job_id) == {}
    assert_proven(connection)


def test_a_tenant_who_pays_afterwards_may_owe_so_much_and_no_more(connection: Connection) -> None:
    mine = tenant(connection, 10)
    change_tenant(connection, mine, {"overdraft": 100})
    drafts = [draft(mine, hold) for hold in (111, 60, 51, 50, 1)]
    told = store.admit_group(connection, drafts)
    assert told == ["no_credit", "admitted", "no_credit", "admitted", "no_credit"]
    assert funds(connection, mine) == (-100, 110)
    store.void(connection, [drafts[1].id], "queued", "cancelled", None, "client")
    assert store.admit_group(connection, [draft(mine, 60)]) == ["admitted"]
    jobs = store.claim(connection, "interactive", "wrk_a", 9)
    store.settle_group(connection, "wrk_a", [outcome(job, cost=40) for job in jobs])
    assert funds(connection, mine) == (10 - 80, 0)
    assert_proven(connection)


def test_a_tenant_without_a_wallet_is_not_admitted(connection: Connection) -> None:
    drafts = [draft("ten_nobody", 0), draft(tenant(connection)), draft("ten_nobody", 5)]
    assert store.admit_group(connection, drafts) == ["no_credit", "admitted", "no_credit"]
    assert_proven(connection)


def test_a_group_with_a_job_twice_is_undone_whole(connection: Connection) -> None:
    mine = tenant(connection)
    one = draft(mine)
    with pytest.raises(psycopg.errors.UniqueViolation):
        store.admit_group(connection, [one, draft(mine), one])
    assert funds(connection, mine) == (1_000_000, 0)
    assert connection.execute("SELECT count(*) FROM job").fetchone() == (0,)
    assert_proven(connection)


def test_the_deadline_is_counted_from_admission_by_the_databases_clock(
    connection: Connection,
) -> None:
    admit(connection, tenant(connection), deadline_s=90.5)
    row = connection.execute(
        "SELECT extract(epoch FROM deadline - created_at)::float8, "
        "extract(epoch FROM ring_at - created_at)::float8 FROM open_job"
    ).fetchone()
    assert row == (90.5, 2.0)
