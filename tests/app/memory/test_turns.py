from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.db.connect import Connection
from app.db.reads import Reads
from app.memory.model import Scope, Stored
from app.memory.shelf.model import Kept, Which, stored_id
from app.memory.shelf.store import note_forgetting, page
from app.memory.turns import TURN_CHARS_MAX, remember_turn
from app.settings import Settings
from tests.app.line import tenant
from tests.conftest import short_folder

JOB = "job_01jd3x0000000000000000000a"
Remember = Callable[..., list[Stored | None]]


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A data directory in which the model is built once."""
    with short_folder() as folder:
        yield folder


@pytest.fixture
def scope(connection: Connection) -> Scope:
    return Scope(tenant(connection), "u", "s")


@pytest.fixture
def remember(
    home: Path, line_settings: Callable[..., Settings], scope: Scope
) -> Iterator[Remember]:
    """Remembers a turn: `remember("I like tea.", "So do I.")`."""
    settings = line_settings(data_dir=home)
    reads = Reads(settings.postgres, "test")

    def turn(said: str, answer: str, job_id: str = JOB, **emotion: object) -> list[Stored | None]:
        return remember_turn(reads, settings, scope, job_id, 1000.0, said, answer, emotion or None)

    yield turn
    reads.close()


def episodes(connection: Connection, scope: Scope) -> list[Kept]:
    return page(connection, Which(scope.tenant_id), None, 9)[::-1]


def test_both_sides_are_episodes_of_the_session_in_their_order(
    remember: Remember, connection: Connection, scope: Scope
) -> None:
    stored = remember(" I moved to Rome.\n", "How do you like it?", valence=0.4)
    user, assistant = [one.memory for one in episodes(connection, scope)]
    assert [user.id, assistant.id] == [stored_id(JOB, 0), stored_id(JOB, 1)]
    assert stored == [Stored(user.id, False), Stored(assistant.id, False)]
    assert user.content == "User: I moved to Rome."
    assert assistant.content == "Assistant: How do you like it?"
    assert {user.memory_type, assistant.memory_type} == {"episodic"}
    assert (user.user, user.session_id, user.source) == ("u", "s", JOB)
    assert (user.emotional_context, assistant.emotional_context) == ({"valence": 0.4}, None)
    assert (user.metadata, assistant.metadata) == ({"role": "user"}, {"role": "assistant"})


def test_a_turn_that_is_remembered_twice_is_there_once(
    remember: Remember, connection: Connection, scope: Scope
) -> None:
    assert remember("I like tea.", "So do I.") == remember("I like tea.", "So do I.")
    assert [one.memory.uses for one in episodes(connection, scope)] == [0, 0]
    again = remember("I like tea.", "You said so.", job_id=JOB[:-1] + "b")
    assert again[0] == Stored(stored_id(JOB, 0), True)
    assert len(episodes(connection, scope)) == 3


def test_a_side_that_says_nothing_is_left_out_and_a_long_one_is_cut(
    remember: Remember, connection: Connection, scope: Scope
) -> None:
    remember("x\0" * TURN_CHARS_MAX + "y", " \0\n")
    [only] = episodes(connection, scope)
    assert only.memory.content == "User: " + "x" * TURN_CHARS_MAX
    assert remember("", "", job_id=JOB[:-1] + "c") == []


def test_what_has_been_forgotten_since_is_not_remembered(
    remember: Remember, connection: Connection, scope: Scope
) -> None:
    note_forgetting(connection, "job_f", Which(scope.tenant_id, "u"), 1001.0)
    assert remember("I like tea.", "So do I.") == [None, None]
    assert episodes(connection, scope) == []
