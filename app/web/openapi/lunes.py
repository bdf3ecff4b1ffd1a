"""Lunes and their documents."""

from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from app.lunes.model import State
from app.web.openapi.inference import ASKING
from app.web.openapi.jobs import Job
from app.web.openapi.money import Deleted
from app.web.openapi.operation import ADMITTED, Operation, PageQuery, Room, Told
from app.web.schemas.accounts import NothingBody
from app.web.schemas.lunes import (
    DocumentBody,
    DocumentsQuery,
    LuneChangeBody,
    NewLuneBody,
    UploadForm,
)

TITLE = "Lunes"
WAITING = ASKING[:1]


class Counted(Told):
    """Documents by status."""

    queued: int
    in_progress: int
    completed: int
    failed: int
    total: int


class Lune(Told):
    """A knowledge base. The counts are of what can be found."""

    id: Annotated[str, Field(pattern="^lune_")]
    object: Literal["lune"]
    name: str
    description: str | None
    metadata: dict[str, Any]
    fusion: dict[str, float] | None
    documents: Counted
    passages: int
    tokens: int
    bytes: int
    created_at: int
    updated_at: int


class LuneDocument(Told):
    """A document. `status` and `error` are of the latest ingest; the counts are of what can be
    found, which is the last version that was whole."""

    id: Annotated[str, Field(pattern="^doc_")]
    object: Literal["lune.document"]
    lune_id: str
    origin: Literal["fetched", "sent"]
    url: str | None
    external_id: str | None
    title: str | None
    media_type: str | None
    metadata: dict[str, Any]
    status: State
    error: dict[str, Any] | None
    job_id: str | None
    bytes: int
    passages: int
    tokens: int
    pages: int | None
    created_at: int
    updated_at: int


class LuneIngested(Told):
    """A document that was taken in."""

    id: Annotated[str, Field(pattern="^doc_")]
    object: Literal["lune.document"]
    document_id: str
    lune_id: str = ""
    status: str
    bytes: int = 0
    passages: int = 0
    tokens: int = 0


class LunePassage(Told):
    """A piece of a document's text, from `start` to `end` of it, in characters."""

    id: int
    object: Literal["lune.passage"]
    ordinal: int
    heading: str
    text: str
    start: int
    end: int
    page: int | None
    tokens: int


class UploadBody(UploadForm):
    """A document as a file."""

    file: Annotated[
        bytes,
        WithJsonSchema({"type": "string", "format": "binary"}),
        Field(description="the document"),
    ]


_JOB: dict[str, Any] = {"headers": WAITING, "also": {202: Job}, "refuses": ADMITTED}

LUNES = Room(TITLE, {
    "list_lunes": Operation("Lunes, newest first", Lune, True, query=PageQuery),
    "create_lune": Operation("Make a lune", Lune, status=201, takes=NewLuneBody, refuses=(409,)),
    "get_lune": Operation("A lune, by its id or name", Lune),
    "change_lune": Operation("Change a lune", Lune, takes=LuneChangeBody, refuses=(409,)),
    "delete_lune": Operation("Delete a lune for good; a large one by a job", Deleted, **_JOB),
})  # fmt: skip

LUNE_DOCUMENTS = Room(TITLE, {
    "list_documents": Operation("Documents of a lune, newest first", LuneDocument, True,
                                query=DocumentsQuery),
    "add_document": Operation("Add a document by a job: a text, a file, or what a URL leads to",
                              LuneIngested,
                              takes={"application/json": DocumentBody,
                                     "multipart/form-data": UploadBody}, **_JOB),
    "get_document": Operation("A document", LuneDocument),
    "refresh_document": Operation("Fetch a document again, as a job", LuneIngested,
                                  takes=NothingBody, headers=WAITING, also={202: Job},
                                  refuses=(*ADMITTED, 409)),
    "delete_document": Operation("Delete a document for good; a long one by a job", Deleted,
                                 **_JOB),
    "list_passages": Operation("The passages of a document, in order", LunePassage, True,
                               query=PageQuery),
})  # fmt: skip
