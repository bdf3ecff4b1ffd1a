"""Reads over empty books."""

from collections.abc import Iterator

import pytest

from app.db.reads import Reads
from tests.app.usage.ended import reading


@pytest.fixture
def reads(books: str) -> Iterator[Reads]:
    with reading(books) as opened:
        yield opened
