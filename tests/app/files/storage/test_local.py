"""A directory as a storage."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.errors import NotFound, Unavailable
from app.files.storage.base import place_of
from app.files.storage.local import Directory
from app.ids import new_id

PATCHED = """
from gevent import monkey
monkey.patch_all()
import os, sys, tempfile
from pathlib import Path
import gevent
from app.files.storage.local import Directory
from app.ids import new_id

event = monkey.get_original("threading", "Event")()
key, ticks = new_id("file"), []
storage = Directory(Path(sys.argv[1]))
plain_write = os.write


def slow_write(file, data):
    assert event.wait(20)
    return plain_write(file, data)


def tick():
    while True:
        ticks.append(1)
        if len(ticks) == 5:
            event.set()
        gevent.sleep(0.001)


writer = storage.writer(key)
os.write = slow_write
gevent.spawn(tick)
writer.write(b"moon")
assert len(ticks) >= 5, "the hub stood still"
os.write = plain_write
writer.finish()
assert b"".join(storage.read(key, 1)) == b"oon"

# A call that a greenlet has left behind ends before its file is closed.
event.clear()
second = storage.writer(new_id("file"))
os.write = slow_write
left = gevent.spawn(second.write, b"moon")
gevent.sleep(0.01)
left.kill(timeout=5)
assert left.dead, "it waits for the disk"
closing = gevent.spawn(second.abandon)
gevent.sleep(0.01)
assert not closing.dead, "it closed what is written to"
event.set()
closing.get(timeout=20)
print("well")
"""


def test_the_hub_goes_on_while_the_disk_is_slow(folder: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", PATCHED, str(folder)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert told.stdout == "well\n", told.stderr


def test_files_are_there_once_finished_and_for_their_owner_alone(folder: Path) -> None:
    storage, key = Directory(folder / "files"), new_id("file")
    writer = storage.writer(key)
    writer.write(b"moon")
    place = folder / "files" / place_of(key)
    assert not place.exists()
    with pytest.raises(NotFound):
        next(storage.read(key))
    writer.finish()
    assert place.read_bytes() == b"moon"
    assert place.stat().st_mode & 0o777 == 0o600
    assert place.parent.stat().st_mode & 0o777 == 0o700
    storage.delete(key)
    storage.delete(key)
    assert not place.exists()


@pytest.mark.parametrize(
    "key", ["", "..", "file_../../../../etc/passwd00000000", "file_" + "a" * 25, "job_" + "0" * 26]
)
def test_a_path_is_made_of_ids_alone(folder: Path, key: str) -> None:
    storage = Directory(folder)
    with pytest.raises(ValueError, match="not the key"):
        storage.writer(key)
    with pytest.raises(ValueError, match="not the key"):
        storage.delete(key)
    with pytest.raises(ValueError, match="not the key"):
        next(storage.read(key))


def test_trouble_with_the_disk_is_told(folder: Path) -> None:
    (folder / "files").write_text("in the way")
    with pytest.raises(Unavailable, match="storage of files fails"):
        Directory(folder / "files").writer(new_id("file"))
