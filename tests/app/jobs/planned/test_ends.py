"""Which ends of jobs are webhook events, and by which names."""

from typing import Any

import pytest

from app.db.connect import Connection
from app.jobs import store
from app.jobs.model import EndState
from app.webhooks.model import EVENTS
from app.webhooks.store import create_endpoint
from tests.app.line import LANE, admit, claim_one, draft, outcome, planned, running, tenant, voided

HOOK = "https://hooks.example.com/job"
LENGTH = '{"choices":[{"finish_reason":"length","message":{"content":"so"}}]}'
QUOTED = '{"choices":[{"message":{"content":"\\"finish_reason\\":\\"length\\""}}]}'


def events(connection: Connection) -> list[tuple[Any, ...]]:
    return connection.execute("SELECT type, data::json->>'id', url FROM webhook_event").fetchall()


def listening(connection: Connection, tenant_id: str, *types: str) -> None:
    names = list(types or EVENTS)
    create_endpoint(connection, tenant_id, HOOK, "", names, "sealed", actor="test")


def ended(
    connection: Connection, tenant_id: str, state: EndState = "completed", *,
    kind: str = "chat.completion", body: str = "{}",
) -> str:  # fmt: skip
    one = draft(tenant_id, lane="background")
    one.kind = kind
    assert store.admit_group(connection, [one]) == ["admitted"]
    told = outcome(claim_one(connection, lane="background"), 0, state)
    told.body = body
    assert store.settle_group(connection, "wrk_a", [told]) == [True]
    return one.id


@pytest.mark.parametrize(
    ("state", "kind", "body", "event"),
    [
        ("completed", "chat.completion", LENGTH, "job.completed"),
        ("failed", "embedding", "", "job.failed"),
        ("cancelled", "image", "", "job.cancelled"),
        ("completed", "response", "{}", "response.completed"),
        ("completed", "response", LENGTH, "response.incomplete"),
        ("completed", "response", QUOTED, "response.completed"),
        ("failed", "response", "", "response.failed"),
        ("cancelled", "response", LENGTH, "response.cancelled"),
    ],
)
def test_the_end_of_a_job_in_the_background_is_told_to_who_asks_for_it(
    connection: Connection, state: EndState, kind: str, body: str, event: str
) -> None:
    mine, other = tenant(connection), tenant(connection)
    listening(connection, mine, event)
    listening(connection, other, *set(EVENTS) - {event})
    job_id = ended(connection, mine, state, kind=kind, body=body)
    ended(connection, other, state, kind=kind, body=body)
    about = job_id.replace("job_", "resp_") if kind == "response" else job_id
    assert events(connection) == [(event, about, None)]


def test_jobs_that_no_worker_ended_are_told_as_well(connection: Connection) -> None:
    mine = tenant(connection)
    listening(connection, mine)
    cancelled, expired = admit(connection, mine, 2, lane="background")
    voided(connection, [cancelled], "queued", "cancelled", None, "client")
    voided(connection, [expired], "queued", "expired", None, "upkeep")
    response = draft(mine, lane="background")
    response.kind = "response"
    store.admit_group(connection, [response])
    voided(connection, [response.id], "queued", "expired", None, "upkeep")
    assert events(connection) == [
        ("job.cancelled", cancelled, None),
        ("job.expired", expired, None),
        ("response.failed", response.id.replace("job_", "resp_"), None),
    ]


def test_what_a_client_waits_for_and_lines_of_batches_are_not_told(connection: Connection) -> None:
    mine = tenant(connection)
    listening(connection, mine)
    job = running(connection, mine)
    store.settle_group(connection, "wrk_a", [outcome(job)])
    [line] = admit(connection, mine, lane="batch")
    voided(connection, [line], "queued", "cancelled", None, "client")
    assert job.id.startswith("job_")
    assert LANE == "interactive"
    assert events(connection) == []


def test_a_job_with_an_address_of_its_own_is_told_there_whoever_else_listens(
    connection: Connection,
) -> None:
    mine = tenant(connection)
    job = planned(connection, mine, webhook_url=HOOK)
    store.settle_group(connection, "wrk_a", [outcome(claim_one(connection, lane="background"))])
    assert events(connection) == [("job.completed", job.id, HOOK)]


def test_a_settlement_that_is_sent_again_is_told_once(connection: Connection) -> None:
    mine = tenant(connection)
    listening(connection, mine)
    admit(connection, mine, lane="background")
    told = outcome(claim_one(connection, lane="background"))
    for _ in range(2):
        assert store.settle_group(connection, "wrk_a", [told]) == [True]
    assert len(events(connection)) == 1


def test_nobody_listens_and_nothing_is_written(connection: Connection) -> None:
    mine = tenant(connection)
    listening(connection, mine, "budget.soft_limit_reached")
    ended(connection, mine)
    assert events(connection) == []
