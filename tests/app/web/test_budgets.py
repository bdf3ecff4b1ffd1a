"""Budgets over HTTP: the tenant's own, in dollars, once for an Idempotency-Key."""

import time
from collections.abc import Callable, Iterator

import pytest

from app.db.connect import Connection
from app.jobs import store
from app.ledger.store import add_credit
from app.settings import Settings
from app.web.auth import needs
from app.web.budgets import budget_routes
from tests.app.line import draft, outcome, running
from tests.app.web.access import Caller, Door, open_door, problem

FIELDS = {
    "id", "object", "scope", "app_id", "key_id", "period", "period_start", "period_end",
    "over_soft", "created_at", "soft_usd", "soft_nanos", "hard_usd", "hard_nanos", "spent_usd",
    "spent_nanos", "held_usd", "held_nanos", "remaining_usd", "remaining_nanos",
}  # fmt: skip
DAILY = {"scope": "tenant", "period": "day"}


@pytest.fixture
def door(
    line_settings: Callable[..., Settings], gevent_sockets: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Door]:
    with open_door(line_settings(), monkeypatch, (budget_routes, needs("manage"))) as opened:
        yield opened


@pytest.fixture
def mine(door: Door) -> str:
    return door.tenant()


@pytest.fixture
def me(door: Door, mine: str) -> Caller:
    return door.caller(mine)


def test_a_budget_is_made_read_changed_listed_and_deleted(door: Door, me: Caller) -> None:
    made = me.made("/v1/budgets", DAILY | {"soft_usd": "0.5", "hard_usd": 2})
    assert set(made) == FIELDS
    assert (made["object"], made["scope"], made["period"]) == ("budget", "tenant", "day")
    assert made["app_id"] is made["key_id"] is None
    assert (made["soft_nanos"], made["hard_nanos"]) == (500_000_000, 2_000_000_000)
    assert (made["soft_usd"], made["hard_usd"], made["remaining_usd"]) == (0.5, 2.0, 2.0)
    assert (made["spent_nanos"], made["held_nanos"], made["over_soft"]) == (0, 0, False)
    assert made["period_end"] - made["period_start"] == 86_400
    assert made["period_start"] % 86_400 == 0
    assert made["period_start"] <= time.time() < made["period_end"]
    path = f"/v1/budgets/{made['id']}"
    assert me.get(path).get_json() == made
    assert me.get("/v1/budgets").get_json()["data"] == [made]
    changed = me.made(path, {"soft_usd": None, "hard_usd": 0.000000001}, 200)
    assert (changed["soft_nanos"], changed["hard_nanos"]) == (None, 1)
    assert me.get(path).get_json() == changed
    assert me.made(path, {}, 200) == changed
    answer = me.delete(path)
    assert answer.get_json() == {"id": made["id"], "object": "budget", "deleted": True}
    for gone in (me.get(path), me.delete(path), me.post(path, {})):
        assert problem(gone) == (404, "not_found", "budget_id")
    actions = [(entry.actor, entry.action) for entry in door.audit()]
    assert (me.id, "budget.delete") in actions


def test_lists_have_pages(me: Caller) -> None:
    made = [
        me.made("/v1/budgets", {"scope": "app", "app_id": app, "period": "month", "hard_usd": 1})
        for app in ("a", "b", "c")
    ]
    first = me.get("/v1/budgets?limit=2").get_json()
    assert (first["data"], first["has_more"]) == (made[:2], True)
    rest = me.get(f"/v1/budgets?limit=2&after={first['last_id']}").get_json()
    assert (rest["data"], rest["has_more"]) == (made[2:], False)
    assert [one["app_id"] for one in made] == ["a", "b", "c"]


def test_a_budget_tells_what_its_period_used(
    door: Door, mine: str, me: Caller, connection: Connection
) -> None:
    add_credit(connection, mine, 1000, "test")
    job = running(connection, mine)
    made = me.made("/v1/budgets", DAILY | {"soft_usd": "0.00000003", "hard_usd": "0.0000002"})
    assert (made["spent_nanos"], made["held_nanos"], made["remaining_nanos"]) == (0, 100, 100)
    assert store.settle_group(connection, "wrk_a", [outcome(job)]) == [True]
    read = me.get(f"/v1/budgets/{made['id']}").get_json()
    assert (read["spent_nanos"], read["held_nanos"], read["remaining_nanos"]) == (30, 0, 170)
    assert read["over_soft"]
    assert store.admit_group(connection, [draft(mine, 171)]) == [f"over_budget {made['id']}"]


