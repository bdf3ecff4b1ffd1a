"""Documents are taken in once, whatever happens to the workers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import orjson
import pytest

from app.db.connect import Connection
from app.ids import new_id
from app.jobs import store as jobs
from app.jobs.model import chore_draft
from app.jobs.planned import store as planned
from app.lunes.intake import store
from app.lunes.intake.model import Wanted
from app.lunes.model import INGEST_KIND, Lune
from app.lunes.store import find_document, passage_page
from app.redis import Wire
from tests.app.events.parts import names, until
from tests.app.line import state, tenant
from tests.app.lunes.parts import lune_of
from tests.app.web.lunes import counted_right, rows
from tests.conftest import short_folder
from tests.workers.chores.conftest import MakeDesk
from tests.workers.inference.desks import log_of
from workers.chores.places import Places
from workers.inference.desk import Desk


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A data directory in which the model is built once."""
    with short_folder() as folder:
        yield folder


@pytest.fixture
def desk(make_desk: MakeDesk, home: Path) -> Desk:
    return make_desk("background", data_dir=home)


@pytest.fixture
def lune(connection: Connection) -> Lune:
    return lune_of(connection, tenant(connection, 0))


def asked(
    connection: Connection, lune: Lune, content: bytes, media_type: str = "text/plain",
    job_id: str | None = None,
) -> tuple[str, str]:  # fmt: skip
    """Admits an ingest of a document that is always the same; the ids of document and job."""
    wanted = Wanted("sent", b"a", title="Moon", media_type=media_type, content=content)
    job_id = job_id or new_id("job")
    with connection.transaction():
        document_id = store.take(connection, lune, wanted, job_id)
    request = orjson.dumps({"document": document_id}).decode()
    draft = chore_draft(
        INGEST_KIND, request, lune.tenant_id, key_id="key_x", app_id="a", lane="background",
        deadline_s=60, backlog=99,
    )  # fmt: skip
    draft.id = job_id
    assert jobs.admit_group(connection, [draft]) == ["admitted"]
    return document_id, job_id


def said(connection: Connection, document_id: str) -> list[str]:
    return [one.content for one in passage_page(connection, document_id, None, 100)]


def breaks_once(monkeypatch: pytest.MonkeyPatch, name: str, after: bool) -> None:
    """Has a step of the store break the first time, before or after it is done."""
    work = getattr(store, name)
    broken: list[bool] = []

    def step(*args: Any, **named: Any) -> Any:
        if broken:
            return work(*args, **named)
        broken.append(True)
        if after:
            work(*args, **named)
        raise RuntimeError("the power went out")

    monkeypatch.setattr(store, name, step)


@pytest.mark.parametrize(
    ("step", "after"), [("stage", False), ("stage", True), ("put", False), ("put", True)]
)
def test_an_attempt_that_breaks_is_begun_anew_and_nothing_is_there_twice(
    desk: Desk, connection: Connection, lune: Lune, monkeypatch: pytest.MonkeyPatch, step: str,
    after: bool,
) -> None:  # fmt: skip
    document_id, job_id = asked(connection, lune, b"The moon is far.")
    breaks_once(monkeypatch, step, after)
    desk.answer("background", 1)
    assert state(connection, job_id) == "queued"
    desk.answer("background", 1)
    assert state(connection, job_id) == "completed"
    assert said(connection, document_id) == ["The moon is far."]
    found = find_document(connection, lune.tenant_id, document_id)
    assert found is not None
    assert (found.state, found.error) == ("completed", None)
    for table in ("lune_document", "lune_version", "lune_passage"):
        assert rows(connection, table) == 1, table
    assert rows(connection, "lune_intake") == 0
    assert counted_right(connection)


def test_two_desks_take_the_same_document_in_at_once(
    desk: Desk, connection: Connection, lune: Lune
) -> None:
    early, late = sorted([new_id("job"), new_id("job")])
    document_id, _ = asked(connection, lune, b"The moon is far.", job_id=early)
    asked(connection, lune, b"The moon is near.\n\nIs it?", job_id=late)
    desk.answer("background", 2)
    assert {state(connection, job_id) for job_id in (early, late)} == {"completed"}
    assert said(connection, document_id) == ["The moon is near.\n\nIs it?"]
    assert rows(connection, "lune_version") == rows(connection, "lune_passage") == 1
    assert counted_right(connection)


