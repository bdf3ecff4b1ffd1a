"""The dispatcher over real books: windows, shares, ends, and money to the nano-dollar."""

from collections.abc import Callable

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.batches import store
from app.batches.dispatch import Dispatcher, Waits, shares
from app.batches.flight import store as flights
from app.batches.lines import told
from app.batches.model import LineError, Superseded
from app.db.connect import Connection
from app.jobs import store as jobs
from app.ledger.budgets import create_budget, get_budget
from app.settings import Settings
from tests.app.batches.parts import (
    COST,
    HOLD,
    finish,
    line,
    made,
    now,
    run_to_end,
    started,
    work_off,
)
from tests.app.jobs.conftest import together
from tests.app.line import assert_proven, funds, outcome, tenant, transfers

CREDIT = 1_000_000
WINDOW = 20


@pytest.fixture
def dispatcher(gevent_sockets: None, line_settings: Callable[..., Settings]) -> Dispatcher:
    return Dispatcher(line_settings(batch_window=WINDOW))


def events(connection: Connection) -> list[tuple[str, str]]:
    rows = connection.execute(
        "SELECT type, data::json->>'id' FROM webhook_event ORDER BY created_at"
    )
    return [(row[0], row[1]) for row in rows]


def test_the_hold_of_a_batch_is_taken_once_and_given_back_line_by_line(
    connection: Connection, dispatcher: Dispatcher
) -> None:
    mine = tenant(connection, CREDIT)
    batch = started(connection, mine, 50)
    assert funds(connection, mine) == (CREDIT - 50 * HOLD, 50 * HOLD)
    assert transfers(connection, batch.id) == {"hold": 50 * HOLD}
    assert_proven(connection)
    dispatcher.round(connection)
    assert funds(connection, mine) == (CREDIT - 50 * HOLD, 50 * HOLD)
    [first, *_] = work_off(connection, 5)
    assert transfers(connection, first.id) == {"hold": HOLD, "settle": COST, "release": HOLD - COST}
    assert funds(connection, mine) == (CREDIT - 45 * HOLD - 5 * COST, 45 * HOLD)
    assert_proven(connection)
    run_to_end(connection, dispatcher, batch)
    finish(connection, batch)
    ended = now(connection, batch)
    assert (ended.status, ended.completed, ended.failed, ended.cost) == (
        "completed", 50, 0, 50 * COST,
    )  # fmt: skip
    assert funds(connection, mine) == (CREDIT - 50 * COST, 0)
    assert events(connection) == [("batch.completed", batch.id)]
    assert_proven(connection)


def test_a_batch_that_the_wallet_does_not_cover_is_refused_whole(connection: Connection) -> None:
    mine = tenant(connection, 50 * HOLD - 1)
    batch = made(connection, mine)
    store.add_lines(connection, batch, [line(number) for number in range(1, 51)])
    assert store.start(connection, batch, "m") == "no_credit"
    assert store.fail(connection, batch, [LineError("insufficient_quota", "no")])
    failed = now(connection, batch)
    assert (failed.status, failed.errors) == (
        "failed", [{"code": "insufficient_quota", "line": None, "message": "no", "param": None}],
    )  # fmt: skip
    assert funds(connection, mine) == (50 * HOLD - 1, 0)
    assert events(connection) == [("batch.failed", batch.id)]
    assert_proven(connection)


def test_a_budget_counts_a_batch_once_and_bounds_it(
    connection: Connection, dispatcher: Dispatcher
) -> None:
    mine = tenant(connection, CREDIT)
    hard = 30 * HOLD
    budget = create_budget(connection, mine, "tenant", mine, "day", None, hard, actor="test")
    too_much = made(connection, mine)
    store.add_lines(connection, too_much, [line(number) for number in range(1, 32)])
    assert store.start(connection, too_much, "m") == f"over_budget {budget.id}"
    store.fail(connection, too_much, [LineError("budget_exceeded", "no")])
    batch = started(connection, mine, 30)
    dispatcher.round(connection)
    assert get_budget(connection, mine, budget.id).held == 30 * HOLD
    work_off(connection, 10)
    later = create_budget(connection, mine, "tenant", mine, "month", None, hard, actor="test")
    for one in (budget, later):
        found = get_budget(connection, mine, one.id)
        assert (found.held, found.spent) == (20 * HOLD, 10 * COST)
    assert_proven(connection)
    store.cancel(connection, batch.id)
    run_to_end(connection, dispatcher, batch)
    finish(connection, batch)
    for one in (budget, later):
        found = get_budget(connection, mine, one.id)
        assert (found.held, found.spent) == (0, 10 * COST)
    assert_proven(connection)


def test_no_more_lines_of_a_tenant_are_in_flight_than_its_window(
    connection: Connection, dispatcher: Dispatcher
) -> None:
    mine, other = tenant(connection, CREDIT), tenant(connection, CREDIT)
    big, small = started(connection, mine, 100), started(connection, other, 3)
    for _ in range(3):
        dispatcher.round(connection)
    assert now(connection, big).dispatched == WINDOW
    assert now(connection, small).dispatched == 3
    # The other tenant's lines take turns with the window that was there before them.
    first = jobs.claim(connection, "batch", "wrk_a", 6)
    assert [job.tenant_id for job in first].count(other) == 3


