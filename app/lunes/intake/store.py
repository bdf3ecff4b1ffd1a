"""The statements of ingest: what waits, the version that is being made, and its place taken.

A step is one transaction. A vector is passed as pgvector's text, `[0.1,…]`.
"""

from collections.abc import Sequence
from typing import Any

from app.db.connect import Connection
from app.errors import Gone
from app.ids import new_id
from app.lunes.intake.form import unless_full
from app.lunes.intake.model import Made, Source, Wanted
from app.lunes.model import Lune, Passage
from app.lunes.store import as_json, one_at_a_time


def take(connection: Connection, lune: Lune, wanted: Wanted, job_id: str) -> str:
    """Writes down what a job will take in, for the lune's document of that identity or a new one;
    the document's id. Raises Gone if the lune is deleted meanwhile. Call it in a transaction."""
    row = connection.execute(
        "INSERT INTO lune_document (id, tenant_id, lune, identity, origin, external_id, url, "
        "given_title, title, job_id, metadata) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, "
        "coalesce(%s::jsonb, '{}')) ON CONFLICT (lune, identity) WHERE deleted_at IS NULL "
        "DO UPDATE SET identity = excluded.identity RETURNING id",
        (new_id("doc"), lune.tenant_id, lune.seq, _identity(connection, lune, wanted),
         wanted.origin, wanted.external_id, wanted.url, wanted.title,
         wanted.title or wanted.name or None, job_id, as_json(wanted.metadata)),
    ).fetchone()  # fmt: skip
    assert row is not None
    # After the document, as everybody locks them.
    one_at_a_time(connection, lune.tenant_id)
    there = connection.execute(
        "SELECT 1 FROM lune WHERE seq = %s AND deleted_at IS NULL FOR SHARE", (lune.seq,)
    ).fetchone()
    if there is None:
        raise Gone("The lune is deleted.")
    document_id: str = row[0]
    leave(connection, document_id, wanted, job_id)
    return document_id


def _identity(connection: Connection, lune: Lune, wanted: Wanted) -> bytes:
    """What tells the document here: of one that was fetched from the same URL without an external
    id, which it gets now, or with one, which is not told now, it is the next version."""
    if wanted.origin != "fetched":
        return wanted.identity
    same = connection.execute(
        "SELECT id, identity FROM lune_document WHERE lune = %(lune)s AND url = %(url)s "
        "AND origin = 'fetched' AND deleted_at IS NULL "
        "AND (external_id IS NULL) <> (%(external_id)s::text IS NULL) AND NOT EXISTS ("
        "SELECT FROM lune_document WHERE lune = %(lune)s AND identity = %(identity)s "
        "AND deleted_at IS NULL) LIMIT 2",
        {"lune": lune.seq, "url": wanted.url, "external_id": wanted.external_id,
         "identity": wanted.identity},
    ).fetchall()  # fmt: skip
    if len(same) != 1:
        return wanted.identity
    [(document_id, identity)] = same
    if wanted.external_id is None:
        return bytes(identity)
    connection.execute(
        "UPDATE lune_document SET identity = %s WHERE id = %s", (wanted.identity, document_id)
    )
    return wanted.identity


def room(connection: Connection, tenant_id: str, limit: int) -> int:
    """How many bytes more the documents of a tenant may have, of `limit` for all together: less
    than none if there are too many. What waits counts as if it had replaced what there is of its
    document. Nobody else counts until the transaction ends."""
    one_at_a_time(connection, tenant_id)
    row = connection.execute(
        "SELECT %(limit)s - (SELECT coalesce(sum(bytes), 0) FROM lune "
        "WHERE tenant_id = %(tenant)s AND deleted_at IS NULL) - ("
        "SELECT coalesce(sum(greatest(waits.bytes - d.bytes, 0)), 0) FROM lune_document AS d "
        "JOIN lune AS l ON l.seq = d.lune AND l.deleted_at IS NULL "
        "JOIN (SELECT document_id, sum(octet_length(content)) AS bytes FROM lune_intake "
        "GROUP BY 1) AS waits ON waits.document_id = d.id "
        "WHERE d.tenant_id = %(tenant)s AND d.deleted_at IS NULL)",
        {"limit": limit, "tenant": tenant_id},
    ).fetchone()
    assert row is not None
    return int(row[0])


