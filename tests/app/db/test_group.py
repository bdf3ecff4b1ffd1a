"""Group commit: groups form while a flush is in flight, and a failure reaches those it concerns."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import gevent
import psycopg
import pytest
from gevent.event import Event

from app.db.connect import Connection, connect
from app.db.group import GroupCommit, GroupFailed
from tests.app.events.parts import until

Flush = Callable[[Connection, list[Any]], list[Any]]
Make = Callable[..., GroupCommit[Any, Any]]
WAIT_S = 10


@pytest.fixture
def make(books: str) -> Iterator[Make]:
    """Makes groups over an empty database; they are closed at the end."""
    with ExitStack() as stack:

        def group(flush: Flush, url: str = books, **options: Any) -> GroupCommit[Any, Any]:
            made: GroupCommit[Any, Any] = GroupCommit(url, "test", flush, **options)
            stack.callback(made.close)
            return made

        yield group


class Gate:
    """A flush that doubles numbers once it is let through; notes the groups it was given."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.entered, self.open = Event(), Event()

    def flush(self, _: Connection, items: list[int]) -> list[int]:
        self.groups.append(items)
        self.entered.set()
        self.open.wait(WAIT_S)
        return [item * 2 for item in items]


def submit_all(group: GroupCommit[Any, Any], items: list[Any]) -> list[Any]:
    """Submits from a greenlet each; verdicts, or the GroupFailed that came instead."""
    return ends([gevent.spawn(caught, group, item) for item in items])


def caught(group: GroupCommit[Any, Any], item: Any) -> Any:
    try:
        return group.submit(item)
    except GroupFailed as failed:
        return failed


def ends(greenlets: list[Any]) -> list[Any]:
    gevent.joinall(greenlets, WAIT_S, raise_error=True)
    assert all(greenlet.dead for greenlet in greenlets), "a waiter hangs"
    return [greenlet.value for greenlet in greenlets]


def backend(connection: Connection) -> int:
    return connection.info.backend_pid


def test_a_lone_item_does_not_wait_for_company(make: Make) -> None:
    gate = Gate()
    gate.open.set()
    group = make(gate.flush)
    assert group.submit(1) == 2
    assert group.submit(2) == 4
    assert gate.groups == [[1], [2]]


def test_what_comes_while_a_flush_is_in_flight_goes_together(make: Make) -> None:
    gate = Gate()
    group = make(gate.flush, limit=100)
    first = gevent.spawn(group.submit, 1)
    gate.entered.wait(WAIT_S)
    others = [gevent.spawn(group.submit, n) for n in range(2, 40)]
    until(lambda: len(group._waiting) == 38)
    assert gate.groups == [[1]]
    gate.open.set()
    assert ends([first, *others]) == [n * 2 for n in range(1, 40)]
    assert gate.groups == [[1], list(range(2, 40))]


def test_a_group_has_a_limit_and_keeps_the_order(make: Make) -> None:
    gate = Gate()
    group = make(gate.flush, limit=4)
    waiters = [gevent.spawn(group.submit, 0)]
    gate.entered.wait(WAIT_S)
    waiters += [gevent.spawn(group.submit, n) for n in range(1, 10)]
    until(lambda: len(group._waiting) == 9)
    gate.open.set()
    assert ends(waiters) == [n * 2 for n in range(10)]
    assert [len(items) for items in gate.groups] == [1, 4, 4, 1]
    assert [n for items in gate.groups for n in items] == list(range(10))


def test_one_connection_serves_all_groups(make: Make) -> None:
    group = make(lambda connection, items: [backend(connection)] * len(items))
    assert len({group.submit(n) for n in range(5)}) == 1


def divide(connection: Connection, items: list[int]) -> list[int]:
    """Postgres does all or nothing: a zero undoes its whole group."""
    connection.execute("CREATE TABLE IF NOT EXISTS divided (by int)")
    connection.execute("INSERT INTO divided SELECT 10 / n FROM unnest(%s::int[]) AS n", (items,))
    return items


def test_a_poisoned_item_fails_alone(make: Make, connection: Connection) -> None:
    group = make(divide)
    try:
        good, poison, better = submit_all(group, [5, 0, 2])
        assert (good, better) == (5, 2)
        assert isinstance(poison, GroupFailed)
        assert (poison.in_doubt, poison.refused) == (False, True)
        assert "division by zero" in str(poison)
        rows = connection.execute("SELECT by FROM divided ORDER BY 1").fetchall()
        assert rows == [(2,), (5,)]
    finally:
        connection.execute("DROP TABLE divided")


