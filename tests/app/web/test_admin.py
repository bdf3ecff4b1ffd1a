"""The operator's rooms: every tenant, its keys and users, and what becomes of their limits."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from app.accounts import users
from app.accounts.store import find_key
from app.accounts.tenants import tenant
from app.settings import Settings
from app.web.admin import admin_routes
from app.web.auth import needs
from app.web.schemas.accounts import NewTenantBody, NewUserBody, TenantChangeBody, UserChangeBody
from tests.app.web.access import Caller, Door, open_door, problem

ADMIN = ["manage", "admin"]
PASSWORD = "correct horse battery"
USER = {"email": "Ada@Example.org", "role": "owner", "password": PASSWORD}


@pytest.fixture
def door(
    line_settings: Callable[..., Settings], gevent_sockets: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Door]:
    monkeypatch.setattr(users, "LOG2_N", 4)
    with open_door(line_settings(), monkeypatch, (admin_routes, needs("admin"))) as opened:
        yield opened


@pytest.fixture
def boss(door: Door) -> Caller:
    return door.caller(door.tenant(), scopes=ADMIN)


@pytest.fixture
def moon(boss: Caller) -> str:
    """A tenant that the operator has made."""
    return str(boss.made("/v1/admin/tenants", {"name": "moon"})["id"])


def test_only_an_admin_key_opens_these_rooms(door: Door, moon: str) -> None:
    owner = door.caller(moon, scopes=["inference", "billing", "manage"])
    tried = 0
    for rule in door.app.url_map.iter_rules():
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}:
            path = rule.rule.replace("<tenant_id>", moon).replace("<", "").replace(">", "")
            assert problem(owner.send(method, path))[:2] == (403, "permission_denied"), path
            assert problem(door.nobody().send(method, path))[0] == 401, path
            tried += 1
    assert tried >= 12


def test_a_tenant_is_made_with_all_that_is_set_for_it(door: Door, boss: Caller) -> None:
    made = boss.made("/v1/admin/tenants", {
        "name": "moon", "tier": "starter", "requests_per_minute": 7, "sessions": 3,
        "retention_days": 30, "postpaid_limit_usd": "12.5",
    })  # fmt: skip
    assert made["object"] == "tenant"
    assert made["limits"] == {"requests_per_minute": 7, "tokens_per_day": 100_000, "sessions": 3}
    assert (made["requests_per_minute"], made["tokens_per_day"], made["sessions"]) == (7, None, 3)
    assert (made["tier"], made["retention_days"], made["disabled_at"]) == ("starter", 30, None)
    assert (made["postpaid_limit_usd"], made["postpaid_limit_nanos"]) == (12.5, 12_500_000_000)
    read = boss.get(f"/v1/admin/tenants/{made['id']}").get_json()
    assert (read["balance"]["wallet_nanos"], read["balance"]["held_nanos"]) == (0, 0)
    del read["balance"]
    assert read == made
    written = [(entry.actor, entry.action) for entry in door.audit(made["id"])]
    assert written == [(boss.id, "tenant.create"), (boss.id, "tenant.change")]


def test_a_tenant_is_by_default_of_the_catalogues_tier(door: Door, boss: Caller, moon: str) -> None:
    made = boss.get(f"/v1/admin/tenants/{moon}").get_json()
    default = door.front.catalogue.default_tier
    assert made["tier"] == default
    assert made["limits"] == door.front.catalogue.tiers[default].model_dump()


def test_a_name_is_one_tenants(door: Door, boss: Caller, moon: str) -> None:
    before = door.count(b"tenant")
    assert problem(boss.post("/v1/admin/tenants", {"name": "moon"})) == (409, "conflict", "name")
    assert problem(boss.post("/v1/admin/tenants", {"name": moon}))[::2] == (400, "name")
    sun = boss.made("/v1/admin/tenants", {"name": "sun"})["id"]
    assert problem(boss.post(f"/v1/admin/tenants/{sun}", {"name": "moon"}))[0] == 409
    assert door.count(b"tenant") == before + 1


def test_a_tenant_that_cannot_be_made_whole_is_not_made(door: Door, boss: Caller) -> None:
    before = (door.count(b"tenant"), door.count(b"account"), door.count(b"audit"))
    too_much = {"name": "x", "postpaid_limit_usd": "99999999999"}
    assert problem(boss.post("/v1/admin/tenants", too_much))[::2] == (400, "postpaid_limit_usd")
    assert (door.count(b"tenant"), door.count(b"account"), door.count(b"audit")) == before


def test_a_tenant_that_is_sent_again_is_one(door: Door, boss: Caller) -> None:
    before = door.count(b"tenant")
    first, again = (boss.post("/v1/admin/tenants", {"name": "x"}, "once") for _ in range(2))
    assert (first.status_code, first.data) == (again.status_code, again.data)
    assert door.count(b"tenant") == before + 1


def test_a_tier_must_be_there(door: Door, boss: Caller, moon: str) -> None:
    for path in ("/v1/admin/tenants", f"/v1/admin/tenants/{moon}"):
        assert problem(boss.post(path, {"name": "x", "tier": "gold"}))[::2] == (400, "tier")
    data = boss.get("/v1/admin/tiers").get_json()["data"]
    assert {tier["id"]: tier["limits"] for tier in data} == {
        name: limits.model_dump() for name, limits in door.front.catalogue.tiers.items()
    }
    default = [tier["id"] for tier in data if tier["default"]]
    assert default == [door.front.catalogue.default_tier]


def test_only_what_is_named_is_changed_and_null_takes_it_away(boss: Caller, moon: str) -> None:
    at = f"/v1/admin/tenants/{moon}"
    boss.made(at, {"tier": "starter", "sessions": 5, "tokens_per_day": 9, "retention_days": 3,
                   "postpaid_limit_usd": 2}, 200)  # fmt: skip
    row = boss.made(at, {"sessions": None, "retention_days": None}, 200)
    assert row["limits"] == {"requests_per_minute": 60, "tokens_per_day": 9, "sessions": 10}
    assert (row["retention_days"], row["postpaid_limit_usd"], row["name"]) == (None, 2.0, "moon")
    row = boss.made(at, {"postpaid_limit_usd": None, "name": "luna"}, 200)
    assert (row["postpaid_limit_nanos"], row["name"], row["tier"]) == (0, "luna", "starter")


def test_a_disabled_tenants_keys_open_nothing(door: Door, boss: Caller, moon: str) -> None:
    at, theirs = f"/v1/admin/tenants/{moon}", door.caller(moon)
    assert boss.made(at, {"disabled": True}, 200)["disabled_at"] is not None
    assert door.run(lambda c: find_key(c, theirs.credential)) is None
    assert boss.made(at, {"name": "luna"}, 200)["disabled_at"] is not None
    assert boss.made(at, {"disabled": False}, 200)["disabled_at"] is None
    assert door.run(lambda c: find_key(c, theirs.credential)) is not None


def test_who_is_not_there_is_not_found(boss: Caller) -> None:
    for method, path, body in (
        ("GET", "tenants/ten_x", None), ("POST", "tenants/ten_x", {"name": "x"}),
        ("GET", "tenants/ten_x/keys", None), ("POST", "tenants/ten_x/keys", {"name": "x"}),
        ("GET", "tenants/ten_x/users", None), ("POST", "tenants/ten_x/users", USER),
        ("POST", "users/user_x", {"role": "owner"}), ("POST", "keys/key_x/revoke", None),
        ("GET", "tenants/%00", None), ("POST", "users/%00", {"role": "owner"}),
    ):  # fmt: skip
        assert problem(boss.send(method, f"/v1/admin/{path}", body))[:2] == (404, "not_found"), path


def test_tenants_are_listed_in_pages(door: Door, boss: Caller) -> None:
    for _ in range(3):
        door.tenant()
    first = boss.get("/v1/admin/tenants?limit=2").get_json()
    rest = boss.get(f"/v1/admin/tenants?after={first['last_id']}").get_json()
    assert (first["has_more"], rest["has_more"]) == (True, False)
    ids = [tenant["id"] for page in (first, rest) for tenant in page["data"]]
    assert ids == sorted(set(ids))
    assert len(ids) == 4


def test_the_operator_gives_a_tenant_any_scope_of_a_tenant(
    door: Door, boss: Caller, moon: str
) -> None:
    at = f"/v1/admin/tenants/{moon}/keys"
    made = boss.made(at, {"name": "first"})
    assert made["scopes"] == ["inference", "billing", "manage"]
    found = door.run(lambda c: find_key(c, made["key"]))
    assert found.tenant_id == moon
    assert boss.made(at, {"name": "co", "scopes": ["admin"]})["scopes"] == ["admin"]
    assert problem(boss.post(at, {"name": "x", "scopes": ["root"]}))[::2] == (400, "scopes")
    listed = boss.get(at).get_json()["data"]
    assert made["id"] in {key["id"] for key in listed}
    assert boss.id not in {key["id"] for key in listed}
    assert made["key"] not in str(listed) + str(door.audit())


def test_a_limited_operator_may_give_more_than_it_has(door: Door, moon: str) -> None:
    """Its own limit bounds its requests; what tenants may do is what it decides on."""
    boss = door.caller(door.tenant(), scopes=ADMIN, limits=(60, None, None))
    made = boss.made(f"/v1/admin/tenants/{moon}/keys", {"name": "x", "requests_per_minute": 999})
    assert made["limits"]["requests_per_minute"] == 999


def test_the_operator_revokes_any_key(door: Door, boss: Caller, moon: str) -> None:
    theirs = door.caller(moon)
    at = f"/v1/admin/keys/{theirs.id}/revoke"
    first, again = boss.post(at), boss.post(at, {})
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.get_json()["revoked_at"] == again.get_json()["revoked_at"] is not None
    assert door.run(lambda c: find_key(c, theirs.credential)) is None
    entry = door.audit()[-1]
    assert (entry.actor, entry.action, entry.tenant_id) == (boss.id, "key.revoke", moon)


def test_an_operator_on_test_touches_nothing_live(door: Door, moon: str) -> None:
    test = door.caller(door.tenant(), scopes=ADMIN, mode="test")
    live = door.caller(moon)
    before = door.count(b"audit")
    for path, body in (
        (f"tenants/{moon}/keys", {"name": "x", "mode": "live"}), (f"keys/{live.id}/revoke", {}),
        (f"tenants/{moon}/users", USER), ("users/user_x", {"role": "admin"}),
    ):  # fmt: skip
        assert problem(test.post(f"/v1/admin/{path}", body)) == (403, "permission_denied", "mode")
    changed = test.post(f"/v1/admin/tenants/{moon}", {"disabled": True})
    assert problem(changed) == (403, "permission_denied", None)
    lent = test.post("/v1/admin/tenants", {"name": "x", "postpaid_limit_usd": 1})
    assert problem(lent) == (403, "permission_denied", None)
    assert door.count(b"audit") == before
    assert test.made(f"/v1/admin/tenants/{moon}/keys", {"name": "x"})["mode"] == "test"


def test_a_user_is_made_changed_and_listed(door: Door, boss: Caller, moon: str) -> None:
    made = boss.made(f"/v1/admin/tenants/{moon}/users", USER)
    assert set(made) == {"id", "object", "tenant_id", "email", "role", "created_at", "disabled_at"}
    assert (made["email"], made["role"], made["tenant_id"]) == ("ada@example.org", "owner", moon)
    at = f"/v1/admin/users/{made['id']}"
    assert boss.made(at, {"role": "viewer"}, 200)["role"] == "viewer"
    assert boss.made(at, {"disabled": True}, 200)["disabled_at"] is not None
    before = door.run(lambda c: users.user_by_id(c, made["id"]))
    assert boss.made(at, {"password": PASSWORD + "!"}, 200)["disabled_at"] is not None
    after = door.run(lambda c: users.user_by_id(c, made["id"]))
    assert users.password_fits(PASSWORD, before.password_hash)
    assert users.password_fits(PASSWORD + "!", after.password_hash)
    listed = boss.get(f"/v1/admin/tenants/{moon}/users").get_json()
    assert [user["id"] for user in listed["data"]] == [made["id"]]
    actions = [entry.action for entry in door.audit(moon)]
    assert actions == ["tenant.create", "user.create", *["user.change"] * 3]
    assert {entry.actor for entry in door.audit(moon)} == {boss.id}
    told = str(door.audit()) + str(listed) + str(made)
    for secret in (PASSWORD, before.password_hash, after.password_hash, "scrypt"):
        assert secret not in told


def test_an_address_is_one_users(boss: Caller, moon: str) -> None:
    at = f"/v1/admin/tenants/{moon}/users"
    boss.made(at, USER)
    again = {**USER, "email": "ADA@example.org"}
    assert problem(boss.post(at, again)) == (409, "conflict", "email")


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("email", "ada"), ("email", "a b@c.d"), ("email", "a@b@c"), ("email", "ä@b.c"),
        ("email", "a@" + "x" * 253), ("email", "a@b\n"), ("role", "root"), ("role", None),
        ("password", "x" * 14), ("password", "x" * 1025), ("password", "x" * 15 + "\x01"),
    ],
)  # fmt: skip
def test_a_wrong_field_of_a_user_is_named(
    door: Door, boss: Caller, moon: str, field: str, wrong: object
) -> None:
    at = f"/v1/admin/tenants/{moon}/users"
    answer = boss.post(at, {**USER, field: wrong})
    assert problem(answer)[::2] == (400, field)
    assert door.count(b"console_user") == 0


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("name", ""), ("name", None), ("name", "a\tb"), ("tier", 1), ("sessions", 0),
        ("requests_per_minute", 1.5), ("tokens_per_day", -1), ("retention_days", 3651),
        ("retention_days", 0), ("postpaid_limit_usd", -1), ("postpaid_limit_usd", "1e3"),
        ("postpaid_limit_usd", True), ("disabled", None), ("disabled", "yes"), ("tier", None),
    ],
)  # fmt: skip
def test_a_wrong_field_of_a_tenant_is_named(
    door: Door, boss: Caller, moon: str, field: str, wrong: object
) -> None:
    before = door.run(lambda c: tenant(c, moon))
    assert problem(boss.post(f"/v1/admin/tenants/{moon}", {field: wrong}))[::2] == (400, field)
    assert door.run(lambda c: tenant(c, moon)) == before


@given(
    st.sampled_from(["id", "balance", "wallet", "overdraft", "disabled_at", "created_at", "object",
                     "password_hash", "tenant_id", "scopes", "user_id"])
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
    st.sampled_from([
        ("tenants", {"name": "new"}, NewTenantBody), ("tenants/{moon}", {}, TenantChangeBody),
        ("tenants/{moon}/users", USER, NewUserBody), ("users/{user}", {}, UserChangeBody),
    ]),
)  # fmt: skip
@examples(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_is_no_field_is_refused_by_name(
    door: Door, boss: Caller, moon: str, name: str, room: tuple[str, dict[str, Any], Any]
) -> None:
    path, body, schema = room
    if name in schema.model_fields:
        return
    before = door.count(b"audit")
    answer = boss.post(f"/v1/admin/{path.format(moon=moon, user='user_x')}", {**body, name: "x"})
    assert problem(answer)[:2] == (400, "unknown_parameter")
    assert door.count(b"audit") == before


def test_the_operator_reads_every_change_or_one_tenants(
    door: Door, boss: Caller, moon: str
) -> None:
    door.tenant()
    everything = boss.get("/v1/admin/audit").get_json()["data"]
    assert len(everything) == door.count(b"audit")
    own = boss.get(f"/v1/admin/audit?tenant_id={moon}").get_json()["data"]
    assert [(entry["tenant_id"], entry["action"]) for entry in own] == [(moon, "tenant.create")]
    assert boss.get("/v1/admin/audit?tenant_id=ten_x").get_json()["data"] == []
    for wrong in ("", "%00"):
        assert boss.get(f"/v1/admin/audit?tenant_id={wrong}").status_code == 404