def room_for(connection: Connection, document_id: str, limit: int) -> int:
    """How many bytes a document may have, beside all else that there is of its tenant's."""
    row = connection.execute(
        "SELECT %s + d.bytes - coalesce(sum(l.bytes), 0) FROM lune_document AS d "
        "LEFT JOIN lune AS l ON l.tenant_id = d.tenant_id AND l.deleted_at IS NULL "
        "WHERE d.id = %s GROUP BY d.id",
        (limit, document_id),
    ).fetchone()
    return 0 if row is None else int(row[0])


def leave(connection: Connection, document_id: str, wanted: Wanted, job_id: str) -> None:
    """Writes down what a job will take in for a document."""
    connection.execute(
        "INSERT INTO lune_intake (job_id, document_id, about, content) VALUES (%s, %s, %s, %s)",
        (job_id, document_id, as_json(wanted.about), wanted.content),
    )


def take_back(connection: Connection, job_id: str) -> None:
    """Undoes `take` for a job that was not admitted, since it was refused or an earlier one stands
    for the same request; for one that was it does nothing. Call it in a transaction."""
    row = connection.execute("SELECT 1 FROM job WHERE id = %s", (job_id,)).fetchone()
    if row is not None:
        return
    connection.execute("DELETE FROM lune_intake WHERE job_id = %s", (job_id,))
    connection.execute(
        "DELETE FROM lune_document AS d WHERE job_id = %s AND version IS NULL "
        "AND NOT EXISTS (SELECT 1 FROM lune_intake WHERE document_id = d.id)",
        (job_id,),
    )


def taken_by(connection: Connection, tenant_id: str, job_id: str) -> str | None:
    """The document that a job takes in, or took in; None if the job is forgotten."""
    row = connection.execute(
        "SELECT request::jsonb ->> 'document' FROM job "
        "WHERE id = %s AND tenant_id = %s AND kind = 'lune.ingest'",
        (job_id, tenant_id),
    ).fetchone()
    return None if row is None else row[0]


def begin(connection: Connection, tenant_id: str, document_id: str, job_id: str) -> Source:
    """What a job is to take in; the document is in progress from then on, unless a later job is at
    it. Raises Gone if it is deleted."""
    with connection.transaction():
        row = connection.execute(
            "SELECT d.lune, l.id, d.url, d.given_title, d.digest, d.etag, d.last_modified, "
            "i.job_id IS NULL, coalesce(i.about, '{}'), i.content FROM lune_document AS d "
            "JOIN lune AS l ON l.seq = d.lune AND l.deleted_at IS NULL "
            "LEFT JOIN lune_intake AS i ON i.document_id = d.id AND i.job_id = %s "
            "WHERE d.id = %s AND d.tenant_id = %s AND d.deleted_at IS NULL FOR UPDATE OF d",
            (job_id, document_id, tenant_id),
        ).fetchone()
        if row is None:
            raise Gone("The document was deleted before it was taken in.")
        source = Source(*row)
        if not source.done:
            connection.execute(
                "UPDATE lune_document SET state = 'in_progress', error = NULL, job_id = %s, "
                "updated_at = now() WHERE id = %s AND (state = 'queued' OR job_id <= %s)",
                (job_id, document_id, job_id),
            )
        return source


def open_version(connection: Connection, document_id: str, job_id: str) -> tuple[int, list[int]]:
    """A new version without passages, and those that earlier attempts of the job left unfinished.
    Raises Gone if the document is deleted."""
    with connection.transaction():
        _there(connection, document_id)
        left = connection.execute(
            "SELECT seq FROM lune_version WHERE document_id = %s AND job_id = %s AND NOT current",
            (document_id, job_id),
        ).fetchall()
        row = connection.execute(
            "INSERT INTO lune_version (document_id, job_id) VALUES (%s, %s) RETURNING seq",
            (document_id, job_id),
        ).fetchone()
    assert row is not None
    return int(row[0]), [seq for (seq,) in left]


