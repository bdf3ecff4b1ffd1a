"""Reading what a request brings, within its bounds."""

import gevent
from flask import request

from app.errors import BodyTooSlow, InvalidRequest, TooLarge, UnsupportedEncoding
from app.web.front import Front

BODY_TIMEOUT_S = 15.0
IDEMPOTENCY_KEY_MAX = 255


def read_body(front: Front) -> bytes:
    """The request's body. Raises TooLarge, BodyTooSlow and UnsupportedEncoding."""
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedEncoding("Compressed request bodies are not read; send plain JSON.")
    limit = front.settings.body_limit
    if (request.content_length or 0) > limit:
        raise TooLarge(f"The body is over {limit} bytes.")
    try:
        with gevent.Timeout(BODY_TIMEOUT_S):
            return request.get_data(cache=False)
    except gevent.Timeout:
        raise BodyTooSlow(f"The body did not arrive within {BODY_TIMEOUT_S:g} seconds.") from None


def idempotency_key() -> str | None:
    """The request's Idempotency-Key, if it has one. Raises InvalidRequest."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and (not 1 <= len(key) <= IDEMPOTENCY_KEY_MAX or "\0" in key):
        raise InvalidRequest(
            f"An Idempotency-Key has 1 to {IDEMPOTENCY_KEY_MAX} characters.",
            param="Idempotency-Key",
        )
    return key
