"""A night: what becomes of episodes, of what nobody uses, and of what was put away."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.db.connect import Connection, connect
from app.memory.consolidation import run, store
from app.memory.consolidation.run import Consolidated, consolidate
from app.memory.consolidation.summary import central
from app.memory.model import Scope
from app.memory.shelf.model import Kept, Which
from app.memory.shelf.store import delete, page, restore
from app.settings import Settings
from tests.app.line import tenant
from tests.app.memory.parts import shelf
from tests.conftest import short_folder

SAID = [
    "Melanie adopted a grey kitten from the shelter.",
    "The kitten from the shelter is grey and called Luna.",
    "Luna the kitten sleeps on the sofa of Melanie.",
    "Melanie buys fish for her kitten Luna.",
    "The tax office closes at four.",
    "Her grey kitten Luna plays with a ball.",
]
NOTHING = Consolidated(0, 0, 0)


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A data directory in which the model is built once."""
    with short_folder() as folder:
        yield folder


@pytest.fixture
def settings(home: Path, line_settings: Callable[..., Settings]) -> Settings:
    return line_settings(data_dir=home)


def age(connection: Connection, days: float) -> None:
    """Makes all that is there older."""
    for column in (b"created_at", b"forgotten_at"):
        connection.execute(
            b"UPDATE memory SET %b = %b - %%s * interval '1 day'" % (column, column), (days,)
        )
    connection.execute(
        "UPDATE memory_use SET last_used_at = last_used_at - %s * interval '1 day'", (days,)
    )


def told(connection: Connection, tenant_id: str, session_id: str = "s") -> list[str]:
    """Episodes of a session."""
    return [
        memory_id
        for text in SAID
        for memory_id in shelf(connection, tenant_id, user="u", session_id=session_id, content=text)
    ]


def kept(connection: Connection, tenant_id: str, **which: Any) -> dict[str, Kept]:
    found = page(connection, Which(tenant_id, **which), None, 99)
    return {one.memory.id: one for one in found}


def test_a_quiet_session_gets_a_summary_of_its_own_sentences(
    connection: Connection, settings: Settings
) -> None:
    mine = tenant(connection)
    episodes = told(connection, mine)
    assert consolidate(connection, settings) == NOTHING, "it is not a day old"
    age(connection, 1.1)
    assert consolidate(connection, settings) == Consolidated(1, 0, 0)
    [summary] = [m for m in kept(connection, mine).values() if m.memory.id not in episodes]
    memory = summary.memory
    assert (memory.memory_type, memory.user, memory.session_id) == ("semantic", "u", "s")
    sentences = [text for text in SAID if text in memory.content]
    assert " ".join(sentences) == memory.content
    assert len(sentences) == 3
    assert "tax" not in memory.content
    assert memory.metadata["made_by"] == "consolidation"
    assert memory.metadata["episodes"] == "6"
    assert {kept(connection, mine)[one].summary_id for one in episodes} == {memory.id}
    assert consolidate(connection, settings) == NOTHING


def test_later_episodes_get_a_summary_of_their_own_once_there_are_enough(
    connection: Connection, settings: Settings
) -> None:
    mine = tenant(connection)
    told(connection, mine)
    age(connection, 2)
    assert consolidate(connection, settings).summaries == 1
    shelf(connection, mine, 5, user="u", session_id="s")
    age(connection, 2)
    assert consolidate(connection, settings) == NOTHING
    shelf(connection, mine, 1, user="u", session_id="s", content="The moon is far away.")
    age(connection, 2)
    assert consolidate(connection, settings).summaries == 1


def test_only_sessions_with_enough_episodes_that_stay_are_summed_up(
    connection: Connection, settings: Settings
) -> None:
    mine, theirs = tenant(connection), tenant(connection)
    shelf(connection, mine, 6, user="u")
    shelf(connection, mine, 5, session_id="few")
    shelf(connection, mine, 6, session_id="facts", memory_type="semantic")
    shelf(connection, mine, 6, session_id="short", ttl_s=9e6)
    shelf(connection, mine, 3, user="u", session_id="s")
    shelf(connection, theirs, 3, user="u", session_id="s")
    shelf(connection, mine, 6, session_id="busy")
    age(connection, 2)
    shelf(connection, mine, 1, session_id="busy", content="The session goes on.")
    assert consolidate(connection, settings) == NOTHING
    assert store.sessions_due(connection, 1.0, 5, 9) == [Scope(mine, None, "few")]


