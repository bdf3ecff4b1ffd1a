"""Who calls. Every header that can carry a key goes through `authenticate`."""

from flask import g, request

from app.accounts.keys import Principal
from app.errors import Unauthorized
from app.web.front import Front

MAX_KEY = 512


def authenticate(front: Front) -> None:
    """Puts the caller's principal into `g`. Raises Unauthorized."""
    header = request.headers.get("Authorization", "")
    scheme, _, key = header.partition(" ")
    if header and scheme.lower() != "bearer":
        raise Unauthorized("The Authorization header must read: Bearer YOUR_API_KEY.")
    key = key.strip() if header else request.headers.get("x-api-key", "").strip()
    if not key:
        raise Unauthorized("No API key: send it as Authorization: Bearer, or as x-api-key.")
    principal = front.keys.principal(key) if len(key) <= MAX_KEY else None
    if principal is None:
        raise Unauthorized("Invalid API key provided.")
    g.principal = principal


def caller() -> Principal:
    """The principal of the request in hand."""
    principal: Principal = g.principal
    return principal