def stage(
    connection: Connection, document_id: str, lune: int, version: int,
    passages: Sequence[Passage], vectors: Sequence[str],
) -> None:  # fmt: skip
    """Writes some passages of a version, with their postings; nobody finds them yet. Raises Gone if
    the document is deleted."""
    columns: list[list[Any]] = [
        [getattr(one, name) for one in passages]
        for name in ("ordinal", "heading", "content", "start_at", "end_at", "page", "tokens")
    ]
    with connection.transaction():
        _there(connection, document_id)
        # The counts of lexemes are locked in their order, so that two ingests do not wait for
        # each other.
        connection.execute(
            """
            WITH given AS MATERIALIZED (
                SELECT *, to_tsvector('english', heading || E'\\n' || content) AS lexemes
                FROM unnest(%s::int[], %s::text[], %s::text[], %s::int[], %s::int[], %s::int[],
                    %s::int[], %s::text[])
                AS t (ordinal, heading, content, start_at, end_at, page, tokens, vector)
            ), made AS (
                INSERT INTO lune_passage (lune, version, ordinal, heading, content, start_at,
                    end_at, page, tokens, words, vector)
                SELECT %s, %s, ordinal, heading, content, start_at, end_at, page, tokens, (
                        SELECT least(coalesce(sum(cardinality(positions)), 0), 32767)
                        FROM unnest(lexemes)
                    ), vector::halfvec
                FROM given ORDER BY ordinal RETURNING seq, lune, ordinal, tokens, words
            ), posting AS (
                INSERT INTO lune_word (lune, lexeme, seq, times, words)
                SELECT made.lune, w.lexeme, made.seq, cardinality(w.positions), made.words
                FROM made JOIN given USING (ordinal), unnest(given.lexemes) AS w
                RETURNING lune, lexeme
            ), counted AS (
                INSERT INTO lune_lexeme AS l (lune, lexeme, passages)
                SELECT lune, lexeme, count(*) FROM posting GROUP BY lune, lexeme ORDER BY lexeme
                ON CONFLICT (lune, lexeme) DO UPDATE SET passages = l.passages + excluded.passages
            )
            UPDATE lune_version AS v SET passages = v.passages + sums.passages,
                words = v.words + sums.words, tokens = v.tokens + sums.tokens
            FROM (SELECT count(*) AS passages, sum(words) AS words, sum(tokens) AS tokens
                FROM made) AS sums WHERE v.seq = %s
            """,
            (*columns, list(vectors), lune, version, version),
            prepare=False,
        )


def put(
    connection: Connection, document_id: str, version: int, job_id: str,
    about: dict[str, Any], made: Made, limit: int,
) -> int | None:  # fmt: skip
    """Has a version that is whole take the place of the one before; that one's number, or None if
    there was none. One that a later job made stays, and this version's own number is given. Raises
    Gone if the document is deleted, and Unreadable if all of the tenant's would have more than
    `limit` bytes."""
    with connection.transaction():
        row = connection.execute(
            "SELECT version, version_job, tenant_id FROM lune_document "
            "WHERE id = %s AND deleted_at IS NULL FOR UPDATE",
            (document_id,),
        ).fetchone()
        if row is None:
            raise Gone("The document was deleted while it was taken in.")
        old, later = row[0], row[1] is not None and row[1] > job_id
        if not later:
            one_at_a_time(connection, row[2])
            unless_full(made.bytes, room_for(connection, document_id, limit))
            _count(connection, document_id, -1)
            connection.execute(
                "UPDATE lune_version SET current = (seq = %(new)s) "
                "WHERE seq = %(new)s OR seq = %(old)s",
                {"new": version, "old": old},
            )
            connection.execute(
                "UPDATE lune_document AS d SET version = v.seq, version_job = %(job)s, "
                "digest = %(digest)s, bytes = %(bytes)s, passages = v.passages, words = v.words, "
                "tokens = v.tokens, pages = %(pages)s, media_type = %(media_type)s, "
                "title = coalesce(given_title, %(title)s, %(name)s, title), etag = %(etag)s, "
                "last_modified = %(modified)s FROM lune_version AS v "
                "WHERE v.seq = %(version)s AND d.id = %(id)s",
                {"id": document_id, "version": version, "job": job_id, "digest": made.digest,
                 "bytes": made.bytes, "pages": made.pages, "media_type": made.media_type,
                 "title": made.title, "name": about.get("name") or None, "etag": made.etag,
                 "modified": made.last_modified},
            )  # fmt: skip
            _count(connection, document_id, 1)
            _describe(connection, document_id, about)
        _finish(connection, document_id, job_id)
        return version if later else old


