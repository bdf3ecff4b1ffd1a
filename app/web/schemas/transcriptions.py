"""The fields of a transcription's form, checked before anything is admitted."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.web.schemas.moments import FormMoment, WebhookUrl

Text = Annotated[str, Field(max_length=256)]


class TranscriptionForm(BaseModel):
    """The fields beside the file. A form has texts alone, so numbers are read out of them."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    model: Text | None = None
    language: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z-]{0,34}$")] | None = None
    prompt: Annotated[str, Field(max_length=32_000)] | None = None
    response_format: Literal["json", "text", "verbose_json", "srt", "vtt"] | None = None
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    timestamp_granularities: list[Literal["word", "segment"]] | None = None
    include: list[Literal["logprobs"]] | None = None
    stream: bool | None = None
    background: bool | None = None
    cancel_on_disconnect: bool | None = None
    run_at: FormMoment | None = None
    not_after: FormMoment | None = None
    webhook_url: WebhookUrl | None = None
    cache_ttl: int | None = Field(None, ge=1, le=86_400)
    provider: Text | None = None
    fallbacks: list[Text] | None = Field(None, max_length=8)
    session_id: Text | None = None
    store: bool | None = None


LISTS = frozenset({"timestamp_granularities", "include", "fallbacks"})
"""The fields that may come more than once, also with `[]` behind the name."""
