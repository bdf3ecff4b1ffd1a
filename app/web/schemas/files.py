"""The fields of an upload's form, and the parameters of lists of files."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.files.model import Purpose, UploadPurpose

ANCHOR, SECONDS = "expires_after[anchor]", "expires_after[seconds]"
PAGE_MAX = 10_000


class FileForm(BaseModel):
    """The fields beside the file. A form has texts alone, so numbers are read out of them. A file
    expires `expires_after[seconds]` after it was created: an hour to thirty days."""

    model_config = ConfigDict(extra="forbid")

    purpose: UploadPurpose
    anchor: Literal["created_at"] | None = Field(None, alias=ANCHOR)
    seconds: Annotated[int, Field(ge=3_600, le=2_592_000)] | None = Field(None, alias=SECONDS)


class FilesQuery(BaseModel):
    """Which files, in which order of the time at which they were created."""

    model_config = ConfigDict(extra="forbid")

    purpose: Purpose | None = None
    order: Literal["asc", "desc"] = "desc"
    limit: Annotated[int, Field(ge=1, le=PAGE_MAX)] = PAGE_MAX
    after: Annotated[str, Field(pattern=r"^[\w.:@-]{1,128}$")] | None = None
