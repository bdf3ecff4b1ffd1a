"""Plans of jobs in the background: when one is to run, and who is told of its end."""

from app.errors import InvalidRequest
from app.jobs.model import Plan
from app.jobs.planned.moments import check_moments
from app.jobs.planned.store import key_stands
from app.outbound import Guard
from app.settings import listed
from app.web.auth import caller
from app.web.body import idempotency_key
from app.web.front import Front
from app.web.webhooks import checked_url

PLANNED = ("run_at", "not_after", "webhook_url")
"""The fields of a plan, in the order that `plan` takes them."""


def plan(run_at: float | None, not_after: float | None, webhook_url: str | None) -> Plan | None:
    """What a request asks for with these fields; None if it has none of them."""
    if run_at is None and not_after is None and webhook_url is None:
        return None
    return Plan(run_at, not_after, webhook_url=webhook_url)


def checked_plan(front: Front, asked: Plan, path: str, background: bool) -> Plan:
    """A request's plan as its job gets it. `path`: of its door. Raises InvalidRequest naming the
    field for one that no job can have, and for a client that waits for its answer."""
    if not background:
        given = (asked.run_at_s, asked.not_after_s, asked.webhook_url)
        for name, value in zip(PLANNED, given, strict=True):
            if value is not None:
                raise InvalidRequest(
                    f"{name} is for jobs in the background: send background: true.", param=name
                )
    key, tenant_id = idempotency_key(), caller().tenant_id
    if key is not None and front.reads.run(lambda c: key_stands(c, tenant_id, path, key)):
        # The job is there already: what its request asked for may have passed since.
        return asked
    check_moments(asked.run_at_s, asked.not_after_s)
    url = asked.webhook_url
    if url is not None:
        # Looked up now, so that a mistake is told now; and again at each delivery.
        url = checked_url(Guard(listed(front.settings.webhook_allow)), url, "webhook_url")
    return Plan(asked.run_at_s, asked.not_after_s, webhook_url=url)
