"""The job line's statements. Those named `*_group` take all that waits at once."""

import time
from typing import Any, LiteralString

import orjson

from app.db.connect import Connection
from app.ids import CLOCKS_APART_S, first_id
from app.jobs.model import Claimed, Draft, HandedBack, JobFilter, JobRow, Outcome, Reservation
from app.jobs.planned import store as planned

_ADMIT = (
    "SELECT admit(%b::text[],%b::text[],%b::text[],%b::text[],%b::text[],%b::text[],%b::text[],"
    "%b::text[],%b::text[],%b::text[],%b::bigint[],%b::float8[],%b::int[],"
    "%b::text[],%b::text[],%b::text[],%b::bigint[],%b::text[],%b::bool[],%b::bool[])"
)
_SETTLE = (
    "SELECT settle(%s::text,%b::text[],%b::int[],%b::text[],%b::int[],%b::text[],%b::text[],"
    "%b::text[],%b::bigint[],%b::text[],%b::bigint[],%b::bigint[],%b::bigint[],%b::text[],"
    "%b::text[],%b::bigint[],%b::text[],%b::text[],%b::text[],%b::int[],%b::text[],"
    "%b::bigint[])"
)


def admit_group(connection: Connection, drafts: list[Draft]) -> list[str]:
    """Admits jobs with their holds; a verdict for each, in order: those of `admit` in
    `job_line.sql`, and 'retried ' with the id of the job that is made again already."""
    if any(draft.plan is not None for draft in drafts):
        return _admit_planned(connection, drafts)
    return _admit(connection, drafts)


def _admit_planned(connection: Connection, drafts: list[Draft]) -> list[str]:
    with connection.transaction():
        taken = planned.retried(connection, drafts)
        free = [draft for draft in drafts if draft.id not in taken]
        told = _admit(connection, free) if free else []
        verdicts = dict(zip([draft.id for draft in free], told, strict=True))
        made = [draft for draft in free if verdicts[draft.id].startswith("admitted")]
        planned.arrange(connection, made)
    return [verdicts.get(draft.id) or f"retried {taken[draft.id]}" for draft in drafts]


def _admit(connection: Connection, drafts: list[Draft]) -> list[str]:
    columns = zip(
        *[
            (d.id, d.tenant_id, d.key_id, d.app_id, d.kind, d.lane, d.door, d.model, d.request,
             d.metadata, d.hold, d.deadline_s, d.backlog, d.path, d.idempotency_key, d.body_hash,
             d.reserved, d.session, d.holds_session, d.store)
            for d in drafts
        ],
        strict=True,
    )  # fmt: skip
    row = connection.execute(_ADMIT, [list(c) for c in columns]).fetchone()
    assert row is not None
    verdicts: list[str] = row[0]
    return verdicts


def claim(connection: Connection, lane: str, owner: str, wanted: int) -> list[Claimed]:
    """Claims up to `wanted` jobs of a lane, those whose turn it is."""
    rows = connection.execute(
        "SELECT * FROM claim(%s::text, %s::text, %s::int)", (lane, owner, wanted)
    )
    return [Claimed(*row) for row in rows]


def settle_group(connection: Connection, owner: str, outcomes: list[Outcome]) -> list[bool]:
    """Ends attempts of `owner`; for each, whether it stands (see `settle` in the migration)."""
    columns = zip(
        *[
            (o.id, o.attempt, o.state, o.last_seq, o.body, o.error, o.usage, o.cost, o.calls,
             o.prompt_tokens, o.cached_tokens, o.completion_tokens, o.provider, o.price,
             sum(o.owed.values()), _only(o.owed), o.billed)
            for o in outcomes
        ],
        strict=True,
    )  # fmt: skip
    several = [o for o in outcomes if _only(o.owed) is None]
    owed = [(o.id, o.attempt, p, n) for o in several for p, n in o.owed.items() if n]
    parameters = [owner, *[list(c) for c in columns], *_columns(owed)]
    row = connection.execute(_SETTLE, parameters).fetchone()
    assert row is not None
    stands: list[bool] = row[0]
    return stands


