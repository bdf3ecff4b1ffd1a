"""Batches in Postgres: what of them is tried again, and how their results are read."""

import psycopg
import pytest

from app.batches import store
from app.batches.flight import store as flights
from app.db.connect import Connection
from tests.app.batches.parts import made, started, work_off
from tests.app.line import tenant

CREDIT = 1_000_000


def test_of_two_retries_at_once_one_is_made(connection: Connection, second: Connection) -> None:
    batch = started(connection, tenant(connection, CREDIT), 1)
    second.execute("SET lock_timeout = '50ms'")
    with connection.transaction():
        assert store.retried_by(connection, batch) is None
        retry = made(connection, batch.tenant_id, retry_of=batch.id)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            store.retried_by(second, batch)
    assert store.retried_by(second, batch) == retry.id
    assert store.retried_by(second, retry) is None


def test_a_page_of_results_has_as_many_lines_as_its_bytes_allow_and_one_at_least(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = started(connection, tenant(connection, CREDIT), 9)
    flights.dispatch(connection, batch.id, 9)
    work_off(connection, 9, failed=2)
    connection.execute("UPDATE result SET body = repeat('x', 100) WHERE state = 'completed'")
    found = []
    for size, completed in ((250, None), (250, True), (99, True), (99, False)):
        monkeypatch.setattr(store, "PAGE_BYTES", size)
        page = store.results(connection, batch.id, 0, 8, completed=completed)
        found.append([one.line for one in page])
    assert found == [[1, 2, 3, 4], [3, 4], [3], [1, 2]]
