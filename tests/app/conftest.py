"""The job line's parts for tests: a database emptied before each, which takes a tenth of the time
of a fresh one, and greenlets over a real Redis."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gevent
import gevent.socket
import pytest
from psycopg import sql

from app.db.connect import Connection, connect, line_connection
from app.events.hub import Hub
from app.events.publish import JobLog, Publisher
from app.limits.limiter import Limiter
from app.redis import Wire
from app.settings import Settings
from app.stack.redis import Redis
from tests.app.events.parts import OwnRedis
from tests.app.line import empty
from tests.conftest import other_database

NAME = "job_line"


@pytest.fixture(scope="session")
def line_database(postgres_url: str, template: str) -> str:
    """The address of the one database that `books` empties; the worker's tests share it."""
    named, source = sql.Identifier(NAME), sql.Identifier(template)
    with connect(postgres_url) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (NAME,))
        if known.fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(named, source))
    return other_database(postgres_url, NAME)


@pytest.fixture
def books(line_database: str) -> str:
    """The address of a migrated database without tenants, jobs or transfers, its clocks at zero."""
    with connect(line_database) as connection:
        empty(connection)
    return line_database


@pytest.fixture
def connection(books: str) -> Iterator[Connection]:
    """A connection as the job line's groups have it, to empty books."""
    with line_connection(books, "test") as open_connection:
        yield open_connection


@pytest.fixture
def line_settings(books: str, redis: str, folder: Path) -> Callable[..., Settings]:
    """Makes Settings over empty books and an empty Redis: `line_settings(lease_seconds=1)`."""

    def make(**values: object) -> Settings:
        given = {"database_url": books, "redis_url": redis, "data_dir": folder, **values}
        return Settings.model_validate(given)

    return make


def end(part: Hub | Publisher, *greenlets: Any) -> None:
    """Ends a part's greenlets and connection."""
    gevent.killall([greenlet for greenlet in greenlets if greenlet is not None])
    if part._wire is not None:
        part._wire.close()


@pytest.fixture
def gevent_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives the parts that speak to Redis gevent's sockets, as in a process that is patched. Bells
    are patient: on a busy machine they would else take a slow Redis for gone, and not be heard."""
    monkeypatch.setattr("app.redis.socket", gevent.socket)
    monkeypatch.setattr("app.queue.RING_TIMEOUT_S", 30.0)
    monkeypatch.setattr("app.queue.WIRE_TIMEOUT_S", 30.0)


@pytest.fixture
def wire(gevent_sockets: None, redis: str) -> Iterator[Wire]:
    """A connection of the test's own."""
    opened = Wire(redis)
    yield opened
    opened.close()


@pytest.fixture
def limiter(gevent_sockets: None, redis: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Limiter]:
    """A door's limiter, whose buckets have used nothing yet. It is patient: on a busy machine it
    would else take a slow Redis for gone."""
    monkeypatch.setattr("app.limits.line.TIMEOUT_S", 30.0)
    made = Limiter(redis, lambda name, day: 0)
    yield made
    made.close()


@pytest.fixture
def fenced() -> list[JobLog]:
    """The logs that a publisher was told are no longer its own."""
    return []


@pytest.fixture
def make_publisher(
    gevent_sockets: None, fenced: list[JobLog]
) -> Iterator[Callable[[str], Publisher]]:
    """Makes publishers, whose greenlets end with the test."""
    with ExitStack() as stack:

        def make(url: str) -> Publisher:
            made = Publisher(url, fenced.append)
            stack.callback(lambda: end(made, made._writer))
            return made

        yield make


@pytest.fixture
def publisher(redis: str, make_publisher: Callable[[str], Publisher]) -> Publisher:
    return make_publisher(redis)


@pytest.fixture
def make_hub(gevent_sockets: None) -> Iterator[Callable[[str], Hub]]:
    """Makes hubs, whose greenlets end with the test."""
    with ExitStack() as stack:

        def make(url: str) -> Hub:
            made = Hub(url)
            stack.callback(lambda: end(made, made._reader, made._teller))
            return made

        yield make


@pytest.fixture
def hub(redis: str, make_hub: Callable[[str], Hub]) -> Hub:
    return make_hub(redis)


@pytest.fixture
def own_redis(gevent_sockets: None, folder: Path) -> Iterator[OwnRedis]:
    """A Redis that the test may kill."""
    place = Settings(data_dir=folder)
    server = OwnRedis(place.redis, Redis(place.home, place.socket_dir).program())
    server.start()
    yield server
    server.kill()
