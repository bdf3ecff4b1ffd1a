"""The statements of recall: candidates by meaning and by words, then the score of each.

`shelves` and `session` say what is searched, as `places` gives them. A vector is passed as
pgvector's text, `[0.1,…]`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from app.db.connect import Connection
from app.db.nearest import by_index
from app.memory.model import Memory, MemoryType, Recalled, Scope
from app.memory.recall import (
    CANDIDATES,
    COMMON,
    COUNTED_DAYS,
    EXACT_MAX,
    STAYS_PER_HOUR,
    WEIGHTS,
)
from app.memory.store import COLUMNS
from app.ranking.bm25 import POSTINGS_MAX, Count, Words

PARTS = ("meaning", "words", "neighbours", "recency", "importance", "spread")


@dataclass(frozen=True, slots=True)
class Places:
    """What a recall searches: shelves, and on them one session alone, or all (None)."""

    tenant_id: str
    shelves: list[int]
    session: int | None
    types: list[MemoryType] | None

    @property
    def given(self) -> dict[str, Any]:
        return {"tenant": self.tenant_id, "shelves": self.shelves, "session": self.session,
                "types": self.types}  # fmt: skip


def places(
    connection: Connection, scope: Scope, types: Sequence[MemoryType] | None = None
) -> Places:
    """Where the memories stand that a scope sees; with `types` only those of these types."""
    wanted = list(types) if types else None
    if scope.session_id is None:
        return Places(scope.tenant_id, [scope.shelf], None, wanted)
    if scope.user is not None:
        alone = Scope(scope.tenant_id, None, scope.session_id).shelf
        return Places(scope.tenant_id, [scope.shelf, alone], None, wanted)
    rows = connection.execute(
        "SELECT DISTINCT shelf FROM memory WHERE tenant_id = %s AND session_id = %s",
        (scope.tenant_id, scope.session_id),
    )
    found = [shelf for (shelf,) in rows]
    # Its own shelf holds nothing but the session; those of users hold other sessions as well.
    session = None if found == [scope.shelf] else scope.session
    return Places(scope.tenant_id, found, session, wanted)


def counts(connection: Connection, where: Places, query: str) -> tuple[Count, dict[str, Count]]:
    """How many memories stand there, of how many words, and the same for each lexeme of `query`
    that any of them has."""
    rows = connection.execute(
        """
        SELECT s.shelf, a.lexeme, new.memories + coalesce(c.memories, 0),
               coalesce(new.words, 0) + coalesce(c.words, 0), new.memories, new.seq
        FROM unnest(%(shelves)s::bigint[]) AS s (shelf)
        CROSS JOIN unnest(array_append(
            tsvector_to_array(to_tsvector('english', %(query)s)), '')) AS a (lexeme)
        LEFT JOIN memory_common AS c ON c.shelf = s.shelf AND c.lexeme = a.lexeme
            AND c.counted_at > now() - %(days)s * interval '1 day'
            AND %(session)s::bigint IS NULL
        CROSS JOIN LATERAL (
            SELECT count(*) AS memories, sum(w.words) AS words, max(w.seq) AS seq
            FROM memory_word AS w WHERE w.shelf = s.shelf AND w.lexeme = a.lexeme
              AND w.seq > coalesce(c.seq, 0)
              AND (%(session)s::bigint IS NULL OR w.session = %(session)s)
        ) AS new
        """,
        {**where.given, "query": query, "days": COUNTED_DAYS},
        prepare=False,
    ).fetchall()
    common = [(*told, seq) for *told, new, seq in rows if new > COMMON]
    if common and where.session is None:
        _note_common(connection, common)
    found: dict[str, Count] = {}
    for _, lexeme, memories, words, _, _ in rows:
        if memories:
            known = found.get(lexeme, Count(0, 0))
            found[lexeme] = Count(known.texts + memories, known.words + int(words))
    return found.pop("", Count(0, 0)), found


def _note_common(connection: Connection, common: Sequence[tuple[Any, ...]]) -> None:
    shelves, lexemes, memories, words, seqs = zip(*sorted(common), strict=True)
    connection.execute(
        "INSERT INTO memory_common AS c (shelf, lexeme, memories, words, seq) "
        "SELECT t.* FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[])"
        " AS t (shelf, lexeme, memories, words, seq) JOIN memory AS m ON m.seq = t.seq "
        "ORDER BY t.shelf, t.lexeme FOR KEY SHARE OF m "
        "ON CONFLICT (shelf, lexeme) DO UPDATE SET memories = excluded.memories, "
        "words = excluded.words, seq = excluded.seq, counted_at = CASE "
        "WHEN c.counted_at > now() - %s * interval '1 day' THEN c.counted_at ELSE now() END",
        [list(column) for column in (shelves, lexemes, memories, words, seqs)] + [COUNTED_DAYS],
    )


_EXACT: LiteralString = """
    SELECT seq FROM (
        SELECT seq, vector <=> %(vector)s::halfvec AS away FROM live_memory
        WHERE shelf = ANY (%(shelves)s) AND tenant_id = %(tenant)s
          AND (%(session)s::bigint IS NULL OR session = %(session)s)
          AND (%(types)s::text[] IS NULL OR memory_type = ANY (%(types)s))
        OFFSET 0
    ) AS every ORDER BY away LIMIT %(limit)s
