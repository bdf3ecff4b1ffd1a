"""A chat that goes on in a browser: its token, its rows, its turns."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.accounts.store import FoundKey

TOKEN = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
TOKEN_BYTES = 32

TURNS_MAX = 200
"""How long a conversation may become: each turn sends all that came before."""

LOST_S = 60.0
"""After so long a turn whose job is not there was never admitted."""


def new_token() -> str:
    """A token of 256 random bits, as it stands in an address."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def token_hash(token: str) -> bytes:
    """sha256 of a token. A fast hash is right: there is nothing to guess in 256 random bits."""
    return hashlib.sha256(token.encode()).digest()


@dataclass(frozen=True, slots=True)
class WebChat:
    """A web chat as its tenant lists it. `budget`, `spent`: nano-dollars; `turns`: how many."""

    id: str
    tenant_id: str
    key_id: str
    job_id: str
    budget: int
    spent: int
    turns: int
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Opened:
    """A web chat that its token has opened. `key`: the live key that it stands for; `app_id`: the
    app of the request that it goes on from; `left_s`: seconds until it ends by itself."""

    id: str
    tenant_id: str
    job_id: str
    app_id: str
    model: str
    budget: int
    left_s: float
    expires_s: float
    key: FoundKey


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer and what was asked for it. Number 0 is the completion that the chat goes on from,
    whose `request` is whole; of others `said` is what the visitor wrote.

    `state`: of the job; None for one that is not there. `body` and `error` are the job's JSON.
    """

    number: int
    job_id: str
    age_s: float
    state: str | None
    deleted: bool
    request: str | None
    said: str | None
    body: Any
    error: Any

    @property
    def open(self) -> bool:
        """Whether the answer is still to come."""
        if self.state is None:
            return self.age_s < LOST_S
        return self.state in ("queued", "running")
