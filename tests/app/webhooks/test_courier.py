"""Deliveries to a real receiver."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from app.db.connect import Connection
from app.settings import Settings
from app.vault import Vault
from app.webhooks import store
from app.webhooks.courier import ANSWER_MAX, Courier
from app.webhooks.model import Delivery, Endpoint
from tests.app.webhooks.parts import (
    EVENT,
    SECRET,
    deliveries,
    dispatch,
    happen,
    make_due,
    verified,
)
from tests.issuer import eventually
from tests.waiting import wait_for
from tests.webhook_receiver import Receiver, certificate_for

Make = Callable[..., Endpoint]
MakeCourier = Callable[..., Courier]
NAME = "hooks.example.com"


def only(connection: Connection, endpoint: Endpoint) -> Delivery:
    [delivery] = deliveries(connection, endpoint.id)
    return delivery


def test_a_soft_limit_that_is_reached_is_told_and_signed(
    connection: Connection, tenant: str, receiver: Receiver,
    make_endpoint: Make, make_courier: MakeCourier,
) -> None:  # fmt: skip
    endpoint = make_endpoint(receiver.url)
    connection.execute(
        "INSERT INTO budget (id, tenant_id, scope, subject, period, soft, held, period_start) "
        "VALUES ('bud_1', %(t)s, 'tenant', %(t)s, 'day', 100, 200, period_start('day'))",
        {"t": tenant},
    )
    connection.execute("SELECT pay_budgets('{200}'::bigint[], '{150}'::bigint[], '{bud_1}')")
    make_courier(receiver).turn()
    [heard] = receiver.heard
    payload = verified(heard)
    assert payload["type"] == EVENT
    assert payload["data"] == {"id": "bud_1", "object": "budget"}
    assert set(payload) == {"id", "object", "created_at", "type", "timestamp", "data"}
    assert (payload["id"], payload["object"]) == (heard.headers["webhook-id"], "event")
    assert payload["timestamp"].endswith("Z")
    delivery = only(connection, endpoint)
    assert (delivery.state, delivery.status, delivery.attempts) == ("delivered", 204, 1)
    assert heard.headers["webhook-id"] == delivery.event_id
    assert heard.headers["content-type"] == "application/json"
    assert abs(int(heard.headers["webhook-timestamp"]) - time.time()) < 60


def test_a_signature_is_of_this_secret_and_this_body(
    connection: Connection, tenant: str, receiver: Receiver,
    make_endpoint: Make, make_courier: MakeCourier,
) -> None:  # fmt: skip
    make_endpoint(receiver.url)
    happen(connection, tenant)
    make_courier(receiver).turn()
    [heard] = receiver.heard
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "A" * 44).verify(heard.body, heard.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(heard.body + b" ", heard.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(heard.body, {**heard.headers, "webhook-id": "evt_other"})


def test_a_receiver_that_is_down_gets_the_same_event_once_it_is_up(
    connection: Connection, tenant: str, receiver: Receiver,
    make_endpoint: Make, make_courier: MakeCourier,
) -> None:  # fmt: skip
    endpoint = make_endpoint(receiver.url)
    event_id = happen(connection, tenant)
    courier = make_courier(receiver)
    receiver.down()
    courier.turn()
    delivery = only(connection, endpoint)
    assert (delivery.state, delivery.status, delivery.attempts) == ("waiting", None, 1)
    assert "ConnectError" in str(delivery.error)
    receiver.up()
    receiver.status = 500
    courier.turn()
    assert receiver.heard == []
    make_due(connection)
    courier.turn()
    delivery = only(connection, endpoint)
    assert (delivery.state, delivery.status, delivery.error) == ("waiting", 500, "answered 500")
    receiver.status = 200
    make_due(connection)
    courier.turn()
    delivery = only(connection, endpoint)
    assert (delivery.state, delivery.status, delivery.error) == ("delivered", 200, None)
    assert delivery.attempts == 3
    first, second = receiver.heard
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == event_id
    assert first.body == second.body
    assert verified(second)


def test_a_receiver_that_does_not_answer_is_given_up_for_now(
    connection: Connection, tenant: str, receiver: Receiver,
    make_endpoint: Make, make_courier: MakeCourier,
) -> None:  # fmt: skip
    endpoint = make_endpoint(receiver.url)
    happen(connection, tenant)
    receiver.open.clear()
    make_courier(receiver, timeout_s=0.2).turn()
    delivery = only(connection, endpoint)
    assert (delivery.state, delivery.error) == ("waiting", "no answer within 0.2 s")
    assert len(receiver.heard) == 1


def test_a_head_that_drips_is_bounded_as_a_whole(
    gevent_http: None, connection: Connection, tenant: str, receiver: Receiver,
    make_endpoint: Make, make_courier: MakeCourier, turning: Callable[[Courier], None],
) -> None:  # fmt: skip
    endpoint = make_endpoint(receiver.url)
    happen(connection, tenant)
    until = time.monotonic() + 8

    def drip(out: Any) -> None:
        out.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        with suppress(OSError):
            while time.monotonic() < until:
                out.write(b"x")
                time.sleep(0.05)

    receiver.answer = drip
    turning(make_courier(receiver, timeout_s=0.4))
    eventually(lambda: only_error(connection, endpoint), "the attempt's end")
    assert time.monotonic() < until
    assert only_error(connection, endpoint) == "no answer within 0.4 s"


def only_error(connection: Connection, endpoint: Endpoint) -> str | None:
    found = deliveries(connection, endpoint.id)
    return found[0].error if found else None


def test_a_body_without_end_is_cut_and_its_status_counts(
    connection: Connection, tenant: str, receiver: Receiver,
    make_endpoint: Make, make_courier: MakeCourier,
) -> None:  # fmt: skip
    endpoint = make_endpoint(receiver.url)
    happen(connection, tenant)
    sent: list[int] = []
    cut: list[bool] = []

    def flood(out: Any) -> None:
        out.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        try:
            while sum(sent) < 1_000_000_000:
                sent.append(out.write(b"x" * 65536))
        except OSError:
            cut.append(True)

    receiver.answer = flood
    make_courier(receiver).turn()
    assert only(connection, endpoint).state == "delivered"
    wait_for(lambda: cut, 10, "the receiver's broken pipe")
    # What it got rid of beyond the limit lay in the sockets' buffers.
    assert sum(sent) < 100 * ANSWER_MAX


def test_a_redirect_is_a_failure_and_not_followed(
    connection: Connection, tenant: str, receiver: Receiver,
    make_endpoint: Make, make_courier: MakeCourier,
) -> None:  # fmt: skip
    endpoint = make_endpoint(receiver.url)
    happen(connection, tenant)
    with Receiver() as other:
        receiver.status, receiver.headers = 307, {"Location": other.url}
        make_courier(receiver, other).turn()
        assert other.heard == []
    assert (only(connection, endpoint).state, only(connection, endpoint).status) == ("waiting", 307)


def test_a_410_disables_the_endpoint(
    connection: Connection, tenant: str, receiver: Receiver,
    make_endpoint: Make, make_courier: MakeCourier,
) -> None:  # fmt: skip
    endpoint = make_endpoint(receiver.url)
    happen(connection, tenant)
    happen(connection, tenant)
    receiver.status = 410
    courier = make_courier(receiver)
    courier.turn()
    happen(connection, tenant)
    make_due(connection)
    courier.turn()
    assert len(receiver.heard) == 1
    assert [delivery.state for delivery in deliveries(connection, endpoint.id)] == ["dead"] * 2
    found = store.find_endpoint(connection, tenant, endpoint.id)
    assert found is not None
    assert found.disabled_at is not None


def test_a_turn_sends_all_that_is_due_to_an_endpoint(
    connection: Connection, tenant: str, receiver: Receiver,
    make_endpoint: Make, make_courier: MakeCourier,
) -> None:  # fmt: skip
    make_endpoint(receiver.url)
    events = [happen(connection, tenant) for _ in range(5)]
    make_courier(receiver).turn()
    assert sorted(heard.headers["webhook-id"] for heard in receiver.heard) == sorted(events)
    assert not store.due(connection)


def test_two_couriers_at_once_deliver_each_event_once(
    connection: Connection, tenant: str, receiver: Receiver,
    make_endpoint: Make, make_courier: MakeCourier,
) -> None:  # fmt: skip
    for _ in range(4):
        make_endpoint(receiver.url)
    events = [happen(connection, tenant) for _ in range(5)]

    def turn(_: int) -> None:
        make_courier(receiver).turn()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(turn, range(2)))
    # One that met only what the other held is done early; the next ring finds what is left.
    turn(0)
    told = sorted(heard.headers["webhook-id"] for heard in receiver.heard)
    assert told == sorted(events * 4)


def test_after_a_crash_between_sending_and_recording_the_event_comes_again_with_its_id(
    connection: Connection, tenant: str, receiver: Receiver,
    make_endpoint: Make, make_courier: MakeCourier,
) -> None:  # fmt: skip
    endpoint = make_endpoint(receiver.url)
    event_id = happen(connection, tenant)
    dispatch(connection)
    [parcel] = store.claim(connection, 1, 60)
    courier = make_courier(receiver)
    assert courier.send(parcel).delivered
    courier.turn()
    assert len(receiver.heard) == 1
    make_due(connection)
    courier.turn()
    assert [heard.headers["webhook-id"] for heard in receiver.heard] == [event_id] * 2
    assert (only(connection, endpoint).state, only(connection, endpoint).attempts) == (
        "delivered", 2,
    )  # fmt: skip


def test_a_slow_receiver_holds_up_nobody_else(
    gevent_http: None, connection: Connection, tenant: str, receiver: Receiver,
    make_endpoint: Make, make_courier: MakeCourier, turning: Callable[[Courier], None],
) -> None:  # fmt: skip
    with Receiver() as slow:
        slow.open.clear()
        late = make_endpoint(slow.url)
        make_endpoint(receiver.url)
        for _ in range(5):
            happen(connection, tenant)
        courier = make_courier(receiver, slow, timeout_s=20)
        turning(courier)
        eventually(lambda: len(receiver.heard) == 5, "the other receiver's events")
        happen(connection, tenant)
        turning(courier)
        eventually(lambda: len(receiver.heard) == 6, "the other receiver's next event")
        assert len(slow.heard) == 1
        slow.open.set()
        eventually(lambda: len(slow.heard) == 6, "the slow receiver's events")
        states = [delivery.state for delivery in deliveries(connection, late.id)]
        assert states.count("dead") == 0


def test_an_address_is_checked_at_each_delivery(
    settings: Settings, connection: Connection, tenant: str, receiver: Receiver,
    make_endpoint: Make,
) -> None:  # fmt: skip
    endpoint = make_endpoint(f"https://{NAME}/hook")
    happen(connection, tenant)
    Courier(settings, resolver=lambda host, port: ["127.0.0.1"]).turn()
    delivery = only(connection, endpoint)
    assert delivery.state == "waiting"
    assert delivery.error == "the URL is refused: its host has no public address"
    assert receiver.heard == []


def test_https_is_spoken_with_a_certificate_for_the_name(
    settings: Settings, connection: Connection, tenant: str, make_endpoint: Make
) -> None:
    with Receiver(certificate_for(NAME)) as secure:
        endpoint = make_endpoint(f"https://{NAME}:{secure.port}/hook")
        happen(connection, tenant)
        allowing = settings.model_copy(update={"webhook_allow": f"{NAME}:{secure.port}"})
        trusting = certificate_for(NAME).client()
        Courier(allowing, resolver=lambda host, port: ["127.0.0.1"], tls=trusting).turn()
        assert verified(secure.heard[0])
        assert only(connection, endpoint).state == "delivered"


def test_a_secret_whose_key_is_lost_counts_as_a_failed_attempt_until_the_key_is_back(
    settings: Settings, connection: Connection, tenant: str, receiver: Receiver,
    make_endpoint: Make, make_courier: MakeCourier,
) -> None:  # fmt: skip
    endpoint = make_endpoint(receiver.url)
    happen(connection, tenant)
    key = settings.home / "encryption.key"
    kept = key.read_text()
    key.unlink()
    courier = make_courier(receiver)
    courier.turn()
    delivery = only(connection, endpoint)
    assert (delivery.state, delivery.error) == ("waiting", "the request could not be made")
    key.write_text(kept)
    make_due(connection)
    courier.turn()
    assert only(connection, endpoint).state == "delivered"
    assert Vault(settings).open(Vault(settings).seal(b"x")) == b"x"
