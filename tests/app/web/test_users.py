"""Sessions of the console: who signs in, how often one may try, and what ends them."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent.event
import gevent.lock
import pytest
from werkzeug.test import TestResponse

from app.accounts import users
from app.accounts.scopes import ROLES
from app.accounts.store import find_key
from app.accounts.tenants import change_tenant
from app.accounts.users import UserRow, change_user, create_user, hash_password
from app.settings import Settings
from app.web import passwords
from app.web.admin import admin_routes
from app.web.auth import authenticate, needs
from app.web.guards import nobody
from app.web.keys import key_routes
from app.web.users import TRIES, session_routes, sign_in_routes
from tests.app.web.access import Caller, Door, open_door, problem

PASSWORD = "correct horse battery"
EMAIL = "ada@example.org"
TRIES_MAX = TRIES.requests_per_minute or 0


@pytest.fixture
def door(
    line_settings: Callable[..., Settings], gevent_sockets: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Door]:
    monkeypatch.setattr(users, "LOG2_N", 4)
    rooms = (
        (sign_in_routes, nobody), (session_routes, authenticate), (key_routes, needs("manage")),
        (admin_routes, needs("admin")),
    )  # fmt: skip
    with open_door(line_settings(key_cache_seconds=0.001), monkeypatch, *rooms) as opened:
        yield opened


@pytest.fixture
def mine(door: Door) -> str:
    return door.tenant()


@pytest.fixture
def ada(door: Door, mine: str) -> UserRow:
    return person(door, mine, EMAIL, "owner")


def person(door: Door, tenant_id: str, email: str, role: users.Role) -> UserRow:
    """A user with PASSWORD."""
    kept = hash_password(PASSWORD)
    made: UserRow = door.run(lambda c: create_user(c, tenant_id, email, role, kept))
    return made


def sign_in(door: Door, email: str = EMAIL, password: str = PASSWORD) -> TestResponse:
    return door.nobody().post("/v1/sessions", {"email": email, "password": password})


def session(door: Door, email: str = EMAIL) -> Caller:
    """Somebody who has signed in."""
    answer = sign_in(door, email)
    assert answer.status_code == 201, answer.text
    return Caller(door.app, answer.get_json()["token"])


@pytest.mark.parametrize("role", ROLES)
def test_a_session_passes_the_one_authentication_with_its_roles_scopes(
    door: Door, mine: str, role: users.Role
) -> None:
    user = person(door, mine, EMAIL, role)
    answer = sign_in(door, f" {EMAIL.upper()} ")
    made = answer.get_json()
    assert (answer.status_code, made["object"]) == (201, "session")
    assert set(made) == {"object", "token", "expires_at", "scopes", "user"}
    assert made["token"].startswith("pk_sess_")
    assert set(made["scopes"]) == ROLES[role]
    assert made["expires_at"] == pytest.approx(time.time() + 12 * 3600, abs=60)
    assert (made["user"]["id"], made["user"]["role"]) == (user.id, role)
    me = Caller(door.app, made["token"])
    assert me.get("/v1/me").status_code == 200
    assert (me.get("/v1/keys").status_code == 200) is ("manage" in ROLES[role])
    assert (me.get("/v1/admin/tenants").status_code == 200) is ("admin" in ROLES[role])
    entry = door.audit(mine)[-1]
    assert (entry.actor, entry.action) == (user.id, "key.create")
    told = str(door.audit()) + str(made["user"])
    assert made["token"] not in told
    assert "scrypt" not in told


def test_wrong_and_unknown_are_refused_alike(door: Door, ada: UserRow) -> None:
    before = door.count(b"api_key"), door.count(b"audit")
    refused = [
        sign_in(door, password=PASSWORD + "x"), sign_in(door, password=""),
        sign_in(door, password=ada.password_hash), sign_in(door, "bob@example.org"),
    ]  # fmt: skip
    assert {answer.status_code for answer in refused} == {401}
    assert len({answer.get_data() for answer in refused}) == 1
    assert (door.count(b"api_key"), door.count(b"audit")) == before


def test_a_wrong_body_is_refused_by_its_field(door: Door) -> None:
    for body, param in (
        ({}, "email"), ({"email": EMAIL}, "password"),
        ({"email": "\x01", "password": "x"}, "email"),
        ({"email": EMAIL, "password": "x" * 1025}, "password"),
        ({"email": EMAIL, "password": "x", "role": "admin"}, "role"),
    ):  # fmt: skip
        assert problem(door.nobody().post("/v1/sessions", body))[::2] == (400, param)


@pytest.mark.parametrize("who", ["user", "tenant"])
def test_who_is_disabled_does_not_sign_in(door: Door, mine: str, ada: UserRow, who: str) -> None:
    if who == "user":
        door.run(lambda c: change_user(c, ada.id, {"disabled": True}))
    else:
        door.run(lambda c: change_tenant(c, mine, {"disabled": True}))
    assert problem(sign_in(door))[:2] == (401, "wrong_password")


def test_ten_tries_a_minute_for_one_address(door: Door, mine: str, ada: UserRow) -> None:
    """The right password, too, waits then: it may have been guessed."""
    for number in range(TRIES_MAX):
        spelled = EMAIL.upper() if number % 2 else EMAIL
        assert try_from(door, f"10.0.0.{number}", spelled, "wrong").status_code == 401
    refused = try_from(door, "10.0.1.1", EMAIL, PASSWORD)
    assert problem(refused)[:2] == (429, "rate_limit_exceeded")
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert repr(refused.get_json()["retry_after"]) == refused.headers["Retry-After"]
    assert try_from(door, "10.0.1.1", "bob@example.org", PASSWORD).status_code == 401
    person(door, mine, "eve@example.org", "viewer")
    assert try_from(door, "10.0.1.1", "eve@example.org", PASSWORD).status_code == 201


def test_ten_tries_a_minute_from_one_place(door: Door, ada: UserRow) -> None:
    for number in range(TRIES_MAX):
        assert try_from(door, "10.0.0.1", f"{number}@example.org", "wrong").status_code == 401
    assert try_from(door, "10.0.0.1", EMAIL, PASSWORD).status_code == 429
    assert try_from(door, "10.0.0.2", EMAIL, PASSWORD).status_code == 201


def try_from(door: Door, address: str, email: str, password: str) -> TestResponse:
    return door.app.test_client().post(
        "/v1/sessions",
        json={"email": email, "password": password},
        environ_overrides={"REMOTE_ADDR": address},
    )


def test_streams_go_on_while_a_password_is_checked(
    door: Door, ada: UserRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop turns while the hash, here one that only ends once it has, is worked out."""
    turned = gevent.event.Event()
    seen: list[bool] = []
    turning = gevent.spawn_later(0.05, turned.set)

    def slow(password: str, kept: str | None) -> bool:
        deadline = time.monotonic() + 5
        while not turned.is_set() and time.monotonic() < deadline:
            time.sleep(0.01)
        seen.append(turned.is_set())
        return users.password_fits(password, kept)

    monkeypatch.setattr(passwords, "password_fits", slow)
    assert sign_in(door).status_code == 201
    turning.join()
    assert seen == [True]


