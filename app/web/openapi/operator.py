"""What the operator of the platform does."""

from typing import Annotated, Literal

from pydantic import Field

from app.web.openapi.manage import AUDIT, Key, Limits, User
from app.web.openapi.money import Balance, Entry
from app.web.openapi.operation import Operation, PageQuery, Room, Told
from app.web.schemas.accounts import (
    MoneyBody,
    NewKeyBody,
    NewTenantBody,
    NewUserBody,
    NoteBody,
    NothingBody,
    RefundBody,
    TenantChangeBody,
    UserChangeBody,
)


class Tenant(Told):
    """A tenant: what is set for it, and under `limits` what holds."""

    id: str
    object: Literal["tenant"]
    name: str
    tier: str
    requests_per_minute: int | None
    tokens_per_day: int | None
    sessions: int | None
    limits: Limits
    retention_days: int | None
    postpaid_limit_usd: float
    postpaid_limit_nanos: int
    created_at: int
    disabled_at: int | None
    balance: Balance | None = None


class Tier(Told):
    """A tier of the catalogue."""

    id: str
    object: Literal["tier"]
    limits: Limits
    default: bool


class AuditQuery(PageQuery):
    """Whose changes."""

    tenant_id: Annotated[str, Field(pattern=r"^[\w.:@-]{1,128}$")] = ""


ADMIN = Room("The operator", {
    "list_tiers": Operation("The tiers of the catalogue", Tier, True),
    "list_audit": Operation(AUDIT.about, AUDIT.gives, True, query=AuditQuery, refuses=(404,)),
    "create_tenant": Operation("A new tenant", Tenant, status=201, takes=NewTenantBody,
                               refuses=(409,)),
    "list_tenants": Operation("All tenants", Tenant, True, query=PageQuery),
    "get_tenant": Operation("A tenant with its balance", Tenant),
    "change_tenant": Operation("Change a tenant", Tenant, takes=TenantChangeBody,
                               refuses=(409,)),
    "list_keys": Operation("The keys of a tenant", Key, True, query=PageQuery),
    "create_key": Operation("A new key for a tenant", Key, status=201, takes=NewKeyBody),
    "revoke_key": Operation("Revoke a key", Key, takes=NothingBody),
    "list_users": Operation("The console users of a tenant", User, True, query=PageQuery),
    "create_user": Operation("A new console user", User, status=201, takes=NewUserBody,
                             refuses=(409,)),
    "change_user": Operation("Change a console user", User, takes=UserChangeBody,
                             refuses=(409,)),
})  # fmt: skip

ADMIN_MONEY = Room("The operator", {
    "credit": Operation("Add credit", Entry, status=201, takes=MoneyBody),
    "debit": Operation("Take credit back", Entry, status=201, takes=MoneyBody, refuses=(402,)),
    "refund": Operation("Give back what a job cost", Entry, status=201, takes=RefundBody,
                        refuses=(409,)),
    "reverse": Operation("Undo a booking", Entry, status=201, takes=NoteBody,
                         refuses=(402, 409)),
})  # fmt: skip


class Health(Told):
    """The process answers."""

    status: Literal["ok"]


class Readiness(Told):
    """Whether everything that is needed is there; `workers` by lane."""

    status: Literal["ready", "not ready"]
    postgres: bool
    redis: bool
    workers: dict[str, int]


OPERATIONS = Room("Health", {
    "health": Operation("Whether the process answers", Health),
    "ready": Operation("Whether everything that is needed is there", Readiness,
                       also={503: Readiness}),
    "metrics": Operation("Metrics in the text format of Prometheus",
                         forms={"text/plain": str}),
})  # fmt: skip

DESCRIPTION = Room("This description", {
    "openapi": Operation("This document", gives=dict, also={304: None}),
    "docs": Operation("This document as a page", forms={"text/html": str}, also={304: None}),
})  # fmt: skip

CONSOLE = Room("Console", {
    "first_page": Operation("The console's first page", forms={"text/html": str}),
    "router_page": Operation("The console's page of the router", forms={"text/html": str}),
})  # fmt: skip