def _only(owed: dict[str, int]) -> str | None:
    """The one provider that something is owed, as nearly always; None if there is none or more."""
    if len(owed) == 1:
        [(provider, nanos)] = owed.items()
        return provider if nanos else None
    return None


def _columns(owed: list[tuple[str, int, str, int]]) -> list[list[Any]]:
    """Rows as the columns that `post_costs` takes."""
    return [list(c) for c in zip(*owed, strict=True)] if owed else [[], [], [], []]


def requeue(connection: Connection, back: list[HandedBack], outcome: str) -> list[tuple[str, str]]:
    """Hands running jobs back to their lanes; returns (id, lane) of each.

    `outcome`: 'lost' or 'interrupted' add a strike, 'released' does not.
    """
    owed = [(b.id, b.attempt, p, n) for b in back for p, n in b.owed.items() if n]
    with connection.transaction():
        rows = connection.execute(
            "SELECT id, lane FROM requeue(%b::text[], %b::int[], %s::text, %b::text[], "
            "%b::bigint[])",
            (
                [b.id for b in back],
                [b.attempt for b in back],
                outcome,
                [b.calls for b in back],
                [sum(b.owed.values()) for b in back],
            ),
        ).fetchall()
        if owed:
            connection.execute(
                "SELECT post_costs(%b::text[], %b::int[], %b::text[], %b::bigint[])", _columns(owed)
            )
    return [(row[0], row[1]) for row in rows]


def void(
    connection: Connection, ids: list[str], from_state: str, end_state: str,
    error: dict[str, Any] | None, by: str,
) -> list[Reservation]:  # fmt: skip
    """Ends jobs that no worker runs and releases their holds; returns what those that it ended had
    reserved of their limits."""
    text = orjson.dumps(error).decode() if error else None
    rows = connection.execute(
        "SELECT * FROM void(%b::text[], %s::text, %s::text, %s::text, %s::text)",
        (ids, from_state, end_state, text, by),
    )
    return [Reservation(*row) for row in rows]


def tokens_of_day(connection: Connection, bucket: str, day: int) -> int:
    """Tokens that a tenant's or key's jobs of a day (days since the epoch, UTC) have used, or have
    reserved while they are open. Lines of batches are not limited by the day."""
    row = connection.execute(
        "SELECT coalesce(sum(CASE WHEN r.id IS NULL THEN j.reserved "
        "ELSE r.prompt_tokens + r.completion_tokens END), 0)::bigint "
        "FROM job AS j LEFT JOIN result AS r ON r.id = j.id "
        "WHERE j.tenant_id = coalesce((SELECT tenant_id FROM api_key WHERE id = %(b)s), %(b)s) "
        "AND %(b)s IN (j.tenant_id, j.key_id) AND j.id >= %(first)s AND j.batch_id IS NULL "
        "AND j.created_at >= to_timestamp(%(day)s * 86400) "
        "AND j.created_at < to_timestamp((%(day)s + 1) * 86400)",
        {"b": bucket, "day": day, "first": first_id("job", day * 86_400 - CLOCKS_APART_S)},
    ).fetchone()
    return int(row[0]) if row else 0


def ask_cancel(connection: Connection, job_id: str) -> str | None:
    """Marks a job as to be cancelled by whoever runs it; returns that worker's id, or None if no
    worker has it now. The mark stays with a job that is just then on its way to another."""
    row = connection.execute(
        "UPDATE open_job SET cancel = true WHERE id = %s RETURNING owner", (job_id,)
    ).fetchone()
    return row[0] if row else None


