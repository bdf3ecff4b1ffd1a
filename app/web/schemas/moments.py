"""Moments in bodies: unix seconds, or a date and time by ISO 8601."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from app.jobs.planned.moments import unix_seconds


def _read(value: Any) -> Any:
    if value is None:
        return None
    try:
        return unix_seconds(value)
    except ValueError as error:
        raise PydanticCustomError("moment", "{why}", {"why": str(error)}) from None


Moment = Annotated[float, BeforeValidator(_read, json_schema_input_type=float | str)]
"""Unix seconds, however they were written."""

WebhookUrl = Annotated[str, Field(min_length=1, max_length=2048)]
