"""The body of a request to delete content."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

JOB_IDS_MAX = 1000
UNIX_S_MAX = 253_402_300_799
"""The end of the year 9999."""

Name = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[^\x00]*$")]
JobId = Annotated[str, Field(pattern=r"^job_[0-9a-hjkmnp-tv-z]{26}$")]


class DeletionRequest(BaseModel):
    """Which jobs' content is to be deleted: those that meet all that is given. `before`: unix
    seconds."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    before: Annotated[int, Field(ge=0, le=UNIX_S_MAX)] | None = None
    app_id: Name | None = None
    user: Name | None = None
    session_id: Name | None = None
    job_ids: Annotated[list[JobId], Field(min_length=1, max_length=JOB_IDS_MAX)] | None = None

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        if not self.model_dump(exclude_none=True):
            raise ValueError("give at least one of before, app_id, user, session_id and job_ids")
        return self
