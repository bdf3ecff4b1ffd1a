"""Webhooks in Postgres: who is told, what is on its way, what became of it.

Endpoints are locked before their deliveries.
"""

from collections.abc import Callable
from typing import Any, LiteralString

import orjson

from app.accounts import audit
from app.db.connect import Connection
from app.errors import Conflict
from app.ids import new_id
from app.webhooks.model import (
    ATTEMPTS_KEPT,
    ENDPOINTS_MAX,
    JITTER,
    TEST_EVENT,
    Delivery,
    Endpoint,
    EventName,
    Outcome,
    Parcel,
    State,
    pause_s,
    wait_s,
)
from app.webhooks.secrets import store as secrets

ACTOR = "webhooks"
"""Who, in the audit log, disables an endpoint whose receiver answered 410."""

_ENDPOINTS: LiteralString = (
    "SELECT id, kind, url, description, events, created_at, disabled_at, "
    "CASE WHEN old_until > now() THEN old_until END, failures, paused_until FROM webhook_endpoint "
)


def create_endpoint(
    connection: Connection, tenant_id: str, url: str, description: str, events: list[str],
    sealed: str, *, actor: str,
) -> Endpoint:  # fmt: skip
    """Creates an endpoint with a sealed secret. Raises Conflict at ENDPOINTS_MAX."""
    endpoint_id = new_id("whe")
    with connection.transaction():
        # One at a time for a tenant, else two could both be the last that is allowed.
        connection.execute("SELECT FROM tenant WHERE id = %s FOR NO KEY UPDATE", (tenant_id,))
        made = connection.execute(
            "INSERT INTO webhook_endpoint (id, tenant_id, url, description, events, secret) "
            "SELECT %(id)s, %(t)s, %(url)s, %(description)s, %(events)s, %(secret)s "
            "WHERE (SELECT count(*) FROM webhook_endpoint WHERE tenant_id = %(t)s "
            "AND kind = 'events') < %(max)s",
            {"id": endpoint_id, "t": tenant_id, "url": url, "description": description,
             "events": events, "secret": sealed, "max": ENDPOINTS_MAX},
        ).rowcount  # fmt: skip
        if not made:
            raise Conflict(f"There are {ENDPOINTS_MAX} webhook endpoints already; delete one.")
        detail = {"url": url, "description": description, "events": events}
        audit.record(connection, actor, "webhook.create", endpoint_id, tenant_id, detail)
        endpoint = find_endpoint(connection, tenant_id, endpoint_id)
    assert endpoint is not None
    return endpoint


def find_endpoint(connection: Connection, tenant_id: str, endpoint_id: str) -> Endpoint | None:
    """The endpoint of this tenant with this id, or None."""
    row = connection.execute(
        _ENDPOINTS + "WHERE tenant_id = %s AND id = %s", (tenant_id, endpoint_id)
    ).fetchone()
    return Endpoint(*row) if row else None


def list_endpoints(
    connection: Connection, tenant_id: str, after: str | None, limit: int
) -> list[Endpoint]:
    """A tenant's endpoints, oldest first, those after the id `after`."""
    rows = connection.execute(
        _ENDPOINTS + "WHERE tenant_id = %s AND id > %s ORDER BY id LIMIT %s",
        (tenant_id, after or "", limit),
    )
    return [Endpoint(*row) for row in rows]


