"""Batches in Postgres: made, read, and the steps of the chores that work on them, each of which is
fenced by the attempt that takes it."""

from collections.abc import Sequence
from typing import Any, LiteralString

import orjson

from app.batches.model import (
    TURNS,
    WINDOWS_S,
    WITH_REQUEST,
    Batch,
    EndedLine,
    Line,
    LineError,
    NewBatch,
    Superseded,
)
from app.db.connect import Connection

BATCHES: LiteralString = """
    SELECT b.id, b.tenant_id, b.key_id, b.app_id, b.test, b.endpoint, b.input_file_id,
           b.input_job_id, b.retry_of, b.completion_window, b.priority, b.metadata, b.output_ttl_s,
           b.status, b.ends_as, b.chore_id, b.turn, b.model, b.errors, b.total, b.dispatched,
           b.completed, b.failed, b.hold, b.cost, b.prompt_tokens, b.cached_tokens,
           b.completion_tokens, b.reasoning_tokens, b.rate, b.output_file_id, b.error_file_id,
           extract(epoch FROM b.created_at)::float8, extract(epoch FROM b.expires_at)::float8,
           extract(epoch FROM b.in_progress_at)::float8,
           extract(epoch FROM b.finalizing_at)::float8,
           extract(epoch FROM b.cancelling_at)::float8, extract(epoch FROM b.ended_at)::float8,
           extract(epoch FROM b.run_at)::float8, extract(epoch FROM clock_timestamp())::float8
    FROM batch AS b
"""
"""What a query begins with whose rows `batch_of` reads."""

_METADATA, _ERRORS = 11, 18

PAGE_BYTES = 4_000_000
"""Bytes of answers that are read at once: an image has a megabyte or two, embeddings have more."""


def batch_of(row: tuple[Any, ...]) -> Batch:
    """The batch that a row of BATCHES holds."""
    fields = list(row)
    for place in (_METADATA, _ERRORS):
        fields[place] = orjson.loads(row[place]) if row[place] else None
    return Batch(*fields)


def create(connection: Connection, new: NewBatch) -> None:
    """Makes a batch, which waits for its chore."""
    connection.execute(
        "INSERT INTO batch (id, tenant_id, key_id, app_id, test, endpoint, input_file_id, "
        "input_job_id, retry_of, completion_window, priority, metadata, output_ttl_s, chore_id, "
        "run_at, expires_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, "
        "to_timestamp(%s), least(greatest(now(), to_timestamp(%s)) + %s * interval '1 second', "
        "to_timestamp(%s)))",
        (new.id, new.tenant_id, new.key_id, new.app_id, new.test, new.endpoint, new.input_file_id,
         new.input_job_id, new.retry_of, new.completion_window, new.priority, new.metadata,
         new.ttl_s, new.chore_id, new.run_at_s, new.run_at_s, WINDOWS_S[new.completion_window],
         new.not_after_s),
    )  # fmt: skip


def find(connection: Connection, tenant_id: str, batch_id: str) -> Batch | None:
    """The tenant's batch by this id, or None."""
    row = connection.execute(
        BATCHES + "WHERE b.tenant_id = %s AND b.id = %s", (tenant_id, batch_id)
    ).fetchone()
    return batch_of(row) if row else None


def page(connection: Connection, tenant_id: str, before: str | None, limit: int) -> list[Batch]:
    """A tenant's batches, newest first, those before the id `before`."""
    rows = connection.execute(
        BATCHES + "WHERE b.tenant_id = %s AND b.id < %s ORDER BY b.id DESC LIMIT %s",
        (tenant_id, before or "batch_~", limit),
    )
    return [batch_of(row) for row in rows]


def cancel(connection: Connection, batch_id: str) -> None:
    """Lets nothing more of a batch be dispatched. Does nothing to one that ends already."""
    connection.execute(
        "UPDATE batch SET status = 'cancelling', cancelling_at = now(), ends_as = 'cancelled' "
        "WHERE id = %s AND status IN ('validating', 'in_progress') AND ends_as IS NULL",
        (batch_id,),
    )


