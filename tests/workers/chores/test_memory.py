"""Storing and forgetting by a real desk, also when a worker dies in between."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.db.connect import Connection
from app.errors import Unavailable
from app.events.log import stream_key
from app.jobs import store as jobs
from app.jobs.model import HandedBack, Lane, chore_draft
from app.memory.model import NewMemory, Scope
from app.memory.shelf import keep as keeping
from app.memory.shelf import store
from app.memory.shelf.model import FORGET_KIND, STORE_KIND, stored_id
from app.memory.store import store as store_memory
from app.redis import Wire
from tests.app.line import assert_proven, state, tenant
from tests.app.memory.parts import VECTOR, shelf
from tests.app.retention.parts import ended_jobs, with_content
from tests.conftest import short_folder
from tests.workers.chores.conftest import MakeDesk
from tests.workers.chores.parts import result_of
from tests.workers.inference.desks import log_of
from workers.chores import base
from workers.chores import memory as room
from workers.inference.desk import Desk
from workers.inference.run import Lost

LANE: Lane = "background"


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A data directory in which the model is built once."""
    with short_folder() as folder:
        yield folder


@pytest.fixture
def desk(make_desk: MakeDesk, home: Path) -> Desk:
    return make_desk(LANE, data_dir=home)


def chore(connection: Connection, tenant_id: str, kind: str, request: dict[str, Any]) -> str:
    """Admits a chore; returns its id."""
    draft = chore_draft(
        kind, orjson.dumps(request).decode(), tenant_id,
        key_id="key_x", app_id="a", lane=LANE, deadline_s=60, backlog=99,
    )  # fmt: skip
    assert jobs.admit_group(connection, [draft]) == ["admitted"]
    return draft.id


def storing(connection: Connection, tenant_id: str, *texts: str, **fields: Any) -> str:
    """Admits a store of one text, or of a list of them."""
    wanted = [{"content": text, **fields} for text in texts]
    request = {"memories": wanted, "many": len(texts) > 1, "user": fields.get("user")}
    return chore(connection, tenant_id, STORE_KIND, request)


def forgetting(connection: Connection, tenant_id: str, **which: str) -> str:
    request = {"user": None, "session_id": None, **which}
    return chore(connection, tenant_id, FORGET_KIND, request)


def contents(connection: Connection) -> list[str]:
    rows = connection.execute("SELECT content FROM memory ORDER BY seq").fetchall()
    return [row[0] for row in rows]


def lose(connection: Connection, job_id: str) -> None:
    """Gives a job whose worker is gone to the next."""
    assert state(connection, job_id) == "running"
    jobs.requeue(connection, [HandedBack(job_id, 1, None)], "lost")