def keep(
    connection: Connection, document_id: str, job_id: str, about: dict[str, Any],
    etag: str | None, last_modified: str | None,
) -> None:  # fmt: skip
    """Ends an ingest that found the content as it was: only what is told of it may be new."""
    with connection.transaction():
        _describe(connection, document_id, about)
        connection.execute(
            "UPDATE lune_document SET etag = coalesce(%s, etag), "
            "last_modified = coalesce(%s, last_modified) WHERE id = %s",
            (etag, last_modified, document_id),
        )
        _finish(connection, document_id, job_id)


def fail(
    connection: Connection, document_id: str, job_id: str, error: dict[str, Any], last: bool
) -> None:
    """Ends an ingest with an error, as the API tells it, unless it was done already or a later job
    is at the document. What was sent is dropped if this was the `last` attempt; what could be found
    before can be found still."""
    with connection.transaction():
        connection.execute(
            "UPDATE lune_document SET state = 'failed', error = %s::jsonb, updated_at = now() "
            "WHERE id = %s AND job_id = %s AND state = 'in_progress'",
            (as_json(error), document_id, job_id),
        )
        if last:
            connection.execute("DELETE FROM lune_intake WHERE job_id = %s", (job_id,))


def _there(connection: Connection, document_id: str) -> None:
    """Holds a document until the transaction ends, so that it is not deleted meanwhile."""
    row = connection.execute(
        "SELECT 1 FROM lune_document WHERE id = %s AND deleted_at IS NULL FOR SHARE",
        (document_id,),
    ).fetchone()
    if row is None:
        raise Gone("The document was deleted while it was taken in.")


def _count(connection: Connection, document_id: str, sign: int) -> None:
    """Adds what can be found of a document to its lune's counts, or takes it off."""
    connection.execute(
        "UPDATE lune AS l SET passages = l.passages + %(s)s * d.passages, "
        "words = l.words + %(s)s * d.words, tokens = l.tokens + %(s)s * d.tokens, "
        "bytes = l.bytes + %(s)s * d.bytes, updated_at = now() FROM lune_document AS d "
        "WHERE d.id = %(id)s AND l.seq = d.lune",
        {"s": sign, "id": document_id},
    )


def _describe(connection: Connection, document_id: str, about: dict[str, Any]) -> None:
    """Writes down what the tenant told of a document; what it did not tell stays."""
    connection.execute(
        "UPDATE lune_document SET given_title = coalesce(%(title)s, given_title), "
        "title = coalesce(%(title)s, title), external_id = coalesce(%(external_id)s, external_id), "
        "url = coalesce(%(url)s, url), metadata = coalesce(%(metadata)s::jsonb, metadata), "
        "origin = coalesce(%(origin)s, origin) WHERE id = %(id)s",
        {"id": document_id, "origin": about.get("origin"), "title": about.get("title"),
         "external_id": about.get("external_id"), "url": about.get("url"),
         "metadata": as_json(about.get("metadata"))},
    )  # fmt: skip


def _finish(connection: Connection, document_id: str, job_id: str) -> None:
    connection.execute(
        "UPDATE lune_document SET state = 'completed', error = NULL, updated_at = now() "
        "WHERE id = %s AND job_id = %s",
        (document_id, job_id),
    )
    connection.execute("DELETE FROM lune_intake WHERE job_id = %s", (job_id,))
