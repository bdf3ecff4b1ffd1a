"""Chats that feel and remember, over real Postgres; what is read in a text is given."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from app.db.connect import Connection
from app.db.reads import Reads
from app.emotion.prompt import system_prompt
from app.emotion.service import Emotions
from app.emotion.state import Pad
from app.emotion.traits import baseline_of
from app.errors import Unavailable
from app.jobs import store
from app.jobs.model import Door
from app.memory.model import NewMemory, Scope
from app.memory.prompt import INTRODUCTION
from app.memory.shelf.keep import keep
from app.redis import Wire
from tests.app.emotion.feelings import SHIPPED, reading
from tests.app.line import LANE, admit, tenant
from tests.workers.inference.desks import CREDIT, HOLD, log_of, speaking
from tests.workers.inference.scripted import Scripted, completion, model, whole
from workers.inference.context import last_said
from workers.inference.desk import Desk

GLAD = reading("joy", 0.9, Pad(0.6, 0.3, 0.1))


@pytest.fixture
def reads(desk: Desk) -> Iterator[Reads]:
    made = Reads(desk.settings.postgres, "tests")
    yield made
    made.close()


@pytest.fixture
def mine(connection: Connection) -> str:
    return tenant(connection, CREDIT)


@pytest.fixture
def answering(desk: Desk, reads: Reads) -> Scripted:
    """Whoever answers the desk's chats; the user is always glad."""
    provider = Scripted([whole("So am I.")])
    speaking(desk, model("m", "p", persona="You are Lilly."), p=provider)
    contexts = desk._parts.contexts
    assert contexts is not None
    contexts._emotions = Emotions(reads, desk.settings, SHIPPED, lambda text: GLAD)
    return provider


def chat(
    desk: Desk, connection: Connection, tenant_id: str, door: Door = "background", **fields: Any
) -> dict[str, Any]:
    """The completion of one chat with these fields."""
    messages = [{"role": "user", "content": "What a day!"}]
    request = orjson.dumps({"model": "m", "messages": messages, **fields}).decode()
    [job_id] = admit(connection, tenant_id, 1, hold=HOLD, door=door, request=request)
    desk.answer(LANE, 1)
    found = store.find_job(connection, job_id, tenant_id)
    assert found is not None
    assert found.state == "completed", found.error
    assert found.body is not None
    body: dict[str, Any] = orjson.loads(found.body)
    return {**body, "job_id": job_id}


def given(provider: Scripted) -> list[str]:
    """The system messages of the last call."""
    messages = provider.calls[-1].request["messages"]
    return [m["content"] for m in messages if m["role"] == "system"]


@pytest.mark.parametrize("door", ["sync", "stream", "background"])
def test_a_tracked_chat_is_shaped_by_its_feeling_and_tells_it(
    desk: Desk, connection: Connection, wire: Wire, answering: Scripted, mine: str, door: Door
) -> None:
    if door == "sync":
        answering.scripts = [[completion("So am I.")]]
    asked: dict[str, Any] = {"emotion_tracking": True, "emotion_style": "calm", "debug": True}
    told = chat(desk, connection, mine, door, session_id="s", **asked)
    felt = told["emotion_state"]
    assert felt["valence"] > baseline_of(SHIPPED).valence
    assert felt["confidence"] == 0.9
    assert felt["description"].startswith("I'm feeling ")
    persona, feeling = given(answering)
    assert persona == "You are Lilly."
    pad = Pad(felt["valence"], felt["arousal"], felt["dominance"])
    assert feeling == system_prompt(pad, SHIPPED, "calm")
    assert told["debug"]["system"] == [feeling]
    assert told["debug"]["reading"]["labels"]["joy"] == 0.9
    events = log_of(desk, wire, told["job_id"])
    assert [orjson.loads(e.data) for e in events if e.name == "context"] == [
        {name: told[name] for name in ("emotion_state", "debug")}
    ]


def test_a_session_goes_on_from_chat_to_chat(
    desk: Desk, connection: Connection, answering: Scripted, mine: str
) -> None:
    states = [
        chat(desk, connection, mine, emotion_tracking=True, session_id=name)["emotion_state"]
        for name in ("s", "s", "t")
    ]
    assert states[1]["valence"] > states[0]["valence"]
    assert states[2]["valence"] == pytest.approx(states[0]["valence"], abs=1e-3)


