"""The chores of batches, cut off at every step and begun anew by another attempt."""

import json
from dataclasses import replace
from typing import Any

import pytest

from app.batches import store
from app.batches.dispatch import READINGS, Dispatcher
from app.batches.flight import store as flights
from app.batches.model import FILES_KIND, READ_KIND, TURNS, Batch, NewBatch
from app.db.connect import Connection
from app.errors import Unavailable
from app.files.service import Files
from app.ids import new_id
from app.jobs import store as jobs
from app.jobs.model import Claimed, HandedBack, chore_draft
from tests.app.batches.parts import now, started, work_off
from tests.app.line import assert_proven, funds, tenant
from tests.workers.chores.conftest import MakeDesk
from workers.chores.batch_files import WriteFiles
from workers.chores.batch_reading import ReadBatch
from workers.inference.desk import Desk

CREDIT = 10**9
LINES = 7


class Killed(BaseException):
    """The worker is gone."""


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    return make_desk("batch")


def claimed(connection: Connection, kind: str) -> Claimed:
    [job] = jobs.claim(connection, "batch", "wrk_a", 1)
    assert job.kind == kind
    return job


def again(connection: Connection, job: Claimed) -> Claimed:
    """The same job in the hands of its next attempt."""
    jobs.requeue(connection, [HandedBack(job.id, job.attempt, None)], "lost")
    return claimed(connection, job.kind)


def killed_at(
    monkeypatch: pytest.MonkeyPatch, room: Any, name: str, call: int, after: bool
) -> None:
    """Ends the worker at the so-manieth call of a function, before it does anything or after."""
    real, calls = getattr(room, name), iter(range(1, 1000))

    def fatal(*args: Any, **options: Any) -> Any:
        mine = next(calls) == call
        if mine and not after:
            raise Killed
        told = real(*args, **options)
        if mine:
            raise Killed
        return told

    monkeypatch.setattr(room, name, fatal)


def finalizing(connection: Connection, desk: Desk, mine: str) -> Batch:
    """A batch whose files are due: five lines have answers, two have failed."""
    batch = started(connection, mine, LINES)
    dispatcher = Dispatcher(desk.settings)
    dispatcher.round(connection)
    work_off(connection, LINES, failed=2)
    for _ in range(2):
        dispatcher.round(connection)
    return batch


def files_of(connection: Connection, desk: Desk, mine: str) -> list[list[str]]:
    """The custom_ids in each file that there is, oldest first."""
    assert desk._parts.reads is not None
    files = Files(desk._parts.reads, desk.settings)
    rows = connection.execute("SELECT id FROM file WHERE state = 'kept' ORDER BY id").fetchall()
    found = []
    for (file_id,) in rows:
        row = files.find(mine, file_id)
        assert row is not None
        found.append([json.loads(line)["custom_id"] for line in files.lines(row)])
    return found


@pytest.mark.parametrize(
    ("name", "call", "after"),
    [
        ("take", 1, True), ("results", 2, False), ("keep_file", 1, False), ("keep_file", 1, True),
        ("results", 3, False), ("keep_file", 2, False), ("keep_file", 2, True), ("end", 1, False),
        ("end", 1, True),
    ],
)  # fmt: skip
def test_files_are_written_once_whenever_their_worker_dies(
    desk: Desk, connection: Connection, monkeypatch: pytest.MonkeyPatch, name: str, call: int,
    after: bool,
) -> None:  # fmt: skip
    mine = tenant(connection, CREDIT)
    batch = finalizing(connection, desk, mine)
    job = claimed(connection, FILES_KIND)
    with monkeypatch.context() as patch:
        killed_at(patch, store, name, call, after)
        with pytest.raises(Killed):
            WriteFiles(desk._parts, job).work()
    WriteFiles(desk._parts, again(connection, job)).work()
    ended = now(connection, batch)
    assert (ended.status, ended.completed, ended.failed) == ("completed", 5, 2)
    failed, answered = ["line-1", "line-2"], [f"line-{n}" for n in range(3, LINES + 1)]
    assert files_of(connection, desk, mine) == [answered, failed]
    # One that was thought dead and comes back finds nothing to do.
    WriteFiles(desk._parts, job).work()
    assert files_of(connection, desk, mine) == [answered, failed]
    assert_proven_but_for_the_chore(connection)


def assert_proven_but_for_the_chore(connection: Connection) -> None:
    """The books are right; the chore, which its attempts here do not end, is open."""
    assert_proven(connection)
    assert connection.execute("SELECT count(*) FROM open_job").fetchone() == (1,)


