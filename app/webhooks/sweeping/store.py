"""What is known of webhooks goes by age."""

from app.db.connect import Connection

GROUP = 5000
"""Rows that one statement deletes at most."""


def sweep(connection: Connection, default_days: int, group: int = GROUP) -> int:
    """Deletes the deliveries that ended longer ago than their tenants keep content (`default_days`
    for those that say nothing), and the events of which none is left; returns how many events."""
    while _deliveries(connection, default_days, group) == group:
        pass
    count = 0
    while (gone := _events(connection, default_days, group)) == group:
        count += gone
    return count + gone


def _deliveries(connection: Connection, default_days: int, limit: int) -> int:
    # The end is asked for twice: one that is replayed at this moment has none any more.
    return connection.execute(
        "WITH old AS MATERIALIZED (SELECT d.id FROM webhook_delivery AS d "
        "JOIN webhook_endpoint AS e ON e.id = d.endpoint_id JOIN tenant AS t ON t.id = e.tenant_id "
        "WHERE d.ended_at < now() - coalesce(t.retention_days, %s) * interval '1 day' LIMIT %s) "
        "DELETE FROM webhook_delivery AS d USING old WHERE d.id = old.id "
        "AND d.ended_at IS NOT NULL",
        (default_days, limit),
    ).rowcount


def _events(connection: Connection, default_days: int, limit: int) -> int:
    return connection.execute(
        "WITH old AS MATERIALIZED (SELECT v.id FROM webhook_event AS v "
        "JOIN tenant AS t ON t.id = v.tenant_id WHERE v.dispatched_at < now() "
        "- coalesce(t.retention_days, %s) * interval '1 day' "
        "AND NOT EXISTS (SELECT FROM webhook_delivery AS d WHERE d.event_id = v.id) LIMIT %s) "
        "DELETE FROM webhook_event AS v USING old WHERE v.id = old.id",
        (default_days, limit),
    ).rowcount
