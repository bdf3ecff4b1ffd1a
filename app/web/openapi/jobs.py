"""Jobs, the models they run on, and what both look like."""

from typing import Annotated, Any, Literal

from pydantic import Field

from app.web.openapi.operation import STREAM, Header, Operation, PageQuery, Query, Room, Told
from app.web.schemas.moments import Moment
from app.web.schemas.retries import RetriesBody, RetryBody

Status = Literal["queued", "in_progress", "completed", "failed", "cancelled", "expired"]
EventId = Annotated[str, Field(pattern=r"^[0-9]{1,9}-[0-9]{1,9}$")]


class JobUrls(Told):
    """Where a job is read, followed and cancelled."""

    self: str
    events: str
    cancel: str


class Job(Told):
    """A job. `result` is what its door answers with; `error` is there once it has failed."""

    id: str
    object: Literal["job"]
    kind: str
    status: Status
    created_at: int
    started_at: int | None
    finished_at: int | None
    model: str
    lane: str
    app_id: str
    queue_position: int | None
    attempts: int
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    usage: dict[str, Any] | None
    metadata: dict[str, Any]
    run_at: int | None
    not_after: int | None
    retry_of: str | None
    retried_by: str | None
    content_deleted_at: int | None
    urls: JobUrls
    attempt_list: list["Attempt"] = Field([], description="with include=attempts in a list")


class ProviderCall(Told):
    """A call of a provider within an attempt, or the kept answer that stood for one."""

    provider: str
    model: str = ""
    outcome: str = ""
    why: str = ""
    skipped: list[dict[str, str]] | None = None
    started_at: float = 0
    status: int | None = None
    error: str | None = None
    ttft_ms: float = 0
    latency_ms: float = 0
    usage: dict[str, Any] | None = None
    platform_cost_usd: float = 0
    own_key: bool = False


class Attempt(Told):
    """An attempt of a job, with the calls that it made."""

    attempt: int
    worker: str | None
    outcome: str | None
    calls: list[ProviderCall] | None
    started_at: float | None
    finished_at: float | None
    usage: dict[str, int]
    platform_cost_usd: float
    latency_ms: float | None


class Attempts(Told):
    """All attempts of a job."""

    object: Literal["list"]
    data: list[Attempt]


class JobsQuery(PageQuery):
    """Which jobs."""

    status: Status = Field(
        "completed", description="only jobs in this state; several with commas between"
    )
    error_code: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = Field(
        "", description="only jobs that failed with this error"
    )
    model: str = ""
    kind: str = ""
    since: Moment = Field(0, description="admitted at this time or later")
    until: Moment = Field(0, description="admitted before this time")
    include: Literal["attempts"] = Field("attempts", description="tell of the attempts as well")


class Retried(Told):
    """A job that was not made again, and why."""

    job_id: str
    status: int
    error: dict[str, Any]


class Retries(Told):
    """The new jobs, and what was refused."""

    object: Literal["list"]
    data: list[Job]
    refused: list[Retried]


class EventsQuery(Query):
    """Where to go on."""

    starting_after: EventId = Field("", description="the id of the last event that was read")


JOBS = Room("Jobs", {
    "list_jobs": Operation("The jobs of the tenant, newest first", Job, True, query=JobsQuery),
    "get_job": Operation("A job", Job),
    "list_attempts": Operation("The attempts of a job, with their provider calls", Attempts),
    "cancel_job": Operation("Cancel a job, if it has not ended", Job),
    "job_events": Operation(
        "The events of a job, as they come",
        query=EventsQuery, forms=STREAM,
        headers=(Header("Last-Event-ID", "the id of the last event that was read",
                        {"type": "string", "pattern": r"^[0-9]{1,9}-[0-9]{1,9}$"}),),
    ),
})  # fmt: skip


RETRIES = Room("Jobs", {
    "retry_job": Operation("Make a job again that failed, expired or was cancelled", Job,
                           status=202, takes=RetryBody, refuses=(402, 404, 409, 410, 429)),
    "retry_jobs": Operation("Make many jobs again", Retries, status=202, takes=RetriesBody,
                            refuses=(409,)),
})  # fmt: skip


class Model(Told):
    """A model in OpenAI's form; `description` says what it really is."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    description: str
    does: Literal["chat", "embedding", "image", "transcription"]
    endpoint: str
    stands_on: str | None
    context_window: int | None
    max_output_tokens: int | None
    providers: list[str]
    pricing: dict[str, Any]


class Models(Told):
    """All models."""

    object: Literal["list"]
    data: list[Model]


MODELS = Room("Models", {
    "list_models": Operation("The models", Models),
    "get_model": Operation("A model", Model),
})  # fmt: skip


class PublicModel(Told):
    """A model as those see it who have no key."""

    id: str
    provider: str
    created: int
    object: Literal["model"]
    owned_by: str
    capabilities: list[str]
    pricing: dict[str, Any]


class PublicModelList(Told):
    """The models of PublicModels."""

    models: list[PublicModel]


class PublicModels(Told):
    """All models and their prices."""

    status: Literal["success"]
    data: PublicModelList
    meta: dict[str, Any]


PUBLIC = Room("Models", {
    "list_public_models": Operation("The models and their prices, for all", PublicModels),
})  # fmt: skip
