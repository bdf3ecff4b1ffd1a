"""A tenant's entries, page by page and summed up."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

import pytest

from app.db.connect import Connection
from app.jobs import store
from app.ledger.entries import KINDS, Totals, Wanted, list_entries, totals
from app.ledger.store import Entry, add_credit, balance, debit, refund, reverse
from tests.app.ledger.history import paid_job, shifted
from tests.app.line import admit, assert_proven, outcome, running, tenant

MARCH, APRIL, MAY = [datetime(2026, month, 1, tzinfo=UTC) for month in (3, 4, 5)]
INSTANT = timedelta(microseconds=1)


def of(connection: Connection, mine: str, **options: object) -> list[Entry]:
    """All entries of a tenant that options of Wanted let through, newest first."""
    wanted = Wanted(mine, **options)  # type: ignore[arg-type]
    return list_entries(connection, wanted, None, 1000, newest_first=True)


def in_time(connection: Connection, mine: str, start: datetime, end: datetime) -> Totals:
    return totals(connection, mine, int(start.timestamp()), int(end.timestamp()))


def changes(told: Totals) -> int:
    return told.credits + told.debits + told.charges + told.refunds + told.reversals


def test_entries_are_the_tenants_own_and_move_money(connection: Connection) -> None:
    mine, other = tenant(connection, 1000), tenant(connection, 1000)
    job = running(connection, mine)
    ended = outcome(job, 100)
    ended.owed = {"p": 5}
    assert store.settle_group(connection, "wrk_a", [ended]) == [True]
    admit(connection, mine, hold=0)
    admit(connection, other)
    found = of(connection, mine)
    # The release is of nothing and what the provider gets is not the tenant's.
    assert [entry.kind for entry in found] == ["settle", "hold", "credit"]
    assert {entry.tenant_id for entry in found} == {mine}


def test_pages_go_both_ways(connection: Connection) -> None:
    mine = tenant(connection, 0)
    made = [add_credit(connection, mine, amount, "test") for amount in range(1, 6)]
    wanted = Wanted(mine)
    up = list_entries(connection, wanted, None, 2, newest_first=False)
    assert up == made[:2]
    assert list_entries(connection, wanted, up[-1].seq, 9, newest_first=False) == made[2:]
    down = list_entries(connection, wanted, None, 2, newest_first=True)
    assert down == made[:2:-1]
    assert list_entries(connection, wanted, down[-1].seq, 9, newest_first=True) == made[2::-1]


def test_entries_are_narrowed_by_job_and_kind(connection: Connection) -> None:
    mine = tenant(connection, 1000)
    job, other = running(connection, mine), running(connection, mine)
    assert store.settle_group(connection, "wrk_a", [outcome(job)]) == [True]
    reverse(connection, refund(connection, job.id, 10, "sorry").id, "undone")
    kinds = [entry.kind for entry in of(connection, mine, job_id=job.id)]
    assert sorted(kinds) == ["hold", "refund", "release", "reversal", "settle"]
    assert [entry.kind for entry in of(connection, mine, job_id=other.id)] == ["hold"]
    for kind in KINDS:
        assert {entry.kind for entry in of(connection, mine, kind=kind)} <= {kind}
    assert len(of(connection, mine, kind="hold")) == 2
    assert [e.kind for e in of(connection, mine, kind="refund", job_id=job.id)] == ["refund"]
    assert of(connection, tenant(connection), job_id=job.id) == []


def test_entries_are_narrowed_by_time(connection: Connection) -> None:
    mine = tenant(connection, 0)
    times = (MARCH - INSTANT, MARCH, APRIL - INSTANT, APRIL)
    made = [shifted(connection, add_credit(connection, mine, 1, "test"), at).seq for at in times]
    start_s, end_s = int(MARCH.timestamp()), int(APRIL.timestamp())
    assert [e.seq for e in of(connection, mine, start_s=start_s)] == made[:0:-1]
    assert [e.seq for e in of(connection, mine, end_s=end_s)] == made[2::-1]
    assert [e.seq for e in of(connection, mine, start_s=start_s, end_s=end_s)] == made[2:0:-1]


def test_a_time_is_found_among_numbers_that_are_a_little_out_of_order(
    connection: Connection,
) -> None:
    """Numbers and times disagree by as long as a transaction takes."""
    random = Random(5)
    mine = tenant(connection, 0)
    made = []
    for number in range(200):
        at = MARCH + timedelta(seconds=10 * number + random.uniform(-59, 59))
        made.append((at, shifted(connection, add_credit(connection, mine, 1, "test"), at).seq))
    for minute in range(-3, 40):
        at = MARCH + timedelta(minutes=minute)
        found = [entry.seq for entry in of(connection, mine, start_s=int(at.timestamp()))]
        assert found == sorted([seq for when, seq in made if when >= at], reverse=True)
        found = [entry.seq for entry in of(connection, mine, end_s=int(at.timestamp()))]
        assert found == sorted([seq for when, seq in made if when < at], reverse=True)
    row = connection.execute("SELECT transfer_at(%s)", (MARCH + timedelta(minutes=20),)).fetchone()
    assert row is not None
    assert made[6 * 13][1] < row[0] <= made[6 * 17][1]


def test_the_time_of_an_empty_ledger_is_its_beginning(connection: Connection) -> None:
    assert connection.execute("SELECT transfer_at(now())").fetchone() is not None
    assert in_time(connection, "ten_nobody", MARCH, APRIL) == Totals(0, 0, 0, 0, 0, 0, 0)


def test_a_month_sums_up_its_changes(connection: Connection) -> None:
    mine, other = tenant(connection, 0), tenant(connection, 5)
    shifted(connection, add_credit(connection, mine, 1000, "before"), MARCH - INSTANT)
    paid_job(connection, mine, MARCH, 30)
    job = paid_job(connection, mine, MARCH + timedelta(days=3), 50)
    shifted(connection, add_credit(connection, mine, 200, "in"), MARCH + timedelta(days=4))
    shifted(connection, debit(connection, mine, 7, "out"), MARCH + timedelta(days=5))
    back = shifted(connection, refund(connection, job, 20, "sorry"), MARCH + timedelta(days=6))
    shifted(connection, reverse(connection, back.id, "undone"), APRIL - INSTANT)
    paid_job(connection, mine, APRIL, 11)
    march = in_time(connection, mine, MARCH, APRIL)
    assert march == Totals(1000, 200, -7, -80, 20, -20, 1113)
    april = in_time(connection, mine, APRIL, MAY)
    assert april == Totals(1113, 0, 0, -11, 0, 0, 1102)
    assert in_time(connection, mine, MARCH - timedelta(days=31), MARCH).opening == 0
    assert in_time(connection, other, MARCH, APRIL) == Totals(0, 0, 0, 0, 0, 0, 0)
    assert balance(connection, mine).wallet == april.closing
    assert_proven(connection)


def test_what_open_jobs_hold_is_still_the_tenants(connection: Connection) -> None:
    mine = tenant(connection, 1000)
    admit(connection, mine, 2)
    now = datetime.now(UTC)
    told = in_time(connection, mine, now - timedelta(hours=1), now + timedelta(hours=1))
    assert told == Totals(0, 1000, 0, 0, 0, 0, 1000)


@pytest.mark.parametrize("seed", range(3))
def test_each_month_opens_as_the_one_before_closed(connection: Connection, seed: int) -> None:
    random, mine = Random(seed), tenant(connection, 0)
    at, jobs = MARCH - timedelta(days=40), list[str]()
    shifted(connection, add_credit(connection, mine, 100_000, "first"), at)
    for _ in range(40):
        at += timedelta(seconds=random.randrange(4 * 86_400))
        if random.random() < 0.6:
            jobs.append(paid_job(connection, mine, at, random.randrange(1, 100)))
        elif random.random() < 0.5 and jobs:
            given = refund(connection, jobs.pop(), None, "sorry")
            shifted(connection, given, at)
            if random.random() < 0.5:
                shifted(connection, reverse(connection, given.id, "undone"), at)
        else:
            post = random.choice((add_credit, debit))
            shifted(connection, post(connection, mine, random.randrange(1, 99), "x"), at)
    months = [datetime(2026, month, 1, tzinfo=UTC) for month in range(1, 9)]
    told = [in_time(connection, mine, *pair) for pair in pairwise(months)]
    assert all(month.opening + changes(month) == month.closing for month in told)
    assert [month.opening for month in told[1:]] == [month.closing for month in told[:-1]]
    assert sum(changes(month) for month in told) == told[-1].closing - told[0].opening
    assert len({month.closing for month in told}) > 3
    assert in_time(connection, mine, months[-1], MAY + timedelta(days=365)).closing == (
        balance(connection, mine).wallet
    )
    assert_proven(connection)