def results(
    connection: Connection, batch_id: str, after: int, limit: int, *, completed: bool | None = None
) -> list[EndedLine]:
    """Lines that have ended, in the order of the input, those after the line `after`: at most
    `limit`, and fewer where they have more than PAGE_BYTES together, but always one. `completed`:
    of those that completed alone, or of all others alone."""
    rows = connection.execute(
        """
        WITH told AS (
            SELECT j.id, j.line, coalesce(octet_length(r.body), 0)
                + CASE WHEN j.kind = ANY(%(whole)s) THEN octet_length(j.request) ELSE 0 END AS size
            FROM job AS j JOIN result AS r ON r.id = j.id
            WHERE j.batch_id = %(batch)s AND j.line > %(after)s
              AND (%(completed)s::boolean IS NULL OR (r.state = 'completed') = %(completed)s)
            ORDER BY j.line LIMIT %(limit)s
        ), page AS MATERIALIZED (
            SELECT id, row_number() OVER lines AS nr, sum(size) OVER lines AS bytes
            FROM told WINDOW lines AS (ORDER BY line)
        )
        SELECT j.line, j.custom_id, j.id, j.kind, r.state, r.body, r.error, r.usage,
               CASE WHEN j.kind = ANY(%(whole)s) THEN j.request END
        FROM page AS p JOIN job AS j ON j.id = p.id JOIN result AS r ON r.id = p.id
        WHERE p.nr = 1 OR p.bytes <= %(bytes)s ORDER BY j.line
        """,
        {"batch": batch_id, "after": after, "limit": limit, "completed": completed,
         "bytes": PAGE_BYTES, "whole": [*WITH_REQUEST]},
    )  # fmt: skip
    return [EndedLine(*row) for row in rows]


def ended_after(connection: Connection, batch_id: str, line: int) -> bool:
    """Whether a line after the line of this number has ended."""
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM job AS j JOIN result AS r ON r.id = j.id "
        "WHERE j.batch_id = %s AND j.line > %s)",
        (batch_id, line),
    ).fetchone()
    return bool(row and row[0])


def retried_by(connection: Connection, batch: Batch) -> str | None:
    """The newest batch that tries lines of this one again, or has, but for one that ended before it
    had lines. The batches that come of one first are locked, so that the answer stays true until
    the transaction ends."""
    first_id = batch.retry_of or batch.id
    connection.execute("SELECT FROM batch WHERE id = %s FOR UPDATE", (first_id,))
    row = connection.execute(
        "SELECT id FROM batch WHERE retry_of = %s AND (total > 0 OR ended_at IS NULL) "
        "AND created_at > (SELECT created_at FROM batch WHERE id = %s) "
        "ORDER BY created_at DESC LIMIT 1",
        (first_id, batch.id),
    ).fetchone()
    return row[0] if row else None


def line_of(connection: Connection, batch_id: str, job_id: str) -> int | None:
    """The number of the line of a batch that became this job, or None."""
    row = connection.execute(
        "SELECT line FROM job WHERE id = %s AND batch_id = %s", (job_id, batch_id)
    ).fetchone()
    return row[0] if row else None


def waiting(connection: Connection, batch_id: str, after: int, limit: int) -> list[tuple[int, str]]:
    """Lines that never became jobs: number and custom_id, those after the line `after`."""
    rows = connection.execute(
        "SELECT line, custom_id FROM batch_line WHERE batch_id = %s AND line > %s "
        "ORDER BY line LIMIT %s",
        (batch_id, after, limit),
    )
    return [(row[0], row[1]) for row in rows]


def completed_ids(connection: Connection, first_id: str) -> set[str]:
    """The custom_ids of all lines of a batch, and of the retries of it, that have completed."""
    rows = connection.execute(
        "SELECT j.custom_id FROM job AS j JOIN result AS r ON r.id = j.id "
        "WHERE r.state = 'completed' AND j.batch_id IN "
        "(SELECT id FROM batch WHERE %(first)s IN (id, retry_of))",
        {"first": first_id},
    )
    return {row[0] for row in rows}


def take(connection: Connection, batch_id: str, chore_id: str, attempt: int) -> Batch:
    """The batch, for an attempt of the chore that works on it now; from here on those before it are
    fenced. Raises Superseded."""
    done = connection.execute(
        "UPDATE batch SET turn = turn / %(turns)s * %(turns)s + %(attempt)s WHERE id = %(id)s "
        "AND chore_id = %(chore)s AND turn %% %(turns)s < %(attempt)s AND ended_at IS NULL",
        {"id": batch_id, "chore": chore_id, "attempt": attempt, "turns": TURNS},
    )
    row = connection.execute(BATCHES + "WHERE b.id = %s", (batch_id,)).fetchone()
    if not done.rowcount or row is None:
        raise Superseded
    return batch_of(row)


