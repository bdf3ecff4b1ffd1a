"""The doors' side of the job line, over empty books."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import gevent
import pytest

from app.db.connect import Connection, line_connection
from app.db.reads import Reads
from app.jobs.service import Jobs
from app.queue import Bell
from app.settings import Settings

Make = Callable[[int], list[Connection]]


def together(*parts: Callable[[], Any]) -> list[Any]:
    """Runs all parts at once, each in a thread; their results. Raises what one of them raises."""
    start = threading.Barrier(len(parts))

    def run(part: Callable[[], Any]) -> Any:
        start.wait(10)
        return part()

    with ThreadPoolExecutor(len(parts)) as pool:
        return [done.result(60) for done in [pool.submit(run, part) for part in parts]]


@pytest.fixture
def connections(books: str) -> Iterator[Make]:
    """Opens connections, which are closed at the end."""
    with ExitStack() as stack:
        yield lambda count: [
            stack.enter_context(line_connection(books, "test")) for _ in range(count)
        ]


@pytest.fixture
def make_jobs(
    gevent_sockets: None, line_settings: Callable[..., Settings]
) -> Iterator[Callable[..., Jobs]]:
    """Makes a door's jobs: `make_jobs(redis_url=…)`."""
    made: list[Jobs] = []

    def make(**values: object) -> Jobs:
        chosen = line_settings(**values)
        reads = Reads(chosen.postgres, "reads")
        made.append(Jobs(chosen.postgres, chosen.redis, Bell(chosen.redis), reads))
        return made[-1]

    yield make
    for jobs in made:
        jobs.close()
        jobs._reads.close()
        gevent.killall([jobs._doubter] if jobs._doubter is not None else [])


@pytest.fixture
def jobs(make_jobs: Callable[..., Jobs]) -> Jobs:
    return make_jobs()