_JOBS: LiteralString = """
    SELECT j.id, j.tenant_id, j.kind, j.lane, j.door, j.model, j.metadata,
           coalesce(r.state, o.state, 'queued') AS state, coalesce(r.attempt, o.attempt, 0),
           coalesce(r.last_seq, 0), o.owner, coalesce(o.cancel, false),
           extract(epoch FROM j.created_at)::float8,
           extract(epoch FROM coalesce(r.started_at, o.started_at))::float8,
           extract(epoch FROM r.finished_at)::float8, r.body, r.error, r.usage,
           CASE WHEN %(place)s AND r.id IS NULL AND o.state = 'queued' THEN (
               SELECT count(*) FROM open_job AS q WHERE q.lane = o.lane AND q.state = 'queued'
               AND (q.start_tag, q.id) <= (o.start_tag, o.id)) END,
           j.key_id, j.app_id, j.store, extract(epoch FROM j.forgotten_at)::float8, r.cost,
           CASE WHEN j.kind IN ('text_completion', 'response', 'message', 'image')
                THEN j.request END,
           extract(epoch FROM j.run_at)::float8, extract(epoch FROM j.not_after)::float8,
           j.retry_of,
           CASE WHEN r.state <> 'completed' THEN (
               SELECT a.id FROM job AS a WHERE a.retry_of = j.id ORDER BY a.id DESC LIMIT 1) END
    FROM job AS j LEFT JOIN open_job AS o USING (id) LEFT JOIN result AS r USING (id)
    WHERE j.tenant_id = %(tenant)s
"""


def _job_row(row: tuple[Any, ...]) -> JobRow:
    fields = list(row)
    for json_field in (6, 16, 17):
        fields[json_field] = orjson.loads(row[json_field]) if row[json_field] else None
    return JobRow(*fields)


def find_job(connection: Connection, job_id: str, tenant_id: str) -> JobRow | None:
    """A tenant's job with its place in the queue, or None if it is not there or another's."""
    row = connection.execute(
        _JOBS + "AND j.id = %(id)s", {"place": True, "tenant": tenant_id, "id": job_id}
    ).fetchone()
    return _job_row(row) if row else None


def list_jobs(
    connection: Connection, tenant_id: str, before: str | None, wanted: JobFilter, limit: int
) -> list[JobRow]:
    """A tenant's jobs, newest first, those before the id `before`."""
    code = wanted.error_code
    rows = connection.execute(
        # As rows, since a bare id would have Postgres walk past all other tenants' jobs.
        _JOBS + "AND (j.tenant_id, j.id) < (%(tenant)s, %(before)s) "
        "AND (%(states)s::text[] IS NULL "
        "OR coalesce(r.state, o.state, 'queued') = ANY (%(states)s)) "
        # Not as JSON: what a provider said may hold a zero byte, which Postgres refuses there.
        "AND (%(code)s::text IS NULL OR strpos(r.error, %(code)s) > 0) "
        "AND (%(model)s::text IS NULL OR j.model = %(model)s) "
        "AND (%(kinds)s::text[] IS NULL OR j.kind = ANY (%(kinds)s)) "
        "AND (%(since)s::float8 IS NULL OR j.created_at >= to_timestamp(%(since)s)) "
        "AND (%(until)s::float8 IS NULL OR j.created_at < to_timestamp(%(until)s)) "
        "AND (%(again)s::text IS NULL OR (j.lane <> 'batch' AND j.forgotten_at IS NULL AND "
        "(%(again)s = 'any' OR NOT EXISTS (SELECT FROM job AS a WHERE a.retry_of = j.id)))) "
        "AND (j.tenant_id, j.id) >= (%(tenant)s, %(first)s) "
        "ORDER BY j.tenant_id DESC, j.id DESC LIMIT %(limit)s",
        {"place": False, "tenant": tenant_id, "before": before or "job_~",
         "states": None if wanted.states is None else list(wanted.states),
         "code": None if code is None else f'"code":"{code}"',
         "model": wanted.model, "kinds": wanted.kinds(), "since": wanted.since_s,
         "until": wanted.until_s, "limit": limit, "again": wanted.again,
         "first": first_id("job", (wanted.since_s or 0) - CLOCKS_APART_S)},
    )  # fmt: skip
    return [_job_row(row) for row in rows]


