"""Which storage the settings name, and whether it works."""

from pathlib import Path

import pytest

from app.files.storage.chosen import storage_of, try_storage
from app.files.storage.local import Directory
from app.files.storage.s3 import Bucket
from app.settings import Settings


def test_files_lie_in_the_data_directory_unless_a_bucket_is_named(
    folder: Path, s3_settings: dict[str, str]
) -> None:
    storage = storage_of(Settings(data_dir=folder))
    assert isinstance(storage, Directory)
    assert try_storage(storage) == ""
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    assert list((folder / "files").iterdir()) != []
    named = {**s3_settings, "data_dir": folder}
    bucket = storage_of(Settings.model_validate(named))
    assert isinstance(bucket, Bucket)
    assert storage_of(Settings.model_validate(named)) is bucket, "a client is dear to make"
    assert "NoSuchBucket" in try_storage(bucket)
    bucket.client.create_bucket(Bucket=s3_settings["s3_bucket"])
    assert try_storage(bucket) == ""


def test_a_directory_that_cannot_be_written_is_told(folder: Path) -> None:
    (folder / "files").write_text("in the way")
    assert "storage of files fails" in try_storage(storage_of(Settings(data_dir=folder)))


def test_what_a_storage_gives_back_is_compared(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = storage_of(Settings(data_dir=folder))
    monkeypatch.setattr(storage, "read", lambda key: iter([b"sun"]))
    assert try_storage(storage) == "what was written is not what is read"
