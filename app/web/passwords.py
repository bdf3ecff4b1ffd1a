"""Passwords hashed beside the event loop, since one takes some tenths of a second of CPU."""

from collections.abc import Callable
from typing import TypeVar

import gevent
from gevent.lock import BoundedSemaphore

from app.accounts.users import hash_password, password_fits
from app.errors import Overloaded

AT_ONCE = 2
"""Hashes at once in a process: each holds 128 MiB, and the thread pool has other work too."""

WAIT_S = 5.0

_room = BoundedSemaphore(AT_ONCE)
Result = TypeVar("Result")


def hashed(password: str) -> str:
    """A password as it is kept. Raises Overloaded."""
    return _beside(hash_password, password)


def fits(password: str, kept: str | None) -> bool:
    """As `password_fits`. Raises Overloaded."""
    return _beside(password_fits, password, kept)


def _beside(function: Callable[..., Result], *arguments: object) -> Result:
    if not _room.acquire(timeout=WAIT_S):
        raise Overloaded("Too many passwords are being checked; try again.", retry_after=2)
    try:
        done: Result = gevent.get_hub().threadpool.apply(function, arguments)
        return done
    finally:
        _room.release()
