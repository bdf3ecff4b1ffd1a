"""Files in a directory of this machine. Calls that wait for the disk are made beside gevent's hub,
in threads of their own: the hub's look up names, and must not wait behind a slow disk."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

from gevent import monkey
from gevent.threadpool import ThreadPool

from app.errors import NotFound, Unavailable
from app.files.storage.base import PIECE_BYTES, Storage, Writer, place_of

Params = ParamSpec("Params")
Result = TypeVar("Result")

THREADS = 4
PART = ".part"
"""Behind the name of a file that is being written."""

_pools: dict[int, ThreadPool] = {}
_Lock = monkey.get_original("threading", "Lock")


class Directory(Storage):
    """A storage in `root`, which is made when the first file is written."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def writer(self, key: str) -> "FileWriter":
        return FileWriter(self._root / place_of(key))

    def read(self, key: str, start: int = 0) -> Iterator[bytes]:
        file = _beside(_opened, self._root / place_of(key))
        try:
            # Not by the descriptor's own place, which a call that was left behind would move.
            while piece := _beside(os.pread, file, PIECE_BYTES, start):
                yield piece
                start += len(piece)
        finally:
            os.close(file)

    def delete(self, key: str) -> None:
        _beside(_remove, self._root / place_of(key))


class FileWriter(Writer):
    """Writes beside its place, and takes it with a rename once all is on the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # A greenlet that is ended leaves its call behind in the thread: the next call waits for it,
        # and never meets a descriptor that is closed, or by then another file's.
        self._alone = _Lock()
        self._file: int | None = _beside(_created, path)

    def write(self, piece: bytes) -> None:
        _beside(self._write, piece)

    def finish(self) -> None:
        _beside(self._finish)

    def abandon(self) -> None:
        _beside(self._close)

    def _write(self, piece: bytes) -> None:
        with self._alone:
            assert self._file is not None
            left = memoryview(piece)
            while left:
                left = left[os.write(self._file, left) :]

    def _finish(self) -> None:
        with self._alone:
            assert self._file is not None
            os.fsync(self._file)
            os.rename(_part(self._path), self._path)
            _sync(self._path.parent)
        self._close()

    def _close(self) -> None:
        with self._alone:
            if self._file is not None:
                os.close(self._file)
            self._file = None


def _beside(work: Callable[Params, Result], *args: Params.args, **named: Params.kwargs) -> Result:
    """What `work` gives or raises; trouble with the disk is told as Unavailable."""
    try:
        if not monkey.is_module_patched("threading"):
            return work(*args, **named)
        # A fork has none of its parent's threads.
        pool = _pools.get(os.getpid())
        if pool is None:
            pool = _pools[os.getpid()] = ThreadPool(THREADS)
        result: Result = pool.apply(work, args, named)
        return result
    except OSError as error:
        raise Unavailable(
            f"The storage of files fails: {error.strerror}.", retry_after=30
        ) from error


def _part(path: Path) -> Path:
    return path.with_name(path.name + PART)


def _created(path: Path) -> int:
    if not path.parent.is_dir():
        path.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        _sync(path.parent.parent)
    return os.open(_part(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFound("The content of this file is gone.") from None


def _remove(path: Path) -> None:
    for one in (_part(path), path):
        with suppress(FileNotFoundError):
            one.unlink()


def _sync(folder: Path) -> None:
    """Makes the names in a folder outlive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
