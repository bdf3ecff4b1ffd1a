from collections.abc import Iterator

import pytest

from app.embedding.minilm import Embedder
from tests.conftest import short_folder


@pytest.fixture(scope="session")
def embedder() -> Iterator[Embedder]:
    with short_folder() as folder:
        yield Embedder(folder)
