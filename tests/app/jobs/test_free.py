"""Jobs that hold nothing, of a test key or a free model: told like any other, without money."""

import pytest

from app.db.connect import Connection
from app.jobs import store
from app.jobs.model import HandedBack
from tests.app.line import (
    admit,
    assert_proven,
    claim_one,
    draft,
    funds,
    outcome,
    running,
    state,
    tenant,
    transfers,
    voided,
)


@pytest.mark.parametrize("credit", [0, 500])
def test_a_free_job_that_is_answered_moves_no_money(connection: Connection, credit: int) -> None:
    mine = tenant(connection, credit)
    job = running(connection, mine, hold=0)
    told = outcome(job, cost=30)
    told.prompt_tokens, told.completion_tokens, told.provider = 11, 5, "eliza"
    assert store.settle_group(connection, "wrk_a", [told]) == [True]
    assert transfers(connection, job.id) == {}
    assert funds(connection, mine) == (credit, 0)
    row = connection.execute(
        "SELECT state, cost, prompt_tokens, completion_tokens, provider FROM result"
    ).fetchone()
    assert row == ("completed", 0, 11, 5, "eliza")
    assert [a["outcome"] for a in store.attempts_of(connection, job.id)] == ["completed"]
    assert_proven(connection)


@pytest.mark.parametrize("was", ["queued", "running"])
def test_a_free_job_that_is_voided_moves_no_money(connection: Connection, was: str) -> None:
    mine = tenant(connection, 0)
    job = running(connection, mine, hold=0)
    if was == "queued":
        store.requeue(connection, [HandedBack(job.id, 1, None)], "released")
    assert voided(connection, [job.id], was, "cancelled", None, "client") == [job.id]
    assert (state(connection, job.id), transfers(connection, job.id)) == ("cancelled", {})
    assert_proven(connection)


def test_free_jobs_and_paid_ones_share_a_group(connection: Connection) -> None:
    mine = tenant(connection, 100)
    drafts = [draft(mine, hold) for hold in (0, 100, 0, 1)]
    told = store.admit_group(connection, drafts)
    assert told == ["admitted", "admitted", "admitted", "no_credit"]
    jobs = store.claim(connection, "interactive", "wrk_a", 9)
    assert store.settle_group(connection, "wrk_a", [outcome(job) for job in jobs]) == [True] * 3
    paid = [transfers(connection, one.id) for one in drafts]
    assert paid == [{}, {"hold": 100, "settle": 30, "release": 70}, {}, {}]
    assert funds(connection, mine) == (70, 0)
    assert_proven(connection)


def test_a_free_job_counts_in_no_budget(connection: Connection) -> None:
    mine = tenant(connection, 100)
    connection.execute(
        "INSERT INTO budget (id, tenant_id, scope, subject, period, hard, spent, period_start) "
        "VALUES ('bud_a', %(t)s, 'tenant', %(t)s, 'day', 50, 50, period_start('day'))",
        {"t": mine},
    )
    assert store.admit_group(connection, [draft(mine, 1)]) == ["over_budget bud_a"]
    [free] = admit(connection, mine, hold=0)
    store.settle_group(connection, "wrk_a", [outcome(claim_one(connection))])
    assert state(connection, free) == "completed"
    row = connection.execute("SELECT spent, held FROM budget").fetchone()
    assert row == (50, 0)
    assert_proven(connection)