def change_endpoint(
    connection: Connection, tenant_id: str, endpoint_id: str, changes: dict[str, Any], *, actor: str
) -> Endpoint | None:
    """Sets `url`, `description`, `events` or `disabled`; the endpoint as it is then, or None if the
    tenant has no such one. What waits for an endpoint that is disabled is dead; one that is enabled
    or gets another URL is tried at once. Raises Conflict for what an endpoint of jobs has not."""
    given = {"url": None, "description": None, "events": None, "disabled": None, **changes}
    fresh = given["url"] is not None or given["disabled"] is False
    with connection.transaction():
        endpoint = find_endpoint(connection, tenant_id, endpoint_id)
        if endpoint is not None and endpoint.kind == "jobs" and changes.keys() - {"disabled"}:
            raise Conflict("Jobs name this address themselves; it can only be disabled or enabled.")
        done = connection.execute(
            "UPDATE webhook_endpoint SET url = coalesce(%(url)s, url), "
            "failures = CASE WHEN %(fresh)s THEN 0 ELSE failures END, "
            "busy_until = CASE WHEN %(fresh)s AND paused_until > now() THEN now() "
            "ELSE busy_until END, "
            "paused_until = CASE WHEN %(fresh)s THEN NULL ELSE paused_until END, "
            "description = coalesce(%(description)s, description), "
            "events = coalesce(%(events)s, events), "
            "disabled_at = CASE %(disabled)s::boolean WHEN true THEN coalesce(disabled_at, now()) "
            "WHEN false THEN NULL ELSE disabled_at END WHERE tenant_id = %(t)s AND id = %(id)s",
            {**given, "fresh": fresh, "t": tenant_id, "id": endpoint_id},
        )
        if not done.rowcount:
            return None
        if given["disabled"]:
            _bury(connection, endpoint_id)
        audit.record(connection, actor, "webhook.change", endpoint_id, tenant_id, changes)
        return find_endpoint(connection, tenant_id, endpoint_id)


def delete_endpoint(
    connection: Connection, tenant_id: str, endpoint_id: str, *, actor: str
) -> bool:
    """Deletes an endpoint with its deliveries; False if the tenant has no such one."""
    with connection.transaction():
        done = connection.execute(
            "DELETE FROM webhook_endpoint WHERE tenant_id = %s AND id = %s",
            (tenant_id, endpoint_id),
        )
        if done.rowcount:
            audit.record(connection, actor, "webhook.delete", endpoint_id, tenant_id)
    return bool(done.rowcount)


_DELIVERIES: LiteralString = (
    "SELECT d.id, d.event_id, v.type, d.state, d.attempts, d.next_at, d.last_status, d.last_error, "
    "d.created_at, d.ended_at, d.url, d.attempt_list "
    "FROM webhook_delivery AS d JOIN webhook_event AS v ON v.id = d.event_id "
)


def list_deliveries(
    connection: Connection, endpoint_id: str, state: State | None, before: str | None, limit: int
) -> list[Delivery]:
    """Deliveries to an endpoint, newest first, those before the id `before`."""
    rows = connection.execute(
        _DELIVERIES + "WHERE d.endpoint_id = %(e)s "
        "AND (%(before)s::text IS NULL OR d.id < %(before)s) "
        "AND (%(state)s::text IS NULL OR d.state = %(state)s) ORDER BY d.id DESC LIMIT %(limit)s",
        {"e": endpoint_id, "before": before, "state": state, "limit": limit},
    )
    return [Delivery(*row) for row in rows]


def find_delivery(
    connection: Connection, tenant_id: str, endpoint_id: str, delivery_id: str
) -> Delivery | None:
    """A delivery to a tenant's endpoint, or None if there is no such one."""
    row = connection.execute(
        _DELIVERIES + "JOIN webhook_endpoint AS e ON e.id = d.endpoint_id "
        "WHERE e.tenant_id = %s AND e.id = %s AND d.id = %s",
        (tenant_id, endpoint_id, delivery_id),
    ).fetchone()
    return Delivery(*row) if row else None


def record_event(connection: Connection, tenant_id: str, kind: EventName, about: str) -> str:
    """Notes that something happened to what has the id `about`, for the transaction in which it
    does; returns the event's id."""
    event_id = new_id("evt")
    connection.execute(
        "INSERT INTO webhook_event (id, tenant_id, type, data) VALUES (%s, %s, %s, %s)",
        (event_id, tenant_id, kind, orjson.dumps({"id": about}).decode()),
    )
    return event_id


