"""Waiting on a condition, never on the clock alone."""

import time
from collections.abc import Callable
from typing import TypeVar

LOOK_S = 0.02
PATIENCE = 4
"""How much slower than a free machine one may be that does other work."""

Found = TypeVar("Found")


def wait_for(
    condition: Callable[[], Found], seconds: float = 20.0, what: str = "the condition"
) -> Found:
    """What `condition` returns once that is true. Fails the test if it takes PATIENCE times longer
    than `seconds`, which are for a free machine."""
    limit = time.monotonic() + seconds * PATIENCE
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() >= limit:
            raise AssertionError(f"{what} did not come true within {seconds * PATIENCE:g} s")
        time.sleep(LOOK_S)
