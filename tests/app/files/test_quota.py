"""What all files of a tenant may have together."""

import threading
from collections.abc import Callable

import pytest

from app.db.connect import Connection
from app.db.reads import Reads
from app.errors import TooLarge
from app.files import service
from app.files.service import Files
from app.files.storage.base import PIECE_BYTES
from app.settings import Settings
from tests.app.files.parts import lying, patterned, rows, text
from tests.app.line import tenant


def test_the_quota_counts_all_files_and_refuses_what_is_over_it(
    database: Reads, line_settings: Callable[..., Settings], connection: Connection, mine: str
) -> None:
    files = Files(database, line_settings(file_quota=10))
    first = text(files, mine, b"123456")
    for refused in (lambda: text(files, mine, b"12345"), lambda: files.upload(mine, announced=5)):
        with pytest.raises(TooLarge) as raised:
            refused()
        assert (raised.value.code, raised.value.param) == ("file_quota_exceeded", "file")
        assert "4 are left" in raised.value.message
    assert (list(rows(connection)), lying(files)) == ([first], [first])
    text(files, tenant(connection), b"12345")
    paid = files.create(mine, "batch_output", "out.jsonl", [b"12345"])
    with pytest.raises(TooLarge, match="0 are left"):
        text(files, mine, b"1")
    assert files.delete(mine, first)
    assert files.delete(mine, paid.id)
    text(files, mine, b"1234567890")


def test_what_arrives_counts_while_it_does(
    database: Reads,
    line_settings: Callable[..., Settings],
    mine: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "GROW_BYTES", 1)
    files = Files(database, line_settings(file_quota=PIECE_BYTES + 10))
    upload = files.upload(mine)
    upload.write(patterned(PIECE_BYTES))
    with pytest.raises(TooLarge, match="10 are left"):
        text(files, mine, b"12345678901")
    with pytest.raises(TooLarge):
        upload.write(patterned(PIECE_BYTES))
    upload.close()
    text(files, mine, b"12345678901")


def test_two_that_end_at_once_do_not_both_slip_under_the_quota(
    books: str, line_settings: Callable[..., Settings], connection: Connection, mine: str
) -> None:
    settings, together, refused = line_settings(file_quota=10), threading.Barrier(4), []

    def finish() -> None:
        database = Reads(books, "test")
        files = Files(database, settings)
        upload = files.upload(mine)
        upload.write(b"123456")
        together.wait(60)
        try:
            upload.finish("user_data", "a.txt", "text/plain")
        except TooLarge as error:
            refused.append(error.code)
        upload.close()
        database.close()

    threads = [threading.Thread(target=finish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert refused == ["file_quota_exceeded"] * 3
    assert list(rows(connection).values()) == ["kept"]
