"""`/v1/admin`: the operator books credit, debits, refunds and their reversals."""

from typing import Any

from flask import Blueprint, Response

from app.db.connect import Connection
from app.ledger import store as ledger
from app.web.auth import caller
from app.web.billing import entry_object
from app.web.front import Front
from app.web.keys import live_alone
from app.web.paging import plain_ids
from app.web.posting import posted, read_json
from app.web.schemas.accounts import MoneyBody, NoteBody, RefundBody

Answer = tuple[int, dict[str, Any]]


def admin_money_routes(front: Front) -> Blueprint:
    """The blueprint of the operator's bookings. Each answers with the entry that it made."""
    routes = Blueprint("admin_money", __name__, url_prefix="/v1/admin")
    routes.url_value_preprocessor(plain_ids)

    @routes.post("/tenants/<tenant_id>/credit")
    def credit(tenant_id: str) -> Response:
        actor, asked = _mover(), read_json(front, MoneyBody)

        def work(connection: Connection) -> Answer:
            made = ledger.add_credit(
                connection, tenant_id, asked.amount_usd, asked.note, actor=actor
            )
            return 201, entry_object(made)

        return posted(front, work)

    @routes.post("/tenants/<tenant_id>/debit")
    def debit(tenant_id: str) -> Response:
        actor, asked = _mover(), read_json(front, MoneyBody)

        def work(connection: Connection) -> Answer:
            made = ledger.debit(connection, tenant_id, asked.amount_usd, asked.note, actor=actor)
            return 201, entry_object(made)

        return posted(front, work)

    @routes.post("/jobs/<job_id>/refund")
    def refund(job_id: str) -> Response:
        actor, asked = _mover(), read_json(front, RefundBody)

        def work(connection: Connection) -> Answer:
            made = ledger.refund(connection, job_id, asked.amount_usd, asked.note, actor=actor)
            return 201, entry_object(made)

        return posted(front, work)

    @routes.post("/entries/<entry_id>/reverse")
    def reverse(entry_id: str) -> Response:
        actor, asked = _mover(), read_json(front, NoteBody)

        def work(connection: Connection) -> Answer:
            return 201, entry_object(ledger.reverse(connection, entry_id, asked.note, actor=actor))

        return posted(front, work)

    return routes


def _mover() -> str:
    """The id of the caller, whose key is live. Raises Forbidden."""
    live_alone(caller())
    return caller().key_id
