"""Rotation and replay of webhooks behind their doors."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from standardwebhooks import Webhook

from app.db.connect import Connection
from app.settings import Settings
from app.webhooks.courier import Courier
from tests.app.line import tenant
from tests.app.web.doors import Caller
from tests.app.webhooks.parts import happen, make_due
from tests.webhook_receiver import Receiver

AT = "/v1/webhook_endpoints"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def settings(settings: Settings, receiver: Receiver) -> Settings:
    return settings.model_copy(update={"webhook_allow": receiver.allow})


@pytest.fixture
def caller(app: Flask, connection: Connection, mine: str) -> Caller:
    return Caller(app, connection, mine, scopes=["manage"])


@pytest.fixture
def endpoint(caller: Caller, receiver: Receiver) -> Any:
    body = {"url": receiver.url, "name": "all", "event_types": ["budget.soft_limit_reached"]}
    answer = caller.post(AT, body)
    assert answer.status_code == 201, answer.text
    made = answer.get_json()
    assert (made["events"], made["description"]) == (body["event_types"], "all")
    return made


def test_a_secret_is_rotated_and_both_sign(
    settings: Settings, caller: Caller, connection: Connection, mine: str, receiver: Receiver,
    endpoint: Any,
) -> None:  # fmt: skip
    path = f"{AT}/{endpoint['id']}/rotate_secret"
    now = caller.post(path, {"overlap": 3600}).get_json()
    assert now["secret"] == now["signing_secret"] != endpoint["secret"]
    assert isinstance(now["old_secret_until"], int)
    happen(connection, mine)
    Courier(settings).turn()
    [heard] = receiver.heard
    for secret in (endpoint["secret"], now["secret"]):
        assert Webhook(secret).verify(heard.body, heard.headers)
    assert "secret" not in caller.get(f"{AT}/{endpoint['id']}").get_json()
    assert caller.post(path, None).status_code == 409
    dropped = caller.post(path, {"keep_old_secret_active_for_24_hours": False}).get_json()
    assert dropped["old_secret_until"] is None
    for wrong in ({"overlap": -1}, {"overlap": 8 * 86_400}):
        assert caller.post(path, wrong).get_json()["error"]["param"] == "overlap"


def test_a_repeated_rotation_with_a_key_rotates_once(caller: Caller, endpoint: Any) -> None:
    path = f"{AT}/{endpoint['id']}/rotate_secret"
    first, second = (caller.post(path, {}, **{"Idempotency-Key": "k"}) for _ in range(2))
    assert first.get_json()["secret"] == second.get_json()["secret"]


def test_the_secret_of_jobs_is_shown_and_rotated(caller: Caller) -> None:
    path = f"{AT}/job_secret"
    secret = caller.get(path).get_json()["secret"]
    assert caller.get(path).get_json()["secret"] == secret
    now = caller.post(f"{path}/rotate_secret", {"overlap": 60}).get_json()
    assert now["secret"] != secret
    assert caller.get(path).get_json() == now


def test_deliveries_are_replayed_one_by_one_and_together(
    settings: Settings, caller: Caller, connection: Connection, mine: str, receiver: Receiver,
    endpoint: Any,
) -> None:  # fmt: skip
    for _ in range(3):
        happen(connection, mine)
    Courier(settings).turn()
    path = f"{AT}/{endpoint['id']}"
    first = caller.get(f"{path}/deliveries").get_json()["data"][0]
    again = caller.post(f"{path}/deliveries/{first['id']}/replay", None)
    assert (again.status_code, again.get_json()["status"]) == (202, "waiting")
    Courier(settings).turn()
    assert len(receiver.heard) == 4
    many = caller.post(f"{path}/replay", {"since": 0, "state": "delivered", "limit": 2})
    assert many.get_json() == {
        "object": "webhook_replay", "endpoint_id": endpoint["id"], "replayed": 2, "has_more": True,
    }  # fmt: skip
    Courier(settings).turn()
    assert len(receiver.heard) == 6
    for wrong, param in (
        ({}, "since"), ({"since": "soon"}, "since"), ({"since": 0, "types": ["x"]}, "types.0"),
        ({"since": 0, "state": "gone"}, "state"), ({"since": 0, "limit": 0}, "limit"),
    ):  # fmt: skip
        assert caller.post(f"{path}/replay", wrong).get_json()["error"]["param"] == param


def test_an_endpoint_that_fails_shows_that_its_deliveries_wait(
    settings: Settings, caller: Caller, connection: Connection, mine: str, receiver: Receiver,
    endpoint: Any,
) -> None:  # fmt: skip
    receiver.status = 500
    for _ in range(9):
        happen(connection, mine)
    Courier(settings).turn()
    assert len(receiver.heard) == 5, "a turn does not go on at an endpoint that only fails"
    path = f"{AT}/{endpoint['id']}"
    breaker = caller.get(path).get_json()["breaker"]
    assert (breaker["state"], breaker["failures"]) == ("open", 5)
    connection.execute("UPDATE webhook_endpoint SET paused_until = now()")
    assert caller.get(path).get_json()["breaker"]["state"] == "half_open"
    receiver.status = 200
    make_due(connection)
    Courier(settings).turn()
    assert caller.get(path).get_json()["breaker"] == {
        "state": "closed", "failures": 0, "retry_at": None,
    }  # fmt: skip
    assert len(receiver.heard) == 14


def test_another_tenants_are_not_there(
    app: Flask, caller: Caller, connection: Connection, endpoint: Any
) -> None:
    delivery = caller.post(f"{AT}/{endpoint['id']}/test", None).get_json()
    stranger = Caller(app, connection, tenant(connection), scopes=["manage"])
    for path in ("rotate_secret", "replay", f"deliveries/{delivery['id']}/replay"):
        answer = stranger.post(f"{AT}/{endpoint['id']}/{path}", {"since": 0})
        assert answer.status_code == 404, path
    assert caller.post(f"{AT}/{endpoint['id']}/deliveries/whd_x/replay", None).status_code == 404