def test_a_style_without_tracking_speaks_of_the_traits_alone(
    desk: Desk, connection: Connection, answering: Scripted, mine: str
) -> None:
    traits = {"calm": 0.9}
    asked: dict[str, Any] = {
        "emotion_style": "concise",
        "personality_traits": traits,
        "session_id": "s",
    }
    told = chat(desk, connection, mine, **asked)
    assert "emotion_state" not in told
    assert given(answering)[1] == system_prompt(baseline_of(traits), traits, "concise")
    assert connection.execute("SELECT count(*) FROM emotion_session").fetchone() == (0,)


def test_a_chat_without_these_fields_is_as_it_was(
    desk: Desk, connection: Connection, wire: Wire, answering: Scripted, mine: str
) -> None:
    told = chat(desk, connection, mine, session_id="s", memory=False, emotion_tracking=False)
    assert set(told) & {"emotion_state", "memory", "debug"} == set()
    assert given(answering) == ["You are Lilly."]
    assert "context" not in {event.name for event in log_of(desk, wire, told["job_id"])}


def test_memories_are_recalled_within_their_budget_and_told(
    desk: Desk, connection: Connection, reads: Reads, answering: Scripted, mine: str
) -> None:
    sunny = "On sunny days we walk by the river, what a day that is."
    stored = [
        (Scope(mine, "ann"), NewMemory("mem_0", sunny)),
        (Scope(mine, "ann"), NewMemory("mem_1", "What a day: " + "so long a story " * 60)),
        (Scope(mine, "bob"), NewMemory("mem_2", "What a day for Bob!")),
    ]
    keep(reads, desk.settings, "job_x", 0.0, stored)
    told = chat(desk, connection, mine, user="ann", memory={"tokens": 40})["memory"]
    assert [(one["id"], one["content"]) for one in told["used"]] == [("mem_0", sunny)]
    assert 0 < told["tokens"] <= 40
    remembered = given(answering)[1]
    assert remembered.startswith(INTRODUCTION)
    assert remembered.endswith(sunny)


def test_a_turn_is_remembered_when_asked_and_recalled_later(
    desk: Desk, connection: Connection, answering: Scripted, mine: str
) -> None:
    asked: dict[str, Any] = {"user": "ann", "emotion_tracking": True}
    chat(desk, connection, mine, memory={"store": True}, **asked)
    told = chat(desk, connection, mine, memory=True, **asked)["memory"]
    assert {one["content"] for one in told["used"]} == {"User: What a day!", "Assistant: So am I."}
    assert connection.execute("SELECT count(*) FROM memory").fetchone() == (2,)
    kept = connection.execute("SELECT emotional_context FROM memory WHERE content LIKE 'User%'")
    row = kept.fetchone()
    assert row is not None
    assert row[0]["associated_emotion"] == "joy"


def test_an_empty_user_is_none_whose_memories_can_be_listed_and_forgotten(
    desk: Desk, connection: Connection, answering: Scripted, mine: str
) -> None:
    chat(desk, connection, mine, memory={"store": True}, user="", session_id="")
    found = connection.execute("SELECT DISTINCT user_id, session_id FROM memory").fetchall()
    assert found == [(None, None)]


def test_nothing_to_recall_adds_no_message(
    desk: Desk, connection: Connection, answering: Scripted, mine: str
) -> None:
    told = chat(desk, connection, mine, memory=True)
    assert told["memory"] == {"used": [], "tokens": 0}
    assert given(answering) == ["You are Lilly."]


def test_a_chat_goes_on_without_what_is_away(
    desk: Desk, connection: Connection, answering: Scripted, mine: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def away(*_: Any, **__: Any) -> None:
        raise Unavailable("away")

    contexts = desk._parts.contexts
    assert contexts is not None
    monkeypatch.setattr(contexts._emotions, "turn", away)
    monkeypatch.setattr(contexts._memories, "recall", away)
    told = chat(desk, connection, mine, emotion_tracking=True, memory=True, session_id="s")
    assert (told["emotion_state"], told["memory"]) == (None, None)
    assert told["choices"][0]["message"]["content"] == "So am I."


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "a"),
        ([{"role": "user", "content": "a"}, {"role": "user", "content": [
            {"type": "text", "text": "b"}, {"type": "image_url"}, {"type": "text", "text": "c"}]}],
         "b\nc"),
        ([{"role": "system", "content": "a"}], ""),
        ([{"role": "user", "content": None}], ""),
    ],
    ids=["last", "parts", "none", "null"],
)  # fmt: skip
def test_what_the_user_said_last(messages: list[dict[str, Any]], text: str) -> None:
    assert last_said(messages) == text
