"""Real servers for all tests: one embedded Postgres and one Redis for each pytest process.

`database` is a fresh, migrated database for each test; `redis` is emptied before each.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from psycopg import sql

from app.db.connect import connect
from app.db.migrate import migrate
from app.redis import Wire
from app.settings import Settings, settings
from app.stack.child import Child
from app.stack.postgres import Postgres
from app.stack.probe import postgres_answers, redis_version
from app.stack.program import Program
from app.stack.redis import Redis
from tests.folders import new_folder
from tests.waiting import wait_for

TEMPLATE = "moonpool_template"
_numbers = count()

for _name in [n for n in os.environ if n.startswith("MOONPOOL_") or n.endswith("_API_KEY")]:
    del os.environ[_name]
# A test neither finds an Ollama of this machine nor asks for it.
os.environ["MOONPOOL_OLLAMA_URL"] = ""
settings.cache_clear()


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder of its own with a path short enough for sockets, which pytest's are not."""
    folder = new_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running(program: Program, answers: Callable[[], bool]) -> Iterator[Child]:
    """A program that runs and answers, stopped at the end."""
    child = Child(program)
    child.start()
    try:
        wait_for(answers, 60, f"{program.name} answering")
        yield child
    finally:
        # Nobody needs the data again, so there is nothing to be put in order.
        child.send(program.stop[-1][0])
        if child.process is not None:
            child.process.wait(30)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short folder for one test."""
    with short_folder() as path:
        yield path


@pytest.fixture(scope="session")
def servers_folder() -> Iterator[Path]:
    with short_folder() as path:
        yield path


@pytest.fixture(scope="session")
def postgres_url(servers_folder: Path) -> Iterator[str]:
    """The address of this process's Postgres: its database `moonpool`, which is empty."""
    place = Settings(data_dir=servers_folder)
    unsafe = ("fsync=off", "full_page_writes=off", "synchronous_commit=on")
    cluster = Postgres(place.home, place.socket_dir, unsafe)
    with running(cluster.program(), lambda: postgres_answers(place.postgres)):
        yield place.postgres


@pytest.fixture(scope="session")
def redis_url(servers_folder: Path) -> Iterator[str]:
    """The address of this process's Redis."""
    place = Settings(data_dir=servers_folder)
    program = Redis(place.home, place.socket_dir).program()
    with running(program, lambda: redis_version(place.redis) is not None):
        yield place.redis


@pytest.fixture(scope="session")
def template(postgres_url: str) -> str:
    """The name of a migrated database that tests are cloned from."""
    with connect(postgres_url) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
    migrate(other_database(postgres_url, TEMPLATE))
    return TEMPLATE


@pytest.fixture
def database(postgres_url: str, template: str) -> Iterator[str]:
    """The address of a fresh, migrated database."""
    name = f"test_{next(_numbers)}"
    named, source = sql.Identifier(name), sql.Identifier(template)
    with connect(postgres_url) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(named, source)
        )
        try:
            yield other_database(postgres_url, name)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(named))


@pytest.fixture
def redis(redis_url: str) -> str:
    """The address of an empty Redis."""
    wire = Wire(redis_url)
    wire.call(("FLUSHALL",))
    wire.close()
    return redis_url


@pytest.fixture
def settings_for(database: str, redis: str, folder: Path) -> Callable[..., Settings]:
    """Makes Settings over this test's database, Redis and folder: `settings_for(port=8100)`."""

    def make(**values: object) -> Settings:
        given = {"database_url": database, "redis_url": redis, "data_dir": folder, **values}
        return Settings.model_validate(given)

    return make


def other_database(url: str, name: str) -> str:
    """The address of another database of the same embedded Postgres."""
    return url.replace("/moonpool?", f"/{name}?")
