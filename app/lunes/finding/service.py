"""Finding passages in lunes, as doors and workers do it."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from app.db.connect import Connection
from app.db.reads import Reads
from app.embedding.minilm import embedder
from app.embedding.vector import as_text
from app.errors import NotFound
from app.lunes.finding import store
from app.lunes.finding.model import Found, Shelf, fusion_for
from app.ranking.bm25 import Count, words_of
from app.ranking.budget import QUERY_CHARS_MAX
from app.ranking.fusion import Fusion, fused
from app.settings import Settings

LIMIT = 10
"""How many passages are found unless another number is asked for."""


class Finder:
    """Searches the lunes in Postgres, with the model that gives a question's vector."""

    def __init__(self, reads: Reads, settings: Settings) -> None:
        self._reads, self._settings = reads, settings

    def shelves(self, tenant_id: str, names: Sequence[str], param: str = "lunes") -> list[Shelf]:
        """The tenant's lunes by id or name. Raises NotFound naming `param` for one that is not
        there, and Unavailable if Postgres is away."""
        found = self._reads.run(lambda connection: store.shelves(connection, tenant_id, names))
        known = {name for shelf in found for name in (shelf.id, shelf.name)}
        for name in names:
            if name not in known:
                raise NotFound(f"There is no lune {name!r}.", param=param)
        return found

    def find(
        self, tenant_id: str, shelves: Sequence[Shelf], query: str, limit: int,
        fusion: Fusion | None = None, metadata: Mapping[str, Any] | None = None,
    ) -> list[Found]:  # fmt: skip
        """The passages of these lunes that answer `query` best, best first. `fusion`: the weights
        in place of the lunes' own; `metadata`: what a document's must contain.

        Raises Unavailable if Postgres is away, ModelUnfit or OSError if the model cannot be
        loaded."""
        query = query[:QUERY_CHARS_MAX]
        passages = sum(shelf.passages for shelf in shelves)
        if not query.strip() or passages == 0:
            return []
        vector = as_text(embedder(self._settings).encode([query])[0])
        total = Count(passages, sum(shelf.words for shelf in shelves))
        where = store.Places([shelf.seq for shelf in shelves], metadata)
        weights = fusion or fusion_for(shelves)

        def search(connection: Connection) -> list[Found]:
            words = words_of(total, store.counts(connection, where.lunes, query))
            candidates = {
                *store.near(connection, where, vector, passages),
                *store.worded(connection, where, words),
            }
            measures = store.measures(connection, sorted(candidates), vector, words)
            best = dict(islice(fused(measures, weights).items(), limit))
            return store.passages(connection, tenant_id, best)

        return self._reads.run(search)
