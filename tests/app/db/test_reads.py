"""Plain reads: connections are kept, broken ones replaced, and an outage is told as one."""

import gevent
import psycopg
import pytest
from gevent.event import Event

from app.db import reads
from app.db.connect import Connection
from app.db.reads import SIZE, Reads
from app.errors import Unavailable
from tests.app.events.parts import until


def pid(connection: Connection) -> int:
    return connection.info.backend_pid


@pytest.fixture
def some(books: str) -> Reads:
    return Reads(books, "reads")


def test_a_connection_serves_again(some: Reads) -> None:
    assert some.run(pid) == some.run(pid)


def test_no_more_than_its_size_at_once(some: Reads) -> None:
    inside, peak, leave = 0, 0, Event()

    def stay(_: Connection) -> None:
        nonlocal inside, peak
        inside += 1
        peak = max(peak, inside)
        leave.wait(10)
        inside -= 1

    greenlets = [gevent.spawn(some.run, stay) for _ in range(3 * SIZE)]
    until(lambda: inside == SIZE)
    leave.set()
    gevent.joinall(greenlets, 10, raise_error=True)
    assert peak == SIZE


def end(connection: Connection, backend: int) -> None:
    connection.execute("SELECT pg_terminate_backend(%s, 5000)", (backend,))


def test_a_connection_that_ended_while_idle_is_replaced_unseen(
    some: Reads, connection: Connection
) -> None:
    first = some.run(pid)
    end(connection, first)
    assert some.run(pid) != first


def test_a_connection_that_breaks_in_use_is_told_and_replaced(
    some: Reads, connection: Connection
) -> None:
    first = some.run(pid)

    def broken(line: Connection) -> None:
        end(connection, pid(line))
        line.execute("SELECT 1")

    with pytest.raises(Unavailable) as told:
        some.run(broken)
    assert told.value.status == 503
    assert told.value.retry_after
    assert some.run(pid) != first


def test_a_mistake_is_not_told_as_an_outage_and_costs_its_connection(some: Reads) -> None:
    first = some.run(pid)
    with pytest.raises(psycopg.errors.UndefinedTable):
        some.run(lambda c: c.execute("SELECT * FROM nowhere"))
    assert some.run(pid) != first


def test_a_read_that_takes_too_long_is_an_outage(
    some: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads, "TIMEOUT_S", 0.02)
    with pytest.raises(Unavailable):
        some.run(lambda _: Event().wait(10))
    assert some.run(lambda _: "well") == "well"


def test_nobody_there_is_an_outage() -> None:
    with pytest.raises(Unavailable):
        Reads("postgresql:///x?host=/nowhere", "reads").run(pid)


def test_a_timeout_of_the_caller_ends_the_caller(some: Reads) -> None:
    own = gevent.Timeout(0.05)
    with pytest.raises(gevent.Timeout) as ended, own:
        some.run(lambda _: gevent.sleep(10))
    assert ended.value is own
