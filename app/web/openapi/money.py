"""What was used, what it cost, and what may be spent."""

from typing import Any, Literal

from app.web.openapi.operation import Operation, PageQuery, Room, Told
from app.web.schemas.billing import (
    BudgetChangeBody,
    EntriesQuery,
    NewBudgetBody,
    StatementQuery,
)
from app.web.schemas.usage import HistoryQuery, UsageQuery


class Balance(Told):
    """What a tenant has, in dollars and nano-dollars."""

    object: Literal["balance"]
    currency: Literal["usd"]
    prepaid: bool
    wallet_usd: float
    wallet_nanos: int
    held_usd: float
    held_nanos: int
    available_usd: float
    available_nanos: int
    postpaid_limit_usd: float
    postpaid_limit_nanos: int


class Entry(Told):
    """A movement of a tenant's money."""

    id: str
    object: Literal["billing.entry"]
    kind: Literal["credit", "debit", "hold", "settle", "release", "refund", "reversal"]
    amount_usd: float
    amount_nanos: int
    direction: Literal["in", "out", "none"]
    wallet_change_nanos: int
    held_change_nanos: int
    job_id: str | None
    reverses: str | None
    note: str | None
    created_at: int


class Statement(Told):
    """A month: how the balance changed, and what the charges were for."""

    object: Literal["billing.statement"]
    month: str
    currency: Literal["usd"]
    period_start: int
    period_end: int
    final: bool
    created_at: int
    opening_nanos: int
    closing_nanos: int
    requests: int
    by_model: list[dict[str, Any]]
    by_app: list[dict[str, Any]]
    by_key: list[dict[str, Any]]
    by_day: list[dict[str, Any]]


BILLING = Room("Money and usage", {
    "get_balance": Operation("What the wallet has, and what open jobs hold of it", Balance),
    "get_entries": Operation("Each movement of the tenant's money", Entry, True,
                             query=EntriesQuery),
    "get_statement": Operation("A month, as JSON, CSV or a page to print", Statement,
                               query=StatementQuery,
                               forms={"text/csv": str, "text/html": str}),
})  # fmt: skip


class UsageBucket(Told):
    """Sums over jobs, and by what they were grouped."""

    object: Literal["usage.bucket"]
    requests: int
    failed: int
    estimated: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    total_tokens: int
    cost_usd: float
    cost_nanos: int


class Usage(Told):
    """Sums of usage from a time until another."""

    object: Literal["list"]
    group_by: list[str]
    data: list[UsageBucket]
    total: UsageBucket


class UsageRecord(Told):
    """A job that has ended: never what was asked or answered."""

    id: str
    object: Literal["usage.record"]
    app_id: str
    key_id: str
    kind: str
    model: str
    provider: str | None
    status: Literal["completed", "failed", "cancelled", "expired"]
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cost_usd: float
    cost_nanos: int
    price_version: str | None
    attempts: int
    created_at: float
    finished_at: float
    mode: Literal["live", "test"]


class UsedPrice(Told):
    """What a price version stands for."""

    object: Literal["price"]
    version: str
    model: str | None
    provider: str | None


USAGE = Room("Money and usage", {
    "sum_up": Operation("Sums of requests, tokens and cost", Usage, query=UsageQuery),
    "list_history": Operation("Ended jobs one by one, or all of them as a file", UsageRecord,
                              True, query=HistoryQuery,
                              forms={"text/csv": str, "application/x-ndjson": str}),
    "get_price": Operation("The price that a version names", UsedPrice),
})  # fmt: skip


class Budget(Told):
    """What may be spent in a day or month, and what its period has used so far."""

    id: str
    object: Literal["budget"]
    scope: Literal["tenant", "app", "key"]
    app_id: str | None
    key_id: str | None
    period: Literal["day", "month"]
    period_start: int
    period_end: int
    over_soft: bool
    created_at: int
    soft_nanos: int | None
    hard_nanos: int | None
    spent_nanos: int
    held_nanos: int
    remaining_nanos: int | None


class Deleted(Told):
    """What is no longer there."""

    id: str
    object: str
    deleted: Literal[True]


BUDGETS = Room("Budgets", {
    "list_budgets": Operation("The tenant's budgets", Budget, True, query=PageQuery),
    "create_budget": Operation("A new budget", Budget, status=201, takes=NewBudgetBody,
                               refuses=(404, 409)),
    "get_budget": Operation("A budget", Budget),
    "change_budget": Operation("Change a budget", Budget, takes=BudgetChangeBody,
                               refuses=(409,)),
    "delete_budget": Operation("Delete a budget", Deleted),
})  # fmt: skip
