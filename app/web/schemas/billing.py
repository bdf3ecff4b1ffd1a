"""What is asked of billing and budgets: parameters of addresses, and bodies."""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from app.ledger.store import entry_seq
from app.web.schemas.accounts import Name, SomeUsd
from app.web.schemas.usage import Once, Text, Time

Kind = Literal["credit", "debit", "hold", "settle", "release", "refund", "reversal"]
Format = Literal["json", "csv", "html"]
FIRST_MONTH = "1970-01"
_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")

# As JSON Schema, where the text is made into something else.
MONTH = {"type": "string", "pattern": f"^{_MONTH.pattern}$"}
ENTRY = {"type": "string", "pattern": "^ent_[0-9]{1,19}$"}
LIMIT = {"type": "integer", "minimum": 1, "maximum": 100}


def _entry(value: Any) -> int:
    seq = entry_seq(value) if isinstance(value, str) else None
    if seq is None:
        raise PydanticCustomError("entry", "it must be an entry's id: the last_id of a page")
    return seq


def _month(value: str) -> str:
    if _MONTH.fullmatch(value) is None or value < FIRST_MONTH:
        raise PydanticCustomError("month", "write a month as 2026-11, from 1970 on")
    return value


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, validate_by_alias=True)


class EntriesQuery(_Query):
    """The parameters of the entries; `limit` is read by `app.web.paging`."""

    job_id: Text | None = None
    kind: Annotated[Kind, Once] | None = None
    start_s: Time | None = Field(None, alias="from")
    end_s: Time | None = Field(None, alias="to")
    order: Annotated[Literal["asc", "desc"], Once] = "desc"
    after: Annotated[int, BeforeValidator(_entry), Once, WithJsonSchema(ENTRY)] | None = None
    limit: Annotated[Any, WithJsonSchema(LIMIT)] = None


class StatementQuery(_Query):
    """The parameters of a statement."""

    month: Annotated[str, Once, AfterValidator(_month), WithJsonSchema(MONTH)] | None = None
    format: Annotated[Format, Once] | None = None


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


Limit = SomeUsd | None
Subject = Annotated[Name, Field(max_length=128)]


class NewBudgetBody(_Strict):
    """A budget to be made."""

    scope: Literal["tenant", "app", "key"]
    period: Literal["day", "month"]
    app_id: Subject | None = None
    key_id: Subject | None = None
    soft_usd: Limit = None
    hard_usd: Limit = None


class BudgetChangeBody(_Strict):
    """What may be changed of a budget; null takes a limit away."""

    soft_usd: Limit = None
    hard_usd: Limit = None
