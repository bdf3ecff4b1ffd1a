"""Feedback over HTTP, and what it moved: forms, refusals, and nobody else's."""

import time
from collections.abc import Callable, Iterator

import pytest

from app.db.connect import Connection
from app.settings import Settings
from app.web.auth import needs
from app.web.evolution import evolution_routes, rollback_routes
from app.web.feedback import feedback_routes
from tests.app.evolution.parts import answer, next_day
from tests.app.line import admit
from tests.app.memory.weighing.test_store import importance, memory
from tests.app.web.access import Caller, Door, open_door, problem

FEEDBACK = {
    "id", "object", "job_id", "kind", "model", "provider", "rating", "reason", "correction",
    "traits", "adaptations", "memories", "key_id", "created_at", "replaced_by",
}  # fmt: skip
CHANGE = {"id", "kind", "at", "trait", "from", "to", "cause", "rolled_back", "undone_by"}
STATUS = "/v1/evolution/status"
ROLLBACK = "/v1/evolution/rollback"


@pytest.fixture
def door(
    line_settings: Callable[..., Settings], gevent_sockets: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Door]:
    rooms = (
        (feedback_routes, needs("inference")),
        (evolution_routes, needs("inference")),
        (rollback_routes, needs("manage")),
    )
    with open_door(line_settings(), monkeypatch, *rooms) as opened:
        yield opened


@pytest.fixture
def mine(door: Door) -> str:
    return door.tenant()


@pytest.fixture
def me(door: Door, mine: str) -> Caller:
    return door.caller(mine)


@pytest.fixture
def rated(connection: Connection, mine: str) -> str:
    """The id of a job that can be rated."""
    return answer(connection, mine)


def test_feedback_is_given_and_told(me: Caller, rated: str) -> None:
    made = me.made(
        "/v1/feedback",
        {
            "job_id": rated, "rating": "down", "reason": "too protective",
            "correction": "Just say it.", "traits": {"empathetic": "more"},
        },
    )  # fmt: skip
    assert set(made) == FEEDBACK
    assert made["id"].startswith("fbk_")
    assert (made["object"], made["job_id"], made["key_id"]) == ("feedback", rated, me.id)
    assert (made["kind"], made["model"], made["provider"]) == ("chat.completion", "m", "builtin")
    assert (made["rating"], made["traits"]) == (-1.0, {"empathetic": "more"})
    assert (made["reason"], made["correction"]) == ("too protective", "Just say it.")
    assert [{**move, "id": "evo"} for move in made["adaptations"]] == [
        {"id": "evo", "trait": "empathetic", "from": 0.88, "to": 0.89},
        {"id": "evo", "trait": "protective", "from": 0.85, "to": 0.84},
    ]
    assert made["memories"] == []
    assert made["replaced_by"] is None
    assert abs(made["created_at"] - time.time()) < 60
    assert me.get("/v1/feedback").get_json()["data"] == [made]


@pytest.mark.parametrize("prefix", ["job_", "chatcmpl-", "cmpl-", "resp_", "msg_"])
def test_an_answer_is_known_by_the_id_that_its_door_gave_it(
    me: Caller, rated: str, prefix: str
) -> None:
    shown = prefix + rated.removeprefix("job_")
    for field in ("job_id", "completion_id"):
        assert me.made("/v1/feedback", {field: shown, "rating": 1})["job_id"] == rated
    assert len(me.get(f"/v1/feedback?job_id={shown}").get_json()["data"]) == 2


