"""Applications of a tenant: what `X-App-ID` names."""

from dataclasses import dataclass
from datetime import datetime

from app.accounts import audit
from app.db.connect import Connection
from app.errors import Conflict


@dataclass(frozen=True, slots=True)
class AppRow:
    """An application; its id is the tenant's own choice."""

    id: str
    name: str
    created_at: datetime


def create_app(
    connection: Connection, tenant_id: str, app_id: str, name: str, *, actor: str = audit.CLI
) -> AppRow:
    """Creates an application. Raises Conflict if the tenant has one of this id."""
    with connection.transaction():
        row = connection.execute(
            "INSERT INTO app (tenant_id, id, name) VALUES (%s, %s, %s) "
            "ON CONFLICT (tenant_id, id) DO NOTHING RETURNING id, name, created_at",
            (tenant_id, app_id, name),
        ).fetchone()
        if row is None:
            raise Conflict(f"There is an app {app_id!r} already.", param="id")
        audit.record(connection, actor, "app.create", app_id, tenant_id, {"name": name})
    return AppRow(*row)


def app_by_id(connection: Connection, tenant_id: str, app_id: str) -> AppRow | None:
    """The tenant's application of this id, or None."""
    row = connection.execute(
        "SELECT id, name, created_at FROM app WHERE tenant_id = %s AND id = %s", (tenant_id, app_id)
    ).fetchone()
    return AppRow(*row) if row else None


def list_apps(connection: Connection, tenant_id: str, after: str, limit: int) -> list[AppRow]:
    """The tenant's applications by id, those after the id `after`."""
    rows = connection.execute(
        "SELECT id, name, created_at FROM app WHERE tenant_id = %s AND id > %s "
        "ORDER BY id LIMIT %s",
        (tenant_id, after, limit),
    )
    return [AppRow(*row) for row in rows]
