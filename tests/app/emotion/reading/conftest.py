from collections.abc import Iterator
from pathlib import Path

import pytest

from app.embedding.minilm import Embedder
from app.emotion.reading.reader import Reader
from tests.conftest import short_folder


@pytest.fixture(scope="session")
def reader_home() -> Iterator[Path]:
    """A data directory in which the model is built once."""
    with short_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def reader(reader_home: Path) -> Reader:
    return Reader(reader_home)


@pytest.fixture(scope="session")
def embedder() -> Iterator[Embedder]:
    """all-MiniLM-L6-v2 as it was before it learned feelings."""
    with short_folder() as folder:
        yield Embedder(folder)
