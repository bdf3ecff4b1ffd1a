"""Moments in bodies: unix seconds, or a date and time by ISO 8601."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from app.jobs.planned.moments import moment_in_text, unix_seconds


def _read(value: Any, read: Callable[[Any], float] = unix_seconds) -> Any:
    if value is None:
        return None
    try:
        return read(value)
    except ValueError as error:
        raise PydanticCustomError("moment", "{why}", {"why": str(error)}) from None


Moment = Annotated[float, BeforeValidator(_read, json_schema_input_type=float | str)]
"""Unix seconds, however they were written."""

FormMoment = Annotated[
    float,
    BeforeValidator(lambda value: _read(value, moment_in_text), json_schema_input_type=float | str),
]
"""The same of a form, which has texts alone."""

WebhookUrl = Annotated[str, Field(min_length=1, max_length=2048)]
