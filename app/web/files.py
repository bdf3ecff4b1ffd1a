"""`/v1/files`: OpenAI's Files."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import orjson
from flask import Blueprint, Response, request
from gevent.lock import BoundedSemaphore
from pydantic import ValidationError

from app.db.connect import Connection
from app.errors import InvalidRequest, NotFound, Overloaded
from app.files.model import FileRow
from app.files.service import Files, Upload
from app.web.arriving import Begun, Text, form_parts
from app.web.auth import caller
from app.web.forms import FIELDS_BYTES_MAX
from app.web.front import Front
from app.web.paging import json_answer, page, parameters, plain_ids
from app.web.posting import Keep, posted_whole
from app.web.problems import invalid
from app.web.ranges import asked_range
from app.web.schemas.files import ANCHOR, SECONDS, FileForm, FilesQuery

UPLOADS_MAX = 64
"""Uploads at once in a web process: each holds what its storage gathers, 5 MB at most."""

NAME_MAX = 255
BINARY = "application/octet-stream"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def file_routes(front: Front) -> Blueprint:
    """The blueprint of files."""
    routes = Blueprint("files", __name__, url_prefix="/v1/files")
    routes.url_value_preprocessor(plain_ids)
    files = Files(front.reads, front.settings)
    room = BoundedSemaphore(UPLOADS_MAX)

    @routes.post("")
    def create_file() -> Response:
        if not room.acquire(blocking=False):
            raise Overloaded("Too many files arrive at once; try again.", retry_after=5)
        try:
            return posted_whole(lambda keep: _uploaded(front, files, keep))
        finally:
            room.release()

    @routes.get("")
    def list_files() -> Response:
        asked, tenant_id = parameters(FilesQuery), caller().tenant_id
        found = files.page(tenant_id, asked.purpose, asked.order, asked.after, asked.limit + 1)
        return json_answer(page([file_object(row) for row in found], asked.limit))

    @routes.get("/<file_id>")
    def get_file(file_id: str) -> Response:
        return json_answer(file_object(_there(files, file_id)))

    @routes.get("/<file_id>/content")
    def get_file_content(file_id: str) -> Response:
        return _content(files, _there(files, file_id))

    @routes.delete("/<file_id>")
    def delete_file(file_id: str) -> Response:
        if not files.delete(caller().tenant_id, file_id):
            raise _no_file(file_id)
        return json_answer({"id": file_id, "object": "file", "deleted": True})

    return routes


def file_object(row: FileRow) -> dict[str, Any]:
    """The file as OpenAI shows it."""
    return {
        "id": row.id,
        "object": "file",
        "bytes": row.bytes,
        "created_at": int(row.created_s),
        "expires_at": None if row.expires_s is None else int(row.expires_s),
        "filename": row.filename,
        "purpose": row.purpose,
        "status": row.status,
        "status_details": None,
    }


def _uploaded(front: Front, files: Files, keep: Keep) -> tuple[int, dict[str, Any]]:
    """Reads the form, whose fields may come before and after the file."""
    who, fields, limit = caller(), _Fields(), front.settings.file_limit
    # What a form takes beside its file is little, but not known.
    announced = max(0, (request.content_length or 0) - FIELDS_BYTES_MAX)
    upload: Upload | None = None
    try:
        for part in form_parts("file", limit):
            if isinstance(part, Text):
                fields.add(part)
            elif isinstance(part, Begun):
                fields.begin(part)
                app_id = who.app_id or "Unknown"
                upload = files.upload(who.tenant_id, app_id=app_id, announced=announced)
            elif upload is not None:
                upload.write(part)
        assert upload is not None
        return 200, file_object(_finished(upload, fields, keep))
    finally:
        if upload is not None:
            upload.close()


def _finished(upload: Upload, fields: "_Fields", keep: Keep) -> FileRow:
    form = fields.form()

    def along(connection: Connection, row: FileRow) -> None:
        known_by = [fields.texts, fields.filename, fields.content_type, row.sha256]
        body = orjson.dumps(known_by, option=orjson.OPT_SORT_KEYS)
        keep(connection, body, (200, file_object(row)))

    return upload.finish(
        form.purpose, fields.filename, fields.content_type, expires_s=form.seconds, along=along
    )


class _Fields:
    """What a form has told so far. Each method raises InvalidRequest naming the field."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.filename = self.content_type = ""

    def add(self, text: Text) -> None:
        if text.name in self.texts:
            raise InvalidRequest(f"{text.name} is given more than once.", param=text.name)
        self.texts[text.name] = text.value
        if text.name == "purpose":
            # Before the file, which most send behind it.
            _form({"purpose": text.value})

    def begin(self, file: Begun) -> None:
        self.filename = re.split(r"[\\/]", file.filename)[-1]
        if not self.filename or len(self.filename) > NAME_MAX or _CONTROL.search(self.filename):
            raise InvalidRequest(
                f"file: its name must have 1 to {NAME_MAX} characters that can be seen.",
                param="file",
            )
        self.content_type = _CONTROL.sub("", file.content_type)[:NAME_MAX] or BINARY

    def form(self) -> FileForm:
        return _form(self.texts)


def _form(texts: dict[str, str]) -> FileForm:
    try:
        told = FileForm.model_validate(texts)
    except ValidationError as error:
        raise invalid(error) from None
    if (told.anchor is None) != (told.seconds is None):
        missing = ANCHOR if told.anchor is None else SECONDS
        raise InvalidRequest(
            f"Missing required parameter: '{missing}'.", param=missing,
            code="missing_required_parameter",
        )  # fmt: skip
    return told


def _there(files: Files, file_id: str) -> FileRow:
    row = files.find(caller().tenant_id, file_id)
    if row is None:
        raise _no_file(file_id)
    return row


def _no_file(file_id: str) -> NotFound:
    return NotFound(f"No such File object: {file_id}", param="id")


def _content(files: Files, row: FileRow) -> Response:
    tag = f'"{row.sha256}"'
    span = asked_range(row.bytes, tag)
    pieces = _between(files.read(row, span.start), span.stop - span.start)
    # The first is read before the answer begins, so that a failure is told.
    first = next(pieces, b"")
    answer = Response(_chained(first, pieces), span.status, direct_passthrough=True)
    answer.content_length = span.stop - span.start
    answer.headers["Content-Type"] = BINARY
    answer.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(row.filename)}"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Accept-Ranges"], answer.headers["ETag"] = "bytes", tag
    if span.status == 206:
        answer.headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{row.bytes}"
    return answer


def _between(pieces: Iterator[bytes], length: int) -> Iterator[bytes]:
    left = length
    for piece in pieces:
        yield piece[:left]
        left -= len(piece)
        if left <= 0:
            return


def _chained(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
