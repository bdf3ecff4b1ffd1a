"""Scheduled jobs at the level of statements: out of their lanes until their time."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.db.connect import Connection
from app.jobs import store
from app.jobs.model import HandedBack
from app.jobs.planned import store as planned_store
from app.jobs.planned.store import belated_jobs, due
from tests.app.jobs.conftest import Make
from tests.app.line import (
    admit,
    assert_proven,
    claim_one,
    draft,
    funds,
    outcome,
    planned,
    state,
    tenant,
    voided,
)

LANE = "background"
SOON_S = 3600.0


def its_time_comes(connection: Connection, *ids: str) -> None:
    connection.execute(
        "UPDATE open_job SET run_at = now() - interval '1 ms' WHERE id = ANY (%s)", (list(ids),)
    )


def later(connection: Connection, tenant_id: str, count: int = 1) -> list[str]:
    made = [planned(connection, tenant_id, run_at_s=time.time() + SOON_S) for _ in range(count)]
    return [one.id for one in made]


def test_a_scheduled_job_holds_its_money_and_is_claimed_only_after_its_time(
    connection: Connection,
) -> None:
    mine = tenant(connection, 1000)
    [job_id] = later(connection, mine)
    assert state(connection, job_id) == "scheduled"
    assert funds(connection, mine) == (900, 100)
    assert_proven(connection)
    assert store.claim(connection, LANE, "wrk_a", 10) == []
    assert due(connection, 10) == []
    its_time_comes(connection, job_id)
    assert due(connection, 10) == [(job_id, LANE)]
    assert due(connection, 10) == []
    job = claim_one(connection, lane="background")
    assert job.id == job_id
    assert store.settle_group(connection, "wrk_a", [outcome(job)]) == [True]
    assert funds(connection, mine) == (970, 0)
    assert_proven(connection)


def test_the_deadline_counts_from_the_time_and_not_from_admission(connection: Connection) -> None:
    mine = tenant(connection)
    [job_id] = later(connection, mine)
    [(left_s,)] = connection.execute(
        "SELECT extract(epoch FROM deadline - now())::float8 FROM open_job WHERE id = %s", (job_id,)
    ).fetchall()
    assert left_s == pytest.approx(SOON_S + 600, abs=30)


def test_its_age_counts_from_its_time(connection: Connection) -> None:
    mine = tenant(connection)
    [job_id] = later(connection, mine)
    connection.execute(
        "UPDATE job SET created_at = now() - interval '1 day', run_at = now() WHERE id = %s",
        (job_id,),
    )
    its_time_comes(connection, job_id)
    due(connection, 10)
    assert claim_one(connection, lane="background").age_ms < 60_000


def test_a_time_that_has_passed_already_is_now(connection: Connection) -> None:
    mine = tenant(connection)
    job = planned(connection, mine, run_at_s=time.time() - 30)
    assert state(connection, job.id) == "queued"
    assert claim_one(connection, lane="background").id == job.id


def test_what_waits_for_its_time_counts_neither_for_bounds_nor_for_places(
    connection: Connection,
) -> None:
    mine = tenant(connection)
    [waits] = later(connection, mine)
    job = draft(mine, lane="background", backlog=1)
    assert store.admit_group(connection, [job]) == ["admitted"]
    found, other = (store.find_job(connection, i, mine) for i in (job.id, waits))
    assert found is not None
    assert other is not None
    assert (found.queue_position, other.queue_position) == (1, None)
    assert other.run_at_s == pytest.approx(time.time() + SOON_S, abs=30)
    its_time_comes(connection, waits)
    due(connection, 10)
    found = store.find_job(connection, waits, mine)
    assert found is not None
    assert found.queue_position == 2


def test_many_that_are_due_at_once_take_turns_with_others_as_new_ones_do(
    connection: Connection,
) -> None:
    mine, other = tenant(connection), tenant(connection)
    scheduled = later(connection, mine, 4)
    its_time_comes(connection, *scheduled)
    due(connection, 10)
    [small] = admit(connection, other, lane="background")
    rows = connection.execute("SELECT id FROM open_job ORDER BY start_tag, id").fetchall()
    order = [job_id for (job_id,) in rows]
    assert sorted(order) == sorted([*scheduled, small])
    assert order.index(small) <= 1
    assert {job.id for job in store.claim(connection, LANE, "wrk_a", 10)} == set(order)


def test_a_job_that_leaves_its_lane_gives_its_turn_back(connection: Connection) -> None:
    mine, other = tenant(connection), tenant(connection)
    later(connection, mine, 5)
    firsts = [admit(connection, one, lane="background")[0] for one in (mine, other)]
    order = [job.id for job in store.claim(connection, LANE, "wrk_a", 2)]
    assert sorted(order) == sorted(firsts)
    tags = connection.execute("SELECT DISTINCT start_tag FROM open_job WHERE state = 'running'")
    assert tags.fetchall() == [(0,)]


def test_it_is_cancelled_while_it_waits_and_gives_no_turn_back_twice(
    connection: Connection,
) -> None:
    mine = tenant(connection, 1000)
    [first] = admit(connection, mine, lane="background")
    [job_id] = later(connection, mine)
    assert voided(connection, [job_id], "queued", "cancelled", None, "client") == []
    assert voided(connection, [job_id], "scheduled", "cancelled", None, "client") == [job_id]
    assert funds(connection, mine) == (900, 100)
    [(finish,)] = connection.execute("SELECT finish_tag FROM turn").fetchall()
    assert finish == 1, "the turn of the job that waits"
    assert state(connection, first) == "queued"
    assert_proven(connection)


def too_late(connection: Connection) -> None:
    connection.execute(
        "UPDATE open_job SET not_after = now() - interval '1 ms' WHERE not_after IS NOT NULL"
    )


def test_once_it_is_no_longer_to_be_begun_no_worker_gets_it_and_it_expires(
    connection: Connection,
) -> None:
    mine = tenant(connection)
    late = planned(connection, mine, not_after_s=time.time() + 60)
    [other] = admit(connection, mine, lane="background")
    assert belated_jobs(connection, 10) == []
    too_late(connection)
    assert [job.id for job in store.claim(connection, LANE, "wrk_a", 10)] == [other]
    assert belated_jobs(connection, 10) == [late.id]


def test_one_that_began_in_time_goes_on_after_its_worker_was_lost(connection: Connection) -> None:
    job = planned(connection, tenant(connection), not_after_s=time.time() + 60)
    claim_one(connection, lane="background")
    too_late(connection)
    assert belated_jobs(connection, 10) == []
    store.requeue(connection, [HandedBack(job.id, 1, None)], "lost")
    assert belated_jobs(connection, 10) == []
    again = claim_one(connection, "wrk_b", "background")
    assert (again.id, again.attempt) == (job.id, 2)


def test_of_two_upkeeps_at_once_one_puts_a_job_into_its_lane(
    connection: Connection, connections: Make
) -> None:
    mine = tenant(connection)
    ids = later(connection, mine, 40)
    its_time_comes(connection, *ids)
    with ThreadPoolExecutor(2) as pool:
        told = [one for got in pool.map(lambda c: due(c, 30), connections(2)) for one in got]
    told += due(connection, 40)
    assert sorted(told) == sorted((job_id, LANE) for job_id in ids)
    tags = connection.execute("SELECT start_tag FROM open_job ORDER BY 1").fetchall()
    assert tags == [(tag,) for tag in range(40)]


def test_a_key_stands_for_its_job_alone(connection: Connection) -> None:
    mine = tenant(connection)
    one = draft(mine)
    one.path, one.idempotency_key, one.body_hash = "/x", "k", "h"
    assert store.admit_group(connection, [one]) == ["admitted"]
    assert planned_store.key_stands(connection, mine, "/x", "k")
    assert not planned_store.key_stands(connection, mine, "/y", "k")
    assert not planned_store.key_stands(connection, tenant(connection), "/x", "k")


def test_a_job_that_is_postponed_is_claimed_later_and_by_its_attempt_alone(
    connection: Connection,
) -> None:
    mine = tenant(connection)
    [job_id] = admit(connection, mine, lane=LANE)
    first = claim_one(connection, lane="background")
    back = HandedBack(job_id, first.attempt, None, later_s=60)
    for _ in range(2):
        planned_store.postpone(connection, [back])
        assert state(connection, job_id) == "scheduled"
        assert (due(connection, 10), store.claim(connection, LANE, "wrk_a", 10)) == ([], [])
    its_time_comes(connection, job_id)
    assert due(connection, 10) == [(job_id, LANE)]
    again = claim_one(connection, lane="background")
    planned_store.postpone(connection, [back])
    assert (again.id, again.attempt, again.strikes) == (job_id, 2, 0)
    assert state(connection, job_id) == "running"
    assert_proven(connection)