"""

# The sums keep the planner from the shelves' index, which would make it an exact search; and of all
# indexes this one alone gives an order, so that without sorting none is left but it.
_BY_INDEX: LiteralString = """
    SELECT seq FROM live_memory
    WHERE shelf + 0 = ANY (%(shelves)s) AND tenant_id || '' = %(tenant)s
      AND (%(session)s::bigint IS NULL OR session + 0 = %(session)s)
      AND (%(types)s::text[] IS NULL OR memory_type = ANY (%(types)s))
    ORDER BY vector <=> %(vector)s::halfvec LIMIT %(limit)s
"""


def near(connection: Connection, where: Places, vector: str, total: int) -> list[int]:
    """The candidates by meaning among `total` memories: exactly, or beyond EXACT_MAX by the index,
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
            CROSS JOIN LATERAL (
                SELECT seq, times, words FROM memory_word
                WHERE shelf = ANY (%(shelves)s) AND lexeme = a.lexeme
                  AND (%(session)s::bigint IS NULL OR session = %(session)s)
                ORDER BY seq DESC LIMIT %(postings)s
            ) AS w
        ), best AS (
            SELECT seq, sum(score) AS score FROM posting GROUP BY seq ORDER BY score DESC, seq
        )
        SELECT best.seq FROM best CROSS JOIN LATERAL (
            SELECT FROM live_memory AS m WHERE m.seq = best.seq AND m.tenant_id = %(tenant)s
              AND (%(types)s::text[] IS NULL OR m.memory_type = ANY (%(types)s))
            OFFSET 0
        ) AS there ORDER BY best.score DESC, best.seq LIMIT %(limit)s
        """,
        {**where.given, **words.given, "lexemes": words.choosing,
         "weights": [words.weights[lexeme] for lexeme in words.choosing],
         "postings": POSTINGS_MAX, "limit": CANDIDATES},
        prepare=False,
    )  # fmt: skip
    return [seq for (seq,) in rows]


_SCORED: LiteralString = """
WITH core AS MATERIALIZED (
    SELECT seq, shelf, session FROM memory WHERE seq = ANY (%(core)s)
), pair AS MATERIALIZED (
    SELECT c.seq, o.seq AS other, %(neighbours)s::float8 ^ o.apart AS share
    FROM core AS c CROSS JOIN LATERAL (
        (SELECT m.seq, row_number() OVER (ORDER BY m.seq DESC) AS apart FROM live_memory AS m
         WHERE m.shelf = c.shelf AND m.session = c.session AND m.seq < c.seq
         ORDER BY m.seq DESC LIMIT 2)
        UNION ALL
        (SELECT m.seq, row_number() OVER (ORDER BY m.seq) AS apart FROM live_memory AS m
         WHERE m.shelf = c.shelf AND m.session = c.session AND m.seq > c.seq
         ORDER BY m.seq LIMIT 2)
    ) AS o WHERE c.session <> 0
), member AS MATERIALIZED (
    SELECT m.seq, m.shelf, m.session, m.memory_type, 1 - (m.vector <=> %(vector)s) AS cosine,
        coalesce((
            SELECT sum(bm25(a.weight, w.times, w.words, %(mean_words)s, %(k1)s, %(b)s))
            FROM unnest(%(lexemes)s::text[], %(weights)s::float8[]) AS a (lexeme, weight)
            JOIN memory_word AS w ON w.seq = m.seq AND w.lexeme = a.lexeme
        ), 0) AS bm25
    FROM memory AS m WHERE m.tenant_id = %(tenant)s AND m.seq = ANY (
        ARRAY(SELECT seq FROM core UNION SELECT other FROM pair))
), weighed AS MATERIALIZED (
    SELECT seq, shelf, session, memory_type,
        %(meaning)s * greatest(cosine, 0) / greatest(max(cosine) OVER (), 1e-9) AS meaning,
        %(words)s * bm25 / greatest(max(bm25) OVER (), 1e-9) AS words
    FROM member
), lent AS (
    SELECT p.seq, sum(p.share * (w.meaning + w.words)) AS neighbours
    FROM (
        SELECT seq, other, share FROM pair
        UNION ALL
        SELECT other, seq, share FROM pair WHERE other <> ALL (%(core)s)
    ) AS p JOIN weighed AS w ON w.seq = p.other GROUP BY p.seq
), scored AS (
    SELECT w.*, coalesce(l.neighbours, 0) AS neighbours, %(recency)s * %(stays)s::float8 ^ (
            extract(epoch FROM now() - u.last_used_at)::float8 / 3600) AS recency,
        %(importance)s * u.importance AS importance
    FROM weighed AS w JOIN memory_use AS u ON u.seq = w.seq LEFT JOIN lent AS l ON l.seq = w.seq
    WHERE %(types)s::text[] IS NULL OR w.memory_type = ANY (%(types)s)
), summed AS (
    SELECT *, meaning + words + neighbours + recency + importance AS score FROM scored
), spread AS (
    SELECT *, CASE WHEN session = 0 THEN 0 ELSE -%(spread)s * (row_number() OVER (
        PARTITION BY shelf, session ORDER BY score DESC, seq DESC) - 1) END AS spread
    FROM summed
)
SELECT seq, meaning, words, neighbours, recency, importance, spread
FROM spread ORDER BY score + spread DESC, seq DESC LIMIT %(limit)s
"""


def scored(
    connection: Connection, where: Places, core: Sequence[int], vector: str, words: Words,
    limit: int,
) -> list[Recalled]:  # fmt: skip
    """The best of the candidates `core` and of the turns around them, best first, each with the
    weighed parts of its score."""
    rows = connection.execute(
        _SCORED,
        {**where.given, **WEIGHTS, **words.given, "core": list(core), "vector": vector,
         "lexemes": list(words.weights), "weights": list(words.weights.values()),
         "stays": STAYS_PER_HOUR, "limit": limit},
        prepare=False,
    ).fetchall()  # fmt: skip
    memories = _memories(connection, [seq for seq, *_ in rows])
    return [
        _recalled(memories[seq], [float(value) for value in values])
        for seq, *values in rows
        if seq in memories
    ]


def _recalled(memory: Memory, values: Sequence[float]) -> Recalled:
    return Recalled(memory, sum(values), dict(zip(PARTS, values, strict=True)))


_MEMORIES: LiteralString = "SELECT m.seq, " + COLUMNS + "FROM memory AS m "


def _memories(connection: Connection, seqs: Sequence[int]) -> dict[int, Memory]:
    rows = connection.execute(
        _MEMORIES + "JOIN memory_use AS u ON u.seq = m.seq WHERE m.seq = ANY (%s)", (list(seqs),)
    )
    return {seq: Memory(*values) for seq, *values in rows}


def touch(connection: Connection, ids: Sequence[str]) -> None:
    """Writes down that memories were recalled. A crash may lose it, which costs a little recency;
    nobody waits for it to be on disk."""
    with connection.transaction():
        connection.execute("SET LOCAL synchronous_commit = off")
        connection.execute(
            "WITH used AS (SELECT u.seq FROM memory AS m JOIN memory_use AS u USING (seq) "
            "WHERE m.id = ANY (%s) ORDER BY u.seq FOR NO KEY UPDATE OF u) "
            "UPDATE memory_use AS u SET uses = uses + 1, last_used_at = now() "
            "FROM used WHERE u.seq = used.seq",
            (list(ids),),
        )
