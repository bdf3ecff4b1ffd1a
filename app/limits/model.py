"""What is asked of the limiter and what it answers.

Ask, Quota and Standing are named tuples, since one of each is made for every request.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from app.catalogue.tiers import Limits

DAY_S = 86_400
DAY_US = DAY_S * 1_000_000
SESSION_NAME_MAX = 64
"""Characters of a session's name that stand in keys as they are; longer ones are hashed."""

Limit = Literal["requests", "tokens", "sessions"]

TAKEN, REQUESTS, TOKENS, SESSIONS, UNSEEDED = range(5)
"""Verdicts of `take.lua`, and of the local limiter, which answers as that does."""

_REFUSED: tuple[Limit | None, ...] = (None, "requests", "tokens", "sessions")


@dataclass(frozen=True, slots=True)
class Bucket:
    """Who is limited: a tenant, or a key with limits of its own. Made once and kept, as it holds
    its arguments for the script."""

    name: str
    limits: Limits
    prefix: str = field(init=False)
    requests: int | None = field(init=False)
    tokens: int | None = field(init=False)
    sessions: int | None = field(init=False)
    arguments: tuple[int, int, int] = field(init=False)

    def __post_init__(self) -> None:
        caps = (
            self.limits.requests_per_minute,
            self.limits.tokens_per_day,
            self.limits.sessions,
        )
        object.__setattr__(self, "prefix", prefix_of(self.name))
        object.__setattr__(self, "requests", caps[0])
        object.__setattr__(self, "tokens", caps[1])
        object.__setattr__(self, "sessions", caps[2])
        object.__setattr__(self, "arguments", tuple([cap or 0 for cap in caps]))


class Ask(NamedTuple):
    """One request: `tokens` is an estimate to reserve. It holds a session for `lease_s` at most,
    the one named `session` or one of its own, unless `holds_session` is False."""

    buckets: tuple[Bucket, ...]
    tokens: int
    job_id: str
    session: str | None
    holds_session: bool
    lease_s: float


class Quota(NamedTuple):
    """One limit in its tightest bucket; `reset_s`: seconds until it is wholly free again if nothing
    more is asked. `limit` is None where there is none."""

    limit: int | None
    remaining: int
    reset_s: float


class Standing(NamedTuple):
    """How a request stands. `remaining` includes it if it was taken.

    `now_s` is unix time. When `refused`: ask again after `retry_after_s`; `refused_limit` is the
    limit of `refused_bucket` that was reached. `shared`: Redis answered; otherwise the process's
    own limiter at its share, and nothing is reserved in Redis.
    """

    requests: Quota
    tokens: Quota
    now_s: float
    shared: bool
    refused: Limit | None = None
    retry_after_s: float = 0.0
    refused_limit: int | None = None
    refused_bucket: str | None = None


NO_QUOTA = Quota(None, 0, 0.0)


def standing(buckets: Sequence[Bucket], reply: list[int], *, shared: bool) -> Standing:
    """Reads an answer of `take.lua`, whose head explains it."""
    now = reply[0]
    requests = tokens = NO_QUOTA
    row = 4
    for bucket in buckets:
        if bucket.requests is not None:
            left = max(bucket.requests - reply[row], 0)
            if requests.limit is None or left < requests.remaining:
                requests = Quota(bucket.requests, left, reply[row + 1] / 1e6)
        if bucket.tokens is not None:
            left = max(bucket.tokens - reply[row + 2], 0)
            if tokens.limit is None or left < tokens.remaining:
                tokens = Quota(bucket.tokens, left, (DAY_US - now % DAY_US) / 1e6)
        row += 3
    verdict = reply[1]
    if verdict == TAKEN:
        return Standing(requests, tokens, now / 1e6, shared)
    at = buckets[reply[2] - 1]
    return Standing(
        requests, tokens, now / 1e6, shared, _REFUSED[verdict], reply[3] / 1e6,
        at.arguments[verdict - 1], at.name,
    )  # fmt: skip


def day_of(unix_s: float) -> int:
    """The UTC day of a unix time, in days since the epoch."""
    return int(unix_s // DAY_S)


def prefix_of(bucket_name: str) -> str:
    """What a bucket's keys begin with."""
    return f"lim:{bucket_name}:"


def session_name(session: str | None) -> str:
    """A session as it stands in keys; empty for None. An empty name is no session's."""
    if not session:
        return ""
    if len(session) <= SESSION_NAME_MAX:
        return session
    return hashlib.sha256(session.encode()).hexdigest()
