"""What is on the shelf: memories as their keeper sees them, and which of them are meant."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.memory.model import Memory, MemoryType

STORE_KIND = "memory.store"
FORGET_KIND = "memory.forget"


@dataclass(frozen=True, slots=True)
class Kept:
    """A memory and the summary that it is part of, if it is part of one."""

    memory: Memory
    summary_id: str | None


@dataclass(frozen=True, slots=True)
class Which:
    """The memories of a tenant that meet all that is given. `put_away`: those alone that
    consolidation put away, or none of them; None for both."""

    tenant_id: str
    user: str | None = None
    session_id: str | None = None
    memory_type: MemoryType | None = None
    put_away: bool | None = None


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What a forgetting has deleted so far, memories, summaries and what jobs were asked and
    answered; and the database's time, unix seconds."""

    memories: int
    summaries: int
    jobs: int
    now_s: float


def stored_id(job_id: str, place: int | None = None) -> str:
    """The id of what a job stores: of its one memory, or of that at a place in its list, so that
    its door can tell it and an attempt that comes again stores nothing twice."""
    tail = job_id.removeprefix("job_")
    return f"mem_{tail}" if place is None else f"mem_{tail}_{place:03}"


def memory_object(memory: Memory, summary_id: str | None = None) -> dict[str, Any]:
    """A memory as its keeper is told of it; times are unix seconds."""
    return {
        "id": memory.id,
        "object": "memory",
        "memory_type": memory.memory_type,
        "content": memory.content,
        "importance": round(memory.importance, 4),
        "emotional_context": memory.emotional_context,
        "session_id": memory.session_id,
        "user": memory.user,
        "metadata": memory.metadata,
        "uses": memory.uses,
        "created_at": _unix(memory.created_at),
        "last_used_at": _unix(memory.last_used_at),
        "expires_at": _unix(memory.expires_at),
        "put_away_at": _unix(memory.forgotten_at),
        "summary_id": summary_id,
    }


def _unix(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp())
