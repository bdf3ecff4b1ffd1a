"""What it takes to make jobs again, read from Postgres."""

from dataclasses import dataclass

from app.db.connect import Connection


@dataclass(frozen=True, slots=True)
class Origin:
    """A job that may be made again, as it was admitted. `state`: how it ended, None if it has not;
    `forgotten`: its request has been deleted; `test`: a test key's."""

    id: str
    tenant_id: str
    key_id: str
    app_id: str
    kind: str
    lane: str
    model: str
    request: str
    metadata: str | None
    hold: int
    reserved: int
    session: str | None
    store: bool
    webhook_url: str | None
    state: str | None
    forgotten: bool
    test: bool


def find_origin(connection: Connection, job_id: str, tenant_id: str) -> Origin | None:
    """A tenant's job, or None if it is not there or another's."""
    row = connection.execute(
        "SELECT j.id, j.tenant_id, j.key_id, j.app_id, j.kind, j.lane, j.model, j.request, "
        "j.metadata, j.hold, j.reserved, j.session, j.store, j.webhook_url, r.state, "
        "j.forgotten_at IS NOT NULL, k.mode IS NOT DISTINCT FROM 'test' "
        "FROM job AS j LEFT JOIN result AS r ON r.id = j.id "
        "LEFT JOIN api_key AS k ON k.id = j.key_id "
        "WHERE j.tenant_id = %s AND j.id = %s",
        (tenant_id, job_id),
    ).fetchone()
    return Origin(*row) if row else None
