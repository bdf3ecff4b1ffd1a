"""One process's own limiter, for while Redis is away: `take.lua` in Python, each limit divided by
the number of processes."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from app.catalogue.tiers import Limits
from app.limits.model import (
    DAY_US,
    REQUESTS,
    SESSIONS,
    TAKEN,
    TOKENS,
    Ask,
    Bucket,
    Standing,
    day_of,
    standing,
)

SESSION_RETRY_US = 1_000_000


@dataclass(slots=True)
class _Use:
    """What a bucket has used: when requests came, in µs, oldest first; tokens of `day`; sessions,
    each with its open jobs and when their leases end, in µs."""

    requests: deque[int] = field(default_factory=deque)
    day: int = 0
    tokens: int = 0
    sessions: dict[str, dict[str, int]] = field(default_factory=dict)

    def forget(self, now: int, window: int) -> None:
        """Drops what has left the window, the day and its lease."""
        while self.requests and self.requests[0] <= now - window:
            self.requests.popleft()
        if self.day != now // DAY_US:
            self.day, self.tokens = now // DAY_US, 0
        for name, jobs in [*self.sessions.items()]:
            for job_id in [job_id for job_id, till in jobs.items() if till <= now]:
                del jobs[job_id]
            if not jobs:
                del self.sessions[name]


class Local:
    """Limits by this process alone; `clock` gives unix seconds."""

    def __init__(self, share: int, window_s: float, clock: Callable[[], float] = time.time) -> None:
        self._share, self._clock = share, clock
        self._window = round(window_s * 1_000_000)
        self._used: dict[str, _Use] = {}
        self._shares: dict[str, tuple[Limits, Bucket]] = {}

    def take(self, ask: Ask) -> Standing:
        """Checks and consumes all limits of a request, or none of them."""
        now = round(self._clock() * 1_000_000)
        buckets = [self._shared_out(bucket) for bucket in ask.buckets]
        uses = [self._use(bucket, now) for bucket in buckets]
        verdict, place, wait = TAKEN, 0, 0
        for at, (bucket, use) in enumerate(zip(buckets, uses, strict=True), 1):
            for refusal, seconds in self._refusals(bucket, use, ask, now):
                if verdict == TAKEN or seconds > wait:
                    verdict, place, wait = refusal, at, seconds
        if verdict == TAKEN:
            for bucket, use in zip(buckets, uses, strict=True):
                self._consume(bucket, use, ask, now)
        return self._standing(buckets, [now, verdict, place, wait])

    def peek(self, buckets: Sequence[Bucket]) -> Standing:
        """How these buckets stand; consumes nothing."""
        now = round(self._clock() * 1_000_000)
        shares = [self._shared_out(bucket) for bucket in buckets]
        for bucket in shares:
            self._use(bucket, now)
        return self._standing(shares, [now, TAKEN, 0, 0])

    def end(self, ask: Ask, taken_s: float, used: int) -> None:
        """Ends a request that was taken here at `taken_s`: corrects its tokens, if their day is
        still on, and frees its session."""
        for bucket in ask.buckets:
            use = self._used.get(bucket.name)
            if use is None:
                continue
            if use.day == day_of(taken_s):
                use.tokens = max(0, use.tokens + used - ask.tokens)
            name = _place(ask)
            jobs = use.sessions.get(name, {})
            jobs.pop(ask.job_id, None)
            if not jobs:
                use.sessions.pop(name, None)

    def sweep(self) -> None:
        """Forgets all that no longer counts."""
        now = round(self._clock() * 1_000_000)
        for name, use in [*self._used.items()]:
            use.forget(now, self._window)
            if not (use.requests or use.tokens or use.sessions):
                del self._used[name]
        self._shares = {name: at for name, at in self._shares.items() if name in self._used}

    def _shared_out(self, bucket: Bucket) -> Bucket:
        if self._share == 1:
            return bucket
        known = self._shares.get(bucket.name)
        if known is None or known[0] is not bucket.limits:
            caps = [cap and max(1, cap // self._share) for cap in _caps(bucket)]
            limits = Limits(requests_per_minute=caps[0], tokens_per_day=caps[1], sessions=caps[2])
            known = self._shares[bucket.name] = bucket.limits, Bucket(bucket.name, limits)
        return known[1]

    def _use(self, bucket: Bucket, now: int) -> _Use:
        use = self._used.get(bucket.name)
        if use is None:
            use = self._used[bucket.name] = _Use()
        use.forget(now, self._window)
        return use

    def _refusals(self, bucket: Bucket, use: _Use, ask: Ask, now: int) -> list[tuple[int, int]]:
        """Verdicts against a request, each with the µs until it is worth asking again."""
        found = []
        if bucket.requests is not None and len(use.requests) >= bucket.requests:
            oldest = use.requests[len(use.requests) - bucket.requests]
            found.append((REQUESTS, oldest + self._window - now))
        if bucket.tokens is not None and use.tokens + ask.tokens > bucket.tokens:
            found.append((TOKENS, DAY_US - now % DAY_US))
        if bucket.sessions is not None and ask.holds_session:
            full = len(use.sessions) >= bucket.sessions
            if full and not (ask.session and _place(ask) in use.sessions):
                found.append((SESSIONS, SESSION_RETRY_US))
        return found

    def _consume(self, bucket: Bucket, use: _Use, ask: Ask, now: int) -> None:
        if bucket.requests is not None:
            use.requests.append(now)
        if bucket.tokens is not None:
            use.tokens += ask.tokens
        if bucket.sessions is not None and ask.holds_session:
            jobs = use.sessions.setdefault(_place(ask), {})
            jobs[ask.job_id] = now + round(ask.lease_s * 1_000_000)

    def _standing(self, buckets: list[Bucket], reply: list[int]) -> Standing:
        now = reply[0]
        for bucket in buckets:
            use = self._used[bucket.name]
            reset = use.requests[-1] + self._window - now if use.requests else 0
            reply += [len(use.requests), reset, use.tokens]
        return standing(buckets, reply, shared=False)


def _place(ask: Ask) -> str:
    return f"s:{ask.session}" if ask.session else ask.job_id


def _caps(bucket: Bucket) -> tuple[int | None, int | None, int | None]:
    return bucket.requests, bucket.tokens, bucket.sessions