def input_request(connection: Connection, batch: Batch) -> str | None:
    """The request of the job with which a batch's inline requests came; None once it is
    forgotten."""
    row = connection.execute(
        "SELECT nullif(request, '') FROM job WHERE id = %s AND tenant_id = %s",
        (batch.input_job_id, batch.tenant_id),
    ).fetchone()
    return row[0] if row else None


def has_requests(connection: Connection, batch: Batch) -> bool:
    """Whether the requests are there that came with a batch; they are not once they are
    forgotten."""
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM job WHERE id = %s AND tenant_id = %s AND request <> '')",
        (batch.input_job_id, batch.tenant_id),
    ).fetchone()
    return bool(row and row[0])


def waiting_hold(connection: Connection, batch: Batch) -> int:
    """What the lines that wait may cost, in nano-dollars."""
    row = connection.execute(
        "SELECT coalesce(sum(hold), 0)::bigint FROM batch_line WHERE batch_id = %s", (batch.id,)
    ).fetchone()
    return int(row[0]) if row else 0


def drop_lines(connection: Connection, batch: Batch) -> None:
    """Deletes what an attempt before this one has read. Raises Superseded."""
    with connection.transaction():
        _fence(connection, batch, "validating")
        connection.execute("DELETE FROM batch_line WHERE batch_id = %s", (batch.id,))


def add_lines(connection: Connection, batch: Batch, lines: Sequence[Line]) -> None:
    """Adds lines that were read. Raises Superseded."""
    with connection.transaction():
        _fence(connection, batch, "validating")
        with connection.cursor().copy(
            "COPY batch_line (batch_id, line, custom_id, kind, model, request, metadata, session, "
            "store, hold) FROM STDIN"
        ) as copy:
            for one in lines:
                copy.write_row((
                    batch.id, one.line, one.custom_id, one.kind, one.model, one.request,
                    one.metadata, one.session, one.store, one.hold,
                ))  # fmt: skip


def _fence(connection: Connection, batch: Batch, status: str) -> None:
    held = connection.execute(
        "SELECT FROM batch WHERE id = %s AND turn = %s AND status = %s FOR UPDATE",
        (batch.id, batch.turn, status),
    )
    if not held.rowcount:
        raise Superseded


def start(connection: Connection, batch: Batch, model: str) -> str:
    """Takes the hold of all lines and lets them be dispatched: the verdict of `start_batch` in
    app/db/functions/batches.sql. Raises Superseded."""
    row = connection.execute(
        "SELECT start_batch(%s::text, %s::int, %s::text)", (batch.id, batch.turn, model)
    ).fetchone()
    assert row is not None
    if row[0] == "gone":
        raise Superseded
    return str(row[0])


def fail(connection: Connection, batch: Batch, errors: Sequence[LineError]) -> bool:
    """Ends a batch whose lines are refused; False if it is no longer this attempt's to end."""
    told = orjson.dumps([error.as_dict() for error in errors]).decode()
    return _end(connection, batch, told)


def end(connection: Connection, batch: Batch) -> bool:
    """Ends a batch as `ends_as` says; False if it is no longer this attempt's to end."""
    return _end(connection, batch, None)


def _end(connection: Connection, batch: Batch, errors: str | None) -> bool:
    row = connection.execute(
        "SELECT end_batch(%s::text, %s::int, %s::text)", (batch.id, batch.turn, errors)
    ).fetchone()
    return bool(row and row[0])


def keep_file(connection: Connection, batch: Batch, kind: str, file_id: str) -> None:
    """Notes that a batch's output file, or with `kind` "error" its error file, is whole. Raises
    Superseded if another attempt has written one or will."""
    done = connection.execute(
        "UPDATE batch SET output_file_id = CASE %(kind)s WHEN 'output' THEN %(file)s "
        "ELSE output_file_id END, error_file_id = CASE %(kind)s WHEN 'error' THEN %(file)s "
        "ELSE error_file_id END WHERE id = %(id)s AND turn = %(turn)s AND ended_at IS NULL "
        "AND CASE %(kind)s WHEN 'output' THEN output_file_id ELSE error_file_id END IS NULL",
        {"kind": kind, "file": file_id, "id": batch.id, "turn": batch.turn},
    )
    if not done.rowcount:
        raise Superseded
