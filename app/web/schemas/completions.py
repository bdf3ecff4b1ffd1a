"""The body of a legacy text completion, checked before anything is admitted."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from app.web.schemas.chat import (
    ExtraBody,
    MaxTokens,
    MetaKey,
    MetaValue,
    Penalty,
    StreamOptions,
)

PROMPTS_MAX = 16
STOPS_MAX = 16
LOGPROBS_MAX = 5


def _texts(value: Any) -> Any:
    """A text or a list of them, as a list."""
    texts = [value] if isinstance(value, str) else value
    if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
        return texts
    raise PydanticCustomError("texts", "write a text, or a list of texts")


def _prompts(value: Any) -> Any:
    parts = value if isinstance(value, list) else []
    if any(isinstance(part, int | list) for part in parts):
        raise PydanticCustomError("tokens", "token ids are not read here; send the text itself")
    return _texts(value)


Prompts = Annotated[
    list[str], BeforeValidator(_prompts), Field(min_length=1, max_length=PROMPTS_MAX)
]
Stops = Annotated[list[str], BeforeValidator(_texts), Field(max_length=STOPS_MAX)]


class CompletionRequest(ExtraBody):
    """A text completion request. `prompt` and `stop` are lists here, however they came."""

    model: str | None = Field(None, max_length=256)
    prompt: Prompts
    suffix: str | None = None
    max_tokens: MaxTokens | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    n: Annotated[int, Field(ge=1, le=16)] | None = None
    best_of: Annotated[int, Field(ge=1, le=20)] | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=LOGPROBS_MAX)] | None = None
    stop: Stops | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[str, float] | None = None
    seed: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    store: bool | None = None
    metadata: dict[MetaKey, MetaValue] | None = Field(None, max_length=16)
    extra_body: ExtraBody | None = None
