"""The body of a response, checked before anything is admitted; items and tools are read by
`app.dialects.responses`."""

from typing import Annotated, Literal

from pydantic import Field

from app.web.schemas.chat import MetaKey, MetaValue
from app.web.schemas.conversations import Conversation, MaxTokens, Object, Strict

Include = Literal[
    "message.output_text.logprobs",
    "message.input_image.image_url",
    "reasoning.encrypted_content",
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
]
"""OpenAI's; those of tools that are not here concern items that never come."""


class Reasoning(Strict):
    """How to reason. A summary is not made: `auto` is as much of one as there is."""

    effort: str | None = None
    summary: Literal["auto"] | None = None


class Text(Strict):
    """What form the text of the answer has."""

    format: Object | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class StreamOptions(Strict):
    """Options of a stream; nothing is added to hide the lengths of its deltas."""

    include_obfuscation: bool | None = None


class ResponseRequest(Conversation):
    """A request for a response."""

    input: str | list[Object]
    instructions: str | None = None
    previous_response_id: str | None = Field(None, max_length=64)
    tools: list[Object] | None = None
    tool_choice: str | Object | None = None
    parallel_tool_calls: bool | None = None
    text: Text | None = None
    reasoning: Reasoning | None = None
    max_output_tokens: MaxTokens | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    include: list[Include] | None = None
    metadata: dict[MetaKey, MetaValue] | None = Field(None, max_length=16)
    store: bool | None = None
    stream_options: StreamOptions | None = None
    truncation: Literal["disabled"] | None = None
    service_tier: str | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    conversation: None = None
    max_tool_calls: None = None
    prompt: None = None


class RetrieveQuery(Strict):
    """The query of `GET /v1/responses/{id}`. `starting_after`: the number of the last event that
    the client has. `include` adds nothing here; OpenAI's SDKs write a list of them as `include[]`.
    """

    stream: Literal["true", "false"] = "false"
    starting_after: Annotated[str, Field(pattern=r"^[0-9]{1,9}$")] | None = None
    include: str | list[str] | None = None
    include_list: str | list[str] | None = Field(None, alias="include[]")
    include_obfuscation: Literal["true", "false"] | None = None


class ItemsQuery(Strict):
    """The query of `GET /v1/responses/{id}/input_items`."""

    order: Literal["asc", "desc"] = "desc"
    limit: str | None = None
    after: str | None = None
    include: str | list[str] | None = None
    include_list: str | list[str] | None = Field(None, alias="include[]")
