"""`/v1/budgets`: what a tenant, an app or a key may spend in a day or month."""

from datetime import UTC, date, datetime, time
from typing import Any

from flask import Blueprint, Response

from app.db.connect import Connection
from app.errors import InvalidRequest
from app.ledger import budgets
from app.ledger.budgets import Budget
from app.money import usd
from app.web.auth import caller
from app.web.front import Front
from app.web.paging import after, json_answer, limit, page, plain_ids
from app.web.posting import changed, posted, read_json
from app.web.schemas.billing import BudgetChangeBody, NewBudgetBody

Answer = tuple[int, dict[str, Any]]


def budget_routes(front: Front) -> Blueprint:
    """The blueprint of budgets."""
    routes = Blueprint("budgets", __name__, url_prefix="/v1/budgets")
    routes.url_value_preprocessor(plain_ids)

    @routes.get("")
    def list_budgets() -> Response:
        size, begin = limit(), after() or ""
        rows = front.reads.run(
            lambda c: budgets.list_budgets(c, caller().tenant_id, begin, size + 1)
        )
        return json_answer(page([budget_object(row) for row in rows], size))

    @routes.post("")
    def create_budget() -> Response:
        asked, who = read_json(front, NewBudgetBody), caller()
        subject = _subject(asked, who.tenant_id)

        def work(connection: Connection) -> Answer:
            made = budgets.create_budget(
                connection, who.tenant_id, asked.scope, subject, asked.period,
                asked.soft_usd, asked.hard_usd, actor=who.key_id,
            )  # fmt: skip
            return 201, budget_object(made)

        return posted(front, work)

    @routes.get("/<budget_id>")
    def get_budget(budget_id: str) -> Response:
        tenant_id = caller().tenant_id
        found = changed(front, lambda c: budgets.get_budget(c, tenant_id, budget_id))
        return json_answer(budget_object(found))

    @routes.post("/<budget_id>")
    def change_budget(budget_id: str) -> Response:
        who = caller()
        changed(front, lambda c: budgets.get_budget(c, who.tenant_id, budget_id))
        asked = read_json(front, BudgetChangeBody)
        given = asked.model_dump(exclude_unset=True)
        changes = {name.removesuffix("_usd"): nanos for name, nanos in given.items()}

        def work(connection: Connection) -> Answer:
            row = budgets.change_budget(
                connection, who.tenant_id, budget_id, changes, actor=who.key_id
            )
            return 200, budget_object(row)

        return posted(front, work)

    @routes.delete("/<budget_id>")
    def delete_budget(budget_id: str) -> Response:
        who = caller()
        changed(
            front, lambda c: budgets.delete_budget(c, who.tenant_id, budget_id, actor=who.key_id)
        )
        return json_answer({"id": budget_id, "object": "budget", "deleted": True})

    return routes


def budget_object(budget: Budget) -> dict[str, Any]:
    """A budget as its tenant sees it, with what its period has used so far."""
    told: dict[str, Any] = {
        "id": budget.id,
        "object": "budget",
        "scope": budget.scope,
        "app_id": budget.subject if budget.scope == "app" else None,
        "key_id": budget.subject if budget.scope == "key" else None,
        "period": budget.period,
        "period_start": _unix_s(budget.period_start),
        "period_end": _unix_s(budget.period_end),
        "over_soft": budget.over_soft,
        "created_at": int(budget.created_at.timestamp()),
    }
    for name in ("soft", "hard", "spent", "held", "remaining"):
        nanos: int | None = getattr(budget, name)
        told |= {f"{name}_usd": None if nanos is None else usd(nanos), f"{name}_nanos": nanos}
    return told


def _subject(asked: NewBudgetBody, tenant_id: str) -> str:
    """Whose spending the budget counts. Raises InvalidRequest where scope and ids disagree."""
    named = {"app": ("app_id", asked.app_id), "key": ("key_id", asked.key_id)}
    for scope, (field, value) in named.items():
        if (value is not None) != (asked.scope == scope):
            needs = "needs" if asked.scope == scope else "has no"
            raise InvalidRequest(f"A budget of scope {asked.scope!r} {needs} {field}.", param=field)
    return named[asked.scope][1] or tenant_id if asked.scope in named else tenant_id


def _unix_s(day: date) -> int:
    return int(datetime.combine(day, time(), UTC).timestamp())
