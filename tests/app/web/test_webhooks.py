"""`/v1/webhook_endpoints` behind its door."""

import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from standardwebhooks import Webhook
from werkzeug.test import TestResponse

from app.accounts.store import create_key
from app.accounts.tenants import create_tenant
from app.db.connect import Connection, connect
from app.settings import Settings
from app.vault import Vault
from app.web.auth import needs
from app.web.front import front
from app.web.guards import GUARDS, guard
from app.web.problems import install
from app.web.webhooks import webhook_routes
from app.webhooks.courier import Courier
from app.webhooks.model import ENDPOINTS_MAX, EVENTS
from tests.webhook_receiver import Receiver

AT = "/v1/webhook_endpoints"
URL = "https://hooks.example.com/in"
PUBLIC = "93.184.215.14"
INSIDE = {"inside.example.com": ["10.0.0.1"], "both.example.com": [PUBLIC, "::1"]}
Call = Callable[..., TestResponse]


def resolver(host: str, port: int) -> list[str]:
    return INSIDE.get(host, [PUBLIC])


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def settings(settings_for: Callable[..., Settings], receiver: Receiver) -> Settings:
    return settings_for(webhook_allow=receiver.allow)


@pytest.fixture
def client(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.setitem(GUARDS, "webhooks", needs("manage"))
    app, parts = Flask("test"), front(settings)
    install(app)
    guard(app, parts, [webhook_routes(parts, resolver)])
    return app.test_client()


@pytest.fixture
def connection(settings: Settings) -> Iterator[Connection]:
    with connect(settings.postgres) as opened:
        yield opened


@pytest.fixture
def caller_of(client: FlaskClient, connection: Connection) -> Callable[..., Call]:
    """Makes a new tenant's way to call: `caller_of("moon")("GET", "/…")`."""

    def make(name: str, *scopes: str) -> Call:
        tenant_id = create_tenant(connection, name)
        key = create_key(connection, tenant_id, "test", scopes=scopes or ("manage",)).key

        def call(method: str, path: str = "", json: Any = None, **headers: str) -> TestResponse:
            sent = {"Authorization": f"Bearer {key}", **headers}
            return client.open(AT + path, method=method, json=json, headers=sent)

        return call

    return make


@pytest.fixture
def call(caller_of: Callable[..., Call]) -> Call:
    return caller_of("moon")


def made(call: Call, **fields: Any) -> Any:
    answer = call("POST", json={"url": URL, **fields})
    assert answer.status_code == 201, answer.text
    return answer.get_json()


def test_an_endpoint_is_made_and_shows_its_secret_once(
    call: Call, connection: Connection, settings: Settings
) -> None:
    endpoint = made(call, description="bills")
    secret = endpoint.pop("secret")
    assert endpoint.pop("signing_secret") == secret
    assert secret.startswith("whsec_")
    assert len(b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    assert endpoint["id"].startswith("whe_")
    assert endpoint == {
        "id": endpoint["id"],
        "object": "webhook_endpoint",
        "kind": "events",
        "url": URL,
        "name": "bills",
        "description": "bills",
        "events": list(EVENTS),
        "event_types": list(EVENTS),
        "status": "enabled",
        "breaker": {"state": "closed", "failures": 0, "retry_at": None},
        "old_secret_until": None,
        "created_at": endpoint["created_at"],
        "disabled_at": None,
    }
    assert isinstance(endpoint["created_at"], int)
    got = call("GET", f"/{endpoint['id']}")
    assert (got.status_code, got.get_json()) == (200, endpoint)
    assert call("GET").get_json()["data"] == [endpoint]
    row = connection.execute("SELECT secret FROM webhook_endpoint").fetchone()
    assert row is not None
    assert secret not in row[0]
    assert Vault(settings).open(row[0]).decode() == secret


def test_two_endpoints_have_two_secrets(call: Call) -> None:
    assert made(call)["secret"] != made(call)["secret"]


def test_an_idempotency_key_makes_one_endpoint_and_shows_the_same_secret(call: Call) -> None:
    first, second = [
        call("POST", json={"url": URL}, **{"Idempotency-Key": "once"}) for _ in range(2)
    ]
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.get_json() == second.get_json()
    assert len(call("GET").get_json()["data"]) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/", "https://127.0.0.1/", "https://127.1/", "https://2130706433/",
        "https://[::ffff:127.0.0.1]/", "https://inside.example.com/", "https://both.example.com/",
        "https://user:pass@hooks.example.com/", "https://hooks.example.com:22/",
        "https://hooks.example.com/#x", "https://１２７.0.0.1/", "nonsense", "\u0001",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused_by_name(call: Call, url: str) -> None:
    endpoint = made(call)
    for answer in (
        call("POST", json={"url": url}),
        call("POST", f"/{endpoint['id']}", json={"url": url}),
    ):
        assert answer.status_code == 400
        assert answer.get_json()["error"]["param"] == "url"
    assert "10.0.0.1" not in answer.text
    [still] = call("GET").get_json()["data"]
    assert still["url"] == URL


def test_an_address_is_kept_in_its_one_spelling(call: Call) -> None:
    assert made(call, url="https://HOOKS.Example.com.:443/In")["url"] == (
        "https://hooks.example.com/In"
    )


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "url"),
        ({"url": 1}, "url"),
        ({"url": ""}, "url"),
        ({"url": "https://h.example/" + "x" * 2048}, "url"),
        ({"url": URL, "events": ["moon.rises"]}, "events.0"),
        ({"url": URL, "events": []}, "events"),
        ({"url": URL, "events": ["budget.soft_limit_reached"] * 2}, "events"),
        ({"url": URL, "events": ["webhook.test"]}, "events.0"),
        ({"url": URL, "description": "x" * 501}, "description"),
        ({"url": URL, "secret": "whsec_mine"}, "secret"),
        ({"url": URL, "tenant_id": "ten_other"}, "tenant_id"),
    ],
)
def test_a_wrong_field_is_named(call: Call, body: dict[str, Any], param: str) -> None:
    answer = call("POST", json=body)
    assert answer.status_code == 400
    assert answer.get_json()["error"]["param"] == param
    assert call("GET").get_json()["data"] == []


