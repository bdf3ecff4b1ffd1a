"""Who calls, and whether they may. Every header that can carry a credential goes through
`authenticate`."""

from collections.abc import Callable
from dataclasses import dataclass

from flask import g, request

from app.accounts.keys import Principal
from app.errors import Forbidden, Unauthorized
from app.web.application import current
from app.web.front import Front

MAX_CREDENTIAL = 8192
Guard = Callable[[Front], None]


def authenticate(front: Front) -> None:
    """Puts the caller's principal into `g`. Raises Unauthorized."""
    # The environment itself: on the hot path each look through `request.headers` is dear.
    environ = request.environ
    header = environ.get("HTTP_AUTHORIZATION", "")
    scheme, _, credential = header.partition(" ")
    if header and scheme.lower() != "bearer":
        raise Unauthorized("The Authorization header must read: Bearer YOUR_API_KEY.")
    credential = credential.strip() if header else environ.get("HTTP_X_API_KEY", "").strip()
    if not credential:
        raise Unauthorized("No API key: send it as Authorization: Bearer, or as x-api-key.")
    principal = front.keys.principal(credential) if len(credential) <= MAX_CREDENTIAL else None
    if principal is None:
        raise Unauthorized("Invalid API key provided.")
    here = current(g)
    here.principal, here.credential = principal, credential


@dataclass(frozen=True, slots=True)
class Needs:
    """A guard that lets pass whoever has `scope`. It raises Unauthorized or Forbidden."""

    scope: str

    def __call__(self, front: Front) -> None:
        authenticate(front)
        if self.scope not in caller().scopes:
            raise Forbidden(f"This key lacks the scope {self.scope!r}.")


needs = Needs


def caller() -> Principal:
    """The principal of the request in hand."""
    principal: Principal = g.principal
    return principal


def credential() -> str:
    """The credential that the request in hand came with."""
    text: str = g.credential
    return text
