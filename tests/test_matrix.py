"""Every route against every caller, made from the URL map: a new route is in it by itself.

Another tenant's id is not there, no key is not enough, and a tenant's key administers nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO

import orjson
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from app.accounts.apps import create_app as create_tenants_app
from app.accounts.provider_keys import bring_key
from app.accounts.scopes import TENANT_SCOPES
from app.accounts.store import create_key
from app.accounts.tenants import create_tenant
from app.accounts.users import create_user, hash_password
from app.db.connect import Connection, connect
from app.dialects.responses.request import chat_request
from app.emotion.state import REST
from app.emotion.store import ensure as begin_session
from app.ids import new_id
from app.jobs.store import admit_group
from app.ledger.budgets import create_budget
from app.ledger.store import add_credit
from app.lunes.intake.model import Wanted
from app.lunes.intake.store import take
from app.lunes.store import create as create_lune
from app.main import create_app
from app.memory.model import NewMemory, Scope
from app.memory.store import store as store_memory
from app.settings import Settings
from app.web.guards import GUARDS, nobody
from app.webchat.store import begin as begin_web_chat
from app.webhooks.store import send_test
from tests.app.line import admit, draft

SHARED = {"model_id", "profile_version", "version"}
"""Names in paths of what belongs to no tenant."""

BEGUN = {"emotions.create_ripple"}
"""Views that begin what their path names: a name of the caller's own, whoever else has it too."""

AddressOf = Callable[[str], str]


@dataclass
class World:
    """Two tenants, one of whom has everything; and an operator."""

    web: Flask
    ids: dict[str, str]
    key: str
    other: str
    operator: str

    def client(self) -> FlaskClient:
        return self.web.test_client()

    def rules(self) -> list[tuple[str, Rule]]:
        return [
            (method, rule)
            for rule in self.web.url_map.iter_rules()
            for method in sorted((rule.methods or set()) - {"OPTIONS", "HEAD"})
        ]

    def guarded(self) -> list[tuple[str, Rule]]:
        return [(m, r) for m, r in self.rules() if GUARDS[_room(r)] is not nobody]

    def ask(self, method: str, rule: Rule, key: str | None, ids: dict[str, str]) -> TestResponse:
        with self.web.test_request_context():
            built = rule.build({name: ids[name] for name in rule.arguments})
        assert built is not None
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        body = None if method == "GET" else {"nonsense": True}
        return self.client().open(built[1], method=method, headers=headers, json=body)


def _room(rule: Rule) -> str:
    room: str = rule.endpoint.partition(".")[0]
    return room


@pytest.fixture(scope="module")
def world(
    template: str, postgres_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    from psycopg import sql

    from tests.conftest import other_database

    name = sql.Identifier("matrix")
    with connect(postgres_url) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, sql.Identifier(template))
        )
    url = other_database(postgres_url, "matrix")
    place = tmp_path_factory.mktemp("matrix")
    chosen = Settings(database_url=url, redis_url=redis_url, data_dir=place, ollama_url="")
    with connect(url) as connection:
        yield _filled(create_app(chosen), connection)


def _filled(web: Flask, connection: Connection) -> World:
    mine, other = create_tenant(connection, "mine"), create_tenant(connection, "other")
    entry = add_credit(connection, mine, 1_000_000, "test")
    key = create_key(connection, mine, "mine")
    [job_id] = admit(connection, mine)
    user = create_user(connection, mine, "a@example.com", "owner", hash_password("x" * 20))
    ids = {
        "tenant_id": mine,
        "key_id": key.id,
        "job_id": job_id,
        "app_id": create_tenants_app(connection, mine, "my-app", "My app").id,
        "user_id": user.id,
        "entry_id": entry.id,
        "budget_id": create_budget(
            connection, mine, "tenant", mine, "day", None, 1000, actor="test"
        ).id,
        "endpoint_id": _endpoint(web, key.key),
        "delivery_id": "",
        "provider_key_id": bring_key(connection, mine, "openai", "sealed", "", actor="test").id,
        "memory_id": _memory(connection, mine),
        **_lune(connection, mine),
        "file_id": _file(web, key.key),
        "batch_id": _batch(web, key.key),
        "model_id": "builtin/sim",
        "session_id": _session(connection, mine),
        "picture": "sealed",
        "response_id": _response(connection, mine),
        "profile_version": "active",
        "version": "price_0",
        "web_chat_id": _web_chat(connection, mine, key.id, job_id),
        "token": "x" * 43,
        "digest_of": "0",
        "asset": "moon.svg",
    }
    ids["delivery_id"] = send_test(connection, mine, ids["endpoint_id"]).id
    scopes = [*TENANT_SCOPES, "admin"]
    operator = create_key(connection, other, "operator", scopes=scopes).key
    return World(web, ids, key.key, create_key(connection, other, "other").key, operator)


def _response(connection: Connection, tenant_id: str) -> str:
    asked = orjson.dumps(chat_request({"input": "Hello"})).decode()
    wanted = draft(tenant_id, request=asked)
    wanted.kind = "response"
    assert admit_group(connection, [wanted]) == ["admitted"]
    return wanted.id.replace("job_", "resp_")


def _lune(connection: Connection, tenant_id: str) -> dict[str, str]:
    lune = create_lune(connection, tenant_id, "docs", None, {}, None)
    wanted = Wanted("fetched", b"identity", url="https://example.com/")
    return {"lune_id": lune.id, "document_id": take(connection, lune, wanted, "job_x")}


