"""What tests of webhooks put into the database and look at there."""

from typing import Any

import orjson
from standardwebhooks import Webhook

from app.db.connect import Connection
from app.ids import new_id
from app.webhooks import store
from app.webhooks.model import Delivery
from tests.webhook_receiver import Heard

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
EVENT = "budget.soft_limit_reached"


def happen(connection: Connection, tenant_id: str, budget_id: str = "bud_1") -> str:
    """Notes an event as the job line does; returns its id."""
    event_id = new_id("evt")
    connection.execute(
        "INSERT INTO webhook_event (id, tenant_id, type, data) VALUES (%s, %s, %s, %s)",
        (event_id, tenant_id, EVENT, orjson.dumps({"id": budget_id}).decode()),
    )
    return event_id


def dispatch(connection: Connection) -> int:
    """Makes the deliveries of what waits, as a courier does; jobs' secrets are not for opening."""
    return store.dispatch(connection, 10, lambda: "sealed")


def make_due(connection: Connection) -> None:
    """Lets the time pass until every waiting delivery is due and every claim has lapsed."""
    connection.execute("UPDATE webhook_delivery SET next_at = now() WHERE next_at IS NOT NULL")
    connection.execute("UPDATE webhook_endpoint SET busy_until = now()")


def deliveries(connection: Connection, endpoint_id: str) -> list[Delivery]:
    """Deliveries to an endpoint, oldest first."""
    return store.list_deliveries(connection, endpoint_id, None, None, 100)[::-1]


def verified(heard: Heard, secret: str = SECRET) -> Any:
    """The payload, whose signature the receiver's library has verified."""
    return Webhook(secret).verify(heard.body, heard.headers)
