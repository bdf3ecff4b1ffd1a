"""How a tenant finds its jobs, and nobody else's."""

import time
from typing import Any

import orjson
import pytest

from app.db.connect import Connection
from app.jobs import store
from app.jobs.model import TRANSITIONS, JobFilter, JobRow
from tests.app.line import admit, claim_one, draft, outcome, planned, running, tenant


def find(connection: Connection, job_id: str, tenant_id: str) -> JobRow:
    job = store.find_job(connection, job_id, tenant_id)
    assert job is not None
    return job


def test_a_queued_job_knows_its_place(connection: Connection) -> None:
    mine, other = tenant(connection), tenant(connection)
    mine_ids, [theirs] = admit(connection, mine, 3), admit(connection, other)
    places = {i: find(connection, i, mine).queue_position for i in mine_ids}
    places[theirs] = find(connection, theirs, other).queue_position
    assert sorted(places.values(), key=str) == [1, 2, 3, 4]
    assert places[theirs] == 2
    assert claim_one(connection).id == min(places, key=lambda i: str(places[i]))


def test_a_running_job_has_no_place_and_an_owner(connection: Connection) -> None:
    mine = tenant(connection)
    job = running(connection, mine)
    found = find(connection, job.id, mine)
    assert (found.state, found.queue_position, found.owner) == ("running", None, "wrk_a")
    assert found.started_s is not None
    assert found.finished_s is None


def test_an_ended_job_keeps_what_it_was_told(connection: Connection) -> None:
    mine = tenant(connection)
    one = draft(mine, door="sync")
    one.metadata = '{"a":"b"}'
    store.admit_group(connection, [one])
    job = claim_one(connection)
    store.settle_group(connection, "wrk_a", [outcome(job)])
    found = find(connection, job.id, mine)
    assert (found.state, found.attempt, found.last_seq) == ("completed", 1, 3)
    assert (found.lane, found.door, found.model) == ("interactive", "sync", "m")
    assert (found.metadata, found.body, found.error) == ({"a": "b"}, '{"choices":[]}', None)
    assert found.usage == {"total_tokens": 1}
    assert found.queue_position is None
    assert found.started_s is not None
    assert found.finished_s is not None
    assert found.created_s <= found.started_s <= found.finished_s


def test_another_tenants_job_is_not_there(connection: Connection) -> None:
    mine, other = tenant(connection), tenant(connection)
    [job_id] = admit(connection, mine)
    assert store.find_job(connection, job_id, other) is None
    assert store.find_job(connection, "job_nobody", mine) is None
    assert store.list_jobs(connection, other, None, JobFilter(), 10) == []


def test_a_page_is_newest_first_and_goes_on_where_it_ended(connection: Connection) -> None:
    mine = tenant(connection)
    ids = [admit(connection, mine)[0] for _ in range(5)]
    ids.sort()
    first = [job.id for job in store.list_jobs(connection, mine, None, JobFilter(), 2)]
    second = [job.id for job in store.list_jobs(connection, mine, first[-1], JobFilter(), 9)]
    assert first + second == ids[::-1]


@pytest.mark.parametrize("state", TRANSITIONS)
def test_a_page_can_be_of_one_state(connection: Connection, state: str) -> None:
    mine = tenant(connection)
    done, failed = running(connection, mine), running(connection, mine)
    runs = running(connection, mine)
    store.settle_group(connection, "wrk_a", [outcome(done), outcome(failed, 0, "failed")])
    waits, cancelled, expired = admit(connection, mine, 3)
    later = planned(connection, mine, run_at_s=time.time() + 60)
    store.void(connection, [cancelled], "queued", "cancelled", None, "client")
    store.void(connection, [expired], "queued", "expired", None, "upkeep")
    whose = {
        "completed": done.id, "failed": failed.id, "running": runs.id, "queued": waits,
        "cancelled": cancelled, "expired": expired, "scheduled": later.id,
    }  # fmt: skip
    page = store.list_jobs(connection, mine, None, JobFilter((state,)), 10)
    assert [(job.id, job.state) for job in page] == [(whose[state], state)]


def test_a_page_can_be_of_one_error_model_kind_or_time(connection: Connection) -> None:
    mine = tenant(connection)
    slow, wrong = running(connection, mine), running(connection, mine)
    told = {slow.id: "deadline_exceeded", wrong.id: "all_providers_failed"}
    ends = [outcome(job, 0, "failed") for job in (slow, wrong)]
    for end in ends:
        end.error = orjson.dumps({"message": "\0 code", "code": told[end.id]}).decode()
    store.settle_group(connection, "wrk_a", ends)
    other = draft(mine)
    other.model, other.kind = "n", "embedding"
    assert store.admit_group(connection, [other]) == ["admitted"]
    connection.execute(
        "UPDATE job SET created_at = created_at - interval '10 minutes' WHERE id = %s", (slow.id,)
    )

    def found(**wanted: Any) -> set[str]:
        rows = store.list_jobs(connection, mine, None, JobFilter(**wanted), 10)
        return {row.id for row in rows}

    ago = time.time() - 300
    assert found(error_code="deadline_exceeded") == {slow.id}
    assert found(error_code="deadline") == set()
    assert found(model="n") == found(kind="embedding") == {other.id}
    assert found(since_s=ago) == {wrong.id, other.id}
    assert found(until_s=ago) == {slow.id}
    assert found(since_s=ago, states=("failed",)) == {wrong.id}


def test_those_that_have_ended_among_some(connection: Connection) -> None:
    mine = tenant(connection)
    done, runs = running(connection, mine), running(connection, mine)
    store.settle_group(connection, "wrk_a", [outcome(done)])
    told = store.ended_among(connection, [done.id, runs.id, "job_nobody"])
    assert told == [(done.id, "completed", 1, 3)]
