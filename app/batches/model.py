"""What a batch is, its bounds, and its lines on their way to becoming jobs."""

from dataclasses import dataclass
from typing import Any, Literal

from app.errors import MoonpoolError

Status = Literal[
    "validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling",
    "cancelled",
]  # fmt: skip
ENDED: frozenset[str] = frozenset({"failed", "completed", "expired", "cancelled"})

ENDPOINTS = {
    "/v1/chat/completions": "chat.completion",
    "/v1/completions": "text_completion",
    "/v1/responses": "response",
    "/v1/embeddings": "embedding",
    "/v1/images/generations": "image",
}
"""The endpoints that a batch may have, and the kind of job that each line is."""

WITH_REQUEST = ("text_completion", "response")
"""Kinds whose answer is shown with parts of their request."""

WINDOWS_S = {"24h": 86_400}
"""Completion windows, as OpenAI names them."""

BATCH_LINES_MAX = 50_000
ERRORS_MAX = 100
"""After so many refused lines a batch's input is read no further."""

CUSTOM_ID_MAX = 512
PRIORITY_MAX = 9
FILE_TTL_S = (3600, 2_592_000)
"""The bounds of `output_expires_after.seconds`."""

ChoreKind = Literal["batch.reading", "batch.files"]
READ_KIND: ChoreKind = "batch.reading"
FILES_KIND: ChoreKind = "batch.files"
"""The chores that check a batch's lines and that write its files."""

TURNS = 1000
"""More attempts than a chore has: a batch's `turn` counts its chores in such steps, and attempts in
between, so that it only grows."""

CHORE_DEADLINE_S = 86_400.0
LANE: Literal["batch"] = "batch"


class Superseded(Exception):
    """Another attempt works on the batch by now, or it was cancelled."""


@dataclass(frozen=True, slots=True)
class NewBatch:
    """A batch on its way in. `ttl_s`: how long its files are kept, None as long as others;
    `run_at_s`: when its first line is run, unix seconds, None at once; `not_after_s`: when it
    expires at the latest, None with its window."""

    id: str
    tenant_id: str
    key_id: str
    app_id: str
    test: bool
    endpoint: str
    input_file_id: str | None
    input_job_id: str | None
    retry_of: str | None
    completion_window: str
    priority: int
    metadata: str | None
    ttl_s: int | None
    chore_id: str
    run_at_s: float | None = None
    not_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as it stands. Times are unix seconds, money nano-dollars; `rate` is lines ended a
    second, of late. `ends_as` is set once nothing more of it is dispatched."""

    id: str
    tenant_id: str
    key_id: str
    app_id: str
    test: bool
    endpoint: str
    input_file_id: str | None
    input_job_id: str | None
    retry_of: str | None
    completion_window: str
    priority: int
    metadata: dict[str, str] | None
    ttl_s: int | None
    status: Status
    ends_as: str | None
    chore_id: str
    turn: int
    model: str | None
    errors: list[dict[str, Any]] | None
    total: int
    dispatched: int
    completed: int
    failed: int
    hold: int
    cost: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    rate: float
    output_file_id: str | None
    error_file_id: str | None
    created_s: float
    expires_s: float
    in_progress_s: float | None
    finalizing_s: float | None
    cancelling_s: float | None
    ended_s: float | None
    run_at_s: float | None
    now_s: float

    @property
    def due(self) -> bool:
        """Whether its lines may be run by now."""
        return self.run_at_s is None or self.run_at_s <= self.now_s

    @property
    def ended(self) -> int:
        """How many lines have ended."""
        return self.completed + self.failed

    @property
    def unanswered(self) -> int:
        """How many lines have failed; once the batch has ended also those that never ran, which
        stand in its error file too."""
        ran_out = self.status in ("completed", "expired", "cancelled")
        return self.total - self.completed if ran_out else self.failed

    @property
    def done_at_s(self) -> float | None:
        """When all lines will have ended, if they go on ending as of late; None if that is not
        known."""
        if self.status != "in_progress" or self.rate <= 0:
            return None
        return self.now_s + (self.total - self.ended) / self.rate


@dataclass(frozen=True, slots=True)
class Line:
    """A line that was read and may run: what its job will be. `hold`: nano-dollars."""

    line: int
    custom_id: str
    kind: str
    model: str
    request: str
    metadata: str | None
    session: str | None
    store: bool
    hold: int


@dataclass(frozen=True, slots=True)
class EndedLine:
    """A line whose job has ended. `body`, `error`, `usage` and `request` are JSON; `request` is
    there for the kinds whose answer is shown with parts of it."""

    line: int
    custom_id: str
    job_id: str
    kind: str
    state: str
    body: str | None
    error: str | None
    usage: str | None
    request: str | None


@dataclass(frozen=True, slots=True)
class LineError:
    """Why a line, or with None the whole input, was refused."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """OpenAI's batch error."""
        return {
            "code": self.code, "line": self.line, "message": self.message, "param": self.param,
        }  # fmt: skip

    @classmethod
    def of(cls, error: MoonpoolError, line: int | None) -> "LineError":
        """The error that a door would have answered."""
        return cls(error.code or "invalid_request", error.message, line, error.param)