def test_too_many_passwords_at_once_are_shed(
    door: Door, ada: UserRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "WAIT_S", 0.01)
    monkeypatch.setattr(passwords, "_room", gevent.lock.BoundedSemaphore(1))
    with passwords._room:
        assert problem(sign_in(door))[:2] == (503, "overloaded")
    assert sign_in(door).status_code == 201


def test_a_session_is_ended_by_who_has_it(door: Door, mine: str, ada: UserRow) -> None:
    me, other = session(door), session(door)
    assert me.delete("/v1/sessions/current").get_json() == {"object": "session", "ended": True}
    assert door.run(lambda c: find_key(c, me.credential)) is None
    assert door.run(lambda c: find_key(c, other.credential)) is not None
    assert door.audit(mine)[-1].action == "key.revoke"


def test_a_key_is_no_session_to_end(door: Door, mine: str) -> None:
    key = door.caller(mine)
    assert key.delete("/v1/sessions/current").status_code == 404
    assert door.run(lambda c: find_key(c, key.credential)) is not None


@pytest.mark.parametrize("change", [{"disabled": True}, {"password": PASSWORD + "!"},
                                    {"role": "viewer"}])  # fmt: skip
def test_an_operators_change_of_a_user_ends_its_sessions(
    door: Door, ada: UserRow, change: dict[str, Any]
) -> None:
    me = session(door)
    boss = door.caller(door.tenant(), scopes=["admin"])
    boss.made(f"/v1/admin/users/{ada.id}", change, 200)
    assert door.run(lambda c: find_key(c, me.credential)) is None
    assert (sign_in(door).status_code == 201) is ("role" in change)


def test_a_session_says_who_it_is(door: Door, mine: str, ada: UserRow) -> None:
    told = session(door).get("/v1/me").get_json()
    assert told["object"] == "me"
    assert (told["tenant"]["id"], told["key"], told["user"]["email"]) == (mine, None, EMAIL)
    assert told["scopes"] == ["billing", "inference", "manage"]


def test_a_key_says_who_it_is_and_what_limits_hold(door: Door) -> None:
    tenant_id = door.tenant(tier="starter")
    me = door.caller(
        tenant_id, scopes=["billing"], mode="test", app_id="shop", limits=(5, None, 1000)
    )
    told = me.get("/v1/me").get_json()
    assert (told["tenant"]["tier"], told["user"]) == ("starter", None)
    assert (told["key"]["id"], told["mode"], told["app_id"]) == (me.id, "test", "shop")
    assert told["scopes"] == ["billing"]
    assert told["limits"] == {"requests_per_minute": 5, "tokens_per_day": 100_000, "sessions": 10}
    assert me.credential not in str(told)
    assert door.nobody().get("/v1/me").status_code == 401


def test_a_session_does_not_outlive_its_twelve_hours(door: Door, ada: UserRow) -> None:
    me = session(door)
    door.run(lambda c: c.execute("UPDATE api_key SET expires_at = now()"))
    assert me.get("/v1/me").status_code == 401
