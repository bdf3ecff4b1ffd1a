"""Deliveries that are sent once more, although they have ended."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.accounts import audit
from app.db.connect import Connection
from app.errors import Conflict
from app.webhooks.model import Delivery, State
from app.webhooks.store import find_delivery, unpause


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of an endpoint's deliveries: made from `since_s` until before `until_s` (unix seconds),
    of events of any of `types`, None for all, and in this state."""

    since_s: float
    until_s: float | None
    types: Sequence[str] | None
    state: State


def replay_one(
    connection: Connection, tenant_id: str, endpoint_id: str, delivery_id: str, *, actor: str
) -> Delivery | None:
    """Lets a delivery be sent now, with as many attempts as a new one if it had ended; None if
    there is no such one. Raises Conflict if its endpoint is disabled."""
    with connection.transaction():
        if not _live(connection, tenant_id, endpoint_id):
            return None
        if find_delivery(connection, tenant_id, endpoint_id, delivery_id) is None:
            return None
        _again(connection, [delivery_id])
        audit.record(
            connection, actor, "webhook.replay", endpoint_id, tenant_id, {"delivery": delivery_id}
        )
        return find_delivery(connection, tenant_id, endpoint_id, delivery_id)


def replay_many(
    connection: Connection, tenant_id: str, endpoint_id: str, wanted: Wanted, limit: int, *,
    actor: str,
) -> tuple[int, bool] | None:  # fmt: skip
    """As `replay_one`, for the oldest `limit` deliveries of those wanted: how many there were, and
    whether there are more. None if the tenant has no such endpoint. Raises Conflict."""
    with connection.transaction():
        if not _live(connection, tenant_id, endpoint_id):
            return None
        rows = connection.execute(
            "SELECT d.id FROM webhook_delivery AS d JOIN webhook_event AS v ON v.id = d.event_id "
            "WHERE d.endpoint_id = %(e)s AND d.state = %(state)s "
            "AND d.created_at >= to_timestamp(%(since)s) "
            "AND (%(until)s::float8 IS NULL OR d.created_at < to_timestamp(%(until)s)) "
            "AND (%(types)s::text[] IS NULL OR v.type = ANY (%(types)s)) "
            "ORDER BY d.id LIMIT %(limit)s",
            {"e": endpoint_id, "state": wanted.state, "since": wanted.since_s,
             "until": wanted.until_s,
             "types": None if wanted.types is None else list(wanted.types), "limit": limit + 1},
        ).fetchall()  # fmt: skip
        ids = [delivery_id for (delivery_id,) in rows[:limit]]
        _again(connection, ids)
        audit.record(
            connection, actor, "webhook.replay", endpoint_id, tenant_id, {"count": len(ids)}
        )
    return len(ids), len(rows) > limit


def _live(connection: Connection, tenant_id: str, endpoint_id: str) -> bool:
    row = connection.execute(
        "SELECT disabled_at IS NULL FROM webhook_endpoint WHERE tenant_id = %s AND id = %s "
        "FOR UPDATE",
        (tenant_id, endpoint_id),
    ).fetchone()
    if row is None:
        return False
    if not row[0]:
        raise Conflict("The webhook endpoint is disabled; enable it first.")
    unpause(connection, endpoint_id)
    return True


def _again(connection: Connection, ids: list[str]) -> None:
    # Attempts go on counting: they fence a sender that has not told how its own has ended.
    connection.execute(
        "UPDATE webhook_delivery SET spent = CASE WHEN state = 'waiting' THEN spent ELSE attempts "
        "END, state = 'waiting', next_at = now(), ended_at = NULL WHERE id = ANY (%s)",
        (ids,),
    )
