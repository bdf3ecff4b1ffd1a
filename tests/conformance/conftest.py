"""A whole stack, and the real OpenAI client pointed at it with nothing but two settings."""

from collections.abc import Iterator

import pytest
from openai import OpenAI

from tests.stacks import Stack


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with Stack() as stack:
        yield stack


@pytest.fixture
def client(stack: Stack) -> Iterator[OpenAI]:
    with OpenAI(base_url=stack.base_url, api_key=stack.key, max_retries=0, timeout=30) as client:
        yield client
