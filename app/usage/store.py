"""The statements of usage. Each reads a window: so many jobs of one tenant, ended or not, newest
first, so that no read takes long however many jobs there are and few of them match."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, LiteralString

import orjson

from app.catalogue.model import PriceEntry
from app.db.connect import Connection
from app.ids import CLOCKS_APART_S, first_id
from app.usage.model import Asked, Group, Key, Record, Sums

LONGEST_LIFE_S = 3 * 86_400
"""How long before its end a job was admitted at most: a day for those with the longest deadline,
and two in which nobody was there to expire it."""

_ENDED: LiteralString = """
    WITH seen AS MATERIALIZED (
        SELECT id, key_id, app_id, kind, model, created_at FROM job
        WHERE (tenant_id, id) >= (%(tenant_id)s, %(first)s)
          AND (tenant_id, id) < (%(tenant_id)s, %(before)s)
        ORDER BY tenant_id DESC, id DESC LIMIT %(scan)s
    ), ended AS (
        SELECT s.*, r.*, s.key_id IN (
            SELECT k.id FROM api_key AS k WHERE k.tenant_id = %(tenant_id)s AND k.mode = 'test'
        ) AS test
        FROM seen AS s CROSS JOIN LATERAL (
            SELECT state, attempt, provider, price, prompt_tokens, cached_tokens, completion_tokens,
                   cost, usage, started_at, finished_at
            FROM result WHERE result.id = s.id LIMIT 1
        ) AS r
        WHERE r.finished_at >= to_timestamp(%(start_s)s) AND r.finished_at < to_timestamp(%(end_s)s)
          AND r.cost >= %(min_cost)s
          AND (%(app_id)s::text IS NULL OR s.app_id = %(app_id)s)
          AND (%(model)s::text IS NULL OR s.model = %(model)s)
          AND (%(provider)s::text IS NULL OR r.provider = %(provider)s)
          AND (%(key_id)s::text IS NULL OR s.key_id = %(key_id)s)
          AND (%(kind)s::text IS NULL OR s.kind = %(kind)s)
          AND (%(status)s::text IS NULL OR r.state = %(status)s)
    ), matching AS (
        SELECT * FROM ended WHERE %(mode)s = 'all' OR test = (%(mode)s = 'test')
    )
    SELECT w.size, w.last, m.* FROM (SELECT count(*) AS size, min(id) AS last FROM seen) AS w
"""
_NO_OTHERS: LiteralString = "SET LOCAL enable_bitmapscan = off; SET LOCAL enable_seqscan = off"
# A window may read no row of another tenant, and none of its own beyond its size. The pairs bound
# one tenant's ids, in an order that only the index of both columns has: with a condition for each
# column, Postgres walks the primary key for a tenant with many jobs, and so past all others'. It
# guesses badly how many rows lie between two pairs, and would then sort all of a tenant's rows if
# it had another way than that index. The LIMIT in the LATERAL keeps it from becoming a hash join
# over all results.

_SUMS: LiteralString = """
    LEFT JOIN (
        SELECT count(*), sum(prompt_tokens), sum(cached_tokens), sum(completion_tokens), sum(cost),
               count(*) FILTER (WHERE state = 'failed'),
               count(*) FILTER (WHERE usage LIKE '%%"estimated":true%%'),
               CASE WHEN 'app' = ANY (%(by)s) THEN app_id END,
               CASE WHEN 'model' = ANY (%(by)s) THEN model END,
               CASE WHEN 'provider' = ANY (%(by)s) THEN provider END,
               CASE WHEN 'key' = ANY (%(by)s) THEN key_id END,
               CASE WHEN 'day' = ANY (%(by)s) THEN (finished_at AT TIME ZONE 'UTC')::date END,
               CASE WHEN 'kind' = ANY (%(by)s) THEN kind END,
               CASE WHEN 'status' = ANY (%(by)s) THEN state END
        FROM matching GROUP BY 8, 9, 10, 11, 12, 13, 14
    ) AS m ON true
