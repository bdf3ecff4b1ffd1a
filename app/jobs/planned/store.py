"""Jobs with a plan in Postgres: admitted with what it says, put into their lanes at their time."""

from app.db.connect import Connection
from app.jobs.model import Draft, HandedBack


def arrange(connection: Connection, drafts: list[Draft]) -> None:
    """Gives jobs, which this transaction has admitted, what their plans say."""
    plans = [(draft.id, draft.plan) for draft in drafts if draft.plan is not None]
    connection.execute(
        "SELECT arrange(%b::text[], %b::float8[], %b::float8[], %b::text[], %b::text[])",
        (
            [job_id for job_id, _ in plans],
            [plan.run_at_s for _, plan in plans],
            [plan.not_after_s for _, plan in plans],
            [plan.retry_of for _, plan in plans],
            [plan.webhook_url for _, plan in plans],
        ),
    )


def retried(connection: Connection, drafts: list[Draft]) -> dict[str, str]:
    """Which of `drafts` are of jobs that are made again already: the ids of those that stand for
    them, by the drafts' ids. The transaction keeps the answer true."""
    again = [
        (draft, draft.plan.retry_of)
        for draft in drafts
        if draft.plan is not None and draft.plan.retry_of is not None and not draft.plan.force
    ]
    if not again:
        return {}
    row = connection.execute(
        "SELECT retried(%b::text[], %b::text[], %b::text[], %b::text[])",
        (
            [draft.tenant_id for draft, _ in again],
            [draft.path for draft, _ in again],
            [draft.idempotency_key for draft, _ in again],
            [retry_of for _, retry_of in again],
        ),
    ).fetchone()
    assert row is not None
    return {draft.id: other for (draft, _), other in zip(again, row[0], strict=True) if other}


def due(connection: Connection, limit: int) -> list[tuple[str, str]]:
    """Puts scheduled jobs whose time has come into their lanes; returns (id, lane) of each."""
    rows = connection.execute("SELECT id, lane FROM due(%s::int)", (limit,))
    return [(row[0], row[1]) for row in rows]


def postpone(connection: Connection, back: list[HandedBack]) -> None:
    """Schedules running jobs anew that found no place to begin at, each after its `later_s`."""
    connection.execute(
        "SELECT postpone(%b::text[], %b::int[], %b::float8[])",
        ([b.id for b in back], [b.attempt for b in back], [b.later_s for b in back]),
    )


def belated_jobs(connection: Connection, limit: int) -> list[str]:
    """Queued jobs that are no longer to be begun; `claim` passes over them."""
    rows = connection.execute(
        "SELECT id FROM open_job WHERE not_after < now() AND state = 'queued' AND attempt = 0 "
        "ORDER BY not_after LIMIT %s",
        (limit,),
    )
    return [row[0] for row in rows]


def key_stands(connection: Connection, tenant_id: str, path: str, key: str) -> bool:
    """Whether an Idempotency-Key stands for a job already."""
    row = connection.execute(
        "SELECT FROM idempotency WHERE tenant_id = %s AND path = %s AND key = %s "
        "AND created_at > now() - interval '24 hours'",
        (tenant_id, path, key),
    )
    return bool(row.rowcount)
