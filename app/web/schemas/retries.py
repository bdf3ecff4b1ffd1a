"""Bodies of the routes that make failed jobs again."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.jobs.model import JobFilter
from app.web.schemas.moments import Moment

RETRIES_MAX = 100
"""Jobs that are made again at once."""

Dead = Literal["failed", "expired", "cancelled"]
Id = Annotated[str, Field(max_length=64)]
Name = Annotated[str, Field(max_length=256, pattern=r"^[^\x00]*$")]


class RetryBody(BaseModel):
    """`force`: also if the job is made again already."""

    model_config = ConfigDict(extra="forbid", strict=True)

    force: bool = False


class RetryFilter(BaseModel):
    """Which jobs: how they ended, with which error, and what they were."""

    model_config = ConfigDict(extra="forbid", strict=True)

    status: list[Dead] = Field(["failed"], min_length=1, max_length=3)
    error_code: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] | None = None
    model: Name | None = None
    kind: Name | None = None
    since: Moment | None = None
    until: Moment | None = None

    def jobs(self) -> JobFilter:
        """The same as the job line takes it."""
        return JobFilter(
            tuple(self.status), self.error_code, self.model, self.kind, self.since, self.until
        )


class RetriesBody(RetryBody):
    """The jobs by `ids`, or the newest `limit` that `filter` finds and that are not made again
    yet."""

    ids: Annotated[list[Id], Field(min_length=1, max_length=RETRIES_MAX)] | None = None
    filter: RetryFilter | None = None
    limit: Annotated[int, Field(ge=1, le=RETRIES_MAX)] = RETRIES_MAX
