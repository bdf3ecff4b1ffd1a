"""A few plain connections for single reads and small writes outside the job line's groups."""

from collections.abc import Callable
from typing import TypeVar

import gevent
import psycopg
from gevent.lock import BoundedSemaphore

from app.db.connect import Connection, connect, is_lost
from app.errors import MoonpoolError, Unavailable

Answer = TypeVar("Answer")

SIZE = 4
TIMEOUT_S = 5.0


class Reads:
    """Runs functions of a connection. Broken connections are replaced."""

    def __init__(self, url: str, name: str) -> None:
        self._url, self._name = url, name
        self._free: list[Connection] = []
        self._room = BoundedSemaphore(SIZE)

    def run(self, function: Callable[[Connection], Answer]) -> Answer:
        """What `function` returns. Raises Unavailable if Postgres is away."""
        patience = gevent.Timeout(TIMEOUT_S)
        try:
            with patience, self._room:
                connection = self._take()
                try:
                    answer = function(connection)
                except BaseException:
                    connection.close()
                    raise
                self._free.append(connection)
                return answer
        except (psycopg.OperationalError, gevent.Timeout) as error:
            if isinstance(error, gevent.Timeout) and error is not patience:
                raise  # The caller's own, which must end the caller.
            raise Unavailable("The database does not answer; try again.", retry_after=2) from error

    def change(self, work: Callable[[Connection], Answer]) -> Answer:
        """What `work` returns, done in one transaction. Raises what it raises, and Unavailable."""

        def transaction(connection: Connection) -> Answer | MoonpoolError:
            # Handed out as a value: one that passed through `run` would cost it the connection.
            try:
                with connection.transaction():
                    return work(connection)
            except MoonpoolError as error:
                return error

        result = self.run(transaction)
        if isinstance(result, MoonpoolError):
            raise result
        return result

    def _take(self) -> Connection:
        while self._free:
            connection = self._free.pop()
            if not is_lost(connection):
                return connection
            connection.close()
        return connect(self._url, self._name)

    def close(self) -> None:
        """Closes the connections that nobody uses now."""
        while self._free:
            self._free.pop().close()