def send_test(connection: Connection, tenant_id: str, endpoint_id: str) -> Delivery:
    """Puts a test event for one endpoint on its way. Raises Conflict if it is disabled, or stands
    for addresses of jobs."""
    event_id, delivery_id = new_id("evt"), new_id("whd")
    with connection.transaction():
        live = connection.execute(
            "SELECT FROM webhook_endpoint WHERE id = %s AND tenant_id = %s "
            "AND disabled_at IS NULL AND kind = 'events' FOR UPDATE",
            (endpoint_id, tenant_id),
        )
        if not live.rowcount:
            raise Conflict("The webhook endpoint is disabled or of jobs; it gets no test events.")
        unpause(connection, endpoint_id)
        connection.execute(
            "INSERT INTO webhook_event (id, tenant_id, type, data, dispatched_at) "
            "VALUES (%s, %s, %s, %s, now())",
            (event_id, tenant_id, TEST_EVENT, orjson.dumps({"id": endpoint_id}).decode()),
        )
        connection.execute(
            "INSERT INTO webhook_delivery (id, event_id, endpoint_id) VALUES (%s, %s, %s)",
            (delivery_id, event_id, endpoint_id),
        )
        row = connection.execute(_DELIVERIES + "WHERE d.id = %s", (delivery_id,)).fetchone()
    assert row is not None
    return Delivery(*row)


def unpause(connection: Connection, endpoint_id: str) -> None:
    """Lets the next delivery to an endpoint whose deliveries wait be tried at once."""
    connection.execute(
        "UPDATE webhook_endpoint SET busy_until = now(), paused_until = now() "
        "WHERE id = %s AND paused_until > now()",
        (endpoint_id,),
    )


def due(connection: Connection) -> bool:
    """Whether an event is not dispatched yet, or a delivery is due to an endpoint that may be sent
    to.

    Here and in `claim` the first of an order is asked for, which an index has, whatever the
    statistics say of how many are due.
    """
    row = connection.execute(
        "SELECT (SELECT created_at FROM webhook_event WHERE dispatched_at IS NULL "
        "ORDER BY created_at LIMIT 1) IS NOT NULL "
        "OR (coalesce((SELECT next_at FROM webhook_delivery WHERE next_at IS NOT NULL "
        "ORDER BY next_at LIMIT 1) <= now(), false) AND EXISTS ("
        "SELECT FROM webhook_endpoint AS e WHERE e.disabled_at IS NULL AND e.busy_until <= now() "
        "AND (SELECT d.next_at FROM webhook_delivery AS d WHERE d.endpoint_id = e.id "
        "AND d.next_at IS NOT NULL ORDER BY d.next_at LIMIT 1) <= now()))"
    ).fetchone()
    return row is not None and row[0]


def dispatch(connection: Connection, limit: int, seal: Callable[[], str]) -> int:
    """Makes the deliveries of up to `limit` waiting events, one for each endpoint that is live and
    asks for the event's type, and one to an address of its own; returns how many events there were.
    `seal` makes a sealed secret, for a tenant whose jobs have none yet."""
    with connection.transaction():
        events = connection.execute(
            "SELECT id, tenant_id, url FROM webhook_event WHERE dispatched_at IS NULL "
            "ORDER BY created_at LIMIT %s FOR UPDATE SKIP LOCKED",
            (limit,),
        ).fetchall()
        if not events:
            return 0
        ids = [event_id for event_id, _, _ in events]
        own = [(event_id, ten, url) for event_id, ten, url in events if url is not None]
        pairs: list[tuple[str, str, str | None]] = []
        if own:
            secrets.ensure(connection, {ten for _, ten, _ in own}, seal)
            pairs += secrets.addressed(connection, own)
        # Shared, so that an endpoint disabled meanwhile is either seen here or sees the deliveries.
        pairs += connection.execute(
            "SELECT v.id, e.id, NULL FROM webhook_event AS v JOIN webhook_endpoint AS e "
            "ON e.tenant_id = v.tenant_id AND v.type = ANY (e.events) "
            "WHERE v.id = ANY (%s) AND e.disabled_at IS NULL ORDER BY e.id FOR SHARE OF e",
            (ids,),
        ).fetchall()
        connection.execute(
            "INSERT INTO webhook_delivery (id, event_id, endpoint_id, url) "
            "SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[])",
            ([new_id("whd") for _ in pairs], [v for v, _, _ in pairs], [e for _, e, _ in pairs],
             [url for _, _, url in pairs]),
        )  # fmt: skip
        connection.execute(
            "UPDATE webhook_event SET dispatched_at = now() WHERE id = ANY (%s)", (ids,)
        )
    return len(ids)