def _memory(connection: Connection, tenant_id: str) -> str:
    new = NewMemory(id=new_id("mem"), content="The moon is far.")
    return store_memory(connection, Scope(tenant_id), new, str([0.1] * 384), "job_x", 0).id


def _file(web: Flask, key: str) -> str:
    form = {"purpose": "user_data", "file": (BytesIO(b"moon"), "moon.txt")}
    answer = web.test_client().post("/v1/files", data=form, headers={"x-api-key": key})
    assert answer.status_code == 200, answer.text
    return str(answer.get_json()["id"])


def _session(connection: Connection, tenant_id: str) -> str:
    begin_session(connection, tenant_id, "user-123", {}, REST)
    return "user-123"


def _web_chat(connection: Connection, tenant_id: str, key_id: str, job_id: str) -> str:
    made, _ = begin_web_chat(
        connection, new_id("wch"), tenant_id, key_id, job_id, b"hash", "sealed", 0, 60
    )
    return made


def _endpoint(web: Flask, key: str) -> str:
    # An address that is public and needs no resolver.
    answer = web.test_client().post(
        "/v1/webhook_endpoints",
        json={"url": "https://1.1.1.1/hook"},
        headers={"x-api-key": key},
    )
    assert answer.status_code == 201, answer.text
    return str(answer.get_json()["id"])


def _batch(web: Flask, key: str) -> str:
    requests = [{"custom_id": "a", "params": {"messages": [{"role": "user", "content": "hi"}]}}]
    answer = web.test_client().post(
        "/v1/batches", json={"requests": requests}, headers={"x-api-key": key}
    )
    assert answer.status_code == 200, answer.text
    return str(answer.get_json()["id"])


def test_every_name_in_a_path_is_known_here(world: World) -> None:
    """A route with a new kind of id has one made of it above, so that it is tried below."""
    names = {name for _, rule in world.rules() for name in rule.arguments}
    assert names == set(world.ids)


def test_another_tenants_id_is_not_there(world: World) -> None:
    tried = 0
    for method, rule in world.guarded():
        if not rule.arguments or rule.arguments <= SHARED or _room(rule).startswith("admin"):
            continue
        if rule.endpoint in BEGUN:
            continue
        answer = world.ask(method, rule, world.other, world.ids)
        assert answer.status_code == 404, f"{method} {rule.rule}: {answer.text}"
        assert answer.get_json()["error"]["type"] == "invalid_request_error"
        tried += 1
    assert tried >= 18


def test_its_owner_finds_it(world: World) -> None:
    """So that a 404 above is for the tenant and not for the id."""
    for method, rule in world.guarded():
        if method != "GET" or not rule.arguments or rule.rule.endswith("/events"):
            continue
        if rule.arguments <= SHARED or _room(rule) in ("data", "admin", "admin_money"):
            continue
        answer = world.ask(method, rule, world.key, world.ids)
        assert answer.status_code == 200, f"{method} {rule.rule}: {answer.text}"


def test_an_operator_finds_every_tenant(world: World) -> None:
    for method, rule in world.guarded():
        if method == "GET" and _room(rule).startswith("admin"):
            answer = world.ask(method, rule, world.operator, world.ids)
            assert answer.status_code == 200, f"{method} {rule.rule}: {answer.text}"


def test_without_a_key_nothing_answers_but_what_is_public(world: World) -> None:
    for method, rule in world.guarded():
        for key in (None, "pk_live_wrong", world.key[:-1]):
            answer = world.ask(method, rule, key, world.ids)
            assert answer.status_code == 401, f"{method} {rule.rule}"
            assert set(answer.get_json()["error"]) == {"message", "type", "param", "code"}


def test_a_tenants_key_administers_nothing(world: World) -> None:
    tried = 0
    for method, rule in world.guarded():
        if rule.rule.startswith("/v1/admin"):
            answer = world.ask(method, rule, world.key, world.ids)
            assert answer.status_code == 403, f"{method} {rule.rule}"
            assert answer.get_json()["error"]["code"] == "permission_denied"
            tried += 1
    assert tried >= 15


def test_what_administers_is_below_admin_and_all_below_it_administers(world: World) -> None:
    for _, rule in world.rules():
        assert rule.rule.startswith("/v1/admin") == _room(rule).startswith("admin"), rule.rule


def test_each_scope_opens_its_own_rooms_alone(world: World) -> None:
    """A key with one scope is refused where another is needed."""
    with connect(world.web.extensions["moonpool"].settings.postgres) as connection:
        tenant = world.ids["tenant_id"]
        keys = {s: create_key(connection, tenant, s, scopes=[s]).key for s in TENANT_SCOPES}
    refused: dict[str, set[str]] = {scope: set() for scope in keys}
    for method, rule in world.guarded():
        if method == "GET" and not rule.rule.endswith("/events"):
            for scope, key in keys.items():
                if world.ask(method, rule, key, world.ids).status_code == 403:
                    refused[scope].add(_room(rule))
    rooms = {_room(rule) for method, rule in world.guarded() if method == "GET"}
    open_to = {scope: rooms - shut for scope, shut in refused.items()}
    assert open_to == {
        "inference": {
            "batches",
            "emotions",
            "evolution",
            "feedback",
            "files",
            "jobs",
            "lune_documents",
            "lunes",
            "memory",
            "models",
            "providers",
            "responses",
            "router",
            "session",
            "web_chats",
        },
        "billing": {"billing", "usage", "session"},
        "manage": {"keys", "budgets", "data", "provider_keys", "webhooks", "session"},
    }