def test_a_document_that_finds_no_place_holds_no_slot_and_comes_again(
    desk: Desk, connection: Connection, lune: Lune, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = Places(1, 0)
    monkeypatch.setattr("workers.chores.ingest._places", places)
    document_id, job_id = asked(connection, lune, b"The moon is far.")
    slots = desk.free_slots
    with places.place("ten_other", 0):
        desk.answer("background", 1)
    assert (state(connection, job_id), desk.free_slots) == ("scheduled", slots)
    job = jobs.find_job(connection, job_id, lune.tenant_id)
    assert job is not None
    assert (job.started_s, jobs.attempts_of(connection, job_id)) == (None, [])
    found = find_document(connection, lune.tenant_id, document_id)
    assert found is not None
    assert (found.state, found.job_id) == ("queued", job_id)
    assert planned.due(connection, 10) == []
    connection.execute("UPDATE open_job SET run_at = now() WHERE strikes = 0")
    assert planned.due(connection, 10) == [(job_id, "background")]
    desk.answer("background", 1)
    assert state(connection, job_id) == "completed"
    assert said(connection, document_id) == ["The moon is far."]


def test_a_document_that_waits_for_its_place_can_be_cancelled(
    desk: Desk, connection: Connection, lune: Lune, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = Places(1, 1)
    monkeypatch.setattr("workers.chores.ingest._places", places)
    document_id, job_id = asked(connection, lune, b"The moon is far.")
    with places.place("ten_other", 0):
        answering = gevent.spawn(desk.answer, "background", 1)
        until(lambda: job_id in desk.running)
        desk.cancel(job_id)
        answering.join(10)
    assert state(connection, job_id) == "cancelled"
    assert names(log_of(desk, wire, job_id)) == ["cancelled"]
    found = find_document(connection, lune.tenant_id, document_id)
    assert found is not None
    assert found.state == "failed"


def test_a_deadline_that_passes_is_told_by_the_document(
    desk: Desk, connection: Connection, lune: Lune, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.chores.ingest.read", lambda *_: gevent.sleep(60))
    document_id, job_id = asked(connection, lune, b"The moon is far.")
    connection.execute("UPDATE open_job SET deadline = now() + interval '50 ms'")
    desk.answer("background", 1)
    assert state(connection, job_id) == "failed"
    found = find_document(connection, lune.tenant_id, document_id)
    assert found is not None
    assert found.error is not None
    assert (found.state, found.error["code"]) == ("failed", "deadline_exceeded")
    assert rows(connection, "lune_intake") == 0


def test_a_document_that_is_deleted_before_its_job_begins_is_told(
    desk: Desk, connection: Connection, lune: Lune, wire: Wire
) -> None:
    document_id, job_id = asked(connection, lune, b"The moon is far.")
    connection.execute("UPDATE lune_document SET deleted_at = now()")
    desk.answer("background", 1)
    job = jobs.find_job(connection, job_id, lune.tenant_id)
    assert job is not None
    assert (job.state, job.error["code"]) == ("failed", "deleted")
    assert names(log_of(desk, wire, job_id)) == ["started", "failed"]
    assert said(connection, document_id) == []


def test_more_passages_than_are_written_at_once_come_in_order(
    desk: Desk, connection: Connection, lune: Lune, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.chores.ingest.STEP", 2)
    text = "\n".join(f"# Part {n}\nMoon number {n}." for n in range(7))
    document_id, _ = asked(connection, lune, text.encode(), "text/markdown")
    desk.answer("background", 1)
    assert said(connection, document_id) == [f"Moon number {n}." for n in range(7)]
    row = connection.execute("SELECT passages, words, tokens FROM lune_document").fetchone()
    assert row is not None
    assert row[0] == 7
    assert counted_right(connection)
