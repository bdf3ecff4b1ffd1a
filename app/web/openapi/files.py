"""Files: uploaded, listed, read and deleted."""

from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema

from app.files.model import Purpose
from app.web.openapi.money import Deleted
from app.web.openapi.operation import Header, Operation, Room, Told
from app.web.schemas.files import FileForm, FilesQuery

RANGE = Header("Range", "the bytes that are wanted: `bytes=0-1023`")


class File(Told):
    """A file, as OpenAI shows it. `expires_at` is null for one that stays until it is deleted."""

    id: Annotated[str, Field(pattern="^file_")]
    object: Literal["file"]
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: Purpose
    status: Literal["processed"]
    status_details: None


class FileBody(FileForm):
    """The form of an upload, read as it arrives."""

    file: Annotated[
        bytes,
        WithJsonSchema({"type": "string", "format": "binary"}),
        Field(description="the file"),
    ]


FILES = Room("Files and batches", {
    "create_file": Operation("Upload a file", File, takes={"multipart/form-data": FileBody}),
    "list_files": Operation("Files, newest first", File, True, query=FilesQuery),
    "get_file": Operation("A file", File),
    "get_file_content": Operation("What is in a file, or a range of it", headers=(RANGE,),
                                  forms={"application/octet-stream": bytes},
                                  also={206: None}, refuses=(416,)),
    "delete_file": Operation("Delete a file for good", Deleted),
})  # fmt: skip
