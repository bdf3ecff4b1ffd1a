"""The plans of the statements, and prices that are kept."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.catalogue.load import catalogue
from app.catalogue.model import PriceEntry
from app.db.connect import Connection, connect
from app.ids import new_id
from app.settings import Settings
from app.usage import store
from app.usage.model import Asked
from app.usage.store import find_price, record_prices


@pytest.fixture
def crowded(database: str) -> Iterator[Connection]:
    """Books in which every second job is the tenant `ten_big`'s, one in a hundred `ten_small`'s."""
    with connect(database) as connection:
        for statement in (
            "INSERT INTO job (id, tenant_id, key_id, app_id, kind, lane, door, model, request, "
            "hold) SELECT 'job_' || to_char(n, 'FM000000'), CASE WHEN n % 2 = 0 THEN 'ten_big' "
            "WHEN n % 100 = 1 THEN 'ten_small' ELSE 'ten_' || n % 7 END, 'key_x', 'a', 'k', "
            "'interactive', 'sync', 'm', repeat('x', 600), 0 FROM generate_series(1, 6000) AS n",
            "INSERT INTO result (id, state, attempt, last_seq, settled_by, body, cost) "
            "SELECT id, 'completed', 1, 3, 'w', repeat('y', 600), 1 FROM job",
            "ANALYZE job",
            "ANALYZE result",
        ):
            connection.execute(statement)
        yield connection


def test_rows_of_other_tenants_are_never_read(crowded: Connection) -> None:
    for tenant_id in ("ten_big", "ten_small", "ten_none"):
        for tail in (store._SUMS, store._RECORDS):
            given = {**store._window(Asked(tenant_id), None, 1000), "by": ["app", "day"]}
            rows = store._read(crowded, "EXPLAIN " + store._ENDED + tail, given)
            plan = [line for (line,) in rows if " on job" in line or " on result" in line]
            assert [line.split("(")[0].split("->")[-1].strip() for line in plan] == [
                "Index Scan Backward using job_of_tenant on job",
                "Index Scan using result_pkey on result",
            ]


def entry() -> PriceEntry:
    return PriceEntry(new_id("price"), "m", "p", 3, 2, 2**62, "catalogue")


def test_a_price_is_kept_as_it_was_first_seen(connection: Connection) -> None:
    first, second = entry(), entry()
    record_prices(connection, [first])
    connection.execute(
        "UPDATE price SET since = to_timestamp(77) WHERE version = %s", (first.version,)
    )
    record_prices(connection, [second, replace(first, input=9), second])
    known, other = find_price(connection, first.version), find_price(connection, second.version)
    assert known is not None
    assert (known.entry, known.since_s) == (first, 77)
    assert other is not None
    assert other.entry == second


def test_no_prices_are_no_work(connection: Connection) -> None:
    record_prices(connection, [])
    assert find_price(connection, "price_none") is None


def test_all_that_a_catalogue_charges_is_kept(connection: Connection) -> None:
    entries = catalogue(Settings()).price_list()
    assert entries
    record_prices(connection, entries)
    found = [find_price(connection, one.version) for one in entries]
    assert [one and one.entry for one in found] == entries
