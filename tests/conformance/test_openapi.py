"""The running service against its own description; `make test-api` asks much more."""

import re
from collections.abc import Iterator

import pytest

from tests.conformance.openapi.run import check
from tests.stacks import Stack


@pytest.fixture(scope="module")
def alone() -> Iterator[Stack]:
    """A stack of its own: tenants and keys of others would be changed."""
    with Stack() as stack:
        yield stack


@pytest.mark.xdist_group("openapi")
@pytest.mark.parametrize("phase", ["fuzzing", "stateful"])
def test_every_operation_answers_as_it_is_described(alone: Stack, phase: str) -> None:
    done = check(alone, "--phases", phase, "-n", "1", "--seed", "17", seconds=120)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    [tried] = re.findall(r"^ +(\d+) generated", done.stdout, re.M)
    assert int(tried) >= 5
