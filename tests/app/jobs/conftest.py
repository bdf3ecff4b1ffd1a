"""The doors' side of the job line, over empty books."""

from collections.abc import Callable, Iterator

import gevent
import pytest

from app.db.reads import Reads
from app.jobs.service import Jobs
from app.queue import Bell
from app.settings import Settings


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
        jobs._admissions.close()
        gevent.killall([jobs._doubter] if jobs._doubter is not None else [])


@pytest.fixture
def jobs(make_jobs: Callable[..., Jobs]) -> Jobs:
    return make_jobs()
