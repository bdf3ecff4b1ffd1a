"""Settlement: an attempt ends its job once, is paid once, and only while it is current."""

import pytest

from app.db.connect import Connection
from app.jobs import store
from app.jobs.model import HandedBack
from tests.app.line import (
    assert_proven,
    claim_one,
    funds,
    outcome,
    running,
    state,
    tenant,
    transfers,
    voided,
)


def test_pays_the_cost_and_gives_back_the_rest(connection: Connection) -> None:
    mine = tenant(connection, 1000)
    job = running(connection, mine, hold=100)
    assert store.settle_group(connection, "wrk_a", [outcome(job, cost=30)]) == [True]
    assert state(connection, job.id) == "completed"
    assert funds(connection, mine) == (970, 0)
    assert transfers(connection, job.id) == {"hold": 100, "settle": 30, "release": 70}
    row = connection.execute(
        "SELECT attempt, last_seq, settled_by, body, error, usage, cost FROM result"
    ).fetchone()
    assert row == (1, 3, "wrk_a", '{"choices":[]}', None, '{"total_tokens":1}', 30)
    [attempt] = store.attempts_of(connection, job.id)
    assert (attempt["outcome"], attempt["worker"], attempt["calls"]) == ("completed", "wrk_a", [])
    assert attempt["started_at"] <= attempt["finished_at"]
    assert_proven(connection)


def test_keeps_the_tokens_the_provider_and_the_price(connection: Connection) -> None:
    job = running(connection, tenant(connection))
    told = outcome(job)
    told.prompt_tokens, told.cached_tokens, told.completion_tokens = 30, 20, 4
    told.provider, told.price, told.owed = "p", "price_x", {"p": 9, "q": 2}
    store.settle_group(connection, "wrk_a", [told])
    row = connection.execute(
        "SELECT prompt_tokens, cached_tokens, completion_tokens, provider, price, platform_cost "
        "FROM result"
    ).fetchone()
    assert row == (30, 20, 4, "p", "price_x", 11)


@pytest.mark.parametrize(("cost", "paid"), [(0, 0), (100, 100), (101, 100), (10**15, 100)])
def test_never_charges_more_than_was_held(connection: Connection, cost: int, paid: int) -> None:
    mine = tenant(connection, 1000)
    job = running(connection, mine, hold=100)
    store.settle_group(connection, "wrk_a", [outcome(job, cost=cost)])
    assert funds(connection, mine) == (1000 - paid, 0)
    assert transfers(connection, job.id) == {"hold": 100, "settle": paid, "release": 100 - paid}
    assert_proven(connection)


def test_twice_by_the_same_owner_stands_and_posts_once(connection: Connection) -> None:
    """A worker that lost its connection in the commit asks again."""
    mine = tenant(connection, 1000)
    job = running(connection, mine)
    again = [outcome(job, cost=30), outcome(job, cost=30)]
    assert store.settle_group(connection, "wrk_a", again[:1]) == [True]
    assert store.settle_group(connection, "wrk_a", again[1:]) == [True]
    assert funds(connection, mine) == (970, 0)
    assert_proven(connection)


def test_another_owner_of_the_same_attempt_does_not_stand(connection: Connection) -> None:
    job = running(connection, tenant(connection))
    assert store.settle_group(connection, "wrk_a", [outcome(job)]) == [True]
    assert store.settle_group(connection, "wrk_b", [outcome(job)]) == [False]


def test_an_old_attempt_does_not_settle(connection: Connection) -> None:
    mine = tenant(connection, 1000)
    old = running(connection, mine)
    assert store.requeue(connection, [HandedBack(old.id, old.attempt, None)], "lost") != []
    assert store.settle_group(connection, "wrk_a", [outcome(old)]) == [False]
    assert state(connection, old.id) == "queued"
    assert funds(connection, mine) == (900, 100)

    fresh = claim_one(connection, "wrk_b")
    assert (fresh.id, fresh.attempt) == (old.id, 2)
    assert store.settle_group(connection, "wrk_a", [outcome(old)]) == [False]
    assert state(connection, old.id) == "running"
    assert store.settle_group(connection, "wrk_b", [outcome(fresh, cost=1)]) == [True]
    assert store.settle_group(connection, "wrk_a", [outcome(old)]) == [False]
    assert funds(connection, mine) == (999, 0)
    assert_proven(connection)


def test_an_old_attempt_does_not_stand_for_a_later_one_of_the_same_worker(
    connection: Connection,
) -> None:
    old = running(connection, tenant(connection))
    store.requeue(connection, [HandedBack(old.id, 1, None)], "lost")
    again = claim_one(connection, "wrk_a")
    assert store.settle_group(connection, "wrk_a", [outcome(again)]) == [True]
    assert store.settle_group(connection, "wrk_a", [outcome(old)]) == [False]


def test_the_current_attempt_is_not_settled_by_a_number_yet_to_come(
    connection: Connection,
) -> None:
    job = running(connection, tenant(connection))
    assert store.settle_group(connection, "wrk_a", [outcome(job, attempt=2)]) == [False]
    assert state(connection, job.id) == "running"


def test_a_group_settles_those_that_stand_in_the_order_given(connection: Connection) -> None:
    rich, poor = tenant(connection, 1000), tenant(connection, 100)
    jobs = [running(connection, owner) for owner in (rich, poor, rich, rich)]
    store.requeue(connection, [HandedBack(jobs[2].id, 1, None)], "lost")
    outcomes = [
        outcome(jobs[0], 10),
        outcome(jobs[2], 20),
        outcome(jobs[1], 30, "failed"),
        outcome(jobs[3], 0, "cancelled"),
    ]
    assert store.settle_group(connection, "wrk_a", outcomes) == [True, False, True, True]
    assert [state(connection, job.id) for job in jobs] == [
        "completed", "failed", "queued", "cancelled",
    ]  # fmt: skip
    assert funds(connection, rich) == (890, 100)
    assert funds(connection, poor) == (70, 0)
    assert_proven(connection)


def test_an_ended_job_is_neither_queued_again_nor_voided_nor_claimed(
    connection: Connection,
) -> None:
    job = running(connection, tenant(connection))
    store.settle_group(connection, "wrk_a", [outcome(job)])
    assert store.requeue(connection, [HandedBack(job.id, 1, None)], "lost") == []
    for was in ("queued", "running"):
        assert voided(connection, [job.id], was, "failed", None, "reaper") == []
    assert store.claim(connection, "interactive", "wrk_a", 9) == []
    assert_proven(connection)


def test_a_queued_job_does_not_settle(connection: Connection) -> None:
    job = running(connection, tenant(connection))
    store.requeue(connection, [HandedBack(job.id, 1, None)], "released")
    assert store.settle_group(connection, "wrk_a", [outcome(job)]) == [False]
    assert state(connection, job.id) == "queued"


def test_an_expired_run_is_a_failed_attempt(connection: Connection) -> None:
    job = running(connection, tenant(connection))
    assert store.settle_group(connection, "wrk_a", [outcome(job, 0, "expired")]) == [True]
    assert state(connection, job.id) == "expired"
    assert [a["outcome"] for a in store.attempts_of(connection, job.id)] == ["failed"]
