"""Reading a form with a file (RFC 7578), within its bounds."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import gevent
from flask import request

from app.errors import BodyTooSlow, InvalidRequest, TooLarge, UnsupportedEncoding

FORM_TIMEOUT_S = 120.0
FIELDS_MAX = 64
FIELDS_BYTES_MAX = 256_000
"""What all that is not the file may take: fields, names, boundaries."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of a form: its name and its type are what the client says."""

    name: str
    content_type: str
    content: bytes


def read_form(file_field: str, limit: int, lists: Collection[str]) -> tuple[dict[str, Any], File]:
    """The fields of a form, each a text or, for the names in `lists`, a list of texts; and the file
    of `file_field`, which has at most `limit` bytes.

    It is parsed as it arrives. Raises UnsupportedEncoding, TooLarge, BodyTooSlow, and
    InvalidRequest naming a field.
    """
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedEncoding("Compressed request bodies are not read; send a plain form.")
    if request.mimetype != "multipart/form-data":
        raise UnsupportedEncoding(
            f"Send a form, multipart/form-data, with the file in {file_field}."
        )
    most = limit + FIELDS_BYTES_MAX
    if (request.content_length or 0) > most:
        raise TooLarge(f"The file is over {limit} bytes.", param=file_field)
    request.max_content_length = most
    request.max_form_memory_size, request.max_form_parts = FIELDS_BYTES_MAX, FIELDS_MAX
    try:
        with gevent.Timeout(FORM_TIMEOUT_S):
            texts, files = request.form, request.files
    except gevent.Timeout:
        raise BodyTooSlow(f"The form did not arrive within {FORM_TIMEOUT_S:g} seconds.") from None
    fields = _fields(texts.lists(), lists)
    if file_field in fields:
        raise InvalidRequest(f"{file_field} must be a file, with a filename.", param=file_field)
    for name in files:
        if name != file_field:
            raise InvalidRequest(f"Unknown file: {name}.", param=name, code="unknown_parameter")
    found = files.getlist(file_field)
    if len(found) != 1:
        raise InvalidRequest(
            f"{file_field}: the form must have it once, not {len(found)} times.", param=file_field
        )
    content = found[0].stream.read(limit + 1)
    if len(content) > limit:
        raise TooLarge(f"The file is over {limit} bytes.", param=file_field)
    name = found[0].filename or file_field
    return fields, File(name, found[0].mimetype or "application/octet-stream", content)


def _fields(came: Any, lists: Collection[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for spelled, values in came:
        name = spelled.removesuffix("[]")
        name = name if name in lists else spelled
        if any("\0" in text for text in (name, *values)):
            plain = name.replace("\0", "")
            raise InvalidRequest(f"{plain} holds a zero byte.", param=plain)
        if name in lists:
            fields[name] = [*fields.get(name, ()), *values]
        elif len(values) > 1:
            raise InvalidRequest(f"{name} is given more than once.", param=name)
        else:
            fields[name] = values[0]
    return fields