def claim(connection: Connection, limit: int, lease_s: float) -> list[Parcel]:
    """Takes up to `limit` due deliveries, the oldest of each endpoint that nobody sends to and
    whose deliveries do not wait, those served longest ago first. A claim not recorded within
    `lease_s` counts as lost, and the delivery is due again."""
    rows = connection.execute(
        """
        WITH free AS (
            SELECT e.id, e.tenant_id, e.url, e.secret,
                   CASE WHEN e.old_until > now() THEN e.old_secret END AS old
            FROM webhook_endpoint AS e
            WHERE e.disabled_at IS NULL AND e.busy_until <= now() AND (
                SELECT d.next_at FROM webhook_delivery AS d
                WHERE d.endpoint_id = e.id AND d.next_at IS NOT NULL
                ORDER BY d.next_at LIMIT 1) <= now()
            ORDER BY e.busy_until LIMIT %(limit)s FOR UPDATE OF e SKIP LOCKED
        ), oldest AS MATERIALIZED (
            SELECT o.id FROM free, LATERAL (
                SELECT d.id FROM webhook_delivery AS d
                WHERE d.endpoint_id = free.id AND d.next_at IS NOT NULL
                ORDER BY d.next_at LIMIT 1
            ) AS o
        ), taken AS (
            UPDATE webhook_delivery AS d
            SET attempts = d.attempts + 1, next_at = now() + %(lease)s * interval '1 s'
            WHERE d.id = ANY (ARRAY (SELECT id FROM oldest)) AND d.next_at <= now()
            RETURNING d.id, d.attempts, d.spent, d.endpoint_id, d.event_id, d.url
        ), busy AS (
            UPDATE webhook_endpoint AS e SET busy_until = now() + %(lease)s * interval '1 s'
            FROM taken AS t WHERE e.id = t.endpoint_id
        )
        SELECT t.id, t.attempts, t.spent, t.endpoint_id, coalesce(t.url, f.url), t.url IS NOT NULL,
               array_remove(ARRAY[coalesce(f.secret, s.secret), CASE
                   WHEN f.secret IS NOT NULL THEN f.old
                   WHEN s.old_until > now() THEN s.old_secret END], NULL),
               v.id, v.type, v.data, v.created_at, now()
        FROM taken AS t JOIN free AS f ON f.id = t.endpoint_id
        JOIN webhook_event AS v ON v.id = t.event_id
        LEFT JOIN webhook_secret AS s ON s.tenant_id = f.tenant_id
        """,
        {"limit": limit, "lease": lease_s},
    )
    return [Parcel(*row) for row in rows]


