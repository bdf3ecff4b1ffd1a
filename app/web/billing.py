"""`/v1/billing`: what a tenant has, each entry of its books, and a month's statement."""

from flask import Blueprint, Response, request

from app.errors import InvalidRequest
from app.ledger.entries import Wanted, list_entries
from app.ledger.store import Balance, Entry, balance
from app.money import usd
from app.usage.store import now_s
from app.web.auth import caller
from app.web.front import Front
from app.web.paging import json_answer, limit, page, parameters
from app.web.schemas.billing import EntriesQuery, StatementQuery
from app.web.statement import (
    FORMATS,
    Statement,
    month_of,
    read_statement,
    statement_answer,
)


def billing_routes(front: Front) -> Blueprint:
    """The blueprint of billing."""
    routes = Blueprint("billing", __name__, url_prefix="/v1/billing", template_folder="templates")

    @routes.get("/balance")
    def get_balance() -> Response:
        found = front.reads.run(lambda c: balance(c, caller().tenant_id))
        return json_answer(balance_object(found))

    @routes.get("/entries")
    def get_entries() -> Response:
        query, size = parameters(EntriesQuery), limit()
        wanted = Wanted(
            caller().tenant_id, query.job_id, query.kind, query.start_s, query.end_s
        )  # fmt: skip
        newest_first = query.order == "desc"
        rows = front.reads.run(
            lambda c: list_entries(c, wanted, query.after, size + 1, newest_first=newest_first)
        )
        return json_answer(page([entry_object(row) for row in rows], size))

    @routes.get("/statement")
    def get_statement() -> Response:
        query = parameters(StatementQuery)
        best = request.accept_mimetypes.best_match([*FORMATS], "application/json")
        return statement_answer(_statement(front, query.month), query.format or FORMATS[best])

    return routes


def entry_object(entry: Entry) -> dict[str, object]:
    """An entry as its tenant sees it. The changes are those of its wallet and of all that is held;
    `direction` says whether the wallet got more, less, or neither."""
    wallet, own = _change(entry, f"{entry.tenant_id}/wallet"), f"{entry.tenant_id}/"
    funds = entry.amount * (entry.credit.startswith(own) - entry.debit.startswith(own))
    return {
        "id": entry.id,
        "object": "billing.entry",
        "kind": entry.kind,
        "amount_usd": usd(entry.amount),
        "amount_nanos": entry.amount,
        "direction": "in" if wallet > 0 else "out" if wallet < 0 else "none",
        "wallet_change_nanos": wallet,
        "held_change_nanos": funds - wallet,
        "job_id": entry.job_id,
        "reverses": entry.reverses,
        "note": entry.note,
        "created_at": int(entry.created_at.timestamp()),
    }


def _change(entry: Entry, account: str) -> int:
    return entry.amount * ((entry.credit == account) - (entry.debit == account))


def balance_object(found: Balance) -> dict[str, object]:
    """What a tenant has, in dollars and nano-dollars."""
    told: dict[str, object] = {
        "object": "balance", "currency": "usd", "prepaid": found.overdraft == 0,
    }  # fmt: skip
    for name, nanos in (
        ("wallet", found.wallet), ("held", found.held), ("available", found.available),
        ("postpaid_limit", found.overdraft),
    ):  # fmt: skip
        told |= {f"{name}_usd": usd(nanos), f"{name}_nanos": nanos}
    return told


def _statement(front: Front, month: str | None) -> Statement:
    """The statement of a month, by default of the one that runs. Raises InvalidRequest for one
    that has not begun."""
    present = front.reads.run(now_s)
    running = month_of(present)
    if month is not None and month > running:
        raise InvalidRequest("month: it has not begun yet.", param="month")
    return read_statement(front.reads, caller().tenant_id, month or running, present)
