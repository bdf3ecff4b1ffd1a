"""What is known of webhooks goes by age."""

from collections.abc import Callable

import pytest

from app.accounts.tenants import change_tenant, create_tenant
from app.db.connect import Connection
from app.settings import Settings
from app.webhooks import store
from app.webhooks.model import Endpoint, Outcome
from app.webhooks.replay.store import replay_one
from app.webhooks.sweeping.store import sweep
from tasks import upkeep
from tests.app.webhooks.parts import deliveries, dispatch, happen

URL = "https://hooks.example.com/in"
Make = Callable[..., Endpoint]


def aged(connection: Connection, days: int) -> None:
    """Lets all that happened until now have happened so many days earlier."""
    connection.execute(
        "UPDATE webhook_delivery SET ended_at = ended_at - %(d)s * interval '1 day'", {"d": days}
    )
    connection.execute(
        "UPDATE webhook_event SET dispatched_at = dispatched_at - %(d)s * interval '1 day'",
        {"d": days},
    )


def events(connection: Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT id FROM webhook_event")}


def delivered(connection: Connection, tenant: str, outcome: Outcome) -> str:
    """An event that its tenant's one endpoint was told of; returns its id."""
    event_id = happen(connection, tenant)
    dispatch(connection)
    [parcel] = store.claim(connection, 1, 60)
    store.record(connection, parcel, outcome)
    return event_id


def test_what_ended_longer_ago_than_its_tenant_keeps_content_is_deleted(
    connection: Connection, tenant: str, make_endpoint: Make, settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    endpoint, silent = make_endpoint(URL), create_tenant(connection, "silent")
    patient = create_tenant(connection, "patient")
    change_tenant(connection, patient, {"retention_days": 90})
    for _ in range(3):
        delivered(connection, tenant, Outcome(200))
    delivered(connection, tenant, Outcome(410))
    store.change_endpoint(connection, tenant, endpoint.id, {"disabled": False}, actor="x")
    happen(connection, silent)
    kept = {happen(connection, patient)}
    dispatch(connection)
    replayed = delivered(connection, tenant, Outcome(200))
    aged(connection, 31)
    [*_, last] = deliveries(connection, endpoint.id)
    replay_one(connection, tenant, endpoint.id, last.id, actor="x")
    kept |= {replayed, happen(connection, tenant)}
    assert sweep(connection, 40) == 0
    assert len(events(connection)) == 8
    monkeypatch.setattr(upkeep, "settings", lambda: settings)
    upkeep.sweep_content()
    assert events(connection) == kept
    assert [one.event_id for one in deliveries(connection, endpoint.id)] == [replayed]


def test_many_are_deleted_group_by_group(
    connection: Connection, tenant: str, make_endpoint: Make
) -> None:
    make_endpoint(URL)
    for _ in range(5):
        delivered(connection, tenant, Outcome(200))
    aged(connection, 2)
    assert sweep(connection, 1, group=2) == 5
    assert events(connection) == set()
