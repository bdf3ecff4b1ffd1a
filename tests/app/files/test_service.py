"""Files, whole or not at all, in both storages."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

from app.db.connect import Connection
from app.db.reads import Reads
from app.errors import Unavailable
from app.files import service, store
from app.files.service import Files
from app.files.storage.base import PIECE_BYTES
from app.files.storage.s3 import PART_BYTES
from app.settings import Settings
from tests.app.files.parts import forget_the_busy, lying, patterned, rows, text
from tests.app.line import tenant

Answer = TypeVar("Answer")
DAY_S = 86_400


@pytest.fixture(params=["directory", "bucket"])
def both(
    request: pytest.FixtureRequest, database: Reads, line_settings: Callable[..., Settings]
) -> Files:
    """Files in one storage and in the other."""
    if request.param == "directory":
        return Files(database, line_settings())
    bucket = request.getfixturevalue("bucket")
    return Files(database, line_settings(), bucket)


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, 2 * PIECE_BYTES + 7, 2 * PART_BYTES + 9])
def test_a_file_is_read_as_it_was_written(both: Files, mine: str, size: int) -> None:
    content = patterned(size)
    chunks = [content[at : at + 300_000] for at in range(0, size, 300_000)]
    row = both.create(mine, "batch", "in.jsonl", chunks, media_type="application/jsonl")
    assert (row.bytes, row.sha256) == (size, hashlib.sha256(content).hexdigest())
    assert (row.tenant_id, row.purpose, row.filename) == (mine, "batch", "in.jsonl")
    assert both.find(mine, row.id) == row
    for start in {0, size // 3, max(0, size - 1), size}:
        pieces = list(both.read(row, start))
        assert b"".join(pieces) == content[start:]
        assert all(len(piece) <= PIECE_BYTES for piece in pieces)


def test_nothing_is_left_of_a_file_that_broke_off(
    both: Files, connection: Connection, mine: str
) -> None:
    def breaks() -> Iterator[bytes]:
        yield patterned(PART_BYTES + PIECE_BYTES)
        assert set(rows(connection).values()) == {"arriving"}
        assert both.page(mine, None, "asc", None, 10) == []
        raise RuntimeError("the source is gone")

    with pytest.raises(RuntimeError, match="the source"):
        both.create(mine, "batch_output", "out.jsonl", breaks())
    assert (rows(connection), lying(both)) == ({}, [])


def test_what_goes_along_commits_with_the_file_or_undoes_it(
    files: Files, connection: Connection, mine: str
) -> None:
    def note(inside: Connection, row: Any) -> None:
        inside.execute("UPDATE tenant SET name = %s WHERE id = %s", (row.id, mine))

    def note_and_fail(inside: Connection, row: Any) -> None:
        note(inside, row)
        raise Unavailable("no")

    def noted() -> str:
        [[name]] = connection.execute("SELECT name FROM tenant WHERE id = %s", (mine,)).fetchall()
        return str(name)

    file_id = text(files, mine, along=note)
    assert noted() == file_id
    with pytest.raises(Unavailable, match="no"):
        text(files, mine, along=note_and_fail)
    assert noted() == file_id
    assert (list(rows(connection)), lying(files)) == ([file_id], [file_id])


def begun(files: Files, mine: str) -> None:
    files.upload(mine)


def half_written(files: Files, mine: str) -> None:
    files.upload(mine).write(patterned(PART_BYTES + PIECE_BYTES))


def whole_without_its_commit(files: Files, mine: str) -> None:
    upload = files.upload(mine)
    upload.write(b"moon")
    upload._flush()
    assert upload._writer is not None
    upload._writer.finish()


def deleted_with_its_bytes(files: Files, mine: str) -> None:
    file_id = text(files, mine)
    files.database.change(lambda c: store.delete(c, mine, file_id))


def deleted_with_its_row(files: Files, mine: str) -> None:
    file_id = text(files, mine)
    files.database.change(lambda c: store.delete(c, mine, file_id))
    files.storage.delete(file_id)


@pytest.mark.parametrize(
    "crash",
    [
        begun,
        half_written,
        whole_without_its_commit,
        deleted_with_its_bytes,
        deleted_with_its_row,
    ],
)
def test_whatever_a_crash_leaves_is_swept(
    both: Files, connection: Connection, mine: str, crash: Callable[[Files, str], None]
) -> None:
    """A crash is a process that does nothing more, so nothing is closed here."""
    kept = text(both, mine)
    crash(both, mine)
    assert both.sweep() == 0, "its writer may be at work"
    assert len(rows(connection)) == 2
    assert [row.id for row in both.page(mine, None, "asc", None, 10)] == [kept]
    forget_the_busy(connection)
    assert both.sweep() == 1
    assert (list(rows(connection)), lying(both)) == ([kept], [kept])
    assert both.sweep() == 0


def test_who_was_taken_for_lost_leaves_nothing_either(
    both: Files, connection: Connection, mine: str
) -> None:
    upload = both.upload(mine)
    upload.write(patterned(PIECE_BYTES))
    forget_the_busy(connection)
    assert both.sweep() == 1
    with pytest.raises(Unavailable):
        upload.finish("user_data", "a.txt", "text/plain")
    # What it has written after the sweep, it removes: it alone knows of it.
    upload.close()
    assert (rows(connection), lying(both)) == ({}, [])


def test_a_writer_that_says_it_is_alive_is_left_alone(
    files: Files, connection: Connection, mine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "GROW_BYTES", PIECE_BYTES)
    upload = files.upload(mine)
    forget_the_busy(connection)
    upload.write(patterned(PIECE_BYTES))
    assert files.sweep() == 0
    [[counted]] = connection.execute("SELECT bytes FROM file").fetchall()
    assert counted == PIECE_BYTES
    assert upload.finish("user_data", "a.txt", "text/plain").bytes == PIECE_BYTES


class Doubtful(Reads):
    """Loses the connection just after a commit, once it is `broken`."""

    broken = False

    def change(self, work: Callable[[Connection], Answer]) -> Answer:
        answer = super().change(work)
        if self.broken:
            self.broken = False
            raise Unavailable("The database does not answer; try again.")
        return answer


def test_a_file_whose_commit_was_in_doubt_is_kept(
    books: str, line_settings: Callable[..., Settings], connection: Connection, mine: str
) -> None:
    database = Doubtful(books, "test")
    files = Files(database, line_settings())
    upload = files.upload(mine)
    upload.write(b"moon")
    upload._flush()
    database.broken = True
    with pytest.raises(Unavailable):
        upload.finish("user_data", "a.txt", "text/plain")
    upload.close()
    [row] = files.page(mine, None, "asc", None, 10)
    assert b"".join(files.read(row)) == b"moon"
    database.close()


def test_a_file_goes_when_it_expires(files: Files, connection: Connection, mine: str) -> None:
    row = files.create(mine, "user_data", "a.txt", [b"moon"], expires_s=3600)
    assert row.expires_s == pytest.approx(row.created_s + 3600, abs=0.001)
    assert files.sweep() == 0
    connection.execute("UPDATE file SET expires_at = now()")
    assert files.find(mine, row.id) is None
    assert files.page(mine, None, "asc", None, 10) == []
    assert not files.delete(mine, row.id)
    assert files.sweep() == 1
    assert (rows(connection), lying(files)) == ({}, [])


def test_prompts_and_answers_in_files_are_kept_as_long_as_in_jobs(
    files: Files, connection: Connection, mine: str
) -> None:
    def days(purpose: Any, expires_s: int | None = None) -> float | None:
        row = files.create(mine, purpose, "a", [b"moon"], expires_s=expires_s)
        return None if row.expires_s is None else (row.expires_s - row.created_s) / DAY_S

    assert (days("batch"), days("batch_output"), days("user_data")) == (30, 30, None)
    connection.execute("UPDATE tenant SET retention_days = 7 WHERE id = %s", (mine,))
    assert (days("batch"), days("batch", 3 * DAY_S)) == (7, 3)
    assert (days("batch", 9 * DAY_S), days("user_data", 9 * DAY_S)) == (7, 9)
    connection.execute("UPDATE file SET created_at = now() - interval '8 days'")
    assert files.sweep() == 5, "also those that were to stay longer"
    assert {row.purpose for row in files.page(mine, None, "asc", None, 10)} == {"user_data"}


def test_pages_go_through_a_tenants_files_in_both_orders(
    files: Files, connection: Connection, mine: str
) -> None:
    text(files, tenant(connection))
    ids = [text(files, mine) for _ in range(3)]
    batch = files.create(mine, "batch", "b", [b"x"]).id

    def paged(order: Any, purpose: str | None = None, after: str | None = None) -> list[str]:
        return [row.id for row in files.page(mine, purpose, order, after, 2)]

    assert paged("asc") == ids[:2]
    assert paged("asc", after=ids[1]) == [ids[2], batch]
    assert paged("desc") == [batch, ids[2]]
    assert paged("desc", after=ids[2]) == [ids[1], ids[0]]
    assert paged("asc", "batch") == [batch]


def test_another_tenants_file_is_not_there(files: Files, connection: Connection, mine: str) -> None:
    file_id, other = text(files, mine), tenant(connection)
    assert files.find(other, file_id) is None
    assert not files.delete(other, file_id)
    assert files.find(mine, file_id) is not None


def test_all_of_a_tenant_or_an_app_goes_at_once(
    files: Files, connection: Connection, mine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "DELETE", 2)
    for _ in range(3):
        text(files, mine, app_id="one")
    late, other, others = text(files, mine), text(files, mine, app_id="two"), tenant(connection)
    kept = text(files, others)
    [[now]] = connection.execute("SELECT extract(epoch FROM now())::float8").fetchall()
    connection.execute(
        "UPDATE file SET created_at = now() + interval '1 hour' WHERE id = %s", (late,)
    )
    assert files.delete_before(mine, "one", now) == 3
    assert files.delete_before(mine, None, now) == 1
    assert set(rows(connection)) == {late, kept} == set(lying(files))
    assert other not in rows(connection)


def test_a_file_is_deleted_though_its_storage_is_away(
    files: Files, connection: Connection, mine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_id = text(files, mine)

    def away(key: str) -> None:
        raise Unavailable("The storage of files does not answer.")

    monkeypatch.setattr(files.storage, "delete", away)
    assert files.delete(mine, file_id)
    assert files.find(mine, file_id) is None
    monkeypatch.undo()
    forget_the_busy(connection)
    assert files.sweep() == 1
    assert (rows(connection), lying(files)) == ({}, [])


def test_a_file_that_cannot_be_removed_does_not_hold_up_the_others(
    files: Files, connection: Connection, mine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [text(files, mine) for _ in range(6)]
    connection.execute("UPDATE file SET expires_at = now()")
    remove, stuck = files.storage.delete, ids[:2]

    def some_are_stuck(key: str) -> None:
        if key in stuck:
            raise Unavailable("The storage of files refuses: AccessDenied.")
        remove(key)

    monkeypatch.setattr(files.storage, "delete", some_are_stuck)
    assert files.sweep() == 4
    assert list(rows(connection)) == lying(files) == stuck
    stuck = [text(files, mine), *stuck]
    connection.execute("UPDATE file SET expires_at = now() WHERE state = 'kept'")
    forget_the_busy(connection)
    with pytest.raises(Unavailable, match="refuses to remove"):
        files.sweep()
