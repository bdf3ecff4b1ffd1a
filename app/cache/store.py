"""Answers that stand for requests which come again: exact, within one tenant, for as long as the
request that made them said.

What is kept is which job's answer it is. The answer is that job's result, so it is gone as soon as
the job's content is.
"""

from dataclasses import dataclass

from app.db.connect import Connection

TTL_MAX_S = 86_400


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """An answer as it was stored with its job; `age_s` since that job ended."""

    job_id: str
    body: str
    age_s: float
    provider: str | None


def find_answer(connection: Connection, tenant_id: str, key: str) -> CachedAnswer | None:
    """What stands for the request `key` (a hash) of a tenant, or None."""
    row = connection.execute(
        "SELECT c.job_id, r.body, extract(epoch FROM now() - r.finished_at)::float8, r.provider "
        "FROM cached_answer AS c JOIN result AS r ON r.id = c.job_id "
        "JOIN job AS j ON j.id = c.job_id "
        "WHERE c.tenant_id = %s AND c.key = %s AND c.expires_at > now() "
        "AND r.body IS NOT NULL AND j.forgotten_at IS NULL",
        (tenant_id, key),
    ).fetchone()
    return CachedAnswer(*row) if row else None


def keep_answer(connection: Connection, tenant_id: str, key: str, job_id: str, ttl_s: int) -> None:
    """Lets the answer of a job that has completed stand for `key`, in the place of one before."""
    connection.execute(
        "INSERT INTO cached_answer (tenant_id, key, job_id, expires_at) "
        "VALUES (%s, %s, %s, now() + %s * interval '1 second') ON CONFLICT (tenant_id, key) "
        "DO UPDATE SET job_id = EXCLUDED.job_id, expires_at = EXCLUDED.expires_at",
        (tenant_id, key, job_id, ttl_s),
    )


def drop_expired(connection: Connection) -> int:
    """Deletes what stands for nothing any more; returns how many."""
    return connection.execute("DELETE FROM cached_answer WHERE expires_at <= now()").rowcount