def record(connection: Connection, parcel: Parcel, outcome: Outcome) -> State | None:
    """Writes down how an attempt ended and returns the delivery's state; None if the claim was lost
    before, and somebody else decides. Of many attempts the last ATTEMPTS_KEPT are told of. After a
    410 the endpoint is disabled, unless the address was a job's own; after BREAKER_FAILURES
    failures in a row its deliveries wait."""
    wait = None if outcome.gone else wait_s(parcel.attempt - parcel.spent)
    state: State = "waiting" if wait else "dead"
    if outcome.delivered:
        state, wait = "delivered", None
    disables = outcome.gone and not parcel.own
    told = {"attempt": parcel.attempt, "started_at": int(parcel.sent_at.timestamp()),
            "response_status": outcome.status, "error": outcome.error}  # fmt: skip
    with connection.transaction():
        endpoint = connection.execute(
            "SELECT failures FROM webhook_endpoint WHERE id = %s FOR UPDATE", (parcel.endpoint_id,)
        ).fetchone()
        stands = connection.execute(
            "UPDATE webhook_delivery SET state = %(state)s, last_status = %(status)s, "
            "last_error = %(error)s, attempt_list = CASE WHEN jsonb_array_length(attempt_list) < "
            "%(kept)s THEN attempt_list ELSE attempt_list - 0 END || %(told)s::jsonb, "
            "ended_at = CASE WHEN %(state)s <> 'waiting' THEN now() END, "
            "next_at = now() + %(wait)s::float8 * (1 + %(jitter)s * (2 * random() - 1)) "
            "* interval '1 s' WHERE id = %(id)s AND attempts = %(attempt)s AND state = 'waiting'",
            {"state": state, "status": outcome.status, "error": outcome.error, "wait": wait,
             "jitter": JITTER, "id": parcel.id, "attempt": parcel.attempt, "kept": ATTEMPTS_KEPT,
             "told": orjson.dumps(told).decode()},
        )  # fmt: skip
        if not stands.rowcount or endpoint is None:
            return None
        # Whoever answers 410 is there.
        failures = 0 if outcome.delivered or outcome.gone else endpoint[0] + 1
        freed = connection.execute(
            "UPDATE webhook_endpoint SET failures = %(failures)s, "
            "busy_until = now() + coalesce(%(pause)s::float8, 0) * interval '1 s', "
            "paused_until = now() + %(pause)s::float8 * interval '1 s', "
            "disabled_at = CASE WHEN %(off)s THEN coalesce(disabled_at, now()) "
            "ELSE disabled_at END WHERE id = %(id)s RETURNING tenant_id",
            {"failures": failures, "pause": pause_s(failures), "off": disables,
             "id": parcel.endpoint_id},
        ).fetchone()  # fmt: skip
        if disables and freed is not None:
            _bury(connection, parcel.endpoint_id)
            detail = {"disabled": True, "status": outcome.status}
            target = parcel.endpoint_id
            audit.record(connection, ACTOR, "webhook.change", target, freed[0], detail)
    return state


def give_up(connection: Connection, held_s: float, limit: int) -> int:
    """Ends up to `limit` deliveries that have been due for `held_s` seconds, held up by an endpoint
    that fails; returns how many."""
    done = connection.execute(
        "WITH held AS MATERIALIZED (SELECT d.id FROM webhook_delivery AS d "
        "JOIN webhook_endpoint AS e ON e.id = d.endpoint_id AND e.paused_until IS NOT NULL "
        "WHERE d.next_at < now() - %s * interval '1 s' "
        "ORDER BY d.next_at LIMIT %s FOR UPDATE OF d SKIP LOCKED) "
        "UPDATE webhook_delivery AS d SET state = 'dead', next_at = NULL, ended_at = now(), "
        "last_error = coalesce(last_error, 'the endpoint kept failing') "
        "FROM held WHERE d.id = held.id",
        (held_s, limit),
    )
    return done.rowcount


def _bury(connection: Connection, endpoint_id: str) -> None:
    connection.execute(
        "UPDATE webhook_delivery SET state = 'dead', next_at = NULL, ended_at = now(), "
        "last_error = 'the endpoint was disabled' WHERE endpoint_id = %s AND state = 'waiting'",
        (endpoint_id,),
    )