@pytest.mark.parametrize(
    ("said", "rating"),
    [
        ({"rating": 1}, 1.0), ({"rating": 0}, 0.0), ({"rating": -1}, -1.0),
        ({"rating": 0.25}, 0.25), ({"rating": "up"}, 1.0), ({"rating": "down"}, -1.0),
        ({"rating": "neutral"}, 0.0), ({"stars": 1}, -1.0), ({"stars": 3}, 0.0),
        ({"stars": 4}, 0.5), ({"stars": 5}, 1.0), ({"traits": {"curious": "less"}}, 0.0),
    ],
)  # fmt: skip
def test_ratings_come_in_the_usual_forms(
    me: Caller, rated: str, said: dict[str, object], rating: float
) -> None:
    assert me.made("/v1/feedback", {"job_id": rated, **said})["rating"] == rating


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({}, "rating"), ({"rating": 5}, "rating"), ({"rating": "good"}, "rating"),
        ({"rating": -1.5}, "rating"), ({"rating": True}, "rating"), ({"stars": 0}, "stars"),
        ({"stars": 4.5}, "stars"), ({"rating": 1, "stars": 5}, "stars"),
        ({"rating": 1, "reason": "x" * 2001}, "reason"),
        ({"rating": 1, "correction": 7}, "correction"),
        ({"rating": 1, "traits": {"curious": "most"}}, "traits.curious"),
        ({"rating": 1, "traits": {"patient": "more"}}, "traits.patient"),
        ({"rating": 1, "model": "m"}, "model"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(
    me: Caller, rated: str, said: dict[str, object], field: str
) -> None:
    refused = me.post("/v1/feedback", {"job_id": rated, **said})
    status, _, param = problem(refused)
    assert (status, param) == (400, field), refused.text


def test_stars_sent_as_a_rating_are_told_where_they_belong(me: Caller, rated: str) -> None:
    refused = me.post("/v1/feedback", {"job_id": rated, "rating": 4})
    assert "send stars of five as stars" in refused.get_json()["error"]["message"]


def test_what_is_rated_must_be_one_answer_that_has_ended(
    me: Caller, connection: Connection, mine: str, rated: str
) -> None:
    both = {"job_id": rated, "completion_id": rated, "rating": 1}
    assert problem(me.post("/v1/feedback", both)) == (400, None, "completion_id")
    assert problem(me.post("/v1/feedback", {"rating": 1})) == (400, None, "job_id")
    [waiting] = admit(connection, mine, hold=0)
    refused = me.post("/v1/feedback", {"job_id": waiting, "rating": 1})
    assert problem(refused) == (409, "conflict", "job_id")
    for field, unknown in (("job_id", "job_1"), ("completion_id", "chatcmpl-" + "0" * 26)):
        refused = me.post("/v1/feedback", {field: unknown, "rating": 1})
        assert problem(refused) == (404, "not_found", field)
    assert problem(me.get("/v1/feedback?job_id=x")) == (400, None, "job_id")


def test_a_key_sent_twice_gives_feedback_once(me: Caller, door: Door, rated: str) -> None:
    body = {"job_id": rated, "traits": {"curious": "less"}}
    first, again = (me.post("/v1/feedback", body, "once") for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.get_json() == again.get_json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert door.count(b"feedback") == 1
    other = me.post("/v1/feedback", {**body, "rating": 1}, "once")
    assert other.status_code == 422


def test_lists_have_pages_and_show_what_was_replaced(
    me: Caller, connection: Connection, mine: str, rated: str
) -> None:
    made = [me.made("/v1/feedback", {"job_id": rated, "rating": rating}) for rating in (1, 0, -1)]
    one = me.made("/v1/feedback", {"job_id": answer(connection, mine), "rating": 1})
    first = me.get("/v1/feedback?limit=2").get_json()
    assert first["has_more"]
    assert first["data"] == [one, made[2]]
    rest = me.get(f"/v1/feedback?limit=2&after={first['last_id']}").get_json()
    assert [old["replaced_by"] for old in rest["data"]] == [made[2]["id"], made[1]["id"]]
    assert not rest["has_more"]
    assert len(me.get(f"/v1/feedback?job_id={rated}").get_json()["data"]) == 3


def test_praise_raises_the_memories_that_the_answer_was_given(
    me: Caller, door: Door, connection: Connection, mine: str
) -> None:
    known = memory(connection, mine, 0.5)
    theirs = memory(connection, door.tenant(), 0.5)
    told = {"memory": {"used": [{"id": known}, {"id": theirs}]}}
    job_id = answer(connection, mine, told=told)
    made = me.made("/v1/feedback", {"job_id": job_id, "stars": 5})
    assert made["memories"] == [{"id": known, "importance_change": 0.05}]
    assert importance(connection, known) == pytest.approx(0.55)
    # Feedback that replaces it takes that back before it has its own effect.
    me.made("/v1/feedback", {"job_id": job_id, "rating": "down"})
    assert importance(connection, known) == pytest.approx(0.45)
    me.made("/v1/feedback", {"job_id": job_id, "rating": "neutral"})
    assert importance(connection, known) == pytest.approx(0.5)
    assert importance(connection, theirs) == 0.5


def test_the_status_shows_each_trait_against_its_bounds(me: Caller, rated: str) -> None:
    made = me.made("/v1/feedback", {"job_id": rated, "rating": 1, "reason": "so curious"})
    now = me.get(STATUS).get_json()
    assert (now["object"], now["generation"], now["adaptations"]) == ("evolution.status", 1, 1)
    assert now["traits"] == [
        {
            "name": name, "baseline": baseline, "value": value, "drift": drift,
            "drift_today": drift, "bound_total": 0.2, "bound_daily": 0.05,
        }
        for name, baseline, value, drift in (
            ("protective", 0.85, 0.85, 0.0),
            ("curious", 0.92, 0.93, 0.01),
            ("empathetic", 0.88, 0.88, 0.0),
        )
    ]  # fmt: skip
    assert now["loyalty"] == {
        "bound_total": 0.2, "bound_daily": 0.05, "max_drift": 0.01, "max_drift_today": 0.01,
        "holds": True, "violations": [],
    }  # fmt: skip
    [change] = now["last_changes"]
    assert set(change) == CHANGE
    assert change["id"] == made["adaptations"][0]["id"]
    assert (change["kind"], change["trait"]) == ("adaptation", "curious")
    assert (change["from"], change["to"]) == (0.92, 0.93)
    assert change["cause"] == {
        "feedback_id": made["id"], "job_id": rated, "rating": 1.0, "reason": "so curious",
        "key_id": None,
    }  # fmt: skip
    assert (change["rolled_back"], change["undone_by"]) == (False, None)
    assert now["window"]["end"] - now["window"]["start"] == 86_400
    assert now["window"]["start"] <= time.time() < now["window"]["end"] + 60


def test_yesterdays_drift_is_not_todays(
    me: Caller, connection: Connection, mine: str, rated: str
) -> None:
    me.made("/v1/feedback", {"job_id": rated, "traits": {"curious": "less"}})
    next_day(connection, mine)
    now = me.get(STATUS).get_json()
    assert [(t["drift"], t["drift_today"]) for t in now["traits"] if t["drift"]] == [(-0.01, 0.0)]
    assert (now["loyalty"]["max_drift"], now["loyalty"]["max_drift_today"]) == (0.01, 0.0)


def test_rollbacks_undo_and_are_shown(
    me: Caller, door: Door, connection: Connection, mine: str
) -> None:
    made = [
        me.made("/v1/feedback", {"job_id": answer(connection, mine), "traits": {trait: "less"}})
        for trait in ("curious", "protective", "curious")
    ]
    first = made[0]["adaptations"][0]["id"]
    now = me.made(ROLLBACK, {"change_id": first}, 200)
    assert now == me.get(STATUS).get_json()
    assert (now["generation"], now["adaptations"]) == (2, 3)
    undoing, *_, undone = now["last_changes"]
    assert (undone["id"], undone["rolled_back"], undone["undone_by"]) == (
        first, True, undoing["id"],
    )  # fmt: skip
    assert (undoing["kind"], undoing["from"], undoing["to"]) == ("rollback", 0.9, 0.91)
    assert undoing["cause"]["key_id"] == me.id
    assert me.made(ROLLBACK, {"to_generation": 1}, 200)["generation"] == 1
    back = me.made(ROLLBACK, {"to": "baseline"}, 200)
    assert back["generation"] == 0
    assert all(trait["value"] == trait["baseline"] for trait in back["traits"])
    assert back["loyalty"]["holds"]
    assert len(me.get(f"{STATUS}?limit=2").get_json()["last_changes"]) == 2
    told = [(e.action, e.target, e.detail) for e in door.audit(mine) if "evolution" in e.action]
    assert told == [
        ("evolution.rollback", first, {"change_id": first}),
        ("evolution.rollback", mine, {"to_generation": 1}),
        ("evolution.rollback", mine, {"to": "baseline"}),
    ]


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        ({}, (400, None, "to_generation")),
        ({"to": "baseline", "to_generation": 0}, (400, None, "to")),
        ({"to": "yesterday"}, (400, None, "to")),
        ({"to_generation": -1}, (400, None, "to_generation")),
        ({"to_generation": 1}, (400, None, "to_generation")),
        ({"change_id": "evo_nobody"}, (404, "not_found", "change_id")),
    ],
)
def test_a_rollback_that_makes_no_sense_is_refused(
    me: Caller, door: Door, asked: dict[str, object], refusal: tuple[int, str | None, str]
) -> None:
    assert problem(me.post(ROLLBACK, asked)) == refusal
    assert [entry for entry in door.audit() if "evolution" in entry.action] == []


