"""Books with a past: entries and jobs of a time that a test chooses, oldest first."""

from datetime import datetime

from app.db.connect import Connection
from app.ledger.store import Entry
from tests.app.usage.ended import ended

HOLD = 100
"""What `ended` holds for a job."""


def shifted(connection: Connection, entry: Entry, at: datetime) -> Entry:
    """The entry, moved to another time, as nothing but a test can."""
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute("UPDATE transfer SET created_at = %s WHERE seq = %s", (at, entry.seq))
    return entry


def paid_job(
    connection: Connection, tenant_id: str, at: datetime, cost: int, *, model: str = "m",
    app_id: str = "tests", key_id: str = "key_x", state: str = "completed",
) -> str:  # fmt: skip
    """A job that ended at a time, with its transfers; returns its id."""
    job_id = ended(
        connection, tenant_id, at.timestamp(), cost=cost, model=model, app_id=app_id,
        key_id=key_id, state=state,
    )  # fmt: skip
    wallet, held = f"{tenant_id}/wallet", f"{tenant_id}/held"
    connection.execute("UPDATE account SET balance = balance - %s WHERE id = %s", (cost, wallet))
    for kind, source, target, amount in (
        ("hold", wallet, held, HOLD),
        ("settle", held, "platform/revenue", cost),
        ("release", held, wallet, HOLD - cost),
    ):
        connection.execute(
            "INSERT INTO transfer (job_id, tenant_id, kind, debit, credit, amount, created_at) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s)",
            (job_id, tenant_id, kind, source, target, amount, at),
        )
    return job_id
