"""Prefixed, unguessable ids that sort by time.

An id is a prefix and a ULID in lower case (48 bits of milliseconds, 80 random bits;
https://github.com/ulid/spec), so that a primary key grows at its right edge.
"""

import os
import re
import time

CLOCKS_APART_S = 3600
"""Ids tell the time of the web, rows that of Postgres; a search by id reaches this much further."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
_JOB = re.compile(r"job_[0-9a-hjkmnp-tv-z]{26}\Z")


def new_id(prefix: str) -> str:
    """A new id, for example `job_01jd3x…`; 26 characters follow the prefix and its underscore."""
    return _id(prefix, (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10)))


def first_id(prefix: str, unix_s: float) -> str:
    """The smallest id that can have been made at this time; ids made later are greater."""
    return _id(prefix, max(0, int(unix_s * 1000)) << 80)


def _id(prefix: str, value: int) -> str:
    tail = "".join([_PAIRS[value >> shift & 1023] for shift in range(120, -10, -10)])
    return f"{prefix}_{tail}"


def unix_s(made_id: str) -> float:
    """When an id of `new_id` was made, in unix seconds to the millisecond."""
    value = 0
    for letter in made_id.rpartition("_")[2][:10]:
        value = value << 5 | _ALPHABET.index(letter)
    return value / 1000


def is_job_id(text: str) -> bool:
    """Whether `text` has the form of a job id; says nothing of whether the job is there."""
    return _JOB.match(text) is not None