def test_a_rollback_sent_twice_with_one_key_is_made_once(
    me: Caller, connection: Connection, mine: str, rated: str
) -> None:
    me.made("/v1/feedback", {"job_id": rated, "traits": {"curious": "less"}})
    first = me.post(ROLLBACK, {"to": "baseline"}, "k")
    again = me.post(ROLLBACK, {"to": "baseline"}, "k")
    assert first.get_json() == again.get_json()
    assert again.headers["Idempotent-Replayed"] == "true"


def test_another_tenant_neither_sees_nor_moves_anything(
    me: Caller, door: Door, connection: Connection, rated: str
) -> None:
    made = me.made("/v1/feedback", {"job_id": rated, "traits": {"curious": "less"}})
    before = me.get(STATUS).get_json()
    other = door.caller(door.tenant())
    for field in ("job_id", "completion_id"):
        refused = other.post("/v1/feedback", {field: rated, "rating": "down"})
        assert problem(refused) == (404, "not_found", field)
    change = made["adaptations"][0]["id"]
    refused = other.post(ROLLBACK, {"change_id": change})
    assert problem(refused) == (404, "not_found", "change_id")
    other.made(ROLLBACK, {"to": "baseline"}, 200)
    assert other.get("/v1/feedback").get_json()["data"] == []
    assert other.get(f"/v1/feedback?job_id={rated}").get_json()["data"] == []
    theirs = other.get(STATUS).get_json()
    assert (theirs["generation"], theirs["last_changes"]) == (0, [])
    assert me.get(STATUS).get_json() == before


def test_scopes_and_credentials_are_asked_for(door: Door, mine: str, rated: str) -> None:
    talker = door.caller(mine, scopes=["inference"])
    talker.made("/v1/feedback", {"job_id": rated, "rating": 1})
    assert talker.get(STATUS).status_code == 200
    assert talker.post(ROLLBACK, {"to": "baseline"}).status_code == 403
    keeper = door.caller(mine, scopes=["manage"])
    keeper.made(ROLLBACK, {"to": "baseline"}, 200)
    assert keeper.get(STATUS).status_code == keeper.get("/v1/feedback").status_code == 403
    for path in (STATUS, "/v1/feedback"):
        assert door.nobody().get(path).status_code == 401
