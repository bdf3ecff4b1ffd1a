"""What jobs take of their tenant's and key's limits in a real Redis."""

from app.jobs.model import Draft
from app.limits.limiter import Limiter
from app.limits.model import Bucket
from app.redis import Wire
from tests.app.limits.parts import ask, bucket

TOKENS = 100_000
"""How many a day each bucket has."""

SESSIONS = 2


def buckets(tenant_id: str, key_id: str = "key_x") -> tuple[Bucket, ...]:
    """The tenant's bucket and the key's."""
    return tuple(bucket(60, TOKENS, SESSIONS, name) for name in (tenant_id, key_id))


def take(limiter: Limiter, one: Draft, tokens: int, session: str | None = None) -> Draft:
    """Takes a draft's tokens and its session; the draft that notes them."""
    asked = ask(
        *buckets(one.tenant_id, one.key_id), tokens=tokens, job_id=one.id, session=session
    )  # fmt: skip
    assert limiter.take(asked).refused is None
    one.reserved, one.session, one.holds_session = tokens, session, True
    return one


def taken(limiter: Limiter, wire: Wire, tenant_id: str, key_id: str = "key_x") -> tuple[int, int]:
    """The day's tokens and the sessions that are taken; the tenant's are the key's too."""
    found = set()
    for one in buckets(tenant_id, key_id):
        left = limiter.peek((one,)).tokens.remaining
        [sessions] = wire.call(("ZCARD", f"{one.prefix}ses"))
        found.add((TOKENS - left, int(sessions)))
    [both] = found
    return both