def test_of_a_tenants_batches_the_one_of_higher_priority_goes_first(
    connection: Connection, dispatcher: Dispatcher
) -> None:
    mine = tenant(connection, CREDIT)
    low, urgent = started(connection, mine, 30), started(connection, mine, 15, priority=5)
    dispatcher.round(connection)
    assert (now(connection, urgent).dispatched, now(connection, low).dispatched) == (15, 5)


def test_no_line_runs_before_its_batchs_time(
    connection: Connection, dispatcher: Dispatcher
) -> None:
    batch = started(connection, tenant(connection, CREDIT), 3)
    connection.execute("UPDATE batch SET run_at = now() + interval '1 hour'")
    assert not dispatcher.round(connection)
    assert now(connection, batch).dispatched == 0
    connection.execute("UPDATE batch SET run_at = now()")
    assert dispatcher.round(connection)
    assert now(connection, batch).dispatched == 3


@given(
    free=st.integers(-5, 60),
    batches=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), max_size=6),
)
def test_shares_fill_the_window_and_are_fair_among_equals(
    free: int, batches: list[tuple[int, int]]
) -> None:
    waits = [Waits(f"b{place}", *one) for place, one in enumerate(batches)]
    found = shares(free, waits)
    assert sum(found.values()) == max(0, min(free, sum(one.waiting for one in waits)))
    for one in waits:
        mine = found.get(one.batch_id, 0)
        assert 0 <= mine <= one.waiting
        for other in waits:
            theirs = found.get(other.batch_id, 0)
            if mine < one.waiting and other.priority < one.priority:
                assert theirs == 0
            if mine < one.waiting and other.priority == one.priority:
                assert theirs <= mine + 1


def test_two_dispatchers_at_once_make_one_job_of_each_line(
    connection: Connection, second: Connection
) -> None:
    mine = tenant(connection, CREDIT)
    batch = started(connection, mine, 300)

    def dispatched(by: Connection) -> list[str]:
        found: list[str] = []
        while ids := flights.dispatch(by, batch.id, 7):
            found += ids
        return found

    one, two = together(lambda: dispatched(connection), lambda: dispatched(second))
    assert len(one) + len(two) == 300
    rows = connection.execute("SELECT line FROM job WHERE batch_id = %s", (batch.id,)).fetchall()
    assert sorted(row[0] for row in rows) == list(range(1, 301))
    assert_proven(connection)


def test_one_of_two_dispatchers_leads_until_it_is_gone(
    connection: Connection, second: Connection
) -> None:
    assert flights.lead(connection)
    assert not flights.lead(second)
    connection.close()
    for _ in range(100):
        if flights.lead(second):
            return
    raise AssertionError("nobody leads")


def test_a_dispatch_that_is_cut_off_leaves_nothing(
    connection: Connection, second: Connection, dispatcher: Dispatcher
) -> None:
    mine = tenant(connection, CREDIT)
    batch = started(connection, mine, 10)

    def cut() -> None:
        with second.transaction():
            assert len(flights.dispatch(second, batch.id, 10)) == 10
            connection.execute("SELECT pg_terminate_backend(%s, 5000)", (second.info.backend_pid,))
            second.execute("SELECT 1")

    with pytest.raises(psycopg.OperationalError):
        cut()
    assert_proven(connection)
    run_to_end(connection, dispatcher, batch)
    finish(connection, batch)
    assert now(connection, batch).completed == 10
    assert_proven(connection)


def test_a_cancelled_batch_keeps_what_is_finished_and_lets_running_lines_finish(
    connection: Connection, dispatcher: Dispatcher
) -> None:
    mine = tenant(connection, CREDIT)
    batch = started(connection, mine, 40)
    dispatcher.round(connection)
    work_off(connection, 5)
    [running] = jobs.claim(connection, "batch", "wrk_b", 1)
    store.cancel(connection, batch.id)
    for _ in range(3):
        dispatcher.round(connection)
    waiting = now(connection, batch)
    assert (waiting.status, waiting.finalizing_s) == ("cancelling", None)
    row = connection.execute("SELECT cancel FROM open_job WHERE id = %s", (running.id,)).fetchone()
    assert row == (False,)
    assert jobs.settle_group(connection, "wrk_b", [outcome(running, COST)]) == [True]
    for _ in range(2):
        dispatcher.round(connection)
    finish(connection, batch)
    ended = now(connection, batch)
    assert (ended.status, ended.completed, ended.cost) == ("cancelled", 6, 6 * COST)
    assert funds(connection, mine) == (CREDIT - 6 * COST, 0)
    assert events(connection) == [("batch.cancelled", batch.id)]
    assert_proven(connection)