def reading(connection: Connection, mine: str, count: int) -> Batch:
    """A batch with its requests and the chore that reads them."""
    batch_id = new_id("batch")
    asked = {"model": "builtin/sim", "messages": [{"role": "user", "content": "hi"}]}
    requests = [{"custom_id": f"line-{n}", "params": asked} for n in range(1, count + 1)]
    told = json.dumps({"batch_id": batch_id, "requests": requests})
    chore = chore_draft(
        READ_KIND, told, mine, key_id="key_x", app_id="tests", lane="batch", deadline_s=60,
        backlog=100,
    )  # fmt: skip
    new = NewBatch(
        id=batch_id, tenant_id=mine, key_id="key_x", app_id="tests", test=False,
        endpoint="/v1/chat/completions", input_file_id=None, input_job_id=chore.id, retry_of=None,
        completion_window="24h", priority=0, metadata=None, ttl_s=None, chore_id=chore.id,
    )  # fmt: skip
    store.create(connection, new)
    assert jobs.admit_group(connection, [chore]) == ["admitted"]
    found = store.find(connection, mine, batch_id)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "call", "after"),
    [("drop_lines", 1, True), ("add_lines", 2, False), ("add_lines", 2, True), ("start", 1, False),
     ("start", 1, True)],
)  # fmt: skip
def test_lines_are_read_once_whenever_their_worker_dies(
    desk: Desk, connection: Connection, monkeypatch: pytest.MonkeyPatch, name: str, call: int,
    after: bool,
) -> None:  # fmt: skip
    mine = tenant(connection, CREDIT)
    batch = reading(connection, mine, LINES)
    monkeypatch.setattr("workers.chores.batch_reading.GROUP_LINES", 3)
    job = claimed(connection, READ_KIND)
    with monkeypatch.context() as patch:
        killed_at(patch, store, name, call, after)
        with pytest.raises(Killed):
            ReadBatch(desk._parts, job).work()
    next_one = again(connection, job)
    ReadBatch(desk._parts, next_one).work()
    ReadBatch(desk._parts, job).work()
    ended = now(connection, batch)
    assert (ended.status, ended.total, ended.model) == ("in_progress", LINES, "builtin/sim")
    assert funds(connection, mine) == (CREDIT - ended.hold, ended.hold)
    assert len(flights.dispatch(connection, batch.id, 100)) == LINES
    assert_proven(connection)


def test_a_batch_whose_lines_cannot_be_read_fails(desk: Desk, connection: Connection) -> None:
    batch = reading(connection, tenant(connection, CREDIT), 1)
    dispatcher = Dispatcher(desk.settings)
    job = claimed(connection, READ_KIND)
    dispatcher.round(connection)
    assert now(connection, batch).status == "validating"
    jobs.void(connection, [job.id], "running", "failed", {"message": "lost"}, "reaper")
    dispatcher.round(connection)
    failed = now(connection, batch)
    assert failed.status == "failed"
    assert [error["code"] for error in failed.errors or []] == ["server_error"]
    assert_proven(connection)


def test_lines_whose_storage_is_away_are_read_again_later_and_not_for_ever(
    desk: Desk, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tenant(connection, CREDIT)
    batch, hopeless = reading(connection, mine, 2), reading(connection, mine, 1)
    turns = READINGS * TURNS
    connection.execute("UPDATE batch SET turn = %s WHERE id = %s", (turns, hopeless.id))
    with monkeypatch.context() as patch:
        patch.setattr(ReadBatch, "_input", away)
        for job in jobs.claim(connection, "batch", "wrk_a", 2):
            outcome = ReadBatch(desk._parts, job).run().outcome
            assert outcome is not None
            assert jobs.settle_group(connection, "wrk_a", [outcome]) == [True]
    dispatcher = Dispatcher(desk.settings)
    dispatcher.round(connection)
    assert [now(connection, one).status for one in (batch, hopeless)] == ["validating", "failed"]
    assert jobs.claim(connection, "batch", "wrk_a", 1) == []
    monkeypatch.setattr("app.batches.dispatch.CHORE_RETRY_S", 0.0)
    dispatcher.round(connection)
    ReadBatch(desk._parts, claimed(connection, READ_KIND)).work()
    started_late = now(connection, batch)
    assert (started_late.status, started_late.total) == ("in_progress", 2)
    assert started_late.finalizing_s is None
    assert_proven(connection)


def away(*_: Any) -> Any:
    raise Unavailable("The storage of files does not answer.")


def test_a_batch_whose_requests_were_deleted_says_so(desk: Desk, connection: Connection) -> None:
    batch = reading(connection, tenant(connection, CREDIT), 1)
    job = replace(claimed(connection, READ_KIND), request=json.dumps({"batch_id": batch.id}))
    connection.execute("UPDATE job SET request = '' WHERE id = %s", (job.id,))
    connection.execute("UPDATE batch SET input_job_id = 'job_before' WHERE id = %s", (batch.id,))
    ReadBatch(desk._parts, job).work()
    assert [error["code"] for error in now(connection, batch).errors or []] == ["input_deleted"]


def test_files_that_cannot_be_written_are_tried_again_later(
    desk: Desk, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = finalizing(connection, desk, tenant(connection, CREDIT))
    job = claimed(connection, FILES_KIND)
    jobs.void(connection, [job.id], "running", "failed", {"message": "no room"}, "reaper")
    dispatcher = Dispatcher(desk.settings)
    dispatcher.round(connection)
    assert now(connection, batch).chore_id == job.id
    monkeypatch.setattr("app.batches.dispatch.CHORE_RETRY_S", 0.0)
    dispatcher.round(connection)
    WriteFiles(desk._parts, claimed(connection, FILES_KIND)).work()
    assert now(connection, batch).status == "completed"
    assert_proven(connection)
