"""What is remembered: stored, searched, listed, exported and forgotten."""

from typing import Annotated, Any, Literal

from pydantic import Field

from app.web.openapi.inference import ASKING
from app.web.openapi.jobs import Job
from app.web.openapi.money import Deleted
from app.web.openapi.operation import ADMITTED, Operation, Room, Told
from app.web.schemas.memory import (
    DeleteQuery,
    ExportQuery,
    ForgetBody,
    MemoriesQuery,
    SearchQuery,
    StoreBody,
)

WAITING = ASKING[:1]


class Memory(Told):
    """A memory. `put_away_at` is there once consolidation has put it away, `summary_id` once it
    is part of a summary. `merged`: only in the answer to a store."""

    id: Annotated[str, Field(pattern="^mem_")]
    object: Literal["memory"]
    memory_type: Literal["episodic", "semantic", "procedural", "preference"]
    content: str
    importance: float
    emotional_context: dict[str, Any] | None
    session_id: str | None
    user: str | None
    metadata: dict[str, Any]
    uses: int
    created_at: int
    last_used_at: int | None
    expires_at: int | None
    put_away_at: int | None
    summary_id: str | None
    merged: bool = False


class FoundMemory(Memory):
    """A memory that was looked for. `parts`: what its score is made of."""

    score: float
    parts: dict[str, float]


class FoundMemories(Told):
    """The memories that fit a query best, best first."""

    object: Literal["list"]
    data: list[FoundMemory]


class Forgotten(Told):
    """What was forgotten, and that nothing of it remains."""

    object: Literal["memory.forgetting"]
    deleted: int
    summaries_deleted: int
    jobs_forgotten: int
    remaining: int


MEMORY = Room("Memory", {
    "store_memory": Operation("Remember something, as a job; or up to 256 things", Memory,
                              takes=StoreBody, headers=WAITING, also={202: Job},
                              refuses=ADMITTED),
    "search_memories": Operation("The memories that fit a question best", FoundMemories,
                                 query=SearchQuery),
    "list_memories": Operation("Memories, newest first", Memory, True, query=MemoriesQuery),
    "export_memories": Operation("All memories as JSON lines, newest first", query=ExportQuery,
                                 forms={"application/x-ndjson": Memory}),
    "forget_memories": Operation("Forget everything of a user, a session or all, as a job",
                                 Forgotten, takes=ForgetBody, headers=WAITING, also={202: Job},
                                 refuses=ADMITTED),
    "delete_memories": Operation("The same, said in the address", Forgotten, query=DeleteQuery,
                                 headers=WAITING, also={202: Job}, refuses=ADMITTED),
    "get_memory": Operation("A memory", Memory),
    "delete_memory": Operation("Delete a memory for good", Deleted),
    "restore_memory": Operation("Take a memory back that consolidation put away", Memory,
                                refuses=(409,)),
})  # fmt: skip