def test_a_key_is_the_tenants_own(door: Door, mine: str, me: Caller) -> None:
    other = door.caller(door.tenant())
    budget = {"scope": "key", "period": "day", "hard_usd": 1}
    assert me.made("/v1/budgets", budget | {"key_id": me.id})["key_id"] == me.id
    for key_id in (other.id, "key_nobody"):
        refused = me.post("/v1/budgets", budget | {"key_id": key_id})
        assert problem(refused) == (404, "not_found", "key_id")


def test_anothers_budget_is_not_found(door: Door, me: Caller) -> None:
    path = f"/v1/budgets/{me.made('/v1/budgets', DAILY | {'hard_usd': 1})['id']}"
    other = door.caller(door.tenant())
    for answer in (other.get(path), other.post(path, {"hard_usd": 2}), other.delete(path)):
        assert problem(answer) == (404, "not_found", "budget_id")
    assert other.get("/v1/budgets").get_json()["data"] == []
    assert me.get(path).get_json()["hard_usd"] == 1.0


def test_only_those_who_manage_come_in(door: Door, mine: str) -> None:
    reader = door.caller(mine, scopes=["inference", "billing"])
    for answer in (reader.get("/v1/budgets"), reader.post("/v1/budgets", DAILY)):
        assert answer.status_code == 403
    assert door.nobody().get("/v1/budgets").status_code == 401
    assert door.count(b"budget") == 0


def test_one_budget_a_scope_and_period(door: Door, me: Caller) -> None:
    me.made("/v1/budgets", DAILY | {"hard_usd": 1})
    assert problem(me.post("/v1/budgets", DAILY | {"hard_usd": 2})) == (409, "conflict", None)
    assert door.count(b"budget") == 1


def test_a_post_sent_twice_makes_one_budget(door: Door, me: Caller) -> None:
    body = DAILY | {"hard_usd": 1}
    first, second = (me.post("/v1/budgets", body, "once") for _ in range(2))
    assert first.get_json() == second.get_json()
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.headers["Idempotent-Replayed"] == "true"
    assert door.count(b"budget") == 1


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"period": "day", "hard_usd": 1}, "scope"),
        (DAILY | {"scope": "team", "hard_usd": 1}, "scope"),
        (DAILY | {"period": "year", "hard_usd": 1}, "period"),
        (DAILY, "hard_usd"),
        (DAILY | {"hard_usd": 0}, "hard_usd"),
        (DAILY | {"hard_usd": -1}, "hard_usd"),
        (DAILY | {"hard_usd": "1e-3"}, "hard_usd"),
        (DAILY | {"hard_usd": "0.0000000001"}, "hard_usd"),
        (DAILY | {"hard_usd": True}, "hard_usd"),
        (DAILY | {"soft_usd": "9223372037"}, "soft_usd"),
        (DAILY | {"soft_usd": 2, "hard_usd": 1}, "soft_usd"),
        (DAILY | {"hard_usd": 1, "app_id": "a"}, "app_id"),
        (DAILY | {"hard_usd": 1, "key_id": "key_x"}, "key_id"),
        ({"scope": "app", "period": "day", "hard_usd": 1}, "app_id"),
        ({"scope": "key", "period": "day", "hard_usd": 1}, "key_id"),
        ({"scope": "app", "period": "day", "hard_usd": 1, "app_id": "a\x01"}, "app_id"),
        ({"scope": "app", "period": "day", "hard_usd": 1, "app_id": ""}, "app_id"),
        ({"scope": "app", "period": "day", "hard_usd": 1, "app_id": "a" * 129}, "app_id"),
        (DAILY | {"hard_usd": 1, "tenant_id": "ten_x"}, "tenant_id"),
        (DAILY | {"hard_usd": 1, "spent": 0}, "spent"),
    ],
)
def test_a_wrong_body_is_refused_by_its_field(
    door: Door, me: Caller, body: dict[str, object], param: str
) -> None:
    status, _, named = problem(me.post("/v1/budgets", body))
    assert (status, named) == (400, param)
    assert door.count(b"budget") == 0


def test_a_change_that_makes_no_sense_changes_nothing(me: Caller) -> None:
    made = me.made("/v1/budgets", DAILY | {"soft_usd": 1, "hard_usd": 2})
    path = f"/v1/budgets/{made['id']}"
    for body, param in (
        ({"hard_usd": "0.5"}, "soft_usd"),
        ({"soft_usd": None, "hard_usd": None}, "hard_usd"),
        ({"scope": "app"}, "scope"),
        ({"hard_usd": 0}, "hard_usd"),
    ):
        assert problem(me.post(path, body))[::2] == (400, param)
    assert me.get(path).get_json() == made
    assert me.get("/v1/budgets/a%00b").status_code == 404
