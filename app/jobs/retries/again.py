"""Dead letters made again: a job that failed for good, as a new job with a hold of its own."""

from app.errors import Conflict, Gone
from app.ids import new_id
from app.jobs.model import KINDS, STATUS, Draft, Plan
from app.jobs.retries.store import Origin

DEAD = ("failed", "expired", "cancelled")
"""The ends of jobs that may be made again."""


def unless_alive(origin: Origin) -> None:
    """Raises Conflict for a job that cannot be made again, and Gone for one without its request."""
    if origin.kind not in KINDS:
        raise Conflict(f"{origin.id} is no inference job; ask for it anew.", code="not_retryable")
    if origin.lane == "batch":
        raise Conflict(
            f"{origin.id} is a line of a batch; retry the batch, which makes its failed lines "
            "again.", code="not_retryable",
        )  # fmt: skip
    if origin.state not in DEAD:
        now = "has not ended" if origin.state is None else f"is {STATUS[origin.state]}"
        raise Conflict(
            f"{origin.id} {now}; only a job that failed, expired or was cancelled is made again.",
            code="not_retryable",
        )
    if origin.forgotten:
        raise Gone(
            f"The content of {origin.id} has been deleted, so it cannot be made again.",
            extra={"job_id": origin.id},
        )


def draft_again(
    origin: Origin, *, key_id: str, deadline_s: float, backlog: int, force: bool = False
) -> Draft:
    """The same request as a job in the background, with the first one's hold. `key_id`: who asks
    for it. Raises Conflict and Gone."""
    unless_alive(origin)
    return Draft(
        id=new_id("job"),
        tenant_id=origin.tenant_id,
        key_id=key_id,
        app_id=origin.app_id,
        kind=origin.kind,
        lane="background",
        door="background",
        model=origin.model,
        request=origin.request,
        metadata=origin.metadata,
        hold=origin.hold,
        deadline_s=deadline_s,
        backlog=backlog,
        reserved=origin.reserved,
        session=origin.session,
        store=origin.store,
        plan=Plan(retry_of=origin.id, force=force, webhook_url=origin.webhook_url),
    )
