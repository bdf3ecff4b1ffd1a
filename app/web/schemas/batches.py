"""Bodies and query parameters of `/v1/batches`."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.batches.model import BATCH_LINES_MAX, CUSTOM_ID_MAX, FILE_TTL_S, PRIORITY_MAX
from app.web.schemas.chat import MetaKey, MetaValue
from app.web.schemas.moments import Moment

Endpoint = Literal[
    "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings",
    "/v1/images/generations",
]  # fmt: skip
Id = Annotated[str, Field(pattern=r"^[\w.:@-]{1,128}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class ExpiresAfter(_Strict):
    """How long the batch's files are kept."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Field(ge=FILE_TTL_S[0], le=FILE_TTL_S[1])]


class InlineRequest(_Strict):
    """A line that comes with the batch itself: `params` is the body of its request."""

    custom_id: Annotated[str, Field(min_length=1, max_length=CUSTOM_ID_MAX)]
    params: dict[str, Any]


Requests = Annotated[list[InlineRequest], Field(min_length=1, max_length=BATCH_LINES_MAX)]


class NewBatchBody(_Strict):
    """A batch to be made: of a file's lines, or of `requests`. `priority`: of two batches of a
    tenant the lines of the one with the higher go first. `run_at`: when its first line is run; the
    window begins then. `not_after`: when it expires, where that is before the window's end."""

    input_file_id: Id | None = None
    requests: Requests | None = None
    endpoint: Endpoint | None = None
    completion_window: Literal["24h"] | None = None
    metadata: dict[MetaKey, MetaValue] | None = Field(None, max_length=16)
    output_expires_after: ExpiresAfter | None = None
    priority: Annotated[int, Field(ge=0, le=PRIORITY_MAX)] = 0
    run_at: Moment | None = None
    not_after: Moment | None = None


class ResultsQuery(BaseModel):
    """Which results of a batch: one page of them, or all as JSON lines."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    after: Id | None = None
    format: Literal["json", "jsonl"] = "json"
