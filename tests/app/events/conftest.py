"""Greenlets over a real Redis: its sockets are gevent's for the time of a test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import gevent
import gevent.socket
import pytest

from app.events.hub import Hub
from app.events.publish import JobLog, Publisher
from app.redis import Wire
from app.settings import Settings
from app.stack.redis import Redis
from tests.app.events.parts import OwnRedis


@pytest.fixture(autouse=True)
def gevent_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.redis.socket", gevent.socket)


@pytest.fixture
def wire(redis: str) -> Iterator[Wire]:
    """A connection of the test's own."""
    opened = Wire(redis)
    yield opened
    opened.close()


@pytest.fixture
def fenced() -> list[JobLog]:
    """The logs that a publisher was told are no longer its own."""
    return []


@pytest.fixture
def make_publisher(fenced: list[JobLog]) -> Iterator[Callable[[str], Publisher]]:
    """Makes publishers, whose greenlets end with the test."""
    with ExitStack() as stack:

        def make(url: str) -> Publisher:
            made = Publisher(url, fenced.append)
            stack.callback(lambda: gevent.killall([g for g in [made._writer] if g]))
            return made

        yield make


@pytest.fixture
def publisher(redis: str, make_publisher: Callable[[str], Publisher]) -> Publisher:
    return make_publisher(redis)


@pytest.fixture
def make_hub() -> Iterator[Callable[[str], Hub]]:
    """Makes hubs, whose greenlets end with the test."""
    with ExitStack() as stack:

        def make(url: str) -> Hub:
            made = Hub(url)
            stack.callback(lambda: gevent.killall([g for g in (made._reader, made._teller) if g]))
            return made

        yield make


@pytest.fixture
def hub(redis: str, make_hub: Callable[[str], Hub]) -> Hub:
    return make_hub(redis)


@pytest.fixture
def own_redis(folder: Path) -> Iterator[OwnRedis]:
    """A Redis that the test may kill."""
    place = Settings(data_dir=folder)
    server = OwnRedis(place.redis, Redis(place.home, place.socket_dir).program())
    server.start()
    yield server
    server.kill()
