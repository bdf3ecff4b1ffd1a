"""What a client sends or names to become a document, checked and written down for its job."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import orjson
from flask import Response, request
from pydantic import ValidationError

from app.db.connect import Connection
from app.embedding.apart import apart
from app.errors import InvalidRequest, MoonpoolError
from app.ids import new_id
from app.lunes.extraction.blocks import Unreadable
from app.lunes.extraction.media import media_of
from app.lunes.intake import store as intake
from app.lunes.intake.fetch import Fetcher
from app.lunes.intake.model import Wanted
from app.lunes.model import Document, Lune, identity
from app.outbound import Refused
from app.web.body import read_request
from app.web.forms import read_form
from app.web.front import Front
from app.web.posting import changed
from app.web.problems import invalid
from app.web.schemas.lunes import DocumentBody, UploadForm


@dataclass(frozen=True, slots=True)
class Taken:
    """A document that waits for the job `job_id`, which may still be refused."""

    front: Front
    tenant_id: str
    document_id: str
    job_id: str

    def head(self, job_id: str) -> dict[str, Any]:
        """The document that the job takes in which stands for this request."""
        known = None
        if job_id != self.job_id:
            known = self.front.reads.run(lambda c: intake.taken_by(c, self.tenant_id, job_id))
        return {"document_id": known or self.document_id}

    def kept(self, answer: Response) -> Response:
        """The same answer. If an earlier job stands for the request, nothing more waits."""
        if "Idempotent-Replayed" in answer.headers:
            self.back()
        return answer

    def back(self) -> None:
        """Nothing waits any more, unless the job was admitted."""
        changed(self.front, lambda c: intake.take_back(c, self.job_id))


@contextmanager
def taken(
    front: Front, lune: Lune, wanted: Wanted, document: Document | None = None
) -> Iterator[Taken]:
    """Writes down what is wanted, of a `document` that is there or of whichever it turns out to
    be, and takes that back if no job is admitted for it."""
    job_id = new_id("job")

    def work(connection: Connection) -> str:
        if document is None:
            document_id = intake.take(connection, lune, wanted, job_id)
            _unless_full(front, connection, lune, wanted)
            return document_id
        intake.leave(connection, document.id, wanted, job_id)
        return document.id

    done = Taken(front, lune.tenant_id, changed(front, work), job_id)
    try:
        yield done
    except BaseException:
        # What did not work must not be hidden; what is left of it is swept later.
        with suppress(MoonpoolError):
            done.back()
        raise


def read_document(front: Front, fetcher: Fetcher) -> tuple[Wanted, bytes]:
    """What the request brings, JSON or a form with a file, and what its Idempotency-Key stands
    for. Raises InvalidRequest naming the field, and what reading a body raises."""
    if request.mimetype == "multipart/form-data":
        wanted, body = _uploaded(front)
    else:
        asked, body = read_request(front, DocumentBody)
        wanted = _named(fetcher, asked) if asked.text is None else _written(asked, asked.text)
    if wanted.content is not None:
        _refuse(wanted, wanted.content)
    return wanted, body


def _uploaded(front: Front) -> tuple[Wanted, bytes]:
    fields, file = read_form("file", front.settings.body_limit, frozenset())
    try:
        told = UploadForm.model_validate(fields)
    except ValidationError as error:
        raise invalid(error) from None
    if not file.content:
        raise InvalidRequest("file is empty.", param="file")
    digest = _digest(file.content)
    name = " ".join(file.name.replace("\0", "").split())[:300]
    wanted = Wanted(
        "sent", identity(told.external_id, told.url, told.title or name, digest),
        told.external_id, told.url, told.title, told.media_type or file.content_type, name,
        told.metadata, file.content,
    )  # fmt: skip
    known_by = orjson.dumps([fields, file.name, file.content_type, digest.hex()])
    return wanted, known_by


def _written(asked: DocumentBody, text: str) -> Wanted:
    content = text.encode()
    digest = _digest(content)
    return Wanted(
        "sent", identity(asked.external_id, asked.url, asked.title, digest), asked.external_id,
        asked.url, asked.title, f"{asked.media_type or 'text/plain'}; charset=utf-8", "",
        asked.metadata, content,
    )  # fmt: skip


def _digest(content: bytes) -> bytes:
    # A large file takes so long that others shall go on meanwhile.
    return apart(lambda: hashlib.sha256(content).digest())


def _named(fetcher: Fetcher, asked: DocumentBody) -> Wanted:
    if asked.url is None:
        raise InvalidRequest(
            "text is missing: give text, a url, or a form with a file.", param="text"
        )
    if asked.media_type is not None:
        raise InvalidRequest(
            "media_type: what is fetched says its media type itself.", param="media_type"
        )
    try:
        url = fetcher.check(asked.url)
    except Refused as refused:
        raise InvalidRequest(f"url: {refused}.", param="url") from None
    return Wanted(
        "fetched", identity(asked.external_id, url, None, b""), asked.external_id, url, asked.title,
        metadata=asked.metadata,
    )  # fmt: skip


def _refuse(wanted: Wanted, content: bytes) -> None:
    """Raises InvalidRequest for what no job could take in."""
    try:
        media_of(wanted.media_type, wanted.name, content)
    except Unreadable as error:
        named = "file" if wanted.name else "media_type"
        raise InvalidRequest(f"{named}: {error.message}", param=named) from None


def _unless_full(front: Front, connection: Connection, lune: Lune, wanted: Wanted) -> None:
    """Raises InvalidRequest, which undoes all, if there is no room for what was just written."""
    if wanted.content is None:
        return
    limit = front.settings.lune_bytes
    left = intake.room(connection, lune.tenant_id, limit)
    if left < 0:
        field = "file" if wanted.name else "text"
        room = max(0, left + len(wanted.content))
        raise InvalidRequest(
            f"{field}: there is room for {room} bytes more in all lunes together, of {limit}.",
            param=field,
        )
