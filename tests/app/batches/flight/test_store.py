"""How the lines of a batch are counted, however much time has passed."""

from collections.abc import Callable

import pytest

from app.batches.dispatch import Dispatcher
from app.db.connect import Connection
from app.settings import Settings
from tests.app.batches.parts import now, started, work_off
from tests.app.line import tenant

CREDIT = 1_000_000
WINDOW = 20


@pytest.fixture
def dispatcher(gevent_sockets: None, line_settings: Callable[..., Settings]) -> Dispatcher:
    return Dispatcher(line_settings(batch_window=WINDOW))


def test_a_batch_goes_on_however_long_nobody_has_counted_its_lines(
    connection: Connection, dispatcher: Dispatcher
) -> None:
    batch = started(connection, tenant(connection, CREDIT), 30)
    dispatcher.round(connection)
    work_off(connection, 5)
    connection.execute("UPDATE batch SET counted_at = now() - interval '1 day', rate = 7")
    dispatcher.round(connection)
    assert (now(connection, batch).completed, now(connection, batch).dispatched) == (5, 25)


def test_while_no_line_ends_the_end_is_unknown_and_not_ages_away(
    connection: Connection, dispatcher: Dispatcher
) -> None:
    batch = started(connection, tenant(connection, CREDIT), 3)
    dispatcher.round(connection)
    work_off(connection, 1)
    connection.execute("UPDATE batch SET counted_at = now() - interval '2 seconds'")
    dispatcher.round(connection)
    assert now(connection, batch).done_at_s is not None
    connection.execute("UPDATE batch SET counted_at = now() - interval '10 minutes'")
    dispatcher.round(connection)
    silent = now(connection, batch)
    assert (silent.rate, silent.done_at_s) == (0, None)


def test_batches_with_nothing_in_flight_are_not_counted(
    connection: Connection, dispatcher: Dispatcher
) -> None:
    started(connection, tenant(connection, CREDIT), 3)
    connection.execute("UPDATE batch SET run_at = now() + interval '1 hour'")
    row_before = connection.execute("SELECT xmin::text FROM batch").fetchone()
    dispatcher.round(connection)
    assert connection.execute("SELECT xmin::text FROM batch").fetchone() == row_before
