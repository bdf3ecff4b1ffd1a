"""The statements of deletion: marked at once and found by nobody from then on, then deleted with
all that hangs on it, step by step. A step is one transaction."""

from app.db.connect import Connection

STEP = 200
"""Passages deleted in one transaction: some ten thousand postings."""

STALE_S = 86_400
"""After so long no job is still at what it left: longer than the deadline of any."""

LATE_S = 600
"""After so long what was marked is deleted by whoever comes along."""


def mark_document(connection: Connection, document_id: str) -> bool:
    """Has a document be found no more; False if it was so already. Call it in a transaction."""
    row = connection.execute(
        "UPDATE lune_document SET deleted_at = now() WHERE id = %s AND deleted_at IS NULL "
        "RETURNING lune, passages, words, tokens, bytes",
        (document_id,),
    ).fetchone()
    if row is None:
        return False
    connection.execute(
        "UPDATE lune SET passages = passages - %s, words = words - %s, tokens = tokens - %s, "
        "bytes = bytes - %s, updated_at = now() WHERE seq = %s",
        (*row[1:], row[0]),
    )
    return True


def mark_lune(connection: Connection, lune: int) -> None:
    """Has a lune and its documents be found no more, if it is not so already."""
    connection.execute(
        "UPDATE lune SET deleted_at = now() WHERE seq = %s AND deleted_at IS NULL", (lune,)
    )


def versions_of(connection: Connection, document_id: str) -> list[int]:
    """All versions of a document, the unfinished ones too."""
    rows = connection.execute(
        "SELECT seq FROM lune_version WHERE document_id = %s ORDER BY seq", (document_id,)
    )
    return [seq for (seq,) in rows]


def passages_of(connection: Connection, document_id: str) -> int:
    """How many passages a document has, those that cannot be found among them."""
    row = connection.execute(
        "SELECT coalesce(sum(passages), 0)::bigint FROM lune_version WHERE document_id = %s",
        (document_id,),
    ).fetchone()
    return 0 if row is None else int(row[0])


def is_small(connection: Connection, lune: int, documents: int, passages: int) -> bool:
    """Whether a lune has at most so many documents, and these so many passages."""
    row = connection.execute(
        "SELECT count(*), coalesce(sum(d.passages), 0) FROM (SELECT ("
        "SELECT coalesce(sum(v.passages), 0) FROM lune_version AS v WHERE v.document_id = d.id"
        ") AS passages FROM lune_document AS d WHERE d.lune = %s LIMIT %s) AS d",
        (lune, documents + 1),
    ).fetchone()
    return row is not None and row[0] <= documents and row[1] <= passages


def drop_step(connection: Connection, version: int) -> int:
    """Deletes some passages of a version with their postings, or the version once it has none; how
    many passages."""
    with connection.transaction():
        row = connection.execute(
            """
            WITH lot AS MATERIALIZED (
                SELECT seq FROM lune_passage WHERE version = %s ORDER BY ordinal LIMIT %s FOR UPDATE
            ), lost AS (
                DELETE FROM lune_word AS w USING lot WHERE w.seq = lot.seq
                RETURNING w.lune, w.lexeme
            ), less AS (
                INSERT INTO lune_lexeme AS l (lune, lexeme, passages)
                SELECT lune, lexeme, -count(*) FROM lost GROUP BY lune, lexeme ORDER BY lexeme
                ON CONFLICT (lune, lexeme) DO UPDATE SET passages = l.passages + excluded.passages
                RETURNING lune, lexeme, passages
            ), gone AS (
                DELETE FROM lune_passage AS p USING lot WHERE p.seq = lot.seq RETURNING p.seq
            )
            SELECT (SELECT count(*) FROM gone), (SELECT min(lune) FROM less),
                (SELECT array_agg(lexeme) FROM less WHERE passages <= 0)
            """,
            (version, STEP),
            prepare=False,
        ).fetchone()
        assert row is not None
        if row[2]:
            connection.execute(
                "DELETE FROM lune_lexeme WHERE lune = %s AND lexeme = ANY (%s) AND passages <= 0",
                (row[1], row[2]),
            )
        if row[0] == 0:
            connection.execute("DELETE FROM lune_version WHERE seq = %s", (version,))
        return int(row[0])


def drop_document(connection: Connection, document_id: str) -> bool:
    """Deletes a document that was marked and has no passages left; False if it has some."""
    with connection.transaction():
        # Nobody who was about to write more of it goes on from here.
        connection.execute("SELECT 1 FROM lune_document WHERE id = %s FOR UPDATE", (document_id,))
        left = connection.execute(
            "SELECT EXISTS (SELECT 1 FROM lune_version AS v JOIN lune_passage AS p "
            "ON p.version = v.seq WHERE v.document_id = %s)",
            (document_id,),
        ).fetchone()
        if left == (True,):
            return False
        connection.execute("DELETE FROM lune_document WHERE id = %s", (document_id,))
        return True


def documents_of(connection: Connection, lune: int, limit: int) -> list[str]:
    """Some documents of a lune, marked so that nothing more is written of them."""
    rows = connection.execute(
        "UPDATE lune_document SET deleted_at = coalesce(deleted_at, now()) WHERE id IN ("
        "SELECT id FROM lune_document WHERE lune = %s ORDER BY id LIMIT %s) RETURNING id",
        (lune, limit),
    )
    return [document_id for (document_id,) in rows]


def drop_lune(connection: Connection, lune: int) -> None:
    """Deletes a lune that was marked and has no documents left."""
    with connection.transaction():
        connection.execute("DELETE FROM lune_lexeme WHERE lune = %s", (lune,))
        connection.execute(
            "DELETE FROM lune WHERE seq = %s AND deleted_at IS NOT NULL "
            "AND NOT EXISTS (SELECT 1 FROM lune_document WHERE lune = %s)",
            (lune, lune),
        )


def stale(connection: Connection, limit: int) -> tuple[list[int], list[str], list[int]]:
    """What was left behind: versions that nobody finishes, and documents and lunes that were marked
    and are still there. Drops at once what was sent for jobs that are long over; a document whose
    latest job ended without it has failed from then on by its own row."""
    connection.execute(
        "WITH gone AS (DELETE FROM lune_intake WHERE created_at < now() - %s * interval '1 s' "
        "RETURNING job_id, document_id) "
        "UPDATE lune_document AS d SET state = n.state, error = n.error, job_id = n.job_id "
        "FROM gone JOIN lune_document_now AS n ON n.id = gone.document_id "
        "WHERE d.id = n.id AND n.job_id = gone.job_id AND n.state = 'failed'",
        (STALE_S,),
    )
    versions = connection.execute(
        "SELECT seq FROM lune_version WHERE NOT current "
        "AND created_at < now() - %s * interval '1 s' LIMIT %s",
        (STALE_S, limit),
    ).fetchall()
    documents = connection.execute(
        "SELECT id FROM lune_document WHERE deleted_at < now() - %s * interval '1 s' LIMIT %s",
        (LATE_S, limit),
    ).fetchall()
    lunes = connection.execute(
        "SELECT seq FROM lune WHERE deleted_at < now() - %s * interval '1 s' LIMIT %s",
        (LATE_S, limit),
    ).fetchall()
    return [v for (v,) in versions], [d for (d,) in documents], [seq for (seq,) in lunes]
