"""What is remembered, for whom, and how it is found again."""

import hashlib
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

import orjson

MemoryType = Literal["episodic", "semantic", "procedural", "preference"]
TYPES: tuple[MemoryType, ...] = get_args(MemoryType)
"""What happened; what is so; how something is done; what somebody likes."""

IMPORTANCE = 0.5
"""That of a memory whose keeper says nothing of it."""

_BEFORE = "\"'([“‘"
_AFTER = ".,;:!)]"
_QUOTES = "\"'”’"


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose memories: a tenant's, and among these a user's, a session's, or both.

    Stored, a memory belongs to exactly this. Recalled,

    - with a user: that user's, of all sessions;
    - with a session and no user: that session's, whoever its user is;
    - with both: the user's, and those of the session that have no user;
    - with neither: those that have neither.
    """

    tenant_id: str
    user: str | None = None
    session_id: str | None = None

    @property
    def shelf(self) -> int:
        """The number of what is searched at once: a user's memories, those of a session without a
        user, or those that have neither."""
        return _number(self.tenant_id, self.user, self.session_id if self.user is None else None)

    @property
    def session(self) -> int:
        """The session's number on its shelf; 0 without one."""
        return 0 if self.session_id is None else _number("session", self.session_id)


@dataclass(frozen=True, slots=True)
class NewMemory:
    """A memory on its way into the store. `id` is minted before (`new_id("mem")`), `ttl_s` is how
    many seconds it lives, None without end."""

    id: str
    content: str
    memory_type: MemoryType = "episodic"
    importance: float = IMPORTANCE
    emotional_context: dict[str, Any] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    ttl_s: float | None = None

    @property
    def digest(self) -> bytes:
        """The same for texts that differ in case, in spaces, or in how Unicode writes a letter."""
        return hashlib.sha256(" ".join(_normal(self.content)).encode()).digest()


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a new memory: its id, or with `merged` that of the one that says the same."""

    id: str
    merged: bool


@dataclass(frozen=True, slots=True)
class Memory:
    """A memory as it stands. `importance` is 0..1; `uses` counts how often it was recalled, or said
    again; `last_used_at` is when it was created if it never was. `source` is the job that stored
    it first."""

    id: str
    tenant_id: str
    user: str | None
    session_id: str | None
    memory_type: MemoryType
    content: str
    importance: float
    emotional_context: dict[str, Any] | None
    metadata: dict[str, Any]
    created_at: datetime
    last_used_at: datetime
    uses: int
    expires_at: datetime | None
    forgotten_at: datetime | None
    source: str | None


@dataclass(frozen=True, slots=True)
class Recalled:
    """A memory that was found. `score` is the sum of `parts`, each already weighed: `meaning`,
    `words`, `neighbours`, `recency`, `importance`."""

    memory: Memory
    score: float
    parts: dict[str, float]


def gist(text: str) -> list[str]:
    """The words of a text in their order, without case, the marks around them, and "the". Marks
    that stand alone are words, and what may be a unit stays with its number."""
    words = [_bare(word) for word in _normal(text)]
    return [word for word in words if word != "the"]


def _bare(word: str) -> str:
    whole = word.lstrip(_BEFORE).rstrip(_AFTER + _QUOTES)
    if not whole:
        return word
    return whole if whole[-1].isalpha() else word.lstrip(_BEFORE).rstrip(_AFTER)


def _normal(text: str) -> list[str]:
    return unicodedata.normalize("NFKC", text).casefold().split()


def _number(*names: str | None) -> int:
    """64 bits of a digest, signed, as Postgres's bigint has them; never 0."""
    digest = hashlib.sha256(orjson.dumps(names)).digest()
    return int.from_bytes(digest[:8], signed=True) or 1