def test_a_connection_lost_in_the_flush_leaves_doubt_and_is_replaced(
    make: Make, connection: Connection
) -> None:
    cut = [True]

    def flush(line: Connection, items: list[int]) -> list[int]:
        if cut:
            cut.pop()
            connection.execute("SELECT pg_terminate_backend(%s, 5000)", (backend(line),))
        line.execute("SELECT 1")
        return items

    group = make(flush)
    lost = submit_all(group, [1, 2, 3])
    assert [type(end) for end in lost] == [GroupFailed] * 3
    assert all((end.in_doubt, end.refused) == (True, False) for end in lost)
    assert submit_all(group, [4, 5]) == [4, 5]


def test_a_connection_that_ended_while_idle_costs_nobody_an_answer(
    make: Make, connection: Connection
) -> None:
    group = make(lambda line, items: [backend(line)] * len(items))
    [first] = submit_all(group, [1])
    connection.execute("SELECT pg_terminate_backend(%s, 5000)", (first,))
    [second] = submit_all(group, [2])
    assert isinstance(second, int)
    assert second != first


def test_without_a_connection_there_is_no_doubt(make: Make, books: str) -> None:
    group = make(lambda _, items: items, url=books.replace("/job_line?", "/no_such_database?"))
    [failed] = submit_all(group, [1])
    assert isinstance(failed, GroupFailed)
    assert (failed.in_doubt, failed.refused) == (False, False)


def test_a_flush_that_hangs_is_given_up_with_its_connection(make: Make) -> None:
    never, seen = Event(), []

    def flush(line: Connection, items: list[int]) -> list[int]:
        seen.append(line)
        if len(seen) == 1:
            never.wait(WAIT_S)
        return items

    group = make(flush, timeout_s=0.02)
    [failed] = submit_all(group, [1])
    assert isinstance(failed, GroupFailed)
    assert failed.in_doubt
    assert submit_all(group, [2]) == [2]
    assert seen[0].closed
    assert seen[1] is not seen[0]


def test_a_flusher_that_dies_leaves_nobody_waiting(make: Make) -> None:
    gate = Gate()

    def flush(line: Connection, items: list[int]) -> list[int]:
        gate.flush(line, items)
        if len(gate.groups) == 1:
            raise RuntimeError("a mistake in the flush")
        return items

    group = make(flush)
    first = gevent.spawn(caught, group, 1)
    gate.entered.wait(WAIT_S)
    late = gevent.spawn(caught, group, 2)
    until(lambda: group._waiting)
    gate.open.set()
    assert [type(end) for end in ends([first, late])] == [GroupFailed] * 2
    assert submit_all(group, [3, 4]) == [3, 4]


def test_too_few_verdicts_leave_nobody_waiting(make: Make) -> None:
    group = make(lambda _, items: items[:-1])
    _, short = submit_all(group, [1, 2])
    assert isinstance(short, GroupFailed)


def test_closing_fails_those_who_wait(make: Make) -> None:
    gate = Gate()
    group = make(gate.flush)
    first = gevent.spawn(caught, group, 1)
    gate.entered.wait(WAIT_S)
    late = gevent.spawn(caught, group, 2)
    until(lambda: group._waiting)
    group.close()
    assert [type(end) for end in ends([first, late])] == [GroupFailed] * 2


def test_line_connections_plan_once_and_commit_each_statement(books: str, make: Make) -> None:
    def flush(line: Connection, items: list[str]) -> list[Any]:
        return [line.execute(f"SHOW {item}".encode()).fetchone() for item in items]

    shown = submit_all(make(flush), ["enable_seqscan", "plan_cache_mode", "jit", "lock_timeout"])
    assert shown == [("off",), ("force_generic_plan",), ("off",), ("10s",)]
    with connect(books, "seen") as plain:
        assert plain.autocommit
        with pytest.raises(psycopg.errors.UndefinedTable):
            plain.execute("SELECT * FROM nowhere")
        assert plain.execute("SELECT application_name FROM pg_stat_activity WHERE "
                             "pid = pg_backend_pid()").fetchone() == ("seen",)  # fmt: skip