def test_long_sessions_get_several_summaries(
    connection: Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "EPISODES_MAX", 6)
    mine = tenant(connection)
    shelf(connection, mine, 13, session_id="s")
    age(connection, 2)
    assert consolidate(connection, settings).summaries == 2
    by = [one.summary_id for one in kept(connection, mine, memory_type="episodic").values()]
    assert sorted(map(by.count, {*by})) == [1, 6, 6]


def test_an_episode_that_is_deleted_meanwhile_is_in_no_summary(
    connection: Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch, books: str
) -> None:
    mine = tenant(connection)
    episodes = told(connection, mine)
    age(connection, 2)

    def after_a_deletion(vectors: Any) -> list[int]:
        with connect(books) as other, other.transaction():
            delete(other, mine, episodes[:1])
        return central(vectors)

    monkeypatch.setattr(run, "central", after_a_deletion)
    assert consolidate(connection, settings) == NOTHING
    assert {*kept(connection, mine)} == {*episodes[1:]}


def test_two_runs_at_once_make_one_summary(
    connection: Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch, books: str
) -> None:
    mine = tenant(connection)
    told(connection, mine)
    age(connection, 2)
    others = [True]

    def while_another_runs(vectors: Any) -> list[int]:
        if others.pop() if others else False:
            with connect(books) as other:
                assert consolidate(other, settings).summaries == 1
        return central(vectors)

    monkeypatch.setattr(run, "central", while_another_runs)
    assert consolidate(connection, settings) == NOTHING
    assert len(kept(connection, mine, memory_type="semantic")) == 1


def test_what_is_never_used_is_put_away_and_comes_back_for_30_days(
    connection: Connection, settings: Settings
) -> None:
    mine = tenant(connection)
    weak, used = shelf(connection, mine, 2, user="u", importance=0.1)
    connection.execute(
        "UPDATE memory_use AS u SET uses = 2 FROM memory AS m WHERE m.seq = u.seq AND m.id = %s",
        (used,),
    )
    [strong] = shelf(connection, mine, 1, user="v", importance=0.9)
    [liked] = shelf(connection, mine, 1, user="w", importance=0.1, memory_type="preference")
    age(connection, 29)
    assert consolidate(connection, settings) == NOTHING
    age(connection, 2)
    assert consolidate(connection, settings) == Consolidated(0, 1, 0)
    assert {*kept(connection, mine, put_away=True)} == {weak}
    assert {*kept(connection, mine, put_away=False)} == {used, strong, liked}
    restore(connection, mine, weak)
    assert consolidate(connection, settings) == NOTHING, "what was taken back counts as used"
    age(connection, 31)
    assert consolidate(connection, settings).put_away == 1
    age(connection, 29)
    assert weak in kept(connection, mine)
    age(connection, 2)
    assert consolidate(connection, settings).deleted == 1
    assert weak not in kept(connection, mine)


def test_half_of_its_importance_is_lost_in_a_half_life(connection: Connection) -> None:
    mine = tenant(connection)
    shelf(connection, mine, 1, importance=0.8)
    age(connection, 60)
    assert store.put_away(connection, {"episodic": 30}, 0.199, 30, 9) == 0
    assert store.put_away(connection, {"episodic": 30}, 0.201, 30, 9) == 1


def test_what_has_expired_is_deleted(connection: Connection, settings: Settings) -> None:
    mine = tenant(connection)
    shelf(connection, mine, 1, user="u", ttl_s=60)
    [stays] = shelf(connection, mine, 1, user="v", ttl_s=9e6)
    connection.execute("UPDATE memory SET expires_at = expires_at - interval '61 s'")
    assert consolidate(connection, settings) == Consolidated(0, 0, 1)
    assert {*kept(connection, mine)} == {stays}
