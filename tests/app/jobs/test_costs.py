"""What attempts owe providers: posted once for each, whoever won, and not the tenant's money."""

import pytest

from app.db.connect import Connection
from app.jobs import store
from app.jobs.model import Claimed, EndState, HandedBack, Outcome
from tests.app.line import assert_proven, claim_one, funds, outcome, running, tenant

Costs = list[tuple[int, str, int]]


def owing(job: Claimed, state: EndState = "completed", **owed: int) -> Outcome:
    """An outcome of an attempt that owes so much to each of these providers."""
    made = outcome(job, state=state)
    made.owed = owed
    return made


def costs(connection: Connection, job_id: str) -> Costs:
    """What was posted for a job: attempt, provider's account, amount."""
    rows = connection.execute(
        "SELECT attempt, credit, amount FROM transfer WHERE job_id = %s AND kind = 'cost' "
        "AND debit = 'platform/cost' ORDER BY attempt, credit",
        (job_id,),
    )
    return [(row[0], row[1], row[2]) for row in rows]


def of_attempts(connection: Connection, job_id: str) -> list[tuple[str, int]]:
    rows = connection.execute(
        "SELECT outcome, platform_cost FROM attempt WHERE job_id = %s ORDER BY attempt", (job_id,)
    )
    return [(row[0], row[1]) for row in rows]


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled"])
def test_an_attempt_that_ends_its_job_posts_what_it_owes(
    connection: Connection, state: EndState
) -> None:
    mine = tenant(connection, 1000)
    job = running(connection, mine, hold=100)
    ended = owing(job, state, p=7, q=500)
    assert store.settle_group(connection, "wrk_a", [ended]) == [True]
    assert costs(connection, job.id) == [(1, "provider/p", 7), (1, "provider/q", 500)]
    assert of_attempts(connection, job.id) == [(state, 507)]
    row = connection.execute("SELECT platform_cost, cost FROM result").fetchone()
    assert row == (507, 30)
    assert funds(connection, mine) == (970, 0)
    assert_proven(connection)


def test_a_call_that_cost_nothing_posts_nothing(connection: Connection) -> None:
    job = running(connection, tenant(connection))
    store.settle_group(connection, "wrk_a", [owing(job, p=0, q=1)])
    assert costs(connection, job.id) == [(1, "provider/q", 1)]
    assert_proven(connection)


@pytest.mark.parametrize("how", ["interrupted", "released"])
def test_an_attempt_that_is_handed_back_posts_what_it_owes(
    connection: Connection, how: str
) -> None:
    mine = tenant(connection, 1000)
    job = running(connection, mine, hold=100)
    store.requeue(connection, [HandedBack(job.id, 1, "[]", {"p": 7, "q": 3})], how)
    assert funds(connection, mine) == (900, 100)
    again = claim_one(connection, "wrk_b")
    store.settle_group(connection, "wrk_b", [owing(again, p=5)])
    assert costs(connection, job.id) == [
        (1, "provider/p", 7), (1, "provider/q", 3), (2, "provider/p", 5),
    ]  # fmt: skip
    assert of_attempts(connection, job.id) == [(how, 10), ("completed", 5)]
    assert_proven(connection)


def test_a_settlement_asked_for_again_posts_its_cost_once(connection: Connection) -> None:
    job = running(connection, tenant(connection))
    for _ in range(3):
        assert store.settle_group(connection, "wrk_a", [owing(job, p=7)]) == [True]
    assert costs(connection, job.id) == [(1, "provider/p", 7)]
    assert_proven(connection)


def test_an_attempt_handed_back_again_posts_its_cost_once(connection: Connection) -> None:
    job = running(connection, tenant(connection))
    back = [HandedBack(job.id, 1, "[]", {"p": 7})]
    assert len(store.requeue(connection, back, "interrupted")) == 1
    assert store.requeue(connection, back, "interrupted") == []
    assert costs(connection, job.id) == [(1, "provider/p", 7)]
    assert_proven(connection)


@pytest.mark.parametrize("late", ["settle", "hand back"])
@pytest.mark.parametrize("meanwhile", ["queued", "running", "completed", "failed"])
def test_a_zombie_posts_its_cost_once_whatever_became_of_its_job(
    connection: Connection, late: str, meanwhile: str
) -> None:
    """The provider was called, so it is owed, although another attempt wins."""
    mine = tenant(connection, 1000)
    old = running(connection, mine, hold=100)
    if meanwhile == "failed":
        store.void(connection, [old.id], "running", "failed", {}, "reaper")
    else:
        store.requeue(connection, [HandedBack(old.id, 1, None)], "lost")
    if meanwhile in ("running", "completed"):
        heir = claim_one(connection, "wrk_b")
    if meanwhile == "completed":
        store.settle_group(connection, "wrk_b", [owing(heir, p=5)])
    before = funds(connection, mine)
    for _ in range(2):
        if late == "settle":
            assert store.settle_group(connection, "wrk_a", [owing(old, p=7)]) == [False]
        else:
            back = [HandedBack(old.id, 1, "[]", {"p": 7})]
            assert store.requeue(connection, back, "interrupted") == []
    posted: Costs = [(1, "provider/p", 7)]
    if meanwhile == "completed":
        posted.append((2, "provider/p", 5))
    assert costs(connection, old.id) == posted
    assert funds(connection, mine) == before
    assert_proven(connection)


def test_a_group_posts_the_costs_of_each(connection: Connection) -> None:
    mine = tenant(connection)
    jobs = [running(connection, mine) for _ in range(3)]
    group = [owing(jobs[0], p=1), owing(jobs[1]), owing(jobs[2], p=3, q=4)]
    assert store.settle_group(connection, "wrk_a", group) == [True] * 3
    assert [costs(connection, job.id) for job in jobs] == [
        [(1, "provider/p", 1)], [], [(1, "provider/p", 3), (1, "provider/q", 4)],
    ]  # fmt: skip
    assert_proven(connection)


def test_costs_are_posted_with_the_job_or_not_at_all(connection: Connection) -> None:
    """One that the books refuse leaves its job as it was, so that it is settled again whole."""
    job = running(connection, tenant(connection))
    with pytest.raises(Exception, match="transfer_amount_check"):
        store.settle_group(connection, "wrk_a", [owing(job, p=-1)])
    with pytest.raises(Exception, match="transfer_amount_check"):
        store.requeue(connection, [HandedBack(job.id, 1, None, {"p": -1})], "released")
    assert costs(connection, job.id) == []
    row = connection.execute("SELECT state, attempt FROM open_job").fetchone()
    assert row == ("running", 1)
    assert_proven(connection)
