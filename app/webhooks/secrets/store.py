"""What signs: secrets that are rotated, and those of jobs, which name their receivers themselves.

While an old secret overlaps with the new one both sign, so that a receiver may change over whenever
it likes.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

import httpx

from app.accounts import audit
from app.db.connect import Connection
from app.errors import Conflict
from app.ids import new_id
from app.webhooks.model import JobSecret


def rotate(
    connection: Connection, tenant_id: str, endpoint_id: str, sealed: str, overlap_s: int, *,
    actor: str,
) -> bool:  # fmt: skip
    """Puts a sealed secret into the place of an endpoint's, which signs `overlap_s` seconds longer;
    False if the tenant has no such endpoint. Raises Conflict while an older one still signs, unless
    the overlap is 0, which ends both; and for an endpoint of jobs."""
    with connection.transaction():
        row = connection.execute(
            "SELECT kind, CASE WHEN old_until > now() THEN old_until END FROM webhook_endpoint "
            "WHERE tenant_id = %s AND id = %s FOR UPDATE",
            (tenant_id, endpoint_id),
        ).fetchone()
        if row is None:
            return False
        if row[0] == "jobs":
            raise Conflict("Jobs have one secret for all addresses: rotate job_secret.")
        _unless_overlapping(row[1], overlap_s)
        connection.execute(
            "UPDATE webhook_endpoint SET old_secret = CASE WHEN %(s)s > 0 THEN secret END, "
            "old_until = CASE WHEN %(s)s > 0 THEN now() + %(s)s * interval '1 s' END, "
            "secret = %(new)s WHERE id = %(id)s",
            {"s": overlap_s, "new": sealed, "id": endpoint_id},
        )
        detail = {"overlap": overlap_s}
        audit.record(connection, actor, "webhook.rotate", endpoint_id, tenant_id, detail)
    return True


def job_secret(connection: Connection, tenant_id: str, seal: Callable[[], str]) -> JobSecret:
    """What signs the webhooks of a tenant's jobs; made now if it has none."""
    ensure(connection, {tenant_id}, seal)
    row = connection.execute(
        "SELECT secret, created_at, CASE WHEN old_until > now() THEN old_until END "
        "FROM webhook_secret WHERE tenant_id = %s",
        (tenant_id,),
    ).fetchone()
    assert row is not None
    return JobSecret(*row)


def rotate_job_secret(
    connection: Connection, tenant_id: str, sealed: str, overlap_s: int, *, actor: str
) -> JobSecret:
    """As `rotate`, for the secret of a tenant's jobs. Raises Conflict."""
    with connection.transaction():
        ensure(connection, {tenant_id}, lambda: sealed)
        connection.execute(
            "SELECT FROM webhook_secret WHERE tenant_id = %s FOR UPDATE", (tenant_id,)
        )
        before = job_secret(connection, tenant_id, lambda: sealed)
        _unless_overlapping(before.old_until, overlap_s)
        # Not over itself: where there was none, this is the first.
        connection.execute(
            "UPDATE webhook_secret SET created_at = now(), secret = %(new)s, "
            "old_secret = CASE WHEN %(s)s > 0 THEN secret END, "
            "old_until = CASE WHEN %(s)s > 0 THEN now() + %(s)s * interval '1 s' END "
            "WHERE tenant_id = %(t)s AND secret <> %(new)s",
            {"s": overlap_s, "new": sealed, "t": tenant_id},
        )
        detail = {"overlap": overlap_s}
        audit.record(connection, actor, "webhook.rotate", "job_secret", tenant_id, detail)
        return job_secret(connection, tenant_id, lambda: sealed)


def _unless_overlapping(old_until: datetime | None, overlap_s: int) -> None:
    if old_until is not None and overlap_s > 0:
        raise Conflict(
            f"The secret before this one signs until {old_until:%Y-%m-%d %H:%M} UTC. Rotate then, "
            "or now with an overlap of 0, which ends both at once."
        )


def ensure(connection: Connection, tenants: Iterable[str], seal: Callable[[], str]) -> None:
    """Makes the secrets of tenants whose jobs have none."""
    wanted = list(tenants)
    rows = connection.execute(
        "SELECT tenant_id FROM webhook_secret WHERE tenant_id = ANY (%s)", (wanted,)
    )
    missing = sorted(set(wanted) - {tenant_id for (tenant_id,) in rows})
    for tenant_id in missing:
        connection.execute(
            "INSERT INTO webhook_secret (tenant_id, secret) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            (tenant_id, seal()),
        )


def addressed(
    connection: Connection, events: list[tuple[str, str, str]]
) -> list[tuple[str, str, str | None]]:
    """For events (id, tenant, URL) of jobs that named an address: (event, endpoint, URL), with the
    endpoint that stands for the URL's origin, made if there is none. What is for one that is
    disabled is left out."""
    origins = {(tenant_id, origin_of(url)) for _, tenant_id, url in events}
    wanted = sorted(origins)
    connection.execute(
        "INSERT INTO webhook_endpoint (id, tenant_id, url, description, events, kind) "
        "SELECT g.id, g.tenant, g.url, '', '{}', 'jobs' "
        "FROM unnest(%s::text[], %s::text[], %s::text[]) AS g (id, tenant, url) "
        "ON CONFLICT (tenant_id, url) WHERE kind = 'jobs' DO NOTHING",
        ([new_id("whe") for _ in wanted], [t for t, _ in wanted], [url for _, url in wanted]),
    )
    rows = connection.execute(
        "SELECT tenant_id, url, id FROM webhook_endpoint WHERE kind = 'jobs' "
        "AND disabled_at IS NULL AND tenant_id = ANY (%s) AND url = ANY (%s) ORDER BY id FOR SHARE",
        ([t for t, _ in wanted], [url for _, url in wanted]),
    )
    found = {(tenant_id, url): endpoint_id for tenant_id, url, endpoint_id in rows}
    return [
        (event_id, found[tenant_id, origin_of(url)], url)
        for event_id, tenant_id, url in events
        if (tenant_id, origin_of(url)) in found
    ]


def origin_of(url: str) -> str:
    """The scheme, host and port of a URL."""
    return str(httpx.URL(url).copy_with(raw_path=b"/")).rstrip("/")
