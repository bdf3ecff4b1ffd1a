"""What is asked of `/v1/emotions`: parameters of addresses, and the body of a ripple."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from app.emotion.ripples import DURATION_MAX_S
from app.emotion.session_name import SESSION_MAX
from app.web.schemas.usage import Once, Text

LIMIT = {"type": "integer", "minimum": 1, "maximum": 100}


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    limit: Annotated[Any, WithJsonSchema(LIMIT)] = None


class SessionsQuery(_Query):
    """Which sessions; `limit` is read by `app.web.paging`, here and below."""

    after: Annotated[Text, Field(max_length=SESSION_MAX)] | None = None


class StateQuery(_Query):
    """How much of the history, the newest of it."""


class WeatherQuery(BaseModel):
    """Whose sessions."""

    model_config = ConfigDict(extra="forbid", strict=True)

    scope: Annotated[Literal["tenant", "platform"], Once] = "tenant"


class RippleBody(BaseModel):
    """A ripple: `duration` in seconds; `description` becomes its trigger in the history."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    emotion: Annotated[str, Field(min_length=1, max_length=64)]
    intensity: Annotated[float, Field(gt=0, le=1)]
    duration: Annotated[float, Field(ge=1, le=DURATION_MAX_S)] = 300.0
    description: Annotated[str, Field(max_length=500)] = ""
