"""Group commit: all that waits goes to Postgres in one statement and one commit.

A flush starts as soon as the one before it has returned, so a group is as large as the load makes
it and a lone item never waits for company.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import gevent
import psycopg
from gevent.event import AsyncResult, Event

from app.db.connect import Connection, is_lost, line_connection
from app.telemetry import log

Item = TypeVar("Item")
Verdict = TypeVar("Verdict")

FLUSH_TIMEOUT_S = 10.0
"""A Postgres that is frozen rather than gone answers nothing at all; after this its connection is
given up."""


class GroupFailed(Exception):
    """The group's statement failed. `in_doubt`: its commit may have happened. `refused`: Postgres
    answered, with an error."""

    def __init__(self, cause: BaseException, *, in_doubt: bool, refused: bool = False) -> None:
        super().__init__(str(cause))
        self.in_doubt, self.refused = in_doubt, refused


class GroupCommit(Generic[Item, Verdict]):
    """Collects items from greenlets and flushes them in groups over one connection of its own.

    `flush(connection, items)` returns one verdict an item, in order. When it raises, every waiter
    of the group gets GroupFailed. A flusher that dies is started anew by the next submit.
    """

    def __init__(
        self,
        url: str,
        name: str,
        flush: Callable[[Connection, list[Item]], list[Verdict]],
        *,
        limit: int = 64,
        timeout_s: float = FLUSH_TIMEOUT_S,
    ) -> None:
        self._url, self._name, self._flush = url, name, flush
        self._limit, self._timeout_s = limit, timeout_s
        self._waiting: list[tuple[Item, AsyncResult]] = []
        self._wake = Event()
        self._connection: Connection | None = None
        self._flusher: Any = None

    def submit(self, item: Item) -> Verdict:
        """Waits for the commit that holds `item` and returns its verdict. Raises GroupFailed."""
        done: AsyncResult = AsyncResult()
        self._waiting.append((item, done))
        if self._flusher is None or self._flusher.dead:
            self._flusher = gevent.spawn(self._run)
        self._wake.set()
        verdict: Verdict = done.get()
        return verdict

    def close(self) -> None:
        """Stops the flusher and closes the connection; items still waiting get GroupFailed."""
        if self._flusher is not None:
            self._flusher.kill()
        self._drop()

    def _run(self) -> None:
        group: list[tuple[Item, AsyncResult]] = []
        try:
            while True:
                if not self._waiting:
                    self._wake.clear()
                    self._wake.wait()
                group, self._waiting = self._waiting[: self._limit], self._waiting[self._limit :]
                self._flush_group(group)
                group = []
        except BaseException as error:
            for _, done in [*group, *self._waiting]:
                done.set_exception(GroupFailed(error, in_doubt=True))
            self._waiting = []
            raise

    def _flush_group(self, group: list[tuple[Item, AsyncResult]]) -> None:
        reached = False
        try:
            with gevent.Timeout(self._timeout_s):
                connection = self._open()
                reached = True
                verdicts = self._flush(connection, [item for item, _ in group])
        except (psycopg.Error, gevent.Timeout, OSError) as error:
            broken = self._connection is None or self._connection.broken
            lost = isinstance(error, gevent.Timeout) or broken
            log("db").error("group failed", name=self._name, error=str(error), count=len(group))
            if lost:
                self._drop()
            elif len(group) > 1:
                # Only one of them may be at fault, and Postgres has undone them all.
                for entry in group:
                    self._flush_group([entry])
                return
            for _, done in group:
                done.set_exception(GroupFailed(error, in_doubt=reached and lost, refused=not lost))
            return
        for (_, done), verdict in zip(group, verdicts, strict=True):
            done.set(verdict)

    def _open(self) -> Connection:
        if self._connection is not None and is_lost(self._connection):
            self._drop()
        if self._connection is None:
            self._connection = line_connection(self._url, self._name)
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
