"""Forms with a file (RFC 7578) as they arrive: whatever their size, a piece of them is held."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gevent
from flask import request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from app.errors import BodyTooSlow, InvalidRequest, TooLarge, UnsupportedEncoding
from app.web.forms import FIELDS_BYTES_MAX, FIELDS_MAX

READ_BYTES = 65_536
BOUNDARY_MAX = 200
"""RFC 2046, section 5.1.1 says 70, which clients in use exceed (werkzeug's own now and then)."""

WITHIN_BYTES = 1024
"""How far before the end of a piece a boundary and what follows it are looked for."""

FILE_IDLE_S = 30.0
"""Within which READ_BYTES must arrive."""


@dataclass(frozen=True, slots=True)
class Text:
    """A field of a form."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Begun:
    """A file begins; `filename` and `content_type` are what the client says. Its bytes follow."""

    name: str
    filename: str
    content_type: str


Part = Text | Begun | bytes


def form_parts(file_field: str, limit: int) -> Iterator[Part]:
    """What a form holds, in the order in which it comes: its fields, and one file with the name
    `file_field` and at most `limit` bytes.

    Raises UnsupportedEncoding, TooLarge, BodyTooSlow, InvalidRequest naming a field, and werkzeug's
    ClientDisconnected for a form that is cut.
    """
    boundary = _boundary()
    decoder = MultipartDecoder(boundary, READ_BYTES + FIELDS_BYTES_MAX, max_parts=FIELDS_MAX)
    if (request.content_length or 0) > limit + FIELDS_BYTES_MAX:
        raise TooLarge(f"The file is over {limit} bytes.", param=file_field)
    reader = _Reader(file_field, limit)
    try:
        for read in _undivided(_pieces(), boundary, decoder):
            decoder.receive_data(read)
            while not isinstance(event := decoder.next_event(), NeedData | Epilogue):
                yield from reader.take(event)
    except RequestEntityTooLarge:
        raise TooLarge(f"The fields of the form are over {FIELDS_BYTES_MAX} bytes.") from None
    except ValueError as error:
        raise InvalidRequest(f"The form cannot be read: {error}.") from None
    if not reader.seen:
        raise InvalidRequest(f"{file_field} is missing from the form.", param=file_field)


class _Reader:
    """Makes parts of the decoder's events."""

    def __init__(self, file_field: str, limit: int) -> None:
        self._file_field, self._left, self._limit = file_field, limit, limit
        self._field: str | None = None
        self._text, self._texts = bytearray(), 0
        self.seen = False

    def take(self, event: Any) -> Iterator[Part]:
        if isinstance(event, File):
            yield self._begin(event)
        elif isinstance(event, Field):
            self._field = _named(event.name)
            if self._field == self._file_field:
                raise InvalidRequest(
                    f"{self._field} must be a file, with a filename.", param=self._field
                )
        elif isinstance(event, Data) and self._field is None:
            yield from self._content(event.data)
        elif isinstance(event, Data) and self._field is not None:
            yield from self._value(self._field, event)

    def _begin(self, event: File) -> Begun:
        name = _named(event.name)
        if name != self._file_field:
            raise InvalidRequest(f"Unknown file: {name}.", param=name, code="unknown_parameter")
        if self.seen:
            raise InvalidRequest(f"{name}: the form must have it once.", param=name)
        self.seen, self._field = True, None
        return Begun(name, event.filename, event.headers.get("content-type", ""))

    def _content(self, data: bytes) -> Iterator[bytes]:
        self._left -= len(data)
        if self._left < 0:
            raise TooLarge(f"The file is over {self._limit} bytes.", param=self._file_field)
        if data:
            yield data

    def _value(self, name: str, event: Data) -> Iterator[Text]:
        self._text += event.data
        self._texts += len(event.data)
        if self._texts > FIELDS_BYTES_MAX:
            raise TooLarge(f"The fields of the form are over {FIELDS_BYTES_MAX} bytes.", param=name)
        if event.more_data:
            return
        value = self._text.decode(errors="replace")
        self._text.clear()
        if "\0" in value:
            raise InvalidRequest(f"{name} holds a zero byte.", param=name)
        yield Text(name, value)


def _named(name: str | None) -> str:
    if not name or "\0" in name:
        raise InvalidRequest("A part of the form has no name.")
    return name


def _boundary() -> bytes:
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedEncoding("Compressed request bodies are not read; send a plain form.")
    boundary = request.mimetype_params.get("boundary", "")
    if request.mimetype != "multipart/form-data" or not boundary:
        raise UnsupportedEncoding("Send a form: multipart/form-data with its boundary.")
    if len(boundary) > BOUNDARY_MAX:
        raise InvalidRequest(f"The boundary of a form has {BOUNDARY_MAX} characters at most.")
    return boundary.encode()


def _undivided(
    pieces: Iterator[bytes | None], boundary: bytes, decoder: MultipartDecoder
) -> Iterator[bytes | None]:
    """`pieces`, none of which ends within what follows the boundary on its line: werkzeug's decoder
    would take the line break before it for content
    (https://github.com/pallets/werkzeug/issues/3285)."""
    within = re.compile(b"--" + re.escape(boundary) + rb"[ \t]*-?\Z")
    held = b""
    for piece in pieces:
        if piece is not None:
            held += piece
            seen = bytes(decoder.buffer[-len(boundary) - 2 :]) + held
            if len(held) <= READ_BYTES and within.search(seen[-WITHIN_BYTES:]):
                continue
        if held:
            yield held
            held = b""
    yield None


def _pieces() -> Iterator[bytes | None]:
    """The body as it arrives, then None."""
    source, length, came = request.environ["wsgi.input"], request.content_length, 0
    while length is None or came < length:
        wanted = READ_BYTES if length is None else min(READ_BYTES, length - came)
        try:
            with gevent.Timeout(FILE_IDLE_S):
                read = source.read(wanted)
        except gevent.Timeout:
            raise BodyTooSlow(f"Nothing more came within {FILE_IDLE_S:g} seconds.") from None
        except OSError:
            raise ClientDisconnected from None
        if not read:
            break
        came += len(read)
        yield read
    if length is not None and came < length:
        raise ClientDisconnected
    yield None
