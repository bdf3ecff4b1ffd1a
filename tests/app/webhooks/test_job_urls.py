"""Addresses that jobs name themselves: signed by the tenant's own secret, guarded, delivered."""

import json
from collections.abc import Callable

import pytest

from app.accounts.tenants import create_tenant
from app.db.connect import Connection
from app.errors import Conflict
from app.ids import new_id
from app.settings import Settings
from app.vault import Vault
from app.webhooks import store
from app.webhooks.courier import Courier
from app.webhooks.model import ENDPOINTS_MAX, Endpoint, new_secret
from app.webhooks.secrets.store import job_secret, origin_of, rotate, rotate_job_secret
from tests.app.webhooks.parts import deliveries, dispatch, make_due, verified
from tests.webhook_receiver import Receiver


def end_job(connection: Connection, tenant_id: str, url: str) -> str:
    """Notes the end of a job as the job line does; returns the job's id."""
    job_id = new_id("job")
    connection.execute(
        "INSERT INTO webhook_event (id, tenant_id, type, data, url) "
        "VALUES (%s, %s, 'job.completed', %s, %s)",
        (new_id("evt"), tenant_id, json.dumps({"id": job_id}), url),
    )
    return job_id


def endpoints(connection: Connection, tenant_id: str) -> list[Endpoint]:
    return store.list_endpoints(connection, tenant_id, None, 100)


def test_a_jobs_own_address_is_told_and_signed_with_the_tenants_secret(
    settings: Settings, connection: Connection, tenant: str, receiver: Receiver,
    make_endpoint: Callable[..., Endpoint], make_courier: Callable[..., Courier],
) -> None:  # fmt: skip
    make_endpoint(receiver.url + "/all")
    job_id = end_job(connection, tenant, receiver.url + "?job=1")
    end_job(connection, tenant, receiver.url + "?job=2")
    make_courier(receiver).turn()
    secret = Vault(settings).open(job_secret(connection, tenant, str).secret).decode()
    own = {heard.path: heard for heard in receiver.heard if "?" in heard.path}
    assert set(own) == {"/hook?job=1", "/hook?job=2"}
    payload = verified(own["/hook?job=1"], secret)
    assert (payload["type"], payload["data"]["id"]) == ("job.completed", job_id)
    assert len(receiver.heard) == 4, "the endpoint that asks for all is told as well"
    _, ours = endpoints(connection, tenant)
    assert (ours.kind, ours.url, ours.events) == ("jobs", f"http://{receiver.allow}", [])
    told = deliveries(connection, ours.id)
    assert {delivery.url for delivery in told} == {f"{receiver.url}?job={n}" for n in (1, 2)}
    assert {delivery.state for delivery in told} == {"delivered"}

    new = new_secret()
    rotate_job_secret(connection, tenant, Vault(settings).seal(new.encode()), 60, actor="x")
    end_job(connection, tenant, receiver.url)
    make_courier(receiver).turn()
    last = next(heard for heard in receiver.heard[::-1] if heard.path == "/hook")
    for either in (secret, new):
        assert verified(last, either)


def test_a_410_ends_that_delivery_and_no_other(
    connection: Connection, tenant: str, receiver: Receiver, make_courier: Callable[..., Courier]
) -> None:
    receiver.status = 410
    end_job(connection, tenant, receiver.url)
    make_courier(receiver).turn()
    receiver.status = 200
    end_job(connection, tenant, receiver.url)
    make_courier(receiver).turn()
    [ours] = endpoints(connection, tenant)
    assert ours.disabled_at is None
    assert [one.state for one in deliveries(connection, ours.id)] == ["dead", "delivered"]


def test_the_address_is_checked_at_each_delivery(
    settings: Settings, connection: Connection, tenant: str, receiver: Receiver
) -> None:
    answers = iter([["10.0.0.1"], ["169.254.169.254"], ["::1"]])
    courier = Courier(settings, resolver=lambda host, port: next(answers))
    end_job(connection, tenant, "https://hooks.example.com/x")
    for attempt in (1, 2, 3):
        make_due(connection)
        courier.turn()
        [ours] = endpoints(connection, tenant)
        [delivery] = deliveries(connection, ours.id)
        assert (delivery.state, delivery.attempts) == ("waiting", attempt)
        assert "no public address" in str(delivery.error)
    assert receiver.heard == []


def test_an_origin_has_one_endpoint_a_tenant_beside_those_that_are_counted(
    connection: Connection, tenant: str, make_endpoint: Callable[..., Endpoint]
) -> None:
    stranger = create_tenant(connection, "stranger")
    for at in ("/a", "/b?c=d", ":443/e"):
        end_job(connection, tenant, f"https://hooks.example.com{at}")
    end_job(connection, tenant, "https://hooks.example.com:8443/")
    end_job(connection, stranger, "https://hooks.example.com/")
    assert dispatch(connection) == 5
    urls = [one.url for one in endpoints(connection, tenant)]
    assert sorted(urls) == ["https://hooks.example.com", "https://hooks.example.com:8443"]
    assert len(endpoints(connection, stranger)) == 1
    for _ in range(ENDPOINTS_MAX):
        make_endpoint("https://hooks.example.com/")


def test_it_can_be_disabled_and_nothing_else(connection: Connection, tenant: str) -> None:
    end_job(connection, tenant, "https://hooks.example.com/a")
    dispatch(connection)
    [ours] = endpoints(connection, tenant)
    for change in ({"url": "https://x.example.com"}, {"events": ["job.failed"]}):
        with pytest.raises(Conflict):
            store.change_endpoint(connection, tenant, ours.id, change, actor="x")
    with pytest.raises(Conflict):
        store.send_test(connection, tenant, ours.id)
    with pytest.raises(Conflict, match="job_secret"):
        rotate(connection, tenant, ours.id, "sealed", 0, actor="x")
    store.change_endpoint(connection, tenant, ours.id, {"disabled": True}, actor="x")
    end_job(connection, tenant, "https://hooks.example.com/b")
    dispatch(connection)
    assert [one.state for one in deliveries(connection, ours.id)] == ["dead"]


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://h.example.com/a?b#c", "https://h.example.com"),
        ("https://h.example.com:8443", "https://h.example.com:8443"),
        ("http://[2001:4860::8888]:8443/x", "http://[2001:4860::8888]:8443"),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, origin: str) -> None:
    assert origin_of(url.partition("#")[0]) == origin
