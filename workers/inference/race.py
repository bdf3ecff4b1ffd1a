"""Streams that are read side by side, until one of them is chosen."""

from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import gevent
from gevent.queue import Empty, Queue

from workers.providers.base import Chunk

AHEAD = 8
"""Chunks that are read before anybody asks for them."""

Entrant = TypeVar("Entrant")
Told = Chunk | Exception | None
"""A chunk, or how a stream ended: with an error, or well."""


class Race(Generic[Entrant]):
    """Reads each stream in a greenlet of its own. Entrants are told apart by identity."""

    def __init__(self) -> None:
        self._told: Any = Queue(AHEAD)
        self._readers: dict[int, Any] = {}

    def enter(self, entrant: Entrant, chunks: Iterator[Chunk]) -> None:
        """Begins to read a stream."""
        self._readers[id(entrant)] = gevent.spawn(self._read, entrant, chunks)

    def next(self, timeout_s: float | None = None) -> tuple[Entrant, Told] | None:
        """What the next stream to say anything said; None after `timeout_s`."""
        while True:
            try:
                entrant, told = self._told.get(timeout=timeout_s)
            except Empty:
                return None
            if id(entrant) in self._readers:
                return entrant, told

    def drop(self, entrant: Entrant) -> None:
        """Closes a stream; what it said and nobody heard is forgotten."""
        reader = self._readers.pop(id(entrant), None)
        if reader is not None:
            reader.kill(block=False)

    def close(self) -> None:
        """Closes all streams."""
        readers, self._readers = list(self._readers.values()), {}
        gevent.killall(readers, block=False)

    def _read(self, entrant: Entrant, chunks: Iterator[Chunk]) -> None:
        end: Exception | None = None
        try:
            for chunk in chunks:
                self._told.put((entrant, chunk))
        except Exception as error:
            end = error
        finally:
            # In every adapter a generator, though the protocol promises an iterator alone.
            close = getattr(chunks, "close", None)
            if close is not None:
                close()
        self._told.put((entrant, end))
