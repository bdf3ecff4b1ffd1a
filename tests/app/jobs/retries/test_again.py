"""Jobs made again, at the level of statements."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.db.connect import Connection
from app.errors import Conflict, Gone
from app.jobs import store
from app.jobs.model import Draft, EndState
from app.jobs.retries.again import draft_again
from app.jobs.retries.store import Origin, find_origin
from tests.app.jobs.conftest import Make
from tests.app.line import (
    admit,
    assert_proven,
    claim_one,
    funds,
    outcome,
    planned,
    running,
    tenant,
    voided,
)


def origin_of(connection: Connection, job_id: str, tenant_id: str) -> Origin:
    found = find_origin(connection, job_id, tenant_id)
    assert found is not None
    return found


def again(
    connection: Connection, job_id: str, tenant_id: str, *, force: bool = False, key: str = ""
) -> Draft:
    made = draft_again(
        origin_of(connection, job_id, tenant_id), key_id="key_2", deadline_s=60, backlog=100,
        force=force,
    )  # fmt: skip
    if key:
        made.path, made.idempotency_key, made.body_hash = "/retry", key, "h"
    return made


def failed(connection: Connection, tenant_id: str, state: EndState = "failed") -> str:
    job = running(connection, tenant_id, request='{"messages":["hello"]}')
    store.settle_group(connection, "wrk_a", [outcome(job, 0, state)])
    return job.id


def test_a_failed_job_is_made_again_with_a_hold_of_its_own(connection: Connection) -> None:
    mine = tenant(connection, 1000)
    job_id = failed(connection, mine)
    assert funds(connection, mine) == (1000, 0)
    new = again(connection, job_id, mine)
    assert store.admit_group(connection, [new]) == ["admitted"]
    assert funds(connection, mine) == (900, 100)
    first, second = (store.find_job(connection, i, mine) for i in (job_id, new.id))
    assert first is not None
    assert second is not None
    assert (first.retry_of, first.retried_by) == (None, new.id)
    assert (second.retry_of, second.retried_by) == (job_id, None)
    job = claim_one(connection, lane="background")
    assert (job.id, job.request, job.key_id) == (new.id, '{"messages":["hello"]}', "key_2")
    store.settle_group(connection, "wrk_a", [outcome(job)])
    assert_proven(connection)


def test_one_that_is_made_again_already_is_not_unless_it_is_forced(connection: Connection) -> None:
    mine = tenant(connection)
    job_id = failed(connection, mine)
    first = again(connection, job_id, mine)
    assert store.admit_group(connection, [first]) == ["admitted"]
    refused = store.admit_group(connection, [again(connection, job_id, mine)])
    assert refused == [f"retried {first.id}"]
    forced = again(connection, job_id, mine, force=True)
    assert store.admit_group(connection, [forced]) == ["admitted"]
    voided(connection, [first.id, forced.id], "queued", "cancelled", None, "client")
    assert store.admit_group(connection, [again(connection, job_id, mine)]) == ["admitted"]
    assert_proven(connection)


def test_a_key_stands_for_the_job_that_was_made_with_it(connection: Connection) -> None:
    mine = tenant(connection)
    job_id = failed(connection, mine)
    first = again(connection, job_id, mine, key="k")
    assert store.admit_group(connection, [first]) == ["admitted"]
    second = again(connection, job_id, mine, key="k")
    assert store.admit_group(connection, [second]) == [f"replayed {first.id}"]


def test_in_a_group_each_has_the_verdict_of_its_own(connection: Connection) -> None:
    mine = tenant(connection, 250)
    one, two = failed(connection, mine), failed(connection, mine)
    other = again(connection, one, mine)
    assert store.admit_group(connection, [other]) == ["admitted"]
    blocked, fine = again(connection, one, mine), again(connection, two, mine)
    poor = again(connection, two, mine, force=True)
    told = store.admit_group(connection, [blocked, fine, poor])
    assert told == [f"retried {other.id}", "admitted", "no_credit"]
    assert_proven(connection)


def test_of_two_at_once_one_is_made(connection: Connection, connections: Make) -> None:
    mine = tenant(connection)
    job_id = failed(connection, mine)
    drafts = [again(connection, job_id, mine) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        pairs = zip(connections(4), drafts, strict=True)
        told = list(pool.map(lambda pair: store.admit_group(pair[0], [pair[1]])[0], pairs))
    assert told.count("admitted") == 1
    assert {verdict.split()[0] for verdict in told} == {"admitted", "retried"}


def test_what_has_not_failed_is_not_made_again(connection: Connection) -> None:
    mine = tenant(connection)
    done = failed(connection, mine, "completed")
    runs = running(connection, mine).id
    [waits] = admit(connection, mine)
    for job_id in (done, runs, waits):
        with pytest.raises(Conflict, match="only a job that failed"):
            again(connection, job_id, mine)


@pytest.mark.parametrize(
    ("column", "value"), [("kind", "content.deletion"), ("lane", "batch")], ids=["chore", "line"]
)
def test_what_belongs_to_something_else_is_not_made_again(
    connection: Connection, column: str, value: str
) -> None:
    mine = tenant(connection)
    job_id = failed(connection, mine)
    connection.execute(f"UPDATE job SET {column} = %s".encode(), (value,))
    with pytest.raises(Conflict):
        again(connection, job_id, mine)


def test_one_without_its_request_is_gone(connection: Connection) -> None:
    mine = tenant(connection)
    job_id = failed(connection, mine)
    store.forget(connection, [job_id], None)
    with pytest.raises(Gone):
        again(connection, job_id, mine)


def test_another_tenants_job_is_not_there(connection: Connection) -> None:
    job_id = failed(connection, tenant(connection))
    assert find_origin(connection, job_id, tenant(connection)) is None


def test_its_receiver_is_told_again_and_forgotten_with_the_content(connection: Connection) -> None:
    mine = tenant(connection)
    job = planned(connection, mine, webhook_url="https://h.example.com/x")
    voided(connection, [job.id], "queued", "cancelled", None, "client")
    new = again(connection, job.id, mine)
    assert new.plan is not None
    assert new.plan.webhook_url == "https://h.example.com/x"
    store.forget(connection, [job.id], None)
    assert origin_of(connection, job.id, mine).webhook_url is None
