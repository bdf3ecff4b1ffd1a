"""A database for the job line's tests, emptied before each: a tenth of the time of a fresh one."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from psycopg import sql

from app.db.connect import Connection, connect, line_connection
from app.settings import Settings
from tests.app.line import empty
from tests.conftest import other_database

NAME = "job_line"


@pytest.fixture(scope="session")
def line_database(postgres_url: str, template: str) -> str:
    """The address of the one database that `books` empties."""
    named, source = sql.Identifier(NAME), sql.Identifier(template)
    with connect(postgres_url) as connection:
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
