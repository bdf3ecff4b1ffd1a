"""Lunes, which are knowledge bases, their documents, and the passages that those are made of."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

INGEST_KIND = "lune.ingest"
DELETE_KIND = "lune.delete"

State = Literal["queued", "in_progress", "completed", "failed"]
STATES: tuple[State, ...] = get_args(State)

Origin = Literal["fetched", "sent"]
"""Whether a document's text is fetched from its URL or was sent by its tenant."""

BETWEEN = " > "
"""Stands between the headings of a passage's path."""


@dataclass(frozen=True, slots=True)
class Lune:
    """A knowledge base. `seq` is its number where it is searched. `fusion` weighs `meaning` and
    `words`, None for the house's weights. The counts are of what can be found; `documents` counts
    them by state."""

    seq: int
    id: str
    tenant_id: str
    name: str
    description: str | None
    metadata: dict[str, Any]
    fusion: dict[str, float] | None
    passages: int
    words: int
    tokens: int
    bytes: int
    created_at: datetime
    updated_at: datetime
    documents: dict[str, int]


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it stands. `state` is of the latest ingest, `job_id`, also while that waits;
    what the counts tell and what can be found is of the last version that was whole, which stays
    when a later one fails. `bytes` is the length of what that was made of."""

    id: str
    tenant_id: str
    lune_id: str
    origin: Origin
    external_id: str | None
    url: str | None
    title: str | None
    media_type: str | None
    metadata: dict[str, Any]
    state: State
    error: dict[str, Any] | None
    job_id: str | None
    bytes: int
    passages: int
    tokens: int
    pages: int | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document's text, characters `start_at` to `end_at` of it, with the headings
    above it; `page` is counted from 1. `tokens` are MiniLM's, of heading and content together."""

    ordinal: int
    heading: str
    content: str
    start_at: int
    end_at: int
    page: int | None
    tokens: int

    @property
    def told(self) -> str:
        """What its vector is made of."""
        return told(self.heading, self.content)


def told(heading: str, content: str) -> str:
    """A passage's text under its headings."""
    return f"{heading}\n{content}" if heading else content


def identity(
    external_id: str | None, url: str | None, title: str | None, digest: bytes
) -> bytes:  # fmt: skip
    """What tells a document when it comes again: the first of its external id, its source's URL,
    its title, that it has; else its content, whose sha256 is `digest`."""
    for kind, name in (("external_id", external_id), ("url", url), ("title", title)):
        if name:
            return hashlib.sha256(f"{kind} {name}".encode()).digest()
    return hashlib.sha256(b"content " + digest).digest()
