"""Ripples sent by a real desk."""

from typing import Any

import orjson
import pytest

from app.db.connect import Connection
from app.emotion import store as sessions
from app.emotion.ripples import RIPPLE_KIND
from app.emotion.service import Emotions, Rippled
from app.errors import Unavailable
from app.jobs import store
from app.jobs.model import chore_draft
from tests.app.line import assert_proven, tenant
from tests.workers.chores.parts import result_of
from workers.chores import base
from workers.chores.ripple import SendRipple
from workers.inference.desk import Desk

ASKED = {
    "session_id": "user-123",
    "emotion": "joy",
    "intensity": 0.8,
    "duration": 300,
    "description": "User expressed excitement about project success",
}


def rippled(desk: Desk, connection: Connection, tenant_id: str, **asked: Any) -> str:
    """Admits a ripple and has the desk do it; returns its id."""
    draft = chore_draft(
        RIPPLE_KIND, orjson.dumps({**ASKED, **asked}).decode(), tenant_id,
        key_id="key_x", app_id="a", lane="system", deadline_s=60, backlog=9,
    )  # fmt: skip
    assert store.admit_group(connection, [draft]) == ["admitted"]
    desk.answer("system", 1)
    return draft.id


def test_a_ripple_is_told_with_the_state_it_leaves(desk: Desk, connection: Connection) -> None:
    mine = tenant(connection)
    told = result_of(connection, mine, rippled(desk, connection, mine))
    state = told.pop("current_state")
    asked = {name: value for name, value in ASKED.items() if name != "description"}
    assert told == {**asked, "reached": 0}
    session = sessions.find(connection, mine, "user-123")
    assert session is not None
    assert 0 < state["valence"] - session.baseline.valence < 0.3201
    assert state["description"].startswith("I'm feeling")
    [entry] = sessions.history(connection, mine, "user-123")
    assert entry.event.trigger == ASKED["description"]
    assert_proven(connection)


def test_it_reaches_the_tenants_other_sessions_and_nobody_elses(
    desk: Desk, connection: Connection
) -> None:
    mine, other = tenant(connection), tenant(connection)
    for owner, name in ((mine, "a"), (other, "b")):
        rippled(desk, connection, owner, session_id=name)
    told = result_of(connection, mine, rippled(desk, connection, mine))
    assert told["reached"] == 1
    kinds = [entry.event.kind for entry in sessions.history(connection, mine, "a")]
    assert kinds == ["ripple", "contagion"]
    assert len(sessions.history(connection, other, "b")) == 1


def test_a_second_attempt_finds_it_done(
    desk: Desk, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one breaks after its work, before it has told of it."""
    mine, work, states = tenant(connection), SendRipple.work, []

    def breaks_once(chore: SendRipple) -> dict[str, Any]:
        states.append(work(chore))
        if len(states) == 1:
            raise RuntimeError("the worker breaks")
        return states[-1]

    monkeypatch.setattr(SendRipple, "work", breaks_once)
    job_id = rippled(desk, connection, mine)
    desk.answer("system", 1)
    told = result_of(connection, mine, job_id)
    assert len(states) == 2
    first, second = (state["current_state"] for state in states)
    assert second["valence"] <= first["valence"]
    session = sessions.find(connection, mine, "user-123")
    assert session is not None
    assert (session.seq, len(session.ripples), told["reached"]) == (1, 1, 0)


def test_rows_that_are_locked_for_long_cost_time_and_not_the_ripple(
    desk: Desk, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, ripple, tries = tenant(connection), Emotions.ripple, []

    def late(*asked: Any) -> Rippled:
        tries.append(asked)
        if len(tries) < 4:
            raise Unavailable("The database does not answer; try again.")
        return ripple(*asked)

    monkeypatch.setattr(Emotions, "ripple", late)
    monkeypatch.setattr(base, "POSTGRES_RETRY_S", 0.0)
    job_id = rippled(desk, connection, mine)
    assert result_of(connection, mine, job_id)["emotion"] == "joy"
    assert [one["outcome"] for one in store.attempts_of(connection, job_id)] == ["completed"]


@pytest.mark.parametrize("emotion", ["frobnication", "neutral"])
def test_what_is_no_emotion_fails_the_job_by_its_field(
    desk: Desk, connection: Connection, emotion: str
) -> None:
    mine = tenant(connection)
    job = store.find_job(connection, rippled(desk, connection, mine, emotion=emotion), mine)
    assert job is not None
    assert (job.state, job.error["param"]) == ("failed", "emotion")
    assert sessions.find(connection, mine, "user-123") is None
