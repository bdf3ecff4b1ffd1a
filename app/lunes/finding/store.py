"""The statements of search in lunes: candidates by meaning and by words, and their measures.

A vector is passed as pgvector's text, `[0.1,…]`. Postings are also of passages that cannot be found
yet or no longer, which the view `live_passage` leaves out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import orjson

from app.db.connect import Connection
from app.db.nearest import by_index
from app.lunes.finding.model import Found, Shelf
from app.ranking.bm25 import POSTINGS_MAX, Count, Words
from app.ranking.fusion import Fused

CANDIDATES = 100
"""How many are taken for their meaning, and how many for their words; all others score nothing."""

EXACT_MAX = 8000
"""Up to so many passages every vector is compared; among more the index finds the nearest."""


@dataclass(frozen=True, slots=True)
class Places:
    """What a search looks through: lunes by their numbers, and of their documents those whose
    metadata contain `metadata`, or all (None)."""

    lunes: list[int]
    metadata: Mapping[str, Any] | None = None

    @property
    def given(self) -> dict[str, Any]:
        wanted = orjson.dumps(self.metadata).decode() if self.metadata else None
        return {"lunes": self.lunes, "metadata": wanted}


def shelves(connection: Connection, tenant_id: str, names: Sequence[str]) -> list[Shelf]:
    """The tenant's lunes that have one of these ids or names, each once."""
    rows = connection.execute(
        "SELECT seq, id, name, fusion, passages, words FROM lune "
        "WHERE tenant_id = %(tenant)s AND deleted_at IS NULL "
        "AND (id = ANY (%(names)s) OR name = ANY (%(names)s)) ORDER BY seq",
        {"tenant": tenant_id, "names": list(names)},
    )
    return [Shelf(*row) for row in rows]


def counts(connection: Connection, lunes: Sequence[int], query: str) -> dict[str, Count]:
    """In how many passages of these lunes each lexeme of `query` stands that any of them has. The
    passages' words are not counted here."""
    rows = connection.execute(
        "SELECT l.lexeme, sum(l.passages)::bigint FROM lune_lexeme AS l "
        "WHERE l.lune = ANY (%s) AND l.passages > 0 "
        "AND l.lexeme = ANY (tsvector_to_array(to_tsvector('english', %s))) GROUP BY l.lexeme",
        (list(lunes), query),
    )
    return {lexeme: Count(passages, 0) for lexeme, passages in rows}


_EXACT: LiteralString = """
    SELECT seq FROM (
        SELECT seq, vector <=> %(vector)s::halfvec AS away FROM live_passage
        WHERE lune = ANY (%(lunes)s)
          AND (%(metadata)s::jsonb IS NULL OR metadata @> %(metadata)s::jsonb)
        OFFSET 0
    ) AS every ORDER BY away, seq LIMIT %(limit)s
"""

# The sum keeps the planner from the lunes' index, which would make it an exact search; and of all
# indexes this one alone gives an order, so that without sorting none is left but it.
_BY_INDEX: LiteralString = """
    SELECT seq FROM live_passage
    WHERE lune + 0 = ANY (%(lunes)s)
      AND (%(metadata)s::jsonb IS NULL OR metadata @> %(metadata)s::jsonb)
    ORDER BY vector <=> %(vector)s::halfvec LIMIT %(limit)s
"""


def near(connection: Connection, where: Places, vector: str, total: int) -> list[int]:
    """The candidates by meaning among `total` passages: exactly, or beyond EXACT_MAX by the index,
    which may miss one."""
    given = {**where.given, "vector": vector, "limit": CANDIDATES}
    if total <= EXACT_MAX:
        rows = connection.execute(_EXACT, given, prepare=False).fetchall()
    else:
        rows = by_index(connection, _BY_INDEX, given)
    return [seq for (seq,) in rows]


def worded(connection: Connection, where: Places, words: Words) -> list[int]:
    """The candidates by words: those with the highest BM25 of the lexemes that choose."""
    rows = connection.execute(
        """
        WITH posting AS MATERIALIZED (
            SELECT w.seq,
                bm25(a.weight, w.times, w.words, %(mean_words)s, %(k1)s, %(b)s) AS score
            FROM unnest(%(lexemes)s::text[], %(weights)s::float8[]) AS a (lexeme, weight)
            CROSS JOIN unnest(%(lunes)s::bigint[]) AS l (lune)
            CROSS JOIN LATERAL (
                SELECT seq, times, words FROM lune_word
                WHERE lune = l.lune AND lexeme = a.lexeme ORDER BY seq DESC LIMIT %(postings)s
            ) AS w
        ), best AS (
            SELECT seq, sum(score) AS score FROM posting GROUP BY seq ORDER BY score DESC, seq
        )
        SELECT best.seq FROM best CROSS JOIN LATERAL (
            SELECT FROM live_passage AS p WHERE p.seq = best.seq
              AND (%(metadata)s::jsonb IS NULL OR p.metadata @> %(metadata)s::jsonb)
            OFFSET 0
        ) AS there ORDER BY best.score DESC, best.seq LIMIT %(limit)s
        """,
        {**where.given, **words.given, "lexemes": words.choosing,
         "weights": [words.weights[lexeme] for lexeme in words.choosing],
         "postings": POSTINGS_MAX, "limit": CANDIDATES},
        prepare=False,
    )  # fmt: skip
    return [seq for (seq,) in rows]


def measures(
    connection: Connection, seqs: Sequence[int], vector: str, words: Words
) -> dict[int, tuple[float, float]]:
    """The cosine and the BM25 of each of these passages that can be found."""
    rows = connection.execute(
        """
        SELECT p.seq, 1 - (p.vector <=> %(vector)s::halfvec), coalesce((
            SELECT sum(bm25(a.weight, w.times, w.words, %(mean_words)s, %(k1)s, %(b)s))
            FROM unnest(%(lexemes)s::text[], %(weights)s::float8[]) AS a (lexeme, weight)
            CROSS JOIN LATERAL (
                SELECT times, words FROM lune_word
                WHERE lune = p.lune AND lexeme = a.lexeme AND seq = p.seq OFFSET 0
            ) AS w
        ), 0)
        FROM lune_passage AS p WHERE p.seq = ANY (%(seqs)s)
        """,
        {**words.given, "seqs": list(seqs), "vector": vector,
         "lexemes": list(words.weights), "weights": list(words.weights.values())},
        prepare=False,
    )  # fmt: skip
    return {seq: (float(cosine), float(bm25)) for seq, cosine, bm25 in rows}


def passages(connection: Connection, tenant_id: str, scores: Mapping[int, Fused]) -> list[Found]:
    """The tenant's passages by their numbers, in this order; one that is gone is left out."""
    rows = connection.execute(
        "SELECT p.seq, l.id, p.document_id, p.title, p.url, p.metadata, p.ordinal, p.heading, "
        "p.content, p.start_at, p.end_at, p.page FROM live_passage AS p "
        "JOIN lune AS l ON l.seq = p.lune AND l.deleted_at IS NULL "
        "WHERE p.seq = ANY (%s) AND p.tenant_id = %s",
        (list(scores), tenant_id),
    )
    found = {row[0]: Found(*(*row, scores[row[0]])) for row in rows}
    return [found[seq] for seq in scores if seq in found]