def find_jobs(connection: Connection, ids: list[str], tenant_id: str) -> list[JobRow]:
    """Those of a tenant's jobs that have one of these ids, newest first."""
    rows = connection.execute(
        _JOBS + "AND j.id = ANY (%(ids)s) ORDER BY j.id DESC",
        {"place": False, "tenant": tenant_id, "ids": ids},
    )
    return [_job_row(row) for row in rows]


def attempts_of(connection: Connection, job_id: str) -> list[dict[str, Any]]:
    """A job's attempts in order, the running one included."""
    return attempts_of_all(connection, [job_id])[job_id]


def attempts_of_all(connection: Connection, ids: list[str]) -> dict[str, list[dict[str, Any]]]:
    """As `attempts_of`, for each of these jobs."""
    rows = connection.execute(
        "SELECT job_id, attempt, owner, outcome, calls, extract(epoch FROM started_at)::float8, "
        "extract(epoch FROM finished_at)::float8 FROM attempt WHERE job_id = ANY (%(j)s) UNION ALL "
        "SELECT id, attempt, owner, 'running', NULL, extract(epoch FROM claimed_at)::float8, NULL "
        "FROM open_job WHERE id = ANY (%(j)s) AND state = 'running' ORDER BY 1, 2",
        {"j": ids},
    )
    names = ("attempt", "worker", "outcome", "calls", "started_at", "finished_at")
    found: dict[str, list[dict[str, Any]]] = {job_id: [] for job_id in ids}
    for job_id, *row in rows:
        attempt = dict(zip(names, row, strict=True))
        attempt["calls"] = orjson.loads(attempt["calls"]) if attempt["calls"] else []
        found[job_id].append(attempt)
    return found


