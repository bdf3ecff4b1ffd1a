"""The transport that every adapter is given."""

from collections.abc import Iterator

import pytest

from workers.providers.transport import GeventTransport


@pytest.fixture
def transport() -> Iterator[GeventTransport]:
    made = GeventTransport()
    yield made
    made.close()
