"""Which jobs a deletion means, page by page, and which tenants have something to delete."""

import time
from dataclasses import dataclass

from app.db.connect import Connection
from app.ids import CLOCKS_APART_S, first_id
from app.jobs.model import JobRow
from app.jobs.store import find_jobs
from app.retention.model import RETENTION_KEY, Selection

PAGE = 1000
"""Jobs looked at by one statement at most."""


@dataclass(frozen=True, slots=True)
class Page:
    """What one look found, by job id in order. `last`: the id to go on after; None at the end.

    `kept`: ended jobs that still have their content; `deleted`: those that this deletion has
    deleted; `earlier`: how many others are without content; `open`: how many have not ended.
    """

    last: str | None
    kept: list[str]
    deleted: list[str]
    earlier: int
    open: int


def matching(
    connection: Connection, tenant_id: str, deletion_id: str, made_s: float, selection: Selection,
    after: str | None,
) -> Page:  # fmt: skip
    """The jobs after the id `after` that a deletion admitted at `made_s` (unix seconds) means.

    Jobs that were admitted after it, and deletions, are none of them. A forgotten job no longer
    tells its user, so it is not found by that.
    """
    before = made_s if selection.before is None else min(selection.before, made_s)
    start = "" if selection.since is None else first_id("job", selection.since - CLOCKS_APART_S)
    row = connection.execute(
        """
        WITH page AS (
            SELECT * FROM job WHERE tenant_id = %(tenant)s AND id > %(after)s AND id < %(end)s
            AND (%(ids)s::text[] IS NULL OR id = ANY (%(ids)s)) ORDER BY id LIMIT %(limit)s
        ), told AS (
            SELECT p.id, CASE
                WHEN p.kind = 'content.deletion' OR p.created_at > to_timestamp(%(made)s)
                  OR p.created_at >= to_timestamp(%(before)s::float8)
                  OR p.app_id <> %(app)s OR p.session <> %(session)s
                  OR (p.session IS NULL AND %(session)s::text IS NOT NULL) THEN 'other'
                WHEN p.forgotten_by = %(me)s THEN 'deleted'
                WHEN p.forgotten_at IS NOT NULL THEN 'earlier'
                WHEN %(user)s::text IS NOT NULL
                 AND replace(p.request, '\\u0000', '\\u0020')::json ->> 'user'
                     IS DISTINCT FROM %(user)s THEN 'other'
                WHEN r.id IS NULL THEN 'open'
                ELSE 'kept' END AS fate
            FROM page AS p LEFT JOIN result AS r ON r.id = p.id
        )
        SELECT max(id), array_agg(id ORDER BY id) FILTER (WHERE fate = 'kept'),
               array_agg(id ORDER BY id) FILTER (WHERE fate = 'deleted'),
               count(*) FILTER (WHERE fate = 'earlier'), count(*) FILTER (WHERE fate = 'open')
        FROM told
        """,
        {
            "tenant": tenant_id, "after": after or start, "ids": selection.job_ids,
            "end": first_id("job", before + CLOCKS_APART_S), "limit": PAGE, "made": made_s,
            "before": selection.before, "app": selection.app_id, "session": selection.session_id,
            "user": selection.user, "me": deletion_id,
        },
    ).fetchone()  # fmt: skip
    assert row is not None
    return Page(row[0], row[1] or [], row[2] or [], row[3], row[4])


def database_now(connection: Connection) -> float:
    """The database's time, unix seconds."""
    row = connection.execute("SELECT extract(epoch FROM now())::float8").fetchone()
    assert row is not None
    return float(row[0])


def retention_due(connection: Connection, default_days: int) -> list[tuple[str, Selection]]:
    """Tenants with content older than they keep it, and what of it is to be deleted; those whose
    last such deletion is still open are passed over. The marks of the others move on."""
    tenants = connection.execute(
        "SELECT t.id, extract(epoch FROM t.swept_to)::float8, floor(extract(epoch FROM now() "
        "- coalesce(t.retention_days, %s) * interval '1 day'))::bigint FROM tenant AS t "
        "WHERE NOT EXISTS (SELECT 1 FROM open_job AS o JOIN job AS j ON j.id = o.id "
        "WHERE o.tenant_id = t.id AND j.kind = 'content.deletion' AND j.key_id = %s) ORDER BY t.id",
        (default_days, RETENTION_KEY),
    ).fetchall()
    due = []
    for tenant_id, since, before in tenants:
        if since is not None and since >= before:
            continue
        if _has_content(connection, tenant_id, since, before):
            selection = Selection(before=before, since=since, reason="retention")
            due.append((tenant_id, selection))
        else:
            mark_swept(connection, tenant_id, before)
    return due


def _has_content(
    connection: Connection, tenant_id: str, since: float | None, before: float
) -> bool:
    start = "" if since is None else first_id("job", since - CLOCKS_APART_S)
    row = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM job WHERE tenant_id = %s AND id > %s AND id < %s "
        "AND created_at < to_timestamp(%s) AND forgotten_at IS NULL "
        "AND kind <> 'content.deletion')",
        (tenant_id, start, first_id("job", before + CLOCKS_APART_S), before),
    ).fetchone()
    return bool(row and row[0])


def mark_swept(connection: Connection, tenant_id: str, before: float) -> None:
    """Notes that nothing of a tenant is left from before this time, unix seconds."""
    connection.execute(
        "UPDATE tenant SET swept_to = greatest(swept_to, to_timestamp(%s)) WHERE id = %s",
        (before, tenant_id),
    )


def deletions(
    connection: Connection, tenant_id: str, before: str | None, limit: int
) -> list[JobRow]:
    """A tenant's deletion jobs, newest first, those before the id `before`."""
    rows = connection.execute(
        "SELECT id FROM job WHERE tenant_id = %s AND kind = 'content.deletion' AND id < %s "
        "ORDER BY id DESC LIMIT %s",
        (tenant_id, before or first_id("job", time.time() + CLOCKS_APART_S), limit),
    )
    return find_jobs(connection, [row[0] for row in rows], tenant_id)
