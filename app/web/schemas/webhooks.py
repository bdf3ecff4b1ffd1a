"""Bodies of `/v1/webhook_endpoints`."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from app.web.schemas.moments import Moment
from app.webhooks.model import EVENTS, OVERLAP_MAX_S, OVERLAP_S, EventName

OPENAI = {"name": "description", "event_types": "events"}
"""What OpenAI's clients call fields of an endpoint, and we do."""

REPLAYS_MAX = 1000
"""Deliveries that are replayed at once."""

Url = Annotated[str, Field(min_length=1, max_length=2048)]
Description = Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")]


def _each_once(events: list[EventName]) -> list[EventName]:
    if len(set(events)) < len(events):
        raise PydanticCustomError("twice", "name each event once")
    return events


Events = Annotated[
    list[EventName], Field(min_length=1, max_length=len(EVENTS)), AfterValidator(_each_once)
]


class _Endpoint(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _by_our_names(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {
            OPENAI[name] if OPENAI.get(name, name) not in value else name: given
            for name, given in value.items()
        }


class NewEndpointBody(_Endpoint):
    """An endpoint to be made."""

    url: Url
    description: Description = ""
    events: Events = list(EVENTS)


class RotateSecretBody(BaseModel):
    """How long the old secret signs beside the new one: `overlap` in seconds, or as OpenAI's
    clients ask for it, for 24 hours or not at all."""

    model_config = ConfigDict(extra="forbid", strict=True)

    overlap: Annotated[int, Field(ge=0, le=OVERLAP_MAX_S)] | None = None
    keep_old_secret_active_for_24_hours: bool | None = None

    def overlap_s(self) -> int:
        if self.overlap is not None:
            return self.overlap
        return 0 if self.keep_old_secret_active_for_24_hours is False else OVERLAP_S


class ReplayBody(BaseModel):
    """Which deliveries shall be sent once more: those made from `since` until before `until`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    since: Moment
    until: Moment | None = None
    types: Events | None = None
    state: Literal["dead", "delivered", "waiting"] = "dead"
    limit: Annotated[int, Field(ge=1, le=REPLAYS_MAX)] = REPLAYS_MAX


class EndpointChangeBody(_Endpoint):
    """What shall change of an endpoint; what is left out stays."""

    url: Url | None = None
    description: Description | None = None
    events: Events | None = None
    disabled: bool | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.given():
            raise ValueError("name at least one of url, description, events, disabled")
        return self

    def given(self) -> dict[str, Any]:
        """The fields that shall change."""
        return self.model_dump(exclude_none=True)
