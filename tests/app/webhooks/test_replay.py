"""Deliveries that are sent once more, and endpoints that are left alone for a while."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from app.accounts.tenants import create_tenant
from app.db.connect import Connection
from app.errors import Conflict
from app.webhooks import store
from app.webhooks.courier import Courier
from app.webhooks.model import (
    ATTEMPTS_KEPT,
    BREAKER_FAILURES,
    GIVE_UP_S,
    RETRY_S,
    Endpoint,
    Outcome,
)
from app.webhooks.replay.store import Wanted, replay_many, replay_one
from tests.app.webhooks.parts import EVENT, deliveries, dispatch, happen, make_due
from tests.webhook_receiver import Receiver

URL = "https://hooks.example.com/in"
Make = Callable[..., Endpoint]


def wanted(**how: object) -> Wanted:
    given = {"since_s": 0.0, "until_s": None, "types": None, "state": "dead", **how}
    return Wanted(**given)  # type: ignore[arg-type]


def fail(connection: Connection, times: int) -> None:
    """Fails whatever is due to the one endpoint there is, so many times."""
    for _ in range(times):
        make_due(connection)
        [parcel] = store.claim(connection, 1, 60)
        store.record(connection, parcel, Outcome(500, "answered 500"))


def endpoint_now(connection: Connection, tenant: str, endpoint: Endpoint) -> Endpoint:
    found = store.find_endpoint(connection, tenant, endpoint.id)
    assert found is not None
    return found


def test_a_dead_delivery_is_replayed_with_the_same_event_and_all_its_attempts(
    connection: Connection, tenant: str, receiver: Receiver, make_endpoint: Make,
    make_courier: Callable[..., Courier],
) -> None:  # fmt: skip
    endpoint = make_endpoint(receiver.url)
    event_id = happen(connection, tenant)
    dispatch(connection)
    fail(connection, len(RETRY_S) + 1)
    [dead] = deliveries(connection, endpoint.id)
    assert (dead.state, dead.attempts) == ("dead", 8)
    now = replay_one(connection, tenant, endpoint.id, dead.id, actor="key_x")
    assert now is not None
    assert (now.id, now.state, now.attempts, now.ended_at) == (dead.id, "waiting", 8, None)
    receiver.status = 503
    make_courier(receiver).turn()
    [again] = deliveries(connection, endpoint.id)
    assert (again.state, again.attempts, again.status) == ("waiting", 9, 503)
    receiver.status = 200
    make_due(connection)
    make_courier(receiver).turn()
    [done] = deliveries(connection, endpoint.id)
    assert (done.state, done.attempts) == ("delivered", 10)
    told = [(one["attempt"], one["response_status"]) for one in done.attempt_list]
    assert told == [*((attempt, 500) for attempt in range(1, 9)), (9, 503), (10, 200)]
    assert {heard.headers["webhook-id"] for heard in receiver.heard} == {event_id}
    assert replay_one(connection, tenant, endpoint.id, done.id, actor="key_x")
    make_courier(receiver).turn()
    assert len(receiver.heard) == 3


def test_of_many_attempts_the_last_are_told_of(
    connection: Connection, tenant: str, make_endpoint: Make
) -> None:
    endpoint = make_endpoint(URL)
    happen(connection, tenant)
    dispatch(connection)
    [delivery] = deliveries(connection, endpoint.id)
    for _ in range(ATTEMPTS_KEPT + 2):
        replay_one(connection, tenant, endpoint.id, delivery.id, actor="x")
        [parcel] = store.claim(connection, 1, 60)
        store.record(connection, parcel, Outcome(200))
    [delivery] = deliveries(connection, endpoint.id)
    told = [one["attempt"] for one in delivery.attempt_list]
    assert told == list(range(3, ATTEMPTS_KEPT + 3))


def test_a_sender_that_comes_late_does_not_decide_over_a_replay(
    connection: Connection, tenant: str, make_endpoint: Make
) -> None:
    endpoint = make_endpoint(URL)
    happen(connection, tenant)
    dispatch(connection)
    [slow] = store.claim(connection, 1, 60)
    make_due(connection)
    [quick] = store.claim(connection, 1, 60)
    assert store.record(connection, quick, Outcome(200)) == "delivered"
    replay_one(connection, tenant, endpoint.id, slow.id, actor="x")
    assert store.record(connection, slow, Outcome(410)) is None
    [delivery] = deliveries(connection, endpoint.id)
    assert delivery.state == "waiting"


def test_many_are_replayed_by_state_time_and_type_and_no_more_than_wanted(
    connection: Connection, tenant: str, make_endpoint: Make
) -> None:
    endpoint, other = make_endpoint(URL), make_endpoint(URL)
    for _ in range(4):
        happen(connection, tenant)
    dispatch(connection)
    connection.execute(
        "UPDATE webhook_delivery SET state = 'dead', next_at = NULL, ended_at = now(), attempts = 8"
    )
    oldest = deliveries(connection, endpoint.id)[0]
    connection.execute(
        "UPDATE webhook_delivery SET created_at = now() - interval '1 hour' WHERE id = %s",
        (oldest.id,),
    )

    def replay(limit: int = 10, **how: object) -> tuple[int, bool] | None:
        return replay_many(connection, tenant, endpoint.id, wanted(**how), limit, actor="x")

    assert replay(types=["job.completed"]) == (0, False)
    assert replay(state="delivered") == (0, False)
    assert replay(until_s=time.time() - 60) == (1, False)
    assert deliveries(connection, endpoint.id)[0].state == "waiting"
    assert replay(2, since_s=time.time() - 60, types=[EVENT]) == (2, True)
    assert replay() == (1, False)
    assert {one.state for one in deliveries(connection, endpoint.id)} == {"waiting"}
    assert {one.state for one in deliveries(connection, other.id)} == {"dead"}


def test_nothing_is_replayed_to_an_endpoint_that_is_disabled_or_anothers(
    connection: Connection, tenant: str, make_endpoint: Make
) -> None:
    endpoint = make_endpoint(URL)
    happen(connection, tenant)
    dispatch(connection)
    store.change_endpoint(connection, tenant, endpoint.id, {"disabled": True}, actor="x")
    [dead] = deliveries(connection, endpoint.id)
    with pytest.raises(Conflict, match="disabled"):
        replay_one(connection, tenant, endpoint.id, dead.id, actor="x")
    with pytest.raises(Conflict, match="disabled"):
        replay_many(connection, tenant, endpoint.id, wanted(), 9, actor="x")
    stranger = create_tenant(connection, "stranger")
    assert replay_one(connection, stranger, endpoint.id, dead.id, actor="x") is None
    assert replay_many(connection, stranger, endpoint.id, wanted(), 9, actor="x") is None
    other = make_endpoint(URL)
    assert replay_one(connection, tenant, other.id, dead.id, actor="x") is None


def test_after_failures_in_a_row_deliveries_wait_and_one_is_tried(
    connection: Connection, tenant: str, make_endpoint: Make
) -> None:
    endpoint = make_endpoint(URL)
    for _ in range(BREAKER_FAILURES + 3):
        happen(connection, tenant)
    dispatch(connection)
    for _ in range(BREAKER_FAILURES):
        [parcel] = store.claim(connection, 1, 60)
        store.record(connection, parcel, Outcome(None, "no answer"))
    now = endpoint_now(connection, tenant, endpoint)
    assert now.failures == BREAKER_FAILURES
    assert now.paused_until is not None
    assert now.paused_until > datetime.now(UTC)
    assert store.claim(connection, 10, 60) == []
    assert not store.due(connection), "no courier is called for what waits"
    untouched = [one for one in deliveries(connection, endpoint.id) if not one.attempts]
    assert len(untouched) == 3

    connection.execute("UPDATE webhook_endpoint SET busy_until = now(), paused_until = now()")
    assert store.due(connection)
    [probe] = store.claim(connection, 10, 60)
    store.record(connection, probe, Outcome(500))
    assert store.claim(connection, 10, 60) == [], "it waits again, and longer"
    connection.execute("UPDATE webhook_endpoint SET busy_until = now(), paused_until = now()")
    [probe] = store.claim(connection, 10, 60)
    store.record(connection, probe, Outcome(204))
    now = endpoint_now(connection, tenant, endpoint)
    assert (now.failures, now.paused_until) == (0, None)
    assert len(store.claim(connection, 10, 60)) == 1


@pytest.mark.parametrize("how", ["replay", "test", "enable", "url"])
def test_who_has_mended_a_receiver_need_not_wait(
    connection: Connection, tenant: str, make_endpoint: Make, how: str
) -> None:
    endpoint = make_endpoint(URL)
    for _ in range(BREAKER_FAILURES + 1):
        happen(connection, tenant)
    dispatch(connection)
    for _ in range(BREAKER_FAILURES):
        [parcel] = store.claim(connection, 1, 60)
        store.record(connection, parcel, Outcome(500))
    assert store.claim(connection, 10, 60) == []
    if how == "replay":
        replay_one(connection, tenant, endpoint.id, parcel.id, actor="x")
    elif how == "test":
        store.send_test(connection, tenant, endpoint.id)
    else:
        change = {"disabled": False} if how == "enable" else {"url": URL + "/new"}
        store.change_endpoint(connection, tenant, endpoint.id, change, actor="x")
    assert len(store.claim(connection, 10, 60)) == 1


def test_what_is_held_up_for_a_day_is_dead(
    connection: Connection, tenant: str, make_endpoint: Make
) -> None:
    endpoint, fine = make_endpoint(URL), make_endpoint(URL)
    happen(connection, tenant)
    dispatch(connection)
    connection.execute(
        "UPDATE webhook_endpoint SET failures = 9, paused_until = now() WHERE id = %s",
        (endpoint.id,),
    )
    assert store.give_up(connection, GIVE_UP_S, 10) == 0
    connection.execute("UPDATE webhook_delivery SET next_at = now() - interval '25 hours'")
    assert store.give_up(connection, GIVE_UP_S, 10) == 1
    [held], [other] = (deliveries(connection, one.id) for one in (endpoint, fine))
    assert (held.state, held.error) == ("dead", "the endpoint kept failing")
    assert other.state == "waiting", "that it is late is ours, not its receiver's"
