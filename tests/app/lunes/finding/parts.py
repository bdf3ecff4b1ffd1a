"""Lunes that are filled without a job, their passages near each other by the words they share."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg.types.json import Jsonb

from app.db.connect import Connection
from app.ids import new_id
from tests.app.memory.bags import vector, vectors


class Bags:
    """In place of the model of vectors."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return vectors(texts)


def lune(
    connection: Connection, tenant_id: str, name: str = "docs", fusion: Any = None
) -> tuple[int, str]:
    """An empty lune: its number and its id."""
    row = connection.execute(
        "INSERT INTO lune (id, tenant_id, name, metadata, fusion) VALUES (%s, %s, %s, '{}', %s) "
        "RETURNING seq, id",
        (new_id("lune"), tenant_id, name, None if fusion is None else Jsonb(fusion)),
    ).fetchone()
    assert row is not None
    return row


def document(
    connection: Connection, lune_seq: int, texts: Sequence[str], *, heading: str = "",
    current: bool = True, **fields: Any,
) -> tuple[str, list[int]]:  # fmt: skip
    """A document of passages; its id, and their numbers. One that is not `current` is still being
    taken in."""
    document_id = new_id("doc")
    given = {"title": None, "url": None, "metadata": {}, **fields}
    connection.execute(
        "INSERT INTO lune_document (id, tenant_id, lune, identity, origin, title, url, metadata) "
        "SELECT %s, tenant_id, seq, %s, 'sent', %s, %s, %s FROM lune WHERE seq = %s",
        (document_id, document_id.encode(), given["title"], given["url"],
         Jsonb(given["metadata"]), lune_seq),
    )  # fmt: skip
    found = connection.execute(
        "INSERT INTO lune_version (document_id, job_id, current) VALUES (%s, 'job_x', %s) "
        "RETURNING seq",
        (document_id, current),
    ).fetchone()
    assert found is not None
    seqs = [
        _passage(connection, lune_seq, found[0], ordinal, heading, text)
        for ordinal, text in enumerate(texts)
    ]
    if current:
        connection.execute(
            "UPDATE lune_document SET version = %s WHERE id = %s", (found[0], document_id)
        )
        connection.execute(
            "UPDATE lune SET passages = passages + n, words = words + w FROM "
            "(SELECT count(*) AS n, sum(words) AS w FROM lune_passage WHERE version = %s) AS new "
            "WHERE seq = %s",
            (found[0], lune_seq),
        )
    return document_id, seqs


def _passage(
    connection: Connection, lune_seq: int, version: int, ordinal: int, heading: str, text: str
) -> int:
    told = f"{heading}\n{text}" if heading else text
    row = connection.execute(
        "INSERT INTO lune_passage (lune, version, ordinal, heading, content, start_at, end_at, "
        "tokens, words, vector) SELECT %s, %s, %s, %s, %s, 0, %s, 9, "
        "coalesce(sum(cardinality(positions)), 0), %s FROM unnest(to_tsvector('english', %s)) "
        "RETURNING seq, words",
        (lune_seq, version, ordinal, heading, text, len(text), vector(told), told),
    ).fetchone()
    assert row is not None
    connection.execute(
        "WITH made AS (INSERT INTO lune_word (lune, lexeme, seq, times, words) "
        "SELECT %s, lexeme, %s, cardinality(positions), %s "
        "FROM unnest(to_tsvector('english', %s)) RETURNING lune, lexeme) "
        "INSERT INTO lune_lexeme AS l (lune, lexeme, passages) SELECT lune, lexeme, 1 FROM made "
        "ON CONFLICT (lune, lexeme) DO UPDATE SET passages = l.passages + 1",
        (lune_seq, row[0], row[1], told),
    )
    return int(row[0])