"""
_SPLIT: tuple[Group, ...] = ("app", "model", "provider", "key", "day", "kind", "status")
"""The groups in the order of the last columns of `_SUMS`."""

_RECORDS: LiteralString = """
    LEFT JOIN (
        SELECT id, app_id, key_id, kind, model, provider, state, prompt_tokens, cached_tokens,
               completion_tokens, cost, price, usage, attempt,
               floor(extract(epoch FROM created_at))::bigint,
               floor(extract(epoch FROM started_at))::bigint,
               floor(extract(epoch FROM finished_at))::bigint, test
        FROM matching
    ) AS m ON true ORDER BY m.id DESC
"""


def _window(asked: Asked, before: str | None, scan: int) -> dict[str, Any]:
    """The parameters of a window of `scan` jobs, those before the id `before`."""
    last = first_id("job", asked.end_s + CLOCKS_APART_S)
    return {
        **asdict(asked),
        "first": first_id("job", asked.start_s - LONGEST_LIFE_S - CLOCKS_APART_S),
        "before": last if before is None else min(before, last),
        "scan": scan,
    }


def _read(
    connection: Connection, statement: LiteralString, given: dict[str, Any]
) -> list[tuple[Any, ...]]:
    with connection.transaction():
        connection.execute(_NO_OTHERS)
        return connection.execute(statement, given).fetchall()


def sums(
    connection: Connection, asked: Asked, by: Sequence[Group], before: str | None, scan: int
) -> tuple[list[tuple[Key, Sums]], str | None]:
    """The sums of a window by the groups `by`, and where the next begins, None at the end."""
    given = {**_window(asked, before, scan), "by": list(by)}
    rows = _read(connection, _ENDED + _SUMS, given)
    places = [9 + _SPLIT.index(group) for group in by]
    found = [
        (tuple(_text(row[place]) for place in places), Sums(*(int(number) for number in row[2:9])))
        for row in rows
        if row[2] is not None
    ]
    return found, _next(rows[0], scan)


def _text(value: str | date | None) -> str | None:
    return value.isoformat() if isinstance(value, date) else value


def _next(row: tuple[Any, ...], scan: int) -> str | None:
    size, last, *_ = row
    return str(last) if size == scan else None


def records(
    connection: Connection, asked: Asked, before: str | None, scan: int
) -> tuple[list[Record], str | None]:
    """The records of a window, newest first, and where the next window begins, None at the end."""
    rows = _read(connection, _ENDED + _RECORDS, _window(asked, before, scan))
    return [_record(row[2:]) for row in rows if row[2] is not None], _next(rows[0], scan)


def _record(row: tuple[Any, ...]) -> Record:
    usage = orjson.loads(row[12]) if row[12] else {}
    fields = [*row[:12], usage.get("latency_ms"), usage.get("ttft_ms"), *row[13:]]
    return Record(*fields)


def now_s(connection: Connection) -> int:
    """The database's time."""
    row = connection.execute("SELECT floor(extract(epoch FROM now()))::bigint").fetchone()
    assert row is not None
    return int(row[0])


@dataclass(frozen=True, slots=True)
class KnownPrice:
    """A price as it is kept, and when it was first seen here, in unix seconds."""

    entry: PriceEntry
    since_s: int


def record_prices(connection: Connection, entries: Sequence[PriceEntry]) -> None:
    """Keeps the prices of a catalogue for as long as results name their versions. Those that are
    kept already stay as they are: a version never changes its meaning. In the order of their
    versions, so that processes that start at the same time never wait for each other in a ring."""
    columns = zip(
        *((e.version, e.model, e.provider, e.input, e.cached_input, e.output, e.source, e.image,
           e.minute)
          for e in sorted(entries, key=lambda e: e.version)),
        strict=True,
    )  # fmt: skip
    connection.execute(
        "INSERT INTO price (version, model, provider, input, cached_input, output, source, image, "
        "minute) SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[], "
        "%s::bigint[], %s::bigint[], %s::text[], %s::bigint[], %s::bigint[]) "
        "ON CONFLICT (version) DO NOTHING",
        [list(column) for column in columns] or [[]] * 9,
    )


def find_price(connection: Connection, version: str) -> KnownPrice | None:
    """The price of this version, or None."""
    row = connection.execute(
        "SELECT version, model, provider, input, cached_input, output, source, image, minute, "
        "floor(extract(epoch FROM since))::bigint FROM price WHERE version = %s",
        (version,),
    ).fetchone()
    return KnownPrice(PriceEntry(*row[:9]), row[9]) if row else None
