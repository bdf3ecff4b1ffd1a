"""Vectors without a model, by which texts are near that share words, and memories told in short."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.db.connect import Connection
from app.embedding.vector import as_text
from app.ids import new_id
from app.memory.model import NewMemory, Scope, Stored
from app.memory.service import Memories
from app.memory.store import store


def vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    """The vector of each text: the sum of one for each of its words, of length 1."""
    rows = []
    for text in texts:
        words = text.lower().split() or [""]
        row = sum(np.random.default_rng([*word.encode()]).normal(size=384) for word in words)
        rows.append(row / np.linalg.norm(row))
    return np.array(rows, np.float32)


def vector(text: str) -> str:
    return as_text(vectors([text])[0])


class Bags(Memories):
    """Memories whose meaning is the words they share."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return vectors(texts)


def remember(
    connection: Connection, scope: Scope, content: str, *, job_id: str = "", place: int = 0,
    meaning: str = "", **fields: Any,
) -> Stored:  # fmt: skip
    """Stores a memory by a job of its own; `meaning` is the text its vector is of."""
    new = NewMemory(new_id("mem"), content, **fields)
    return store(connection, scope, new, vector(meaning or content), job_id or new_id("job"), place)


def row(connection: Connection, memory_id: str, columns: str) -> tuple[Any, ...]:
    """Columns of a memory `m`, which is there, and of its use `u`."""
    found = connection.execute(
        f"SELECT {columns} FROM memory AS m JOIN memory_use AS u USING (seq) WHERE id = %s",
        (memory_id,),
    ).fetchone()
    assert found is not None
    return found
