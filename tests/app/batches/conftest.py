"""A second connection to the books of batches."""

from collections.abc import Iterator

import pytest

from app.db.connect import Connection, line_connection


@pytest.fixture
def second(books: str) -> Iterator[Connection]:
    with line_connection(books, "second") as opened:
        yield opened
