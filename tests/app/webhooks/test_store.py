"""Endpoints and deliveries in Postgres."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.accounts.audit import audit_page
from app.accounts.tenants import create_tenant
from app.db.connect import Connection, connect
from app.errors import Conflict
from app.settings import Settings
from app.webhooks import store
from app.webhooks.model import ENDPOINTS_MAX, JITTER, RETRY_S, TEST_EVENT, Endpoint, Outcome
from tests.app.webhooks.parts import deliveries, dispatch, happen, make_due
from tests.waiting import wait_for

URL = "https://hooks.example.com/in"
LEASE_S = 60.0
Make = Callable[..., Endpoint]


def next_in_s(connection: Connection, delivery_id: str) -> float:
    row = connection.execute(
        "SELECT extract(epoch FROM next_at - now())::float8 FROM webhook_delivery WHERE id = %s",
        (delivery_id,),
    ).fetchone()
    assert row is not None
    return float(row[0])


def locked(onlooker: Connection) -> bool:
    """Whether a connection to this database waits for a lock."""
    return bool(
        onlooker.execute(
            "SELECT FROM pg_stat_activity WHERE datname = current_database() "
            "AND wait_event_type = 'Lock'"
        ).rowcount
    )


def test_an_event_is_due_until_it_is_dispatched(connection: Connection, tenant: str) -> None:
    assert not store.due(connection)
    happen(connection, tenant)
    assert store.due(connection)
    assert dispatch(connection) == 1
    assert not store.due(connection)
    assert dispatch(connection) == 0


def test_a_delivery_is_due_at_its_time_and_not_while_it_is_being_sent(
    connection: Connection, tenant: str, make_endpoint: Make
) -> None:
    make_endpoint(URL)
    happen(connection, tenant)
    dispatch(connection)
    assert store.due(connection)
    [parcel] = store.claim(connection, 10, LEASE_S)
    assert not store.due(connection)
    assert store.claim(connection, 10, LEASE_S) == []
    store.record(connection, parcel, Outcome(500, "answered 500"))
    assert not store.due(connection)
    make_due(connection)
    assert store.due(connection)


def test_an_event_goes_to_the_live_endpoints_of_its_tenant_that_ask_for_it(
    connection: Connection, tenant: str, make_endpoint: Make
) -> None:
    stranger = create_tenant(connection, "stranger")
    first, second = make_endpoint(URL), make_endpoint(URL)
    others = [
        make_endpoint(URL, events=("another.event",)),
        make_endpoint(URL, tenant_id=stranger),
        make_endpoint(URL),
    ]
    store.change_endpoint(connection, tenant, others[2].id, {"disabled": True}, actor="cli")
    event_id = happen(connection, tenant)
    dispatch(connection)
    for endpoint in (first, second):
        [delivery] = deliveries(connection, endpoint.id)
        assert (delivery.event_id, delivery.state, delivery.attempts) == (event_id, "waiting", 0)
    assert [deliveries(connection, endpoint.id) for endpoint in others] == [[], [], []]


def test_of_two_dispatchers_at_once_one_makes_the_deliveries(
    settings: Settings, connection: Connection, tenant: str, make_endpoint: Make
) -> None:
    endpoint = make_endpoint(URL)
    happen(connection, tenant)
    with connect(settings.postgres) as other, connection.transaction():
        assert dispatch(connection) == 1
        assert dispatch(other) == 0
    with connect(settings.postgres) as other:
        assert dispatch(other) == 0
    assert len(deliveries(connection, endpoint.id)) == 1


def test_an_endpoint_disabled_during_a_dispatch_is_left_with_nothing_that_waits(
    settings: Settings, connection: Connection, tenant: str, make_endpoint: Make
) -> None:
    endpoint = make_endpoint(URL)
    happen(connection, tenant)

    def disable() -> None:
        with connect(settings.postgres) as other:
            store.change_endpoint(other, tenant, endpoint.id, {"disabled": True}, actor="cli")

    with ThreadPoolExecutor() as threads:
        with connection.transaction():
            dispatch(connection)
            disabling = threads.submit(disable)
            with connect(settings.postgres) as onlooker:
                wait_for(lambda: disabling.done() or locked(onlooker), what="the disabling's turn")
        disabling.result(10)
    assert [delivery.state for delivery in deliveries(connection, endpoint.id)] == ["dead"]
    assert not store.due(connection)


def test_an_endpoint_is_sent_one_delivery_at_a_time_and_others_beside_it(
    connection: Connection, tenant: str, make_endpoint: Make
) -> None:
    first, second = make_endpoint(URL), make_endpoint(URL)
    for _ in range(3):
        happen(connection, tenant)
    dispatch(connection)
    parcels = store.claim(connection, 10, LEASE_S)
    assert {parcel.endpoint_id for parcel in parcels} == {first.id, second.id}
    assert len(parcels) == 2
    assert store.claim(connection, 10, LEASE_S) == []
    mine = next(parcel for parcel in parcels if parcel.endpoint_id == first.id)
    assert store.record(connection, mine, Outcome(200)) == "delivered"
    [again] = store.claim(connection, 10, LEASE_S)
    assert again.endpoint_id == first.id
    assert again.event_id != mine.event_id


def test_two_claimers_at_once_never_take_the_same_delivery(
    settings: Settings, connection: Connection, tenant: str, make_endpoint: Make
) -> None:
    for _ in range(10):
        make_endpoint(URL)
    happen(connection, tenant)
    dispatch(connection)

    def claim_all(_: int) -> list[str]:
        taken: list[str] = []
        with connect(settings.postgres) as own:
            while parcels := store.claim(own, 2, LEASE_S):
                taken += [parcel.id for parcel in parcels]
        return taken

    with ThreadPoolExecutor(4) as threads:
        taken = [parcel for group in threads.map(claim_all, range(4)) for parcel in group]
    # A claimer that met only locked rows has gone home: what is left waits for the next.
    taken += claim_all(0)
    assert len(taken) == len(set(taken)) == 10


def test_claims_go_to_those_who_were_served_longest_ago(
    connection: Connection, tenant: str, make_endpoint: Make
) -> None:
    endpoints = [make_endpoint(URL) for _ in range(3)]
    for _ in range(2):
        happen(connection, tenant)
    dispatch(connection)
    served = []
    for _ in range(6):
        [parcel] = store.claim(connection, 1, LEASE_S)
        store.record(connection, parcel, Outcome(200))
        served.append(parcel.endpoint_id)
    assert served[:3] == served[3:] == [endpoint.id for endpoint in endpoints]


def test_failures_are_tried_again_by_the_schedule_until_the_delivery_is_dead(
    connection: Connection, tenant: str, make_endpoint: Make
) -> None:
    endpoint = make_endpoint(URL)
    happen(connection, tenant)
    dispatch(connection)
    for attempt, wait in enumerate(RETRY_S, 1):
        [parcel] = store.claim(connection, 10, LEASE_S)
        assert parcel.attempt == attempt
        outcome = Outcome(None, f"failure {attempt}")
        assert store.record(connection, parcel, outcome) == "waiting"
        assert next_in_s(connection, parcel.id) == pytest.approx(wait, rel=JITTER, abs=2)
        make_due(connection)
    [last] = store.claim(connection, 10, LEASE_S)
    assert store.record(connection, last, Outcome(503, "answered 503")) == "dead"
    [dead] = store.list_deliveries(connection, endpoint.id, "dead", None, 10)
    assert (dead.attempts, dead.status, dead.error) == (len(RETRY_S) + 1, 503, "answered 503")
    told = [(one["attempt"], one["response_status"], one["error"]) for one in dead.attempt_list]
    failed = [(attempt, None, f"failure {attempt}") for attempt in range(1, len(RETRY_S) + 1)]
    assert told == [*failed, (len(RETRY_S) + 1, 503, "answered 503")]
    assert dead.next_at is None
    assert dead.ended_at is not None
    assert store.list_deliveries(connection, endpoint.id, "waiting", None, 10) == []
    make_due(connection)
    assert store.claim(connection, 10, LEASE_S) == []


def test_waits_vary_so_that_what_failed_together_does_not_come_back_together(
    connection: Connection, tenant: str, make_endpoint: Make
) -> None:
    for _ in range(10):
        make_endpoint(URL)
    happen(connection, tenant)
    dispatch(connection)
    for _ in range(3):
        parcels = store.claim(connection, 10, LEASE_S)
        for parcel in parcels:
            store.record(connection, parcel, Outcome(500))
        waits = {round(next_in_s(connection, parcel.id), 1) for parcel in parcels}
        make_due(connection)
    assert len(waits) > 5


def test_a_claim_that_nobody_recorded_lapses_and_its_late_outcome_does_not_count(
    connection: Connection, tenant: str, make_endpoint: Make
) -> None:
    endpoint = make_endpoint(URL)
    event_id = happen(connection, tenant)
    dispatch(connection)
    [lost] = store.claim(connection, 10, LEASE_S)
    make_due(connection)
    [again] = store.claim(connection, 10, LEASE_S)
    assert (again.id, again.event_id, again.attempt) == (lost.id, event_id, 2)
    assert store.record(connection, lost, Outcome(410)) is None
    assert store.claim(connection, 10, LEASE_S) == []
    assert store.record(connection, again, Outcome(200)) == "delivered"
    assert store.record(connection, again, Outcome(500)) is None
    [delivery] = deliveries(connection, endpoint.id)
    assert (delivery.state, delivery.status) == ("delivered", 200)


def test_a_410_disables_the_endpoint_and_buries_what_waits(
    connection: Connection, tenant: str, make_endpoint: Make
) -> None:
    gone, other = make_endpoint(URL), make_endpoint(URL)
    for _ in range(3):
        happen(connection, tenant)
    dispatch(connection)
    parcels = store.claim(connection, 10, LEASE_S)
    mine = next(parcel for parcel in parcels if parcel.endpoint_id == gone.id)
    assert store.record(connection, mine, Outcome(410, "answered 410")) == "dead"
    now = store.find_endpoint(connection, tenant, gone.id)
    assert now is not None
    assert now.disabled_at is not None
    buried = deliveries(connection, gone.id)
    assert [delivery.state for delivery in buried] == ["dead"] * 3
    assert {delivery.id: delivery.status for delivery in buried if delivery.status} == {
        mine.id: 410
    }
    assert [delivery.state for delivery in deliveries(connection, other.id)] == ["waiting"] * 3
    [entry, *_] = audit_page(connection, tenant, None, 1)
    assert (entry.actor, entry.action, entry.target) == ("webhooks", "webhook.change", gone.id)


def test_a_disabled_endpoint_can_be_enabled_and_gets_what_happens_from_then_on(
    connection: Connection, tenant: str, make_endpoint: Make
) -> None:
    endpoint = make_endpoint(URL)
    happen(connection, tenant)
    dispatch(connection)
    store.change_endpoint(connection, tenant, endpoint.id, {"disabled": True}, actor="cli")
    now = store.change_endpoint(connection, tenant, endpoint.id, {"disabled": False}, actor="cli")
    assert now is not None
    assert now.disabled_at is None
    assert store.claim(connection, 10, LEASE_S) == []
    event_id = happen(connection, tenant)
    dispatch(connection)
    [parcel] = store.claim(connection, 10, LEASE_S)
    assert parcel.event_id == event_id


def test_a_test_event_goes_to_its_endpoint_alone(
    connection: Connection, tenant: str, make_endpoint: Make
) -> None:
    endpoint, other = make_endpoint(URL), make_endpoint(URL)
    delivery = store.send_test(connection, tenant, endpoint.id)
    assert (delivery.event_type, delivery.state) == (TEST_EVENT, "waiting")
    assert store.due(connection)
    assert dispatch(connection) == 0
    [parcel] = store.claim(connection, 10, LEASE_S)
    assert (parcel.id, parcel.endpoint_id) == (delivery.id, endpoint.id)
    assert deliveries(connection, other.id) == []
    store.change_endpoint(connection, tenant, endpoint.id, {"disabled": True}, actor="cli")
    with pytest.raises(Conflict, match="disabled"):
        store.send_test(connection, tenant, endpoint.id)


def test_a_deleted_endpoint_takes_its_deliveries_with_it_and_its_sender_does_not_mind(
    connection: Connection, tenant: str, make_endpoint: Make
) -> None:
    endpoint = make_endpoint(URL)
    happen(connection, tenant)
    dispatch(connection)
    [parcel] = store.claim(connection, 10, LEASE_S)
    assert store.delete_endpoint(connection, tenant, endpoint.id, actor="key_x")
    assert store.record(connection, parcel, Outcome(410)) is None
    assert deliveries(connection, endpoint.id) == []
    assert not store.delete_endpoint(connection, tenant, endpoint.id, actor="key_x")


def test_a_tenant_has_no_more_endpoints_than_allowed_also_at_once(
    settings: Settings, connection: Connection, tenant: str, make_endpoint: Make
) -> None:
    for _ in range(ENDPOINTS_MAX - 1):
        make_endpoint(URL)

    def create(_: int) -> bool:
        with connect(settings.postgres) as own:
            try:
                store.create_endpoint(own, tenant, URL, "", ["a"], "sealed", actor="cli")
            except Conflict:
                return False
            return True

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(create, range(4))) == [False, False, False, True]
    stranger = create_tenant(connection, "stranger")
    make_endpoint(URL, tenant_id=stranger)
    assert len(store.list_endpoints(connection, tenant, None, 100)) == ENDPOINTS_MAX


def test_every_change_is_in_the_audit_log_without_the_secret(
    connection: Connection, tenant: str, make_endpoint: Make
) -> None:
    endpoint = make_endpoint(URL)
    store.change_endpoint(connection, tenant, endpoint.id, {"description": "x"}, actor="key_2")
    store.delete_endpoint(connection, tenant, endpoint.id, actor="key_3")
    entries = audit_page(connection, tenant, None, 3)[::-1]
    assert [(entry.actor, entry.action) for entry in entries] == [
        ("key_test", "webhook.create"), ("key_2", "webhook.change"), ("key_3", "webhook.delete"),
    ]  # fmt: skip
    assert {entry.target for entry in entries} == {endpoint.id}
    assert set(entries[0].detail) == {"url", "description", "events"}


def test_another_tenants_endpoint_is_not_there(
    connection: Connection, tenant: str, make_endpoint: Make
) -> None:
    stranger = create_tenant(connection, "stranger")
    endpoint = make_endpoint(URL)
    changes = {"description": "mine"}
    assert store.find_endpoint(connection, stranger, endpoint.id) is None
    assert store.change_endpoint(connection, stranger, endpoint.id, changes, actor="x") is None
    assert not store.delete_endpoint(connection, stranger, endpoint.id, actor="x")
    with pytest.raises(Conflict):
        store.send_test(connection, stranger, endpoint.id)
    assert store.list_endpoints(connection, stranger, None, 10) == []
    assert store.find_endpoint(connection, tenant, endpoint.id) == endpoint
