"""The body of a chat completion, checked before anything is admitted.

Fields are OpenAI's and the seeds'; one that nobody knows is refused by name, so that a spelling
mistake, or an attempt to steer the provider call, is never silently dropped.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

from app.catalogue.abilities import HARMLESS
from app.memory.model import MemoryType
from app.web.schemas.moments import Moment, WebhookUrl


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class Message(_Open):
    """One message; content is text, or parts, or null beside tool calls."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, JsonValue]] | None = None


class StreamOptions(_Open):
    """Options of a stream; `include_usage` adds a last chunk with the usage."""

    include_usage: bool | None = None


class MemoryOptions(_Strict):
    """What is to be done with memories. `tokens`: how much of the prompt they may take; `store`:
    remember this turn."""

    recall: bool = True
    store: bool = False
    limit: int | None = Field(None, ge=1, le=50)
    tokens: int | None = Field(None, ge=1, le=32_000)
    types: list[MemoryType] | None = Field(None, min_length=1)


def _options(value: Any) -> Any:
    """True asks for the options as they are; false for none."""
    return ({} if value else None) if isinstance(value, bool) else value


Memory = Annotated[
    MemoryOptions | None,
    BeforeValidator(_options, json_schema_input_type=bool | MemoryOptions | None),
]


LuneName = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00]*$")]


class ExtraBody(_Strict):
    """What a client may add to OpenAI's fields: flattened, as its SDK sends it, or literally under
    `extra_body`."""

    background: bool | None = None
    cancel_on_disconnect: bool | None = None
    run_at: Moment | None = None
    not_after: Moment | None = None
    webhook_url: WebhookUrl | None = None
    cache_ttl: int | None = Field(None, ge=1, le=86_400)
    provider: str | None = None
    fallbacks: list[str] | None = Field(None, max_length=8)
    models: list[str] | None = Field(None, min_length=2, max_length=64)
    cost_weight: float | None = Field(None, ge=0)
    emotion_tracking: bool | None = None
    session_id: str | None = None
    emotion_style: str | None = None
    personality_traits: dict[str, Annotated[float, Field(ge=0, le=1)]] | None = None
    memory: Memory = None
    debug: bool | None = None
    lunes: Annotated[list[LuneName], Field(max_length=16)] | None = None
    lune_tokens: int | None = Field(None, ge=1, le=32_000)
    include_references: bool | None = None
    include_web_chat: bool | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None


Penalty = Annotated[float, Field(ge=-2, le=2)]
MetaKey = Annotated[str, Field(max_length=64)]
MetaValue = Annotated[str, Field(max_length=512)]
MaxTokens = Annotated[int, Field(ge=1, le=10_000_000)]


class ChatRequest(ExtraBody):
    """A chat completion request."""

    model: str | None = Field(None, max_length=256)
    messages: list[Message] = Field(min_length=1)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: MaxTokens | None = None
    max_completion_tokens: MaxTokens | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    n: Annotated[int, Field(ge=1, le=16)] | None = None
    stop: str | Annotated[list[str], Field(max_length=16)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    seed: int | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    tools: list[dict[str, JsonValue]] | None = None
    tool_choice: str | dict[str, JsonValue] | None = None
    parallel_tool_calls: bool | None = None
    functions: list[dict[str, JsonValue]] | None = None
    function_call: str | dict[str, JsonValue] | None = None
    response_format: dict[str, JsonValue] | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    modalities: list[str] | None = None
    audio: dict[str, JsonValue] | None = None
    prediction: dict[str, JsonValue] | None = None
    service_tier: str | None = None
    store: bool | None = None
    metadata: dict[MetaKey, MetaValue] | None = Field(None, max_length=16)
    web_search_options: dict[str, JsonValue] | None = None
    extra_body: ExtraBody | None = None

    def tokens_asked(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    def demands(self) -> dict[str, Any]:
        """The fields that may be beyond a provider, with what content parts there are."""
        asked = {name: getattr(self, name) for name in self.model_fields_set - HARMLESS}
        if self.extra_body is not None:
            extra = self.extra_body
            asked |= {name: getattr(extra, name) for name in extra.model_fields_set - HARMLESS}
        if any(type(message.content) is list for message in self.messages):
            asked["messages"] = [{"content": message.content} for message in self.messages]
        return asked

    def option(self, name: str) -> Any:
        """A field of ours, wherever the client put it; the flattened one wins."""
        value = getattr(self, name)
        if value is None and self.extra_body is not None:
            value = getattr(self.extra_body, name)
        return value
