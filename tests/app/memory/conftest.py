"""Tenants whose memories are stored on plain connections, as workers' reads are."""

from collections.abc import Iterator

import pytest

from app.db.connect import Connection, connect
from app.memory.model import Scope
from tests.app.line import tenant


@pytest.fixture
def plain(books: str) -> Iterator[Connection]:
    """A connection without the job line's plans, to empty books."""
    with connect(books, "test") as connection:
        yield connection


@pytest.fixture
def scope(plain: Connection) -> Scope:
    """A session of a user."""
    return Scope(tenant(plain, 0), "ann", "s1")