def test_a_batch_whose_window_is_over_keeps_what_is_finished(
    connection: Connection, dispatcher: Dispatcher
) -> None:
    mine = tenant(connection, CREDIT)
    batch = started(connection, mine, 40)
    dispatcher.round(connection)
    work_off(connection, 5)
    [running] = jobs.claim(connection, "batch", "wrk_b", 1)
    connection.execute("UPDATE batch SET expires_at = now() WHERE id = %s", (batch.id,))
    for _ in range(3):
        dispatcher.round(connection)
    # What was not finished by then is not charged, whatever its worker says later.
    assert jobs.settle_group(connection, "wrk_b", [outcome(running, COST)]) == [False]
    assert transfers(connection, running.id) == {"hold": HOLD, "settle": 0, "release": HOLD}
    assert now(connection, batch).status == "finalizing"
    finish(connection, batch)
    ended = now(connection, batch)
    assert (ended.status, ended.completed, ended.failed) == ("expired", 5, 15)
    assert funds(connection, mine) == (CREDIT - 5 * COST, 0)
    assert_proven(connection)


def test_lines_whose_batch_expires_are_ended_by_it_and_not_by_their_own_deadline(
    connection: Connection, dispatcher: Dispatcher
) -> None:
    batch = started(connection, tenant(connection, CREDIT), 3)
    connection.execute("UPDATE batch SET expires_at = now()")
    assert len(flights.dispatch(connection, batch.id, 3)) == 3
    [running] = jobs.claim(connection, "batch", "wrk_b", 1)
    assert running.left_s > 30
    # What upkeep would end, were it faster than the dispatcher.
    assert jobs.overdue_jobs(connection, 10) == []
    for _ in range(2):
        dispatcher.round(connection)
    lines = [told(one) for one in store.results(connection, batch.id, 0, 10)]
    assert [(one["response"], one["error"]["code"]) for one in lines] == [
        (None, "batch_expired")
    ] * 3
    assert_proven(connection)


def test_lines_that_run_on_after_a_cancel_are_ended_when_their_time_is_over(
    connection: Connection, dispatcher: Dispatcher
) -> None:
    mine = tenant(connection, CREDIT)
    batch = started(connection, mine, 3)
    dispatcher.round(connection)
    jobs.claim(connection, "batch", "wrk_b", 1)
    store.cancel(connection, batch.id)
    dispatcher.round(connection)
    connection.execute("UPDATE batch SET cancelling_at = now() - interval '601 seconds'")
    for _ in range(3):
        dispatcher.round(connection)
    finish(connection, batch)
    assert (now(connection, batch).status, now(connection, batch).cost) == ("cancelled", 0)
    assert funds(connection, mine) == (CREDIT, 0)
    assert_proven(connection)


def test_a_batch_that_cannot_be_worked_on_does_not_hold_up_the_others(
    connection: Connection, dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tenant(connection, CREDIT)
    bad, good = started(connection, mine, 3), started(connection, mine, 3)
    real = flights.dispatch

    def failing(at: Connection, batch_id: str, wanted: int) -> list[str]:
        if batch_id == bad.id:
            at.execute("SELECT 1 / 0")
        return real(at, batch_id, wanted)

    monkeypatch.setattr(flights, "dispatch", failing)
    dispatcher.round(connection)
    assert (now(connection, bad).dispatched, now(connection, good).dispatched) == (0, 3)


def test_a_batch_cancelled_while_its_lines_are_read_ends_without_files(
    connection: Connection, dispatcher: Dispatcher
) -> None:
    mine = tenant(connection, CREDIT)
    batch = made(connection, mine)
    store.add_lines(connection, batch, [line(1)])
    store.cancel(connection, batch.id)
    with pytest.raises(Superseded):
        store.add_lines(connection, batch, [line(2)])
    with pytest.raises(Superseded):
        store.start(connection, batch, "m")
    dispatcher.round(connection)
    ended = now(connection, batch)
    assert (ended.status, ended.total, ended.output_file_id) == ("cancelled", 0, None)
    assert_proven(connection)


def test_an_attempt_that_was_overtaken_changes_nothing(connection: Connection) -> None:
    mine = tenant(connection, CREDIT)
    old = made(connection, mine)
    store.add_lines(connection, old, [line(1)])
    new = store.take(connection, old.id, old.chore_id, 2)
    for late in (
        lambda: store.take(connection, old.id, old.chore_id, 1),
        lambda: store.drop_lines(connection, old),
        lambda: store.add_lines(connection, old, [line(2)]),
        lambda: store.start(connection, old, "m"),
    ):
        with pytest.raises(Superseded):
            late()
    assert not store.fail(connection, old, [LineError("x", "x")])
    store.drop_lines(connection, new)
    store.add_lines(connection, new, [line(1), line(2)])
    assert store.start(connection, new, "m") == "started"
    assert now(connection, new).total == 2
    assert_proven(connection)


def test_lines_of_batches_take_nothing_of_the_days_tokens(
    connection: Connection, dispatcher: Dispatcher
) -> None:
    mine = tenant(connection, CREDIT)
    started(connection, mine, 3)
    dispatcher.round(connection)
    work_off(connection, 3)
    connection.execute("UPDATE result SET prompt_tokens = 50")
    row = connection.execute("SELECT (extract(epoch FROM now()) / 86400)::int").fetchone()
    assert row is not None
    assert {jobs.tokens_of_day(connection, mine, day) for day in (row[0] - 1, row[0])} == {0}
