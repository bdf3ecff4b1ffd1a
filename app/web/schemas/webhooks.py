"""Bodies of `/v1/webhook_endpoints`."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.webhooks.model import EVENTS, EventName

Url = Annotated[str, Field(min_length=1, max_length=2048)]
Description = Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")]
Events = Annotated[list[EventName], Field(min_length=1, max_length=len(EVENTS))]


class NewEndpointBody(BaseModel):
    """An endpoint to be made."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: Url
    description: Description = ""
    events: Events = list(EVENTS)


class EndpointChangeBody(BaseModel):
    """What shall change of an endpoint; what is left out stays."""

    model_config = ConfigDict(extra="forbid", strict=True)

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
