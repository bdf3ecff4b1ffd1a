"""The retry budget of a provider in one process: pure.

Retries may be a share of the first tries and no more, so that they never multiply an outage: a
provider that is down is asked `1 + RATIO` times as much as without retries, not three times (Beyer
et al., Site Reliability Engineering, 2016, chapter 21, Handling Overload: retries below 10 % of
requests; AWS SDKs, Retry behavior, standard mode: a token bucket that a retry draws from).
"""

RESERVE = 10.0
"""Retries in hand at the start, and the most that are saved up."""

PER_SECOND = 0.2
"""What comes back with time alone, so that a quiet process may retry again."""


class Budget:
    """A bucket of retries; `ratio`: how much of one each first try adds. Times are in seconds."""

    __slots__ = ("_at", "left", "ratio")

    def __init__(self, ratio: float, now: float) -> None:
        self.ratio, self.left, self._at = ratio, RESERVE, now

    def first(self) -> None:
        """A first try of a request."""
        if self.left < RESERVE:
            self.left = min(RESERVE, self.left + self.ratio)

    def allows(self, now: float) -> bool:
        """Whether there is a retry in hand."""
        self.left = min(RESERVE, self.left + max(0.0, now - self._at) * PER_SECOND)
        self._at = max(now, self._at)
        return self.left >= 1.0

    def spend(self, now: float) -> bool:
        """Takes a retry; False if there is none."""
        if not self.allows(now):
            return False
        self.left -= 1.0
        return True
