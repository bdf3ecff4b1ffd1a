"""Memories on the shelf without a model: each with a vector of its own."""

from typing import Any
from zlib import crc32

import numpy as np

from app.db.connect import Connection
from app.ids import new_id
from app.memory.model import NewMemory, Scope
from app.memory.store import store


def vector(number: int) -> str:
    """A vector that is like no other number's."""
    drawn = np.random.default_rng(number).normal(size=384)
    return str((drawn / np.linalg.norm(drawn)).tolist())


VECTOR = (vector(1000), vector(1001))


def shelf(
    connection: Connection, tenant_id: str, count: int = 1, *, user: str | None = None,
    session_id: str | None = None, content: str = "", **fields: Any,
) -> list[str]:  # fmt: skip
    """Stores memories; returns their ids, sorted. Without `content` each says something else."""
    made = []
    for number in range(count):
        new = NewMemory(
            id=new_id("mem"), content=content or f"The moon has {number} faces.", **fields
        )
        scope = Scope(tenant_id, user, session_id)
        stored = store(
            connection, scope, new, vector(crc32(new.content.encode())), new_id("job"), 0
        )
        made.append(stored.id)
    return sorted(made)
