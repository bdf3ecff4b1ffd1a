"""When a job is to run: moments as clients write them, and the bounds between which they lie."""

import re
import time
from contextlib import suppress
from datetime import datetime

from app.errors import InvalidRequest

PAST_S = 60.0
"""How far in the past `run_at` may lie, for clocks that differ: such a job runs now."""

LAST_S = 9_999_999_999.0
"""The last moment that is read, in the year 2286."""

AHEAD_S = 30 * 86_400.0
"""How far ahead a job can be planned; its hold stands all the while."""

_NUMBER = re.compile(r"[0-9]{1,10}(\.[0-9]{1,6})?")


def unix_seconds(value: object) -> float:
    """A moment in unix seconds: from a number of them, or from a date and time by ISO 8601 with its
    offset from UTC. Raises ValueError."""
    seconds = None
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str):
        with suppress(ValueError, OverflowError):
            moment = datetime.fromisoformat(value)
            seconds = None if moment.tzinfo is None else moment.timestamp()
    if seconds is not None and 0 <= seconds <= LAST_S:
        return seconds
    raise ValueError(
        "write unix seconds, or a date and time by ISO 8601 with its offset from UTC, such as "
        "2026-01-31T06:00:00Z"
    )


def moment_in_text(value: object) -> float:
    """As `unix_seconds`, where all are texts and a number is one too: in a query or a form. Raises
    ValueError."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return unix_seconds(float(value))
    return unix_seconds(value)


def check_moments(run_at_s: float | None, not_after_s: float | None) -> None:
    """Raises InvalidRequest, which names the field, for moments between which no job can run."""
    now = time.time()
    for name, moment in (("run_at", run_at_s), ("not_after", not_after_s)):
        if moment is None:
            continue
        if moment < now - (PAST_S if name == "run_at" else 0):
            raise InvalidRequest(f"{name} has passed.", param=name)
        if not moment <= now + AHEAD_S:
            days = round(AHEAD_S / 86_400)
            raise InvalidRequest(f"{name} is more than {days} days ahead.", param=name)
    if run_at_s is not None and not_after_s is not None and not_after_s <= run_at_s:
        raise InvalidRequest("not_after must be later than run_at.", param="not_after")
