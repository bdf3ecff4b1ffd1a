"""Bodies and query parameters of `/v1/memory`."""

from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from app.memory.model import IMPORTANCE, MemoryType
from app.web.schemas.billing import LIMIT
from app.web.schemas.chat import MetaKey, MetaValue
from app.web.schemas.usage import TEXT_MAX, Once, Text

CONTENT_MAX = 32_000
QUERY_MAX = 4_000
MEMORIES_MAX = 256
"""Memories in one request."""

CONTEXT_BYTES_MAX = 4_096
TTL_MAX_S = 315_360_000
"""Ten years."""

ID = {"type": "string", "pattern": r"^[\w.:@-]{1,128}$"}
Name = Annotated[str, Field(min_length=1, max_length=TEXT_MAX)]
Part = Annotated[float, Field(ge=0, le=1)]
Signed = Annotated[float, Field(ge=-1, le=1)]


def _said(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("content", "it says nothing")
    return text


Content = Annotated[str, Field(min_length=1, max_length=CONTENT_MAX), AfterValidator(_said)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class EmotionalContext(BaseModel):
    """What was felt when it was remembered; other fields are kept as they are."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)

    valence: Signed | None = None
    arousal: Signed | None = None
    dominance: Signed | None = None
    intensity: Part | None = None
    associated_emotion: Annotated[str, Field(max_length=64)] | None = None

    @model_validator(mode="after")
    def _small(self) -> Self:
        told = orjson.dumps(self.model_dump(exclude_none=True))
        if len(told) > CONTEXT_BYTES_MAX:
            raise PydanticCustomError(
                "size", "it is over {most} bytes", {"most": CONTEXT_BYTES_MAX}
            )
        return self


class NewMemoryBody(_Strict):
    """Something to be remembered. `ttl`: seconds until it is gone."""

    content: Content
    memory_type: MemoryType = "episodic"
    importance: Part = IMPORTANCE
    emotional_context: EmotionalContext | None = None
    session_id: Name | None = None
    user: Name | None = None
    metadata: Annotated[dict[MetaKey, MetaValue], Field(max_length=16)] | None = None
    ttl: Annotated[int, Field(ge=1, le=TTL_MAX_S)] | None = None


class StoreBody(NewMemoryBody):
    """One memory, or a list of them under `memories`: one of the two, which the door sees to."""

    content: Content = ""
    memories: (
        Annotated[list[NewMemoryBody], Field(min_length=1, max_length=MEMORIES_MAX)] | None
    ) = None


class ForgetBody(_Strict):
    """Whose memories are to be forgotten: a user's, a session's, a user's of one session, or all;
    one of these, which the door sees to."""

    user: Name | None = None
    session_id: Name | None = None
    all: Literal[True] | None = None


class _Query(BaseModel):
    # Parameters are text, which becomes numbers here.
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, validate_by_alias=True)


class ExportQuery(_Query):
    """Whose memories."""

    user: Text | None = None
    session_id: Text | None = None


class DeleteQuery(ExportQuery):
    """Whose memories are to be forgotten, as a ForgetBody has it."""

    all: Annotated[bool, Once] = False


class _Filters(ExportQuery):
    memory_type: Annotated[MemoryType, Once] | None = Field(None, alias="type")


class MemoriesQuery(_Filters):
    """Which memories; `limit` and `after` are read by `app.web.paging`."""

    put_away: Annotated[bool, Once] = Field(
        False, description="those that consolidation put away, in place of the others"
    )
    limit: Annotated[Any, WithJsonSchema(LIMIT)] = None
    after: Annotated[Any, WithJsonSchema(ID)] = None


class SearchQuery(_Filters):
    """What is looked for, and where."""

    query: Annotated[str, Field(min_length=1, max_length=QUERY_MAX, pattern=r"^[^\x00]*$"), Once]
    limit: Annotated[int, Field(ge=1, le=100), Once] = 10
    min_score: Annotated[float, Field(ge=0), Once] = 0.0
