"""What the bodies of the doors in other dialects share: fields of ours, and bounds."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from app.web.schemas.moments import Moment, WebhookUrl

Object = dict[str, JsonValue]
MaxTokens = Annotated[int, Field(ge=1, le=10_000_000)]
Share = Annotated[float, Field(ge=0, le=1)]


class Strict(BaseModel):
    """A body whose unknown fields are refused by name."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Conversation(Strict):
    """Fields that are Moonpool's own, and those that every dialect has."""

    model: str | None = Field(None, max_length=256)
    stream: bool | None = None
    top_p: Share | None = None
    background: bool | None = None
    cancel_on_disconnect: bool | None = None
    run_at: Moment | None = None
    not_after: Moment | None = None
    webhook_url: WebhookUrl | None = None
    provider: str | None = None
    fallbacks: list[str] | None = Field(None, max_length=8)
    models: list[str] | None = Field(None, min_length=2, max_length=64)
    cost_weight: float | None = Field(None, ge=0)
    session_id: str | None = None

    def given(self) -> dict[str, Any]:
        """The fields that were sent."""
        return self.model_dump(exclude_unset=True, by_alias=True)
