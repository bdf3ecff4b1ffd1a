"""Buckets and requests for tests of the limits."""

from itertools import count

from app.catalogue.tiers import Limits
from app.limits.model import Ask, Bucket

_numbers = count()


def bucket(
    requests: int | None = None,
    tokens: int | None = None,
    sessions: int | None = None,
    name: str = "ten_a",
) -> Bucket:
    return Bucket(
        name, Limits(requests_per_minute=requests, tokens_per_day=tokens, sessions=sessions)
    )


def ask(
    *buckets: Bucket,
    tokens: int = 0,
    job_id: str = "",
    session: str | None = None,
    holds_session: bool = True,
    lease_s: float = 60.0,
) -> Ask:
    """A request with a job id of its own."""
    name = job_id or f"job_{next(_numbers)}"
    return Ask(buckets, tokens, name, session, holds_session, lease_s)


class Books:
    """Tokens that the books know of, by bucket and day; remembers who asked."""

    def __init__(self) -> None:
        self.used: dict[tuple[str, int], int] = {}
        self.asked: list[tuple[str, int]] = []

    def __call__(self, name: str, day: int) -> int:
        self.asked.append((name, day))
        return self.used.get((name, day), 0)
