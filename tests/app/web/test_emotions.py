"""`/v1/emotions`: the forms of the seed, and walls between tenants."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from app.db.connect import Connection
from app.emotion.reading.model import EKMAN, LABELS, Reading
from app.emotion.service import Emotions
from app.emotion.state import Pad
from app.emotion.traits import baseline_of
from app.emotion.words import description
from app.settings import Settings
from app.web.front import Front
from tests.app.events.parts import until
from tests.app.line import tenant
from tests.app.web.doors import Caller

WAIT = {"Prefer": "wait=20"}
SHIPPED = {"protective": 0.85, "curious": 0.92, "empathetic": 0.88}
RIPPLE = {
    "emotion": "joy",
    "intensity": 0.8,
    "duration": 300,
    "description": "User expressed excitement about project success",
}


def reading(label: str, valence: float = 0.0) -> Reading:
    labels = {name: 0.9 * (name == label) for name in LABELS}
    ekman = {name: 0.9 * (label in group) for name, group in EKMAN.items()}
    return Reading(valence, 0.0, 0.0, labels, ekman, label, 0.9)


@pytest.fixture
def theirs(connection: Connection) -> str:
    return tenant(connection, 10**9)


@pytest.fixture
def stranger(app: Flask, connection: Connection, theirs: str) -> Caller:
    return Caller(app, connection, theirs)


@pytest.fixture
def feel(app: Flask, settings: Settings) -> Callable[..., None]:
    """A turn of a session, in which this label is read."""
    front: Front = app.extensions["moonpool"]
    turns = iter(range(10_000))

    def turn(
        tenant_id: str, session_id: str, label: str, valence: float = 0.0, text: str = "Why?"
    ) -> None:
        read = reading(label, valence)
        emotions = Emotions(front.reads, settings, front.catalogue.personality, lambda _: read)
        emotions.turn(tenant_id, session_id, text, f"job_{next(turns)}", None)

    return turn


def state_of(caller: Caller, session_id: str) -> dict[str, Any]:
    answer = caller.get(f"/v1/emotions/{session_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def pad_of(state: dict[str, Any]) -> Pad:
    return Pad(*(state["current_state"][axis] for axis in Pad._fields))


def refusal(answer: Any) -> tuple[int, str | None]:
    return answer.status_code, answer.get_json()["error"]["param"]


def test_a_state_has_the_form_of_the_seed(
    caller: Caller, mine: str, feel: Callable[..., None]
) -> None:
    feel(mine, "user-123", "curiosity", 0.6)
    state = state_of(caller, "user-123")
    assert list(state) == [
        "session_id", "current_state", "emotion_history", "personality_traits",
    ]  # fmt: skip
    assert state["session_id"] == "user-123"
    assert state["personality_traits"] == SHIPPED
    assert list(state["current_state"]) == ["valence", "arousal", "dominance", "description"]
    assert state["current_state"]["description"] == description(pad_of(state), "user-123 1")
    [moment] = state["emotion_history"]
    assert list(moment) == ["timestamp", "emotion", "trigger", "intensity"]
    assert (moment["emotion"], moment["trigger"]) == ("curiosity", "user_question")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", moment["timestamp"])
    assert 0 < moment["intensity"] <= 1


def test_two_readings_of_a_moment_tell_it_in_the_same_words(
    caller: Caller, mine: str, feel: Callable[..., None]
) -> None:
    feel(mine, "s", "joy", 0.9)
    first, second = state_of(caller, "s"), state_of(caller, "s")
    assert first["current_state"]["description"] == second["current_state"]["description"]


@pytest.mark.parametrize("name", ["nobody", "reset", "ripple", "%00", "x" * 129, "a%0Ab"])
def test_a_session_that_is_none_is_not_there(caller: Caller, name: str) -> None:
    answer = caller.get(f"/v1/emotions/{name}")
    assert refusal(answer) == (404, "session_id")
    assert refusal(caller.post(f"/v1/emotions/reset/{name}", {})) == (404, "session_id")


def test_names_that_clients_use_are_found(
    caller: Caller, mine: str, feel: Callable[..., None]
) -> None:
    for name, spelled in [("auth0|5", "auth0%7C5"), ("Jürgen 7", "J%C3%BCrgen%207")]:
        feel(mine, name, "joy")
        assert state_of(caller, spelled)["session_id"] == name


def test_the_history_is_the_newest_of_it_with_the_newest_last(
    caller: Caller, mine: str, feel: Callable[..., None]
) -> None:
    for label in ("joy", "anger", "fear"):
        feel(mine, "s", label)
    newest = caller.get("/v1/emotions/s?limit=2").get_json()["emotion_history"]
    assert [moment["emotion"] for moment in newest] == ["anger", "fear"]
    assert len(state_of(caller, "s")["emotion_history"]) == 3
    for query, param in [("limit=0", "limit"), ("limit=x", "limit"), ("since=1", "since")]:
        assert refusal(caller.get(f"/v1/emotions/s?{query}")) == (400, param)


def test_sessions_are_listed_by_name_in_pages(
    caller: Caller, stranger: Caller, mine: str, theirs: str, feel: Callable[..., None]
) -> None:
    for name in ("b c", "a", "d"):
        feel(mine, name, "joy")
    feel(theirs, "bb", "joy")
    first = caller.get("/v1/emotions?limit=2").get_json()
    assert [session["id"] for session in first["data"]] == ["a", "b c"]
    assert (first["object"], first["last_id"], first["has_more"]) == ("list", "b c", True)
    assert first["data"][0]["turns"] == 1
    assert first["data"][0]["current_state"] == state_of(caller, "a")["current_state"]
    rest = caller.get("/v1/emotions?limit=2&after=b%20c").get_json()
    assert ([session["id"] for session in rest["data"]], rest["has_more"]) == (["d"], False)
    assert [one["id"] for one in stranger.get("/v1/emotions").get_json()["data"]] == ["bb"]
    assert refusal(caller.get("/v1/emotions?after=%00")) == (400, "after")


def test_a_session_that_is_deleted_is_gone_with_all_that_it_felt(
    caller: Caller, stranger: Caller, feel: Callable[..., None], mine: str
) -> None:
    feel(mine, "s", "joy")
    assert stranger.open("/v1/emotions/s", "DELETE").status_code == 404
    gone = caller.open("/v1/emotions/s", "DELETE")
    assert gone.get_json() == {"id": "s", "object": "emotion_session", "deleted": True}
    assert caller.get("/v1/emotions/s").status_code == 404
    assert caller.open("/v1/emotions/s", "DELETE").status_code == 404


def test_a_reset_brings_a_session_back_to_its_baseline(
    caller: Caller, mine: str, feel: Callable[..., None]
) -> None:
    feel(mine, "s", "anger", -0.9)
    assert pad_of(state_of(caller, "s")) != pytest.approx(baseline_of(SHIPPED), abs=0.01)
    answer = caller.post("/v1/emotions/reset/s", None)
    assert answer.status_code == 200
    assert answer.get_json() == state_of(caller, "s")
    assert pad_of(answer.get_json()) == pytest.approx(baseline_of(SHIPPED), abs=1e-4)
    assert answer.get_json()["emotion_history"][-1]["trigger"] == "reset"


def test_a_reset_that_is_sent_twice_is_done_once(
    caller: Caller, mine: str, feel: Callable[..., None]
) -> None:
    feel(mine, "s", "joy")
    key = {"Idempotency-Key": "k"}
    first = caller.post("/v1/emotions/reset/s", {}, **key)
    again = caller.post("/v1/emotions/reset/s", {}, **key)
    assert again.data == first.data
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(state_of(caller, "s")["emotion_history"]) == 2


def test_a_ripple_is_a_job_that_moves_the_session(
    working: None, caller: Caller, mine: str, feel: Callable[..., None]
) -> None:
    feel(mine, "user-123", "neutral")
    before = pad_of(state_of(caller, "user-123"))
    answer = caller.post("/v1/emotions/ripple/user-123", RIPPLE)
    job = answer.get_json()
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert (job["object"], job["kind"], job["lane"]) == ("job", "emotion.ripple", "background")

    def ended() -> dict[str, Any] | None:
        found: dict[str, Any] = caller.get(f"/v1/jobs/{job['id']}").get_json()
        return found if found["finished_at"] is not None else None

    told = until(ended) or {}
    assert told["status"] == "completed", told["error"]
    after = state_of(caller, "user-123")
    assert pad_of(after).valence > before.valence + 0.2
    moment = after["emotion_history"][-1]
    assert (moment["emotion"], moment["intensity"]) == ("joy", 0.8)
    assert moment["trigger"] == RIPPLE["description"]


def test_whoever_waits_is_told_what_the_ripple_did(
    working: None, caller: Caller, mine: str, feel: Callable[..., None]
) -> None:
    feel(mine, "near", "neutral")
    answer = caller.post("/v1/emotions/ripple/new", {"emotion": "Joy", "intensity": 1}, **WAIT)
    told = answer.get_json()
    assert answer.status_code == 200, answer.text
    assert answer.headers["Preference-Applied"] == "wait=20"
    assert (told["session_id"], told["emotion"], told["intensity"]) == ("new", "joy", 1)
    assert (told["duration"], told["reached"]) == (300, 1)
    assert state_of(caller, "new")["emotion_history"][-1]["emotion"] == "joy"
    assert state_of(caller, "near")["emotion_history"][-1]["trigger"] == "contagion"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "emotion"),
        ({"emotion": "joy"}, "intensity"),
        ({"emotion": "furniture", "intensity": 1}, "emotion"),
        ({"emotion": "", "intensity": 1}, "emotion"),
        ({"emotion": "joy", "intensity": 0}, "intensity"),
        ({"emotion": "joy", "intensity": 1.01}, "intensity"),
        ({"emotion": "joy", "intensity": "1"}, "intensity"),
        ({"emotion": "joy", "intensity": 1, "duration": 0.5}, "duration"),
        ({"emotion": "joy", "intensity": 1, "duration": 86_401}, "duration"),
        ({"emotion": "joy", "intensity": 1, "description": "x" * 501}, "description"),
        ({"emotion": "joy", "intensity": 1, "strength": 1}, "strength"),
    ],
)
def test_a_ripple_that_is_none_is_refused_by_name(
    caller: Caller, connection: Connection, body: dict[str, Any], param: str
) -> None:
    assert refusal(caller.post("/v1/emotions/ripple/s", body)) == (400, param)
    assert connection.execute("SELECT count(*) FROM job").fetchone() == (0,)


@pytest.mark.parametrize("name", ["weather", "reset", "ripple", "x" * 129, "%00"])
def test_a_ripple_begins_no_session_that_could_not_be_read(caller: Caller, name: str) -> None:
    answer = caller.post(f"/v1/emotions/ripple/{name}", RIPPLE)
    assert refusal(answer) == (400, "session_id")


def test_a_ripple_that_is_sent_twice_is_one_job(caller: Caller) -> None:
    key = {"Idempotency-Key": "k"}
    first = caller.post("/v1/emotions/ripple/s", RIPPLE, **key)
    again = caller.post("/v1/emotions/ripple/s", RIPPLE, **key)
    other = caller.post("/v1/emotions/ripple/s", {**RIPPLE, "intensity": 0.1}, **key)
    elsewhere = caller.post("/v1/emotions/ripple/t", RIPPLE, **key)
    assert again.get_json()["id"] == first.get_json()["id"]
    assert other.status_code == 422
    assert elsewhere.get_json()["id"] != first.get_json()["id"]


def test_another_tenants_session_is_neither_there_nor_moved(
    working: None, caller: Caller, stranger: Caller, mine: str, theirs: str,
    feel: Callable[..., None],
) -> None:  # fmt: skip
    feel(mine, "user-123", "joy")
    assert refusal(stranger.get("/v1/emotions/user-123")) == (404, "session_id")
    assert refusal(stranger.post("/v1/emotions/reset/user-123", {})) == (404, "session_id")
    rippled = stranger.post("/v1/emotions/ripple/user-123", {**RIPPLE, "emotion": "rage"}, **WAIT)
    assert rippled.status_code == 400
    rippled = stranger.post("/v1/emotions/ripple/user-123", {**RIPPLE, "emotion": "anger"}, **WAIT)
    assert (rippled.status_code, rippled.get_json()["reached"]) == (200, 0)
    moments = state_of(caller, "user-123")["emotion_history"]
    assert [moment["emotion"] for moment in moments] == ["joy"]
    [own] = state_of(stranger, "user-123")["emotion_history"]
    assert own["emotion"] == "anger"
    stranger.post("/v1/emotions/reset/user-123", {})
    assert len(state_of(caller, "user-123")["emotion_history"]) == 1


def test_the_weather_without_sessions_is_calm(caller: Caller) -> None:
    assert caller.get("/v1/emotions/weather").get_json() == {
        "current_weather": "calm, no active sessions",
        "collective_valence": 0.0,
        "active_sessions": 0,
        "dominant_emotions": [],
        "forecast": "Calm: nothing to forecast",
    }


def test_the_weather_has_the_form_of_the_seed_and_counts_ones_own_sessions_alone(
    caller: Caller, stranger: Caller, mine: str, theirs: str, feel: Callable[..., None]
) -> None:
    for session_id in ("a", "b"):
        feel(mine, session_id, "joy", 0.9)
    fine = caller.get("/v1/emotions/weather").get_json()
    assert list(fine) == [
        "current_weather", "collective_valence", "active_sessions", "dominant_emotions", "forecast",
    ]  # fmt: skip
    states = [state_of(caller, name)["current_state"]["valence"] for name in ("a", "b")]
    assert fine["collective_valence"] == pytest.approx(sum(states) / 2, abs=0.01)
    assert fine["active_sessions"] == 2
    assert "sunny" in fine["current_weather"]
    assert fine["forecast"] == "Stable positive conditions expected"
    for _ in range(8):
        feel(theirs, "a", "anger", -1)
    assert caller.get("/v1/emotions/weather").get_json()["active_sessions"] == 2
    other = stranger.get("/v1/emotions/weather").get_json()
    assert other["active_sessions"] == 1
    assert other["collective_valence"] < fine["collective_valence"] - 0.3


def test_the_weather_of_the_platform_is_for_its_operator(
    app: Flask, caller: Caller, connection: Connection, mine: str, theirs: str,
    feel: Callable[..., None],
) -> None:  # fmt: skip
    feel(mine, "a", "joy")
    feel(theirs, "a", "joy")
    answer = caller.get("/v1/emotions/weather?scope=platform")
    assert refusal(answer) == (403, "scope")
    operator = Caller(app, connection, theirs, scopes=["inference", "admin"])
    assert operator.get("/v1/emotions/weather").get_json()["active_sessions"] == 1
    whole = operator.get("/v1/emotions/weather?scope=platform").get_json()
    assert whole["active_sessions"] == 2
    assert refusal(operator.get("/v1/emotions/weather?scope=all")) == (400, "scope")


def test_it_takes_the_scope_inference(app: Flask, connection: Connection, mine: str) -> None:
    weak = Caller(app, connection, mine, scopes=["billing", "manage"])
    assert weak.get("/v1/emotions").status_code == 403
    assert weak.get("/v1/emotions/weather").status_code == 403
    assert weak.post("/v1/emotions/ripple/s", RIPPLE).status_code == 403
