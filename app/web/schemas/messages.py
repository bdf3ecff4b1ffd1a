"""The body of a message in Anthropic's form, checked before anything is admitted; blocks and tools
are read by `app.dialects.messages`."""

from typing import Annotated, Literal

from pydantic import Field

from app.web.schemas.chat import MetaKey, MetaValue
from app.web.schemas.conversations import Conversation, MaxTokens, Object, Share, Strict


class Thinking(Strict):
    """Whether to think before the answer, and how long."""

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: Annotated[int, Field(ge=1024)] | None = None
    display: Literal["summarized"] | None = None


class OutputConfig(Strict):
    """What form the answer has, and how much effort goes into it."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: Object | None = None


class CountRequest(Conversation):
    """What is to be counted: a message without the bound of its answer."""

    messages: list[Object] = Field(min_length=1)
    system: str | list[Object] | None = None
    tools: list[Object] | None = None
    tool_choice: Object | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    cache_control: Object | None = None


class MessageRequest(CountRequest):
    """A request for a message."""

    max_tokens: MaxTokens
    temperature: Share | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None
    stop_sequences: Annotated[list[str], Field(max_length=16)] | None = None
    metadata: dict[MetaKey, MetaValue | None] | None = Field(None, max_length=16)
    service_tier: Literal["auto", "standard_only"] | None = None
    store: bool | None = None