def test_an_endpoint_is_changed_disabled_and_enabled(call: Call) -> None:
    path = f"/{made(call)['id']}"
    there = "https://hooks.example.com/there"
    now = call("POST", path, json={"url": there, "description": "new"}).get_json()
    assert (now["url"], now["description"], now["status"]) == (there, "new", "enabled")
    assert "secret" not in now
    now = call("POST", path, json={"disabled": True}).get_json()
    assert (now["url"], now["status"]) == (there, "disabled")
    assert isinstance(now["disabled_at"], int)
    assert call("POST", f"{path}/test").status_code == 409
    now = call("POST", path, json={"disabled": False}).get_json()
    assert (now["status"], now["disabled_at"]) == ("enabled", None)
    assert call("POST", path, json={"description": ""}).get_json()["description"] == ""
    for body in ({}, {"url": None}, {"secret": "x"}, {"disabled": "yes"}):
        assert call("POST", path, json=body).status_code == 400
    nothing = call("POST", path, json={}).get_json()["error"]["message"]
    assert nothing == "The body: name at least one of url, description, events, disabled."


def test_a_deleted_endpoint_is_not_there(call: Call) -> None:
    path = f"/{made(call)['id']}"
    assert call("DELETE", path).get_json() == {
        "id": path[1:], "object": "webhook_endpoint", "deleted": True,
    }  # fmt: skip
    for method in ("GET", "DELETE"):
        assert call(method, path).status_code == 404


def test_the_list_is_paged(call: Call) -> None:
    ids = [made(call)["id"] for _ in range(3)]
    first = call("GET", "?limit=2").get_json()
    assert [endpoint["id"] for endpoint in first["data"]] == ids[:2]
    assert (first["has_more"], first["last_id"]) == (True, ids[1])
    rest = call("GET", f"?limit=2&after={ids[1]}").get_json()
    assert [endpoint["id"] for endpoint in rest["data"]] == ids[2:]
    assert not rest["has_more"]


