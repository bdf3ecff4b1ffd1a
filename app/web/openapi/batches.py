"""Batches: made, followed, cancelled and tried again."""

from typing import Annotated, Any, Literal

from pydantic import Field

from app.batches.model import Status
from app.web.openapi.operation import STREAM, Operation, PageQuery, Room, Told
from app.web.schemas.accounts import NothingBody
from app.web.schemas.batches import NewBatchBody, ResultsQuery


class BatchError(Told):
    """Why a line, or with null the whole input, was refused."""

    code: str
    line: int | None
    message: str
    param: str | None


class BatchErrors(Told):
    """Why a batch has failed."""

    object: Literal["list"]
    data: list[BatchError]


class RequestCounts(Told):
    """How many lines there are, and how those ended that have."""

    total: int
    completed: int
    failed: int


class Progress(Told):
    """How far a batch is: lines in flight, lines that end in a second, and when the last will."""

    in_flight: int
    rate: float
    estimated_end_at: int | None


class Batch(Told):
    """A batch, as OpenAI shows it, with its priority, its progress and its cost."""

    id: Annotated[str, Field(pattern="^batch_")]
    object: Literal["batch"]
    endpoint: str
    model: str | None
    errors: BatchErrors | None
    input_file_id: str | None
    completion_window: str
    status: Status
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    in_progress_at: int | None
    expires_at: int
    finalizing_at: int | None
    cancelling_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelled_at: int | None
    request_counts: RequestCounts
    usage: dict[str, Any]
    metadata: dict[str, str] | None
    priority: int
    run_at: int | None
    retry_of: str | None
    cost_usd: float
    cost_nanos: int
    progress: Progress


class BatchResult(Told):
    """A line that has ended, as it stands in the output or error file."""

    id: Annotated[str, Field(pattern="^batch_req_")]
    custom_id: str
    response: dict[str, Any] | None
    error: dict[str, Any] | None


BATCHES = Room("Files and batches", {
    "create_batch": Operation("A new batch", Batch, takes=NewBatchBody),
    "list_batches": Operation("Batches, newest first", Batch, True, query=PageQuery),
    "get_batch": Operation("A batch", Batch),
    "cancel_batch": Operation("Run no further lines of a batch", Batch, takes=NothingBody),
    "retry_batch": Operation("A new batch of the lines that have not completed", Batch,
                             takes=NothingBody, refuses=(409,)),
    "list_results": Operation("The lines that have ended, while a batch runs too", BatchResult,
                              True, query=ResultsQuery, forms={"application/jsonl": BatchResult}),
    "follow_batch": Operation("A batch's progress, as events", forms=STREAM),
})  # fmt: skip
