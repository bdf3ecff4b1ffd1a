"""Reading what a request brings, within its bounds."""

import hashlib
import re
from contextlib import suppress
from typing import Any, TypeVar

import gevent
import orjson
from flask import request
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import ClientDisconnected

from app.errors import BodyTooSlow, InvalidRequest, TooLarge, UnsupportedEncoding
from app.web.application import current
from app.web.front import Front
from app.web.json_guard import check_json
from app.web.problems import invalid

Schema = TypeVar("Schema", bound=BaseModel)

BODY_TIMEOUT_S = 15.0
IDEMPOTENCY_KEY_MAX = 255

_JSON = re.compile(
    # curl calls every body a form unless it is told otherwise.
    r"(?:application/(?:[\w.+-]+\+)?json|application/x-www-form-urlencoded)\s*"
    r"(?:;\s*charset=\"?utf-8\"?\s*)?;?",
    re.IGNORECASE | re.ASCII,
)


def read_request(front: Front, schema: type[Schema]) -> tuple[Schema, bytes]:
    """The request's body as `schema` reads it, and as it came. Raises InvalidRequest naming the
    field, and what `read_body` does."""
    body = read_body(front)
    return parsed(schema, body), body


def parsed(schema: type[Schema], body: bytes) -> Schema:
    """A body as `schema` reads it. Raises InvalidRequest naming the field."""
    try:
        return schema.model_validate_json(body)
    except ValidationError as error:
        raise invalid(error) from None


def body_hash(body: bytes) -> str:
    """What stands for a body beside its Idempotency-Key: SHA-256 of its JSON with sorted keys and
    without spaces, so that a client that writes its request anew sends the same; of its bytes where
    it is no JSON."""
    with suppress(orjson.JSONDecodeError):
        body = orjson.dumps(orjson.loads(body), option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(body).hexdigest()


def read_body(front: Front) -> bytes:
    """The request's body, which is JSON that may be parsed, or empty. Raises TooLarge,
    BodyTooSlow, UnsupportedEncoding and InvalidRequest."""
    kind = request.environ.get("CONTENT_TYPE")
    if kind and kind != "application/json" and _JSON.fullmatch(kind) is None:
        raise UnsupportedEncoding("The body must be JSON in UTF-8: Content-Type application/json.")
    body = read_bytes(front.settings.body_limit)
    if body:
        check_json(body)
    return body


def read_bytes(limit: int) -> bytes:
    """The request's body, whatever it is. Raises TooLarge, BodyTooSlow and UnsupportedEncoding."""
    here = current(request)
    environ = here.environ
    if environ.get("HTTP_CONTENT_ENCODING", "identity") != "identity":
        raise UnsupportedEncoding("Compressed request bodies are not read; send them plain.")
    length = here.content_length
    if (length or 0) > limit:
        raise TooLarge(f"The body is over {limit} bytes.")
    try:
        with gevent.Timeout(BODY_TIMEOUT_S):
            # werkzeug's reader, for all else, takes a tenth of what the chat door takes.
            body = _plain(environ, length) if length else here.get_data(cache=False)
    except gevent.Timeout:
        raise BodyTooSlow(f"The body did not arrive within {BODY_TIMEOUT_S:g} seconds.") from None
    # Of a body in chunks that is too large, werkzeug gives the beginning.
    if length is None and len(body) >= limit:
        raise TooLarge(f"The body is over {limit} bytes.")
    return body


def _plain(environ: dict[str, Any], length: int) -> bytes:
    """A body of known length. Raises werkzeug's ClientDisconnected if it is cut."""
    try:
        body: bytes = environ["wsgi.input"].read(length)
    except OSError:
        raise ClientDisconnected from None
    if len(body) < length:
        raise ClientDisconnected
    return body


def idempotency_key() -> str | None:
    """The request's Idempotency-Key, if it has one. Raises InvalidRequest."""
    key = request.environ.get("HTTP_IDEMPOTENCY_KEY")
    if key is not None and (not 1 <= len(key) <= IDEMPOTENCY_KEY_MAX or "\0" in key):
        raise InvalidRequest(
            f"An Idempotency-Key has 1 to {IDEMPOTENCY_KEY_MAX} characters.",
            param="Idempotency-Key",
        )
    return key


def header_text(header: str) -> str:
    """The text of a header, which WSGI hands over as Latin-1 (PEP 3333): as UTF-8 where it is
    that, so that it is the same text as one in a body."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeError:
        return header
