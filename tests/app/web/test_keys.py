"""Keys over HTTP: shown once, never more than their creator, and nothing set that is not theirs."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from app.accounts.store import find_key
from app.accounts.users import create_user, open_session
from app.ledger.budgets import create_budget, list_budgets
from app.settings import Settings
from app.web.auth import needs
from app.web.keys import key_routes
from app.web.schemas.accounts import NewKeyBody
from tests.app.web.access import Caller, Door, open_door, problem

MANAGE = ["inference", "billing", "manage"]
FIELDS = {
    "id", "object", "name", "prefix", "mode", "scopes", "app_id", "limits", "created_at",
    "created_by", "expires_at", "revoked_at", "last_used_at", "rotated_to",
}  # fmt: skip


@pytest.fixture
def door(
    line_settings: Callable[..., Settings], gevent_sockets: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Door]:
    with open_door(line_settings(), monkeypatch, (key_routes, needs("manage"))) as opened:
        yield opened


@pytest.fixture
def mine(door: Door) -> str:
    return door.tenant()


@pytest.fixture
def me(door: Door, mine: str) -> Caller:
    return door.caller(mine, scopes=MANAGE)


def opens(door: Door, key: str) -> bool:
    return door.run(lambda c: find_key(c, key)) is not None


def test_a_key_is_shown_once(door: Door, me: Caller) -> None:
    made = me.made("/v1/keys", {"name": "ci"})
    assert set(made) == FIELDS | {"key"}
    assert made["key"].startswith(made["prefix"])
    assert opens(door, made["key"])
    read = me.get(f"/v1/keys/{made['id']}").get_json()
    assert read == {name: made[name] for name in FIELDS} | {"last_used_at": read["last_used_at"]}
    everything = me.get("/v1/keys").text + me.get("/v1/audit").text + str(door.audit())
    assert made["id"] in everything
    assert made["key"] not in everything


def test_a_key_gets_what_it_was_asked_for(door: Door, me: Caller) -> None:
    made = me.made("/v1/keys", {
        "name": "shop", "mode": "test", "scopes": ["billing", "inference"], "app_id": "shop",
        "expires_in_seconds": 3600, "requests_per_minute": 5, "tokens_per_day": 6, "sessions": 7,
    })  # fmt: skip
    assert (made["object"], made["name"], made["mode"]) == ("api_key", "shop", "test")
    assert (made["scopes"], made["app_id"]) == (["inference", "billing"], "shop")
    assert made["limits"] == {"requests_per_minute": 5, "tokens_per_day": 6, "sessions": 7}
    assert made["key"].startswith("pk_test_")
    assert made["expires_at"] == pytest.approx(made["created_at"] + 3600, abs=1)
    assert made["created_by"] == me.id
    assert made["revoked_at"] is made["rotated_to"] is made["last_used_at"] is None
    entry = door.audit()[-1]
    assert (entry.actor, entry.action, entry.target) == (me.id, "key.create", made["id"])


def test_a_key_is_by_default_what_its_creator_is(door: Door, mine: str, me: Caller) -> None:
    made = me.made("/v1/keys", {"name": "ci"})
    assert (made["mode"], made["scopes"], made["app_id"]) == ("live", MANAGE, None)
    assert made["limits"] == {"requests_per_minute": None, "tokens_per_day": None, "sessions": None}
    admin = door.caller(mine, scopes=["manage", "admin"], mode="test")
    made = admin.made("/v1/keys", {"name": "ci"})
    assert (made["mode"], made["scopes"]) == ("test", ["manage"])


def test_a_key_ends_at_a_time_to_come(me: Caller) -> None:
    ends = int(time.time()) + 5000
    assert me.made("/v1/keys", {"name": "ci", "expires_at": ends})["expires_at"] == ends
    past = me.post("/v1/keys", {"name": "ci", "expires_at": 1000})
    assert problem(past) == (400, None, "expires_at")
    both = me.post("/v1/keys", {"name": "c", "expires_at": ends, "expires_in_seconds": 5})
    assert problem(both) == (400, None, "expires_at")
    assert both.get_json()["detail"].startswith("The body: expires_at and ")


def test_a_creation_that_is_sent_again_shows_the_same_key(door: Door, me: Caller) -> None:
    before = door.count(b"api_key")
    first, again = (me.post("/v1/keys", {"name": "ci"}, "once") for _ in range(2))
    assert first.get_json() == again.get_json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert door.count(b"api_key") == before + 1
    assert opens(door, again.get_json()["key"])
    assert problem(me.post("/v1/keys", {"name": "cd"}, "once"))[0] == 422
    assert door.count(b"api_key") == before + 1


@pytest.mark.parametrize("lacking", ["inference", "billing"])
def test_nobody_reaches_these_rooms_without_the_scope(door: Door, mine: str, lacking: str) -> None:
    poor = door.caller(mine, scopes=[lacking])
    for method, path in (
        ("GET", "/v1/keys"), ("POST", "/v1/keys"), ("GET", "/v1/keys/key_x"),
        ("POST", "/v1/keys/key_x"), ("POST", "/v1/keys/key_x/rotate"), ("DELETE", "/v1/keys/key_x"),
        ("GET", "/v1/apps"), ("POST", "/v1/apps"), ("GET", "/v1/apps/x"), ("GET", "/v1/audit"),
    ):  # fmt: skip
        assert problem(poor.send(method, path))[:2] == (403, "permission_denied"), path
        assert problem(door.nobody().send(method, path))[0] == 401, path


def test_a_key_cannot_make_one_that_may_do_more(door: Door, mine: str, me: Caller) -> None:
    before = door.count(b"api_key")
    for scopes in (["admin"], [*MANAGE, "admin"]):
        refused = me.post("/v1/keys", {"name": "up", "scopes": scopes})
        assert problem(refused) == (403, "permission_denied", "scopes")
    managing = door.caller(mine, scopes=["manage"])
    assert problem(managing.post("/v1/keys", {"name": "up", "scopes": ["billing"]}))[0] == 403
    assert managing.made("/v1/keys", {"name": "same"})["scopes"] == ["manage"]
    for wrong in ([], ["root"], ["ADMIN"]):
        assert problem(me.post("/v1/keys", {"name": "up", "scopes": wrong}))[::2] == (400, "scopes")
    assert door.count(b"api_key") == before + 2


def test_a_key_that_may_do_more_is_not_handled_by_one_that_may_less(
    door: Door, mine: str, me: Caller
) -> None:
    admin = door.caller(mine, scopes=[*MANAGE, "admin"])
    at = f"/v1/keys/{admin.id}"
    written = len(door.audit())
    for refused in (me.post(at, {"name": "x"}), me.post(f"{at}/rotate"), me.delete(at)):
        assert problem(refused)[:2] == (403, "permission_denied")
    assert opens(door, admin.credential)
    assert len(door.audit()) == written
    assert me.get(at).status_code == 200
    assert admin.post(f"/v1/keys/{me.id}/rotate").status_code == 201


def test_a_test_key_handles_test_keys_only(door: Door, mine: str, me: Caller) -> None:
    test = door.caller(mine, scopes=MANAGE, mode="test")
    at = f"/v1/keys/{me.id}"
    for refused in (
        test.post("/v1/keys", {"name": "up", "mode": "live"}),
        test.post(at, {"name": "x"}), test.post(f"{at}/rotate"), test.delete(at),
    ):  # fmt: skip
        assert problem(refused) == (403, "permission_denied", "mode")
    made = test.made("/v1/keys", {"name": "own"})
    assert made["mode"] == "test"
    assert test.made(f"/v1/keys/{made['id']}/rotate")["mode"] == "test"


def test_a_key_gives_no_more_than_its_own_limits(door: Door, mine: str, me: Caller) -> None:
    bound = door.caller(mine, scopes=MANAGE, limits=(60, None, 3))
    made = bound.made("/v1/keys", {"name": "same", "tokens_per_day": 9})
    assert made["limits"] == {"requests_per_minute": 60, "tokens_per_day": 9, "sessions": 3}
    assert bound.made("/v1/keys", {"name": "less", "sessions": 1})["limits"]["sessions"] == 1
    free = f"/v1/keys/{me.id}"
    for path, body, param in (
        ("/v1/keys", {"name": "up", "requests_per_minute": 61}, "requests_per_minute"),
        ("/v1/keys", {"name": "up", "sessions": None}, "sessions"),
        (f"/v1/keys/{bound.id}", {"requests_per_minute": 61}, "requests_per_minute"),
        (f"/v1/keys/{bound.id}", {"sessions": None}, "sessions"),
        (f"/v1/keys/{made['id']}", {"requests_per_minute": None}, "requests_per_minute"),
        (f"{free}/rotate", {}, "requests_per_minute"),
    ):
        assert problem(bound.post(path, body)) == (403, "permission_denied", param), path
    assert bound.made(f"/v1/keys/{bound.id}", {"sessions": 2}, 200)["limits"]["sessions"] == 2
    assert bound.made(free, {"name": "renamed"}, 200)["name"] == "renamed"


def test_a_key_is_changed_where_it_is_named(door: Door, me: Caller) -> None:
    made = me.made("/v1/keys", {"name": "ci", "app_id": "shop", "sessions": 4})
    at = f"/v1/keys/{made['id']}"
    changed = me.made(at, {"name": "cd", "sessions": None, "requests_per_minute": 8}, 200)
    limits = {"requests_per_minute": 8, "tokens_per_day": None, "sessions": None}
    assert "key" not in changed
    assert (changed["name"], changed["app_id"], changed["limits"]) == ("cd", "shop", limits)
    assert me.made(at, {"app_id": None}, 200)["app_id"] is None
    entry = door.audit()[-1]
    assert (entry.actor, entry.action, entry.detail) == (me.id, "key.change", {"app_id": None})
    for body, param in (
        ({"name": ""}, "name"), ({"name": None}, "name"), ({"sessions": 0}, "sessions"),
        ({"scopes": ["admin"]}, "scopes"), ({"mode": "live"}, "mode"),
    ):  # fmt: skip
        assert problem(me.post(at, body))[::2] == (400, param)


def test_a_rotated_key_goes_on_for_its_grace(door: Door, mine: str, me: Caller) -> None:
    made = me.made("/v1/keys", {"name": "ci", "sessions": 4})
    at = f"/v1/keys/{made['id']}"
    door.run(lambda c: create_budget(c, mine, "key", made["id"], "day", None, 5))
    new = me.made(f"{at}/rotate", {"grace_seconds": 604_800})
    assert new["id"] != made["id"]
    assert (new["name"], new["limits"]) == (made["name"], made["limits"])
    assert opens(door, made["key"])
    assert opens(door, new["key"])
    old = me.get(at).get_json()
    assert (old["rotated_to"], old["revoked_at"]) == (new["id"], None)
    assert old["expires_at"] == pytest.approx(time.time() + 604_800, abs=30)
    assert problem(me.post(f"{at}/rotate"))[:2] == (409, "conflict")
    last = me.made(f"/v1/keys/{new['id']}/rotate")
    assert not opens(door, new["key"])
    assert opens(door, last["key"])
    assert [b.subject for b in door.run(lambda c: list_budgets(c, mine))] == [last["id"]]
    for grace in (-1, 604_801, "60", 1.5, None):
        refused = me.post(f"/v1/keys/{last['id']}/rotate", {"grace_seconds": grace})
        assert problem(refused)[::2] == (400, "grace_seconds")


def test_a_key_is_revoked_once_and_for_good(door: Door, me: Caller) -> None:
    made = me.made("/v1/keys", {"name": "ci"})
    at = f"/v1/keys/{made['id']}"
    first, again = me.delete(at), me.delete(at)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.get_json() == again.get_json()
    assert first.get_json()["revoked_at"] is not None
    assert not opens(door, made["key"])
    assert [entry.action for entry in door.audit()][-2:] == ["key.create", "key.revoke"]


def test_anothers_key_is_not_there(door: Door, me: Caller) -> None:
    theirs = door.caller(door.tenant(), scopes=MANAGE)
    for key_id in (theirs.id, "key_nobody", "%00", "a b", "x" * 129):
        at = f"/v1/keys/{key_id}"
        for answer in (me.get(at), me.post(at, {"name": "x"}), me.post(f"{at}/rotate"),
                       me.delete(at)):  # fmt: skip
            assert problem(answer)[:2] == (404, "not_found"), key_id
    assert opens(door, theirs.credential)


def test_a_session_is_not_among_the_keys_but_may_manage_them(door: Door, mine: str) -> None:
    user = door.run(lambda c: create_user(c, mine, "a@b.c", "owner", "kept"))
    session = door.run(lambda c: open_session(c, user))
    me = Caller(door.app, session.token)
    made = me.made("/v1/keys", {"name": "ci"})
    assert made["scopes"] == MANAGE
    assert [key["id"] for key in me.get("/v1/keys").get_json()["data"]] == [made["id"]]
    assert me.get(f"/v1/keys/{made['created_by']}").status_code == 404
    assert me.delete(f"/v1/keys/{made['created_by']}").status_code == 404


names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(
    lambda name: name not in NewKeyBody.model_fields
)


@given(
    st.sampled_from(["user_role", "tenant_id", "allowed_routes", "hash", "id", "key", "prefix",
                     "user_id", "created_by", "revoked_at", "rotated_to", "is_admin"]) | names,
    st.sampled_from(["/v1/keys", "/v1/keys/{id}", "/v1/keys/{id}/rotate", "/v1/apps"]),
    st.sampled_from([None, True, 1, "admin", ["*"], {}]),
)  # fmt: skip
@examples(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_is_no_field_is_refused_by_name(
    door: Door, me: Caller, name: str, path: str, value: object
) -> None:
    good: dict[str, Any] = {"/v1/keys": {"name": "x"}, "/v1/apps": {"id": "x", "name": "x"}}
    body = good.get(path, {})
    if name in body or (path.endswith("{id}") and name == "name"):
        return
    before = (door.count(b"api_key"), door.count(b"app"), door.count(b"audit"))
    answer = me.post(path.format(id=me.id), {**body, name: value})
    assert problem(answer)[:2] == (400, "unknown_parameter")
    assert (door.count(b"api_key"), door.count(b"app"), door.count(b"audit")) == before


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"), ({"name": ""}, "name"), ({"name": "a\x01b"}, "name"), ({"name": 1}, "name"),
        ({"name": "x" * 201}, "name"), ({"name": "x", "mode": "prod"}, "mode"),
        ({"name": "x", "app_id": "a b"}, "app_id"), ({"name": "x", "sessions": 0}, "sessions"),
        ({"name": "x", "sessions": 2**31}, "sessions"),
        ({"name": "x", "sessions": True}, "sessions"), ({"name": "x", "scopes": "all"}, "scopes"),
        ({"name": "x", "tokens_per_day": 2**63}, "tokens_per_day"),
        ({"name": "x", "requests_per_minute": "5"}, "requests_per_minute"),
        ({"name": "x", "expires_in_seconds": 0}, "expires_in_seconds"),
        ({"name": "x", "expires_at": 2**35}, "expires_at"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named(door: Door, me: Caller, body: object, param: str) -> None:
    before = door.count(b"api_key")
    assert problem(me.post("/v1/keys", body))[::2] == (400, param)
    assert door.count(b"api_key") == before


def test_keys_are_listed_in_pages(door: Door, me: Caller) -> None:
    door.caller(door.tenant())
    made = sorted([me.id, *(me.made("/v1/keys", {"name": f"k{n}"})["id"] for n in range(4))])
    first = me.get("/v1/keys?limit=3").get_json()
    assert first["object"] == "list"
    assert [key["id"] for key in first["data"]] == made[:3]
    assert (first["first_id"], first["last_id"], first["has_more"]) == (made[0], made[2], True)
    rest = me.get(f"/v1/keys?limit=3&after={made[2]}").get_json()
    assert ([key["id"] for key in rest["data"]], rest["has_more"]) == (made[3:], False)
    empty = me.get(f"/v1/keys?after={made[-1]}").get_json()
    assert (empty["data"], empty["first_id"], empty["last_id"]) == ([], None, None)


@pytest.mark.parametrize("room", ["keys", "apps", "audit"])
def test_a_page_has_1_to_100_entries_after_an_id(me: Caller, room: str) -> None:
    for wrong in ("0", "101", "x", "-1", "", "٣", "1" * 30):
        assert problem(me.get(f"/v1/{room}?limit={wrong}"))[::2] == (400, "limit")
    for wrong in ("", "%00", "a%20b", "x" * 129):
        assert problem(me.get(f"/v1/{room}?after={wrong}"))[::2] == (400, "after")
    assert me.get(f"/v1/{room}?limit=100").status_code == 200


def test_apps_are_made_read_and_listed(door: Door, me: Caller) -> None:
    made = me.made("/v1/apps", {"id": "shop", "name": "The shop"})
    assert set(made) == {"id", "object", "name", "created_at"}
    assert me.get("/v1/apps/shop").get_json() == made
    assert problem(me.post("/v1/apps", {"id": "shop", "name": "x"})) == (409, "conflict", "id")
    theirs = door.caller(door.tenant(), scopes=MANAGE)
    assert theirs.get("/v1/apps/shop").status_code == 404
    assert theirs.made("/v1/apps", {"id": "shop", "name": "Theirs"})["name"] == "Theirs"
    me.made("/v1/apps", {"id": "a.b-c_9", "name": "x"})
    page = me.get("/v1/apps?limit=1").get_json()
    assert ([app["id"] for app in page["data"]], page["has_more"]) == (["a.b-c_9"], True)
    assert [a["id"] for a in me.get("/v1/apps?after=a.b-c_9").get_json()["data"]] == ["shop"]
    for wrong in ("", "-a", "a b", "a/b", "x" * 129, "a\n"):
        assert problem(me.post("/v1/apps", {"id": wrong, "name": "x"}))[::2] == (400, "id")


def test_a_tenant_reads_what_was_changed_of_its_own(door: Door, mine: str, me: Caller) -> None:
    door.caller(door.tenant())
    made = me.made("/v1/keys", {"name": "ci"})
    me.delete(f"/v1/keys/{made['id']}")
    page = me.get("/v1/audit?limit=2").get_json()
    assert [entry["action"] for entry in page["data"]] == ["key.revoke", "key.create"]
    assert page["has_more"] is True
    for entry in page["data"]:
        assert set(entry) == {"id", "object", "created_at", "actor", "tenant_id", "action",
                              "target", "detail"}  # fmt: skip
        assert (entry["actor"], entry["target"]) == (me.id, made["id"])
    rest = me.get(f"/v1/audit?after={page['last_id']}").get_json()["data"]
    assert [entry["action"] for entry in rest] == ["key.create", "tenant.create"]
    assert {entry["tenant_id"] for entry in rest} == {mine}
    assert problem(me.get("/v1/audit?after=key_x"))[::2] == (400, "after")
