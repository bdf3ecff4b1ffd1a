"""What tests of budgets share."""

from typing import Any

import orjson

from app.db.connect import Connection
from app.ledger.budgets import Budget, create_budget, get_budget


def of(connection: Connection, mine: str, soft: int | None, hard: int | None) -> Budget:
    """A daily budget of a tenant."""
    return create_budget(connection, mine, "tenant", mine, "day", soft, hard)


def now(connection: Connection, budget: Budget) -> tuple[int, int]:
    """What a budget has spent and holds."""
    found = get_budget(connection, budget.tenant_id, budget.id)
    return found.spent, found.held


def events(connection: Connection) -> list[tuple[str, str, Any]]:
    """The webhook events: tenant, type, data."""
    rows = connection.execute("SELECT tenant_id, type, data FROM webhook_event ORDER BY created_at")
    return [(row[0], row[1], orjson.loads(row[2])) for row in rows]
