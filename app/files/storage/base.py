"""What keeps the bytes of files, by key. A key is a file's id: never what a user wrote."""

import re
from collections.abc import Iterator
from typing import Protocol

PIECE_BYTES = 262_144
"""What is written or read at once, at most."""

_KEY = re.compile(r"file_[0-9a-hjkmnp-tv-z]{26}")


class Writer(Protocol):
    """Bytes on their way into a storage. They are there under their key once `finish` has returned,
    and not before."""

    def write(self, piece: bytes) -> None:
        """Takes the next bytes. Raises Unavailable."""

    def finish(self) -> None:
        """Returns once all bytes are safe. Raises Unavailable."""

    def abandon(self) -> None:
        """Lets go of what the writer holds in this process; `Storage.delete` removes the rest."""


class Storage(Protocol):
    """Where bytes lie. All of it may be used from many greenlets."""

    def writer(self, key: str) -> Writer:
        """A writer of new bytes. Raises Unavailable."""

    def read(self, key: str, start: int = 0) -> Iterator[bytes]:
        """The bytes from `start` on, which must be below their number, in pieces of at most
        PIECE_BYTES. Raises NotFound and Unavailable, also between two pieces."""

    def delete(self, key: str) -> None:
        """Removes the bytes, and whatever a writer that was abandoned or killed has left of them.
        There may be none. Raises Unavailable."""


def place_of(key: str) -> str:
    """Where the bytes of `key` lie within a storage: in a folder named after its last two letters,
    which are random. Raises ValueError for what is no key."""
    if _KEY.fullmatch(key) is None:
        raise ValueError("not the key of a file")
    return f"{key[-2:]}/{key}"