def ended_among(connection: Connection, ids: list[str]) -> list[tuple[str, str, int, int]]:
    """Which of `ids` have ended: (id, state, attempt, last_seq)."""
    rows = connection.execute(
        "SELECT id, state, attempt, last_seq FROM result WHERE id = ANY (%s)", (ids,)
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def register_worker(
    connection: Connection, worker_id: str, lane: str, host: str, pid: int, lease_s: float
) -> None:
    """Signs a worker process on with its first lease."""
    connection.execute(
        "INSERT INTO worker (id, lane, host, pid, lease_until) "
        "VALUES (%s, %s, %s, %s, now() + %s * interval '1 second') "
        "ON CONFLICT (id) DO UPDATE SET lease_until = EXCLUDED.lease_until",
        (worker_id, lane, host, pid, lease_s),
    )


def heartbeat(
    connection: Connection, worker_id: str, lease_s: float
) -> list[tuple[str, int, bool]] | None:
    """Renews a lease. Returns the jobs that the worker owns (id, attempt, whether to cancel), or
    None if the worker is not signed on.

    A lease that ran out is renewed as well: what the reaper took back meanwhile is no longer among
    the jobs returned, and what it did not take is rightly still the worker's.
    """
    renewed = connection.execute(
        "UPDATE worker SET lease_until = now() + %s * interval '1 second' WHERE id = %s",
        (lease_s, worker_id),
    )
    if renewed.rowcount == 0:
        return None
    rows = connection.execute(
        "SELECT id, attempt, cancel FROM open_job WHERE owner = %s AND state = 'running'",
        (worker_id,),
    )
    return [(row[0], row[1], row[2]) for row in rows]


def sign_off(connection: Connection, worker_id: str) -> None:
    """Removes a worker that has handed back its jobs."""
    connection.execute("DELETE FROM worker WHERE id = %s", (worker_id,))


def live_workers(connection: Connection) -> dict[str, int]:
    """How many worker processes of each lane hold a lease."""
    rows = connection.execute(
        "SELECT lane, count(*) FROM worker WHERE lease_until > now() GROUP BY lane"
    )
    return {row[0]: row[1] for row in rows}


def reaper_may_run(connection: Connection, gap_s: float, lease_s: float) -> bool:
    """Notes a run of the reaper; False until it has run for one full lease without a gap.

    While Postgres is away nobody can renew a lease, so right after an outage every lease looks
    expired.
    """
    row = connection.execute(
        "UPDATE reaper SET last_run = now(), healthy_since = CASE "
        "WHEN last_run < now() - %s * interval '1 second' "
        "OR pg_postmaster_start_time() > healthy_since THEN now() ELSE healthy_since END "
        "RETURNING healthy_since < now() - %s * interval '1 second'",
        (gap_s, lease_s),
    ).fetchone()
    return bool(row and row[0])


def lost_jobs(connection: Connection, limit: int) -> list[tuple[str, int, int, bool]]:
    """Running jobs whose worker holds no lease: (id, attempt, strikes, cancel asked)."""
    rows = connection.execute(
        "SELECT o.id, o.attempt, o.strikes, o.cancel FROM open_job AS o "
        "LEFT JOIN worker AS w ON w.id = o.owner AND w.lease_until > now() "
        "WHERE o.state = 'running' AND w.id IS NULL ORDER BY o.id LIMIT %s",
        (limit,),
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def forget_workers(connection: Connection) -> None:
    """Deletes workers whose lease ran out long ago."""
    connection.execute("DELETE FROM worker WHERE lease_until < now() - interval '1 hour'")


def forget_keys(connection: Connection) -> None:
    """Deletes Idempotency-Keys that no longer stand for a job."""
    connection.execute("DELETE FROM idempotency WHERE created_at < now() - interval '25 hours'")


def overdue_jobs(connection: Connection, limit: int) -> list[str]:
    """Queued jobs past their deadline."""
    rows = connection.execute(
        "SELECT id FROM open_job WHERE state = 'queued' AND deadline < now() ORDER BY id LIMIT %s",
        (limit,),
    )
    return [row[0] for row in rows]


def due_bells(connection: Connection, limit: int) -> list[tuple[str, str]]:
    """Queued jobs (id, lane) whose bell is to be rung again, and puts off their next ring:
    2 s after admission, 10 s after that, then each minute."""
    rows = connection.execute(
        # Not a subquery: a nested loop would run it again for each row, past the limit.
        "WITH due AS MATERIALIZED (SELECT id FROM open_job WHERE state = 'queued' "
        "AND ring_at < now() ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED) "
        "UPDATE open_job AS o SET rings = o.rings + 1, "
        "ring_at = now() + CASE o.rings WHEN 0 THEN interval '10 s' ELSE interval '60 s' END "
        "FROM due WHERE o.id = due.id RETURNING o.id, o.lane",
        (limit,),
    )
    return [(row[0], row[1]) for row in rows]


def forget(connection: Connection, ids: list[str], by: str | None) -> list[str]:
    """Deletes what ended jobs were asked and answered; returns the ids that it changed. `by`: the
    deletion job that does so. Their event logs must be gone by then."""
    rows = connection.execute("SELECT forget(%b::text[], %s::text)", (ids, by))
    return [row[0] for row in rows]


def undelivered_jobs(connection: Connection, after_s: float, limit: int) -> list[str]:
    """Jobs that ended `after_s` seconds ago and were to be forgotten once delivered, but still
    have their content. A batch's lines are delivered when its files are."""
    rows = connection.execute(
        "SELECT j.id FROM job AS j JOIN result AS r ON r.id = j.id "
        "WHERE NOT j.store AND j.forgotten_at IS NULL AND j.id < %(before)s "
        "AND NOT EXISTS (SELECT FROM batch AS b WHERE b.id = j.batch_id AND b.ended_at IS NULL) "
        "AND r.finished_at < now() - %(after)s * interval '1 second' ORDER BY j.id LIMIT %(limit)s",
        {"before": first_id("job", time.time() - after_s), "after": after_s, "limit": limit},
    )
    return [row[0] for row in rows]