def test_a_database_that_is_away_costs_time_and_not_the_memory(
    desk: Desk, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = [True, True]

    def late(work: Any) -> Any:
        def tried(*asked: Any, **fields: Any) -> Any:
            if away and away.pop():
                raise Unavailable("The database does not answer; try again.")
            return work(*asked, **fields)

        return tried

    monkeypatch.setattr(room, "keep", late(keeping.keep))
    monkeypatch.setattr(store, "find", late(store.find))
    monkeypatch.setattr(base, "POSTGRES_RETRY_S", 0.0)
    mine = tenant(connection)
    job_id = storing(connection, mine, "I like tea.")
    desk.answer(LANE, 1)
    assert result_of(connection, mine, job_id)["content"] == "I like tea."
    assert (away, contents(connection)) == ([], ["I like tea."])


def test_a_store_that_is_broken_off_goes_on_where_it_was(
    desk: Desk, connection: Connection, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tenant(connection)
    texts = ["The moon is far.", "Cats sleep a lot.", "Rome is in Italy."]
    job_id = storing(connection, mine, *texts, user="u")
    write, done = store.store_unless_forgotten, [0]

    def dies_at_the_third(*given: Any, **named: Any) -> Any:
        done[0] += 1
        if done[0] == 3:
            raise Lost
        return write(*given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(keeping, "store_unless_forgotten", dies_at_the_third)
        desk.answer(LANE, 1)
    assert contents(connection) == texts[:2]
    lose(connection, job_id)
    desk.answer(LANE, 1)
    told = result_of(connection, mine, job_id)
    assert [one["id"] for one in told["data"]] == [stored_id(job_id, at) for at in range(3)]
    assert [one["merged"] for one in told["data"]] == [False] * 3
    assert contents(connection) == texts
    assert connection.execute("SELECT max(uses) FROM memory_use").fetchone() == (0,)
    assert_proven(connection)


def test_a_store_that_is_done_twice_stores_once(
    desk: Desk, connection: Connection, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tenant(connection)
    job_id = storing(connection, mine, "The moon is far.", importance=0.7, ttl=60)
    with monkeypatch.context() as patch:
        patch.setattr(room.StoreMemories, "_whole", _dies)
        desk.answer(LANE, 1)
    lose(connection, job_id)
    desk.answer(LANE, 1)
    told = result_of(connection, mine, job_id)
    assert (told["id"], told["merged"], told["uses"]) == (stored_id(job_id), False, 0)
    assert contents(connection) == ["The moon is far."]


def test_a_store_that_runs_after_the_forgetting_of_its_user_brings_nothing_back(
    desk: Desk, connection: Connection, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tenant(connection)
    one, many = (
        storing(connection, mine, "The moon is far.", user="u"),
        storing(connection, mine, "Cats sleep.", "Dogs bark.", user="u"),
    )
    forget = forgetting(connection, mine, user="u")
    with monkeypatch.context() as patch:
        patch.setattr(room.StoreMemories, "work", _dies)
        desk.answer(LANE, 3)
    assert result_of(connection, mine, forget)["deleted"] == 0
    for job_id in (one, many):
        lose(connection, job_id)
    later = storing(connection, mine, "The sun is hot.", user="u")
    desk.answer(LANE, 3)
    job = jobs.find_job(connection, one, mine)
    assert job is not None
    assert (job.state, job.error["code"]) == ("failed", "deleted")
    told = result_of(connection, mine, many)["data"]
    assert [(entry["forgotten"], entry["merged"]) for entry in told] == [(True, False)] * 2
    assert result_of(connection, mine, later)["content"] == "The sun is hot."
    assert contents(connection) == ["The sun is hot."]


def _dies(*_: Any) -> Any:
    raise Lost


def test_a_forgetting_that_is_broken_off_counts_all_in_the_end(
    desk: Desk, connection: Connection, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "STEP", 2)
    mine = tenant(connection)
    shelf(connection, mine, 5, user="u")
    [stays] = shelf(connection, mine, 1, user="v")
    job_id = forgetting(connection, mine, user="u")
    delete, done = store.delete, [0]

    def dies_at_the_second(*given: Any) -> Any:
        done[0] += 1
        if done[0] == 2:
            raise Lost
        return delete(*given)

    with monkeypatch.context() as patch:
        patch.setattr(store, "delete", dies_at_the_second)
        desk.answer(LANE, 1)
    assert len(contents(connection)) == 4
    lose(connection, job_id)
    desk.answer(LANE, 1)
    told = result_of(connection, mine, job_id)
    assert told.pop("checked_at") > 0
    assert told == {
        "object": "memory.forgetting", "deleted": 5, "summaries_deleted": 0, "jobs_forgotten": 0,
        "remaining": 0,
    }  # fmt: skip
    assert connection.execute("SELECT id FROM memory").fetchall() == [(stays,)]
    steps = [orjson.loads(e.data) for e in log_of(desk, wire, job_id) if e.name == "progress"]
    assert [step["deleted"] for step in steps][-2:] == [4, 5]


def test_with_memories_goes_what_the_jobs_that_stored_them_were_told(
    desk: Desk, connection: Connection, wire: Wire
) -> None:
    mine = tenant(connection)
    stored = storing(connection, mine, "A canary sings.", user="u")
    desk.answer(LANE, 1)
    log_of(desk, wire, stored)
    forget = forgetting(connection, mine)
    desk.answer(LANE, 1)
    told = result_of(connection, mine, forget)
    assert (told["deleted"], told["jobs_forgotten"]) == (1, 1)
    row = connection.execute(
        "SELECT request, forgotten_by FROM job WHERE id = %s", (stored,)
    ).fetchone()
    assert row == ("", forget)
    assert wire.call(("EXISTS", stream_key(stored))) == [0]
    assert_proven(connection)


def test_a_chat_that_was_remembered_keeps_its_content(
    desk: Desk, connection: Connection, wire: Wire
) -> None:
    mine = tenant(connection)
    [chat] = ended_jobs(connection, mine)
    new = NewMemory(id=stored_id(chat, 0), content="User: The moon is far.")
    store_memory(connection, Scope(mine), new, VECTOR[0], chat, 0)
    forget = forgetting(connection, mine)
    desk.answer(LANE, 1)
    told = result_of(connection, mine, forget)
    assert (told["deleted"], told["jobs_forgotten"]) == (1, 0)
    assert with_content(connection) == {chat}
