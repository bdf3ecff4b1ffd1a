"""The query parameters of `/v1/usage`: the text of an address, checked and made into values."""

from datetime import UTC, datetime
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

from app.ids import is_job_id
from app.money import nanos_from_usd
from app.usage.model import END_S, GROUPS, Group, Mode

TEXT_MAX = 256
LIMIT_MAX = 1000
Format = Literal["json", "csv", "jsonl"]

# As JSON Schema, where the text is made into something else.
TIME = {
    "anyOf": [
        {"type": "integer", "minimum": 0, "maximum": END_S},
        {"type": "string", "format": "date-time"},
        {"type": "string", "format": "date"},
    ]
}
DOLLARS = {"type": "number", "minimum": 0}
JOB_ID = {"type": "string", "pattern": "^job_[0-9a-hjkmnp-tv-z]{26}$"}


def _refusal(text: str) -> PydanticCustomError:
    return PydanticCustomError("parameter", "{text}", {"text": text})


def _once(value: Any) -> Any:
    if isinstance(value, list):
        raise _refusal("it is given more than once")
    return value


def _digits(value: Any) -> Any:
    """The number that a short row of digits is; anything else as it came."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 12:
        return int(value)
    return value


def _time(value: Any) -> int:
    """Unix seconds, written as such or as an ISO 8601 date or datetime, which is UTC unless it says
    otherwise."""
    seconds = _digits(_once(value))
    if isinstance(seconds, str):
        try:
            told = datetime.fromisoformat(seconds)
            seconds = (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            seconds = -1
    if seconds != int(seconds) or not 0 <= seconds <= END_S:
        raise _refusal("write unix seconds, 2026-11-21 or 2026-11-21T10:00:00Z, from 1970 on")
    return int(seconds)


def _groups(value: Any) -> list[str]:
    """Names from a list with commas, from several parameters, or both; each once."""
    parts = [part for text in (value if isinstance(value, list) else [value]) for part in
             str(text).split(",")]  # fmt: skip
    if wrong := [part for part in parts if part not in GROUPS]:
        raise _refusal(f"{wrong[0]!r} is none of {', '.join(GROUPS)}")
    return list(dict.fromkeys(parts))


def _plain(value: str) -> str:
    if "\0" in value:
        raise _refusal("it holds a zero byte")
    return value


def _nanos(value: Any) -> int:
    try:
        nanos = nanos_from_usd(_once(value))
    except ValueError as error:
        raise _refusal(str(error)) from None
    if nanos < 0:
        raise _refusal("it is less than nothing")
    return nanos


def _job_id(value: str) -> str:
    if not is_job_id(value):
        raise _refusal("it must be a job id: the last_id of a page")
    return value


Once = BeforeValidator(_once)
Text = Annotated[str, Field(min_length=1, max_length=TEXT_MAX), Once, AfterValidator(_plain)]
Time = Annotated[int, BeforeValidator(_time), WithJsonSchema(TIME)]


class _Filters(BaseModel):
    """Which jobs: what both the sums and the history may be narrowed to."""

    model_config = ConfigDict(extra="forbid", strict=True, validate_by_alias=True)

    start_s: Time | None = Field(None, alias="from")
    end_s: Time | None = Field(None, alias="to")
    app_id: Text | None = None
    model: Text | None = None
    provider: Text | None = None
    key_id: Text | None = None


class UsageQuery(_Filters):
    """The parameters of the sums."""

    group_by: Annotated[list[Group], BeforeValidator(_groups)] = []
    mode: Annotated[Mode, Once] = "live"


class HistoryQuery(_Filters):
    """The parameters of the history."""

    kind: Text | None = None
    status: Annotated[Literal["completed", "failed", "cancelled", "expired"], Once] | None = None
    min_cost: Annotated[int, BeforeValidator(_nanos), WithJsonSchema(DOLLARS)] = Field(
        0, alias="min_cost_usd"
    )
    mode: Annotated[Mode, Once] = "all"
    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX), BeforeValidator(_digits), Once] | None = None
    after: Annotated[str, Once, AfterValidator(_job_id), WithJsonSchema(JOB_ID)] | None = None
    format: Annotated[Format, Once] | None = None
