"""How a request is to be run, at the doors that are no conversation."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.web.schemas.chat import MetaKey, MetaValue
from app.web.schemas.moments import Moment, WebhookUrl


class RunFields(BaseModel):
    """Moonpool's fields but for `background`, which a door may share with another meaning."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    cancel_on_disconnect: bool | None = None
    run_at: Moment | None = None
    not_after: Moment | None = None
    webhook_url: WebhookUrl | None = None
    cache_ttl: int | None = Field(None, ge=1, le=86_400)
    provider: str | None = None
    fallbacks: list[str] | None = Field(None, max_length=8)
    session_id: str | None = None


class ExtraFields(RunFields):
    """The same as they stand literally under `extra_body`."""

    background: bool | None = None


class OperationRequest(RunFields):
    """What every such request may have. `model` missing: the default of the operation."""

    model: str | None = Field(None, max_length=256)
    user: str | None = None
    safety_identifier: str | None = None
    metadata: dict[MetaKey, MetaValue] | None = Field(None, max_length=16)
    store: bool | None = None
    extra_body: ExtraFields | None = None

    def told(self) -> dict[str, Any]:
        """The fields that were given, those of `extra_body` among them; a flattened one wins."""
        own = self.model_dump(exclude_none=True, exclude={"extra_body"})
        extra = self.extra_body
        return own if extra is None else {**extra.model_dump(exclude_none=True), **own}