def test_there_is_a_bound_to_endpoints(call: Call) -> None:
    for _ in range(ENDPOINTS_MAX):
        made(call)
    assert call("POST", json={"url": URL}).status_code == 409


def test_another_tenants_endpoint_is_404_everywhere(
    call: Call, caller_of: Callable[..., Call]
) -> None:
    endpoint = made(call)
    path, stranger = f"/{endpoint['id']}", caller_of("stranger")
    tried = [
        stranger("GET", path),
        stranger("POST", path, json={"description": "mine"}),
        stranger("DELETE", path),
        stranger("POST", f"{path}/test"),
        stranger("GET", f"{path}/deliveries"),
    ]
    assert [answer.status_code for answer in tried] == [404] * 5
    assert {answer.get_json()["error"]["code"] for answer in tried} == {"not_found"}
    assert stranger("GET").get_json()["data"] == []
    del endpoint["secret"], endpoint["signing_secret"]
    assert call("GET", path).get_json() == endpoint


def test_an_id_that_can_be_nobodys_is_404(call: Call) -> None:
    for path in ("/whe_none", "/%00", "/whe_none/deliveries"):
        assert call("GET", path).status_code == 404


def test_a_key_without_the_scope_is_refused(caller_of: Callable[..., Call]) -> None:
    other = caller_of("sun", "inference", "billing")
    assert other("GET").status_code == 403
    assert other("POST", json={"url": URL}).status_code == 403


def test_a_test_event_is_delivered_and_listed(
    call: Call, settings: Settings, receiver: Receiver
) -> None:
    endpoint = made(call, url=receiver.url)
    path = f"/{endpoint['id']}"
    sent = call("POST", f"{path}/test")
    assert sent.status_code == 202
    delivery = sent.get_json()
    assert (delivery["status"], delivery["event_type"]) == ("waiting", "webhook.test")
    assert (delivery["attempts"], delivery["response_status"]) == (0, None)
    assert isinstance(delivery["next_attempt_at"], int)

    Courier(settings).turn()

    [heard] = receiver.heard
    payload = Webhook(endpoint["secret"]).verify(heard.body, heard.headers)
    assert payload["type"] == "webhook.test"
    assert payload["data"] == {"id": endpoint["id"], "object": "webhook_endpoint"}
    [listed] = call("GET", f"{path}/deliveries").get_json()["data"]
    assert (listed["id"], listed["status"]) == (delivery["id"], "delivered")
    assert (listed["attempts"], listed["response_status"], listed["error"]) == (1, 204, None)
    [attempt] = listed["attempt_list"]
    assert attempt.pop("started_at") == pytest.approx(time.time(), abs=60)
    assert attempt == {"attempt": 1, "response_status": 204, "error": None}
    assert listed["event_id"] == heard.headers["webhook-id"]
    assert listed["next_attempt_at"] is None
    assert isinstance(listed["ended_at"], int)


def test_deliveries_are_paged_newest_first_and_filtered(call: Call, connection: Connection) -> None:
    path = f"/{made(call)['id']}"
    ids = [call("POST", f"{path}/test").get_json()["id"] for _ in range(3)][::-1]
    first = call("GET", f"{path}/deliveries?limit=2").get_json()
    assert [delivery["id"] for delivery in first["data"]] == ids[:2]
    rest = call("GET", f"{path}/deliveries?after={first['last_id']}").get_json()
    assert [delivery["id"] for delivery in rest["data"]] == ids[2:]
    connection.execute(
        "UPDATE webhook_delivery SET state = 'dead', next_at = NULL, ended_at = now() "
        "WHERE id = %s",
        (ids[1],),
    )
    dead = call("GET", f"{path}/deliveries?status=dead").get_json()["data"]
    assert [delivery["id"] for delivery in dead] == [ids[1]]
    wrong = call("GET", f"{path}/deliveries?status=lost")
    assert (wrong.status_code, wrong.get_json()["error"]["param"]) == (400, "status")


def test_a_body_of_a_test_is_not_dropped_silently(call: Call) -> None:
    path = f"/{made(call)['id']}"
    assert call("POST", f"{path}/test", json={"event": "x"}).status_code == 400
