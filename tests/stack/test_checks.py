"""What the doctor says of a Postgres, and of where files are kept."""

from pathlib import Path

import pytest

from app.settings import Settings
from app.stack.checks import _files, pgvector_check


@pytest.mark.parametrize(
    ("version", "state"),
    [("0.8.1", "ok"), ("0.8", "ok"), ("1.0", "ok"), ("0.7.4", "fail"), (None, "fail")],
)
def test_an_old_pgvector_or_none_is_a_fault(version: str | None, state: str) -> None:
    check = pgvector_check(version)
    assert check.state == state
    assert bool(check.mend) == (state == "fail")


def test_the_storage_of_files_is_tried(folder: Path) -> None:
    assert _files(Settings(data_dir=folder / "none")) == [], "it makes no data directory"
    [fine] = _files(Settings(data_dir=folder))
    assert (fine.state, fine.mend) == ("ok", "")
    wrong = folder / "wrong"
    wrong.mkdir()
    (wrong / "files").write_text("in the way")
    [check] = _files(Settings(data_dir=wrong))
    assert check.state == "fail"
    assert "File exists" in check.found or "Not a directory" in check.found
    assert check.mend
