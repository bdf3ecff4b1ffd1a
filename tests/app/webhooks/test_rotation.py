"""Secrets that are rotated while deliveries are on their way: nobody fails to verify one."""

from collections.abc import Callable
from functools import partial

import pytest
from openai import OpenAI
from standardwebhooks import Webhook, WebhookVerificationError

from app.accounts.audit import audit_page
from app.accounts.tenants import create_tenant
from app.db.connect import Connection
from app.errors import Conflict
from app.settings import Settings
from app.vault import Vault
from app.webhooks import store
from app.webhooks.courier import Courier
from app.webhooks.model import OVERLAP_S, Endpoint, new_secret
from app.webhooks.replay.store import replay_one
from app.webhooks.secrets.store import job_secret, rotate, rotate_job_secret
from tests.app.webhooks.parts import SECRET, deliveries, dispatch, happen, make_due, verified
from tests.webhook_receiver import Heard, Receiver

NEW = new_secret()
Rotate = Callable[..., bool]


@pytest.fixture
def rotates(settings: Settings, connection: Connection, tenant: str) -> Rotate:
    """Rotates an endpoint's secret to NEW: `rotates(endpoint, 60)`."""

    def act(endpoint: Endpoint, overlap_s: int = OVERLAP_S, secret: str = NEW) -> bool:
        sealed = Vault(settings).seal(secret.encode())
        return rotate(connection, tenant, endpoint.id, sealed, overlap_s, actor="key_test")

    return act


def fits(heard: Heard, secret: str) -> bool:
    try:
        verified(heard, secret)
    except WebhookVerificationError:
        return False
    return True


def test_a_rotation_loses_no_verification(
    connection: Connection, tenant: str, receiver: Receiver, rotates: Rotate,
    make_endpoint: Callable[..., Endpoint], make_courier: Callable[..., Courier],
) -> None:  # fmt: skip
    endpoint, courier = make_endpoint(receiver.url), make_courier(receiver)
    happen(connection, tenant)
    courier.turn()
    happen(connection, tenant)
    dispatch(connection)
    [in_flight] = store.claim(connection, 1, 60)
    assert rotates(endpoint)
    courier.send(in_flight)
    make_due(connection)
    for _ in range(3):
        happen(connection, tenant)
    courier.turn()
    [old, *_] = deliveries(connection, endpoint.id)
    assert replay_one(connection, tenant, endpoint.id, old.id, actor="key_test")
    courier.turn()
    before, flying, *after = receiver.heard
    assert [fits(heard, SECRET) for heard in receiver.heard] == [True] * len(receiver.heard)
    assert (fits(before, NEW), fits(flying, NEW)) == (False, False)
    assert len(after) == 5, "what was in flight, three new ones and the replay"
    assert all(fits(heard, NEW) for heard in after)
    assert {len(heard.headers["webhook-signature"].split(" ")) for heard in after} == {2}
    assert after[-1].headers["webhook-id"] == before.headers["webhook-id"]
    unwrap = OpenAI(api_key="x").webhooks.unwrap
    for secret in (SECRET, NEW):
        event = unwrap(after[0].body, after[0].headers, secret=secret)
        assert event.id == after[0].headers["webhook-id"]
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(after[0].body, after[0].headers)


def test_after_the_overlap_the_new_secret_signs_alone(
    connection: Connection, tenant: str, receiver: Receiver, rotates: Rotate,
    make_endpoint: Callable[..., Endpoint], make_courier: Callable[..., Courier],
) -> None:  # fmt: skip
    endpoint = make_endpoint(receiver.url)
    rotates(endpoint)
    connection.execute("UPDATE webhook_endpoint SET old_until = now() - interval '1 ms'")
    happen(connection, tenant)
    make_courier(receiver).turn()
    [heard] = receiver.heard
    assert (fits(heard, SECRET), fits(heard, NEW)) == (False, True)


def test_a_secret_that_leaked_is_dropped_at_once_also_during_an_overlap(
    connection: Connection, tenant: str, receiver: Receiver, rotates: Rotate,
    make_endpoint: Callable[..., Endpoint], make_courier: Callable[..., Courier],
) -> None:  # fmt: skip
    endpoint = make_endpoint(receiver.url)
    rotates(endpoint)
    with pytest.raises(Conflict, match="signs until"):
        rotates(endpoint, 60, new_secret())
    third = new_secret()
    assert rotates(endpoint, 0, third)
    happen(connection, tenant)
    make_courier(receiver).turn()
    [heard] = receiver.heard
    assert [fits(heard, secret) for secret in (SECRET, NEW, third)] == [False, False, True]
    found = store.find_endpoint(connection, tenant, endpoint.id)
    assert found is not None
    assert found.old_until is None
    last, first, _ = audit_page(connection, tenant, None, 3)
    assert {(one.action, one.target) for one in (last, first)} == {("webhook.rotate", endpoint.id)}
    assert (first.detail, last.detail) == ({"overlap": OVERLAP_S}, {"overlap": 0})


def test_another_tenants_secret_is_not_rotated(
    connection: Connection, make_endpoint: Callable[..., Endpoint]
) -> None:
    endpoint = make_endpoint("https://hooks.example.com/in")
    stranger = create_tenant(connection, "stranger")
    assert not rotate(connection, stranger, endpoint.id, "sealed", 0, actor="x")
    row = connection.execute("SELECT secret FROM webhook_endpoint").fetchone()
    assert row is not None
    assert row[0] != "sealed"


def test_jobs_have_one_secret_that_is_made_once_and_rotated(
    connection: Connection, tenant: str
) -> None:
    numbers = iter(range(9))
    read = partial(job_secret, connection, tenant, lambda: f"sealed {next(numbers)}")
    assert read().secret == read().secret == "sealed 0"
    now = rotate_job_secret(connection, tenant, "new", 3600, actor="x")
    assert (now.secret, read().secret) == ("new", "new")
    assert now.old_until is not None
    with pytest.raises(Conflict):
        rotate_job_secret(connection, tenant, "newer", 3600, actor="x")
    assert rotate_job_secret(connection, tenant, "newest", 0, actor="x").old_until is None
    stranger = create_tenant(connection, "stranger")
    first = rotate_job_secret(connection, stranger, "first", 3600, actor="x")
    assert (first.secret, first.old_until) == ("first", None)
