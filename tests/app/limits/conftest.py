"""Limiters over a real Redis."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from app.limits.limiter import Limiter
from tests.app.limits.parts import Books

MakeLimiter = Callable[..., Limiter]


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.fixture
def make_limiter(gevent_sockets: None, books: Books) -> Iterator[MakeLimiter]:
    """Makes limiters that are closed with the test: `make_limiter(url, share=2, window_s=0.2)`."""
    with ExitStack() as stack:

        def make(url: str, *, share: int = 1, window_s: float = 60.0) -> Limiter:
            made = Limiter(url, books, share=share, window_s=window_s)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
def limiter(redis: str, make_limiter: MakeLimiter) -> Limiter:
    return make_limiter(redis)
