from collections.abc import Iterator
from pathlib import Path

import pytest

from app.embedding.minilm import Embedder
from tests.conftest import short_folder


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """A data directory in which the model is built once."""
    with short_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def embedder(home: Path) -> Embedder:
    return Embedder(home)
