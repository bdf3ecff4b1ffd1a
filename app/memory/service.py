"""Finding again what is remembered, as workers and doors do it; `shelf.keep` stores."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.catalogue.tokens import estimate_tokens
from app.db.connect import Connection
from app.db.reads import Reads
from app.embedding.minilm import embedder
from app.embedding.vector import as_text
from app.memory.finding import store as finding
from app.memory.model import MemoryType, Recalled, Scope
from app.ranking.bm25 import words_of
from app.ranking.budget import QUERY_CHARS_MAX, within
from app.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LIMIT = 10
"""How many memories are recalled unless another number is asked for."""


class Memories:
    """The memories in Postgres, with the model that gives their vectors.

    Its methods raise ModelUnfit or OSError if the model cannot be loaded.
    """

    def __init__(self, reads: Reads, settings: Settings) -> None:
        self._reads, self._settings = reads, settings

    def embed(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """The vectors of texts, (texts, 384), each of length 1; only the first 256 tokens of a text
        count. The work is done beside gevent's hub."""
        return embedder(self._settings).encode(texts)

    def recall(
        self, scope: Scope, query: str, limit: int = LIMIT, tokens: int | None = None,
        types: Sequence[MemoryType] | None = None, *, touch: bool = True,
    ) -> list[Recalled]:  # fmt: skip
        """The memories of a scope that answer `query` best, best first, at most `limit`, and with
        `tokens` no more than fit into so many. With `touch` they count as used now.

        Raises Unavailable if Postgres is away."""
        query = query[:QUERY_CHARS_MAX]
        if not query.strip():
            return []
        vector = as_text(self.embed([query])[0])

        def find(connection: Connection) -> list[Recalled]:
            where = finding.places(connection, scope, types)
            total, counts = finding.counts(connection, where, query)
            words = words_of(total, counts)
            core = {
                *finding.near(connection, where, vector, total.texts),
                *finding.worded(connection, where, words),
            }
            found = finding.scored(connection, where, sorted(core), vector, words, limit)
            chosen = within(found, tokens, _cost)
            if touch and chosen:
                finding.touch(connection, [one.memory.id for one in chosen])
            return chosen

        return self._reads.run(find)


def _cost(one: Recalled) -> int:
    return estimate_tokens(one.memory.content)
