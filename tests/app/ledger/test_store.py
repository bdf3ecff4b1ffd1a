"""Credit, debits, refunds, reversals, and transfers that nothing changes."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from app.accounts.audit import audit_page
from app.accounts.tenants import change_tenant
from app.db.connect import Connection, connect
from app.errors import Conflict, InvalidRequest, MoonpoolError, NoCredit, NotFound
from app.jobs import store
from app.ledger.store import (
    Balance,
    add_credit,
    balance,
    debit,
    entry_id,
    entry_seq,
    refund,
    reverse,
)
from app.money import FUNDS_MAX
from tests.app.line import admit, assert_proven, funds, outcome, running, tenant


def ended(connection: Connection, mine: str, cost: int = 30) -> str:
    """The id of a job of `mine` that ended and cost this much of its hold of 100."""
    job = running(connection, mine)
    assert store.settle_group(connection, "wrk_a", [outcome(job, cost)]) == [True]
    return job.id


def test_credit_goes_to_the_wallet_with_its_transfer(connection: Connection) -> None:
    mine = tenant(connection, 0)
    first = add_credit(connection, mine, 5, "first")
    second = add_credit(connection, mine, 7, "second", actor="key_9")
    assert (first.kind, first.debit, first.credit) == (
        "credit", "platform/funding", f"{mine}/wallet",
    )  # fmt: skip
    assert (first.amount, first.note, first.actor, first.job_id) == (5, "first", "cli", None)
    assert (second.amount, second.note, second.actor) == (7, "second", "key_9")
    assert second.seq > first.seq
    assert first.id == f"ent_{first.seq}"
    assert balance(connection, mine) == Balance(wallet=12, held=0)
    rows = connection.execute("SELECT seq, amount, actor FROM transfer ORDER BY seq").fetchall()
    assert rows == [(first.seq, 5, "cli"), (second.seq, 7, "key_9")]
    assert_proven(connection)


@pytest.mark.parametrize("nanos", [0, -1])
@pytest.mark.parametrize("post", [add_credit, debit, refund])
def test_an_amount_is_positive(connection: Connection, post: object, nanos: int) -> None:
    mine = tenant(connection, 10)
    with pytest.raises(ValueError, match="positive"):
        post(connection, mine, nanos, "none")  # type: ignore[operator]
    assert funds(connection, mine) == (10, 0)


@pytest.mark.parametrize("post", [add_credit, debit])
def test_an_unknown_tenant_is_not_found(connection: Connection, post: object) -> None:
    with pytest.raises(NotFound):
        post(connection, "ten_nobody", 1, "none")  # type: ignore[operator]
    assert connection.execute("SELECT count(*) FROM transfer").fetchone() == (0,)


def test_credit_beyond_what_a_wallet_holds_changes_nothing(connection: Connection) -> None:
    mine = tenant(connection, FUNDS_MAX)
    with pytest.raises(Conflict, match="hold as much"):
        add_credit(connection, mine, 1, "too much")
    assert balance(connection, mine).wallet == FUNDS_MAX
    assert_proven(connection)


def test_the_fullest_wallet_that_may_owe_the_most_still_pays(connection: Connection) -> None:
    mine = tenant(connection, FUNDS_MAX)
    with pytest.raises(InvalidRequest, match="owe"):
        change_tenant(connection, mine, {"overdraft": FUNDS_MAX + 1})
    change_tenant(connection, mine, {"overdraft": FUNDS_MAX})
    assert admit(connection, mine, hold=12)
    assert balance(connection, mine).available == 2 * FUNDS_MAX - 12
    assert_proven(connection)


def test_an_unknown_tenant_has_nothing(connection: Connection) -> None:
    assert balance(connection, "ten_nobody") == Balance(0, 0, 0)


def test_what_is_available_is_the_wallet_and_what_may_be_owed(connection: Connection) -> None:
    mine = tenant(connection, 10)
    change_tenant(connection, mine, {"overdraft": 5})
    admit(connection, mine, hold=12)
    assert balance(connection, mine) == Balance(wallet=-2, held=12, overdraft=5)
    assert balance(connection, mine).available == 3
    assert_proven(connection)


def test_a_debit_takes_from_the_wallet(connection: Connection) -> None:
    mine = tenant(connection, 10)
    taken = debit(connection, mine, 10, "invoice", actor="key_1")
    assert (taken.kind, taken.debit, taken.credit) == (
        "debit", f"{mine}/wallet", "platform/funding",
    )  # fmt: skip
    assert funds(connection, mine) == (0, 0)
    assert_proven(connection)


def test_a_debit_stops_at_the_overdraft(connection: Connection) -> None:
    mine = tenant(connection, 10)
    change_tenant(connection, mine, {"overdraft": 5})
    with pytest.raises(NoCredit):
        debit(connection, mine, 16, "too much")
    assert funds(connection, mine) == (10, 0)
    debit(connection, mine, 15, "all")
    assert funds(connection, mine) == (-5, 0)
    assert_proven(connection)


def test_what_is_held_is_not_debited(connection: Connection) -> None:
    mine = tenant(connection, 100)
    admit(connection, mine)
    with pytest.raises(NoCredit):
        debit(connection, mine, 1, "held")
    assert funds(connection, mine) == (0, 100)


def test_a_refund_gives_back_some_or_all_that_is_left(connection: Connection) -> None:
    mine = tenant(connection, 100)
    job = ended(connection, mine)
    some = refund(connection, job, 12, "sorry", actor="key_1")
    assert (some.kind, some.debit, some.credit, some.job_id, some.amount) == (
        "refund", "platform/revenue", f"{mine}/wallet", job, 12,
    )  # fmt: skip
    with pytest.raises(Conflict, match=r"\$0\.000000018"):
        refund(connection, job, 19, "too much")
    rest = refund(connection, job, None, "all")
    assert rest.amount == 18
    for nanos in (None, 1):
        with pytest.raises(Conflict, match="Nothing is left"):
            refund(connection, job, nanos, "more")
    assert funds(connection, mine) == (100, 0)
    assert_proven(connection)


def test_a_reversed_refund_counts_back(connection: Connection) -> None:
    mine = tenant(connection, 100)
    job = ended(connection, mine)
    given = refund(connection, job, None, "mistake")
    undone = reverse(connection, given.id, "undo")
    assert (undone.kind, undone.debit, undone.credit, undone.amount, undone.job_id) == (
        "reversal", f"{mine}/wallet", "platform/revenue", 30, job,
    )  # fmt: skip
    assert undone.reverses == given.id
    assert funds(connection, mine) == (70, 0)
    assert refund(connection, job, None, "right").amount == 30
    assert_proven(connection)


def test_only_a_job_that_ended_and_cost_something_is_refunded(connection: Connection) -> None:
    mine = tenant(connection, 1000)
    [waits] = admit(connection, mine)
    for job in (waits, "job_nobody"):
        with pytest.raises(NotFound):
            refund(connection, job, 1, "none")
    store.void(connection, [waits], "queued", "cancelled", None, "client")
    with pytest.raises(Conflict, match="Nothing is left"):
        refund(connection, waits, None, "none")
    [free] = admit(connection, mine, hold=0)
    store.void(connection, [free], "queued", "cancelled", None, "client")
    with pytest.raises(Conflict, match="Nothing is left"):
        refund(connection, free, None, "none")
    assert_proven(connection)


def test_credits_and_debits_are_reversed_once(connection: Connection) -> None:
    mine = tenant(connection, 100)
    given, taken = add_credit(connection, mine, 7, "in"), debit(connection, mine, 3, "out")
    assert reverse(connection, given.id, "undo").debit == f"{mine}/wallet"
    assert reverse(connection, taken.id, "undo").credit == f"{mine}/wallet"
    assert funds(connection, mine) == (100, 0)
    for entry in (given, taken):
        with pytest.raises(Conflict, match="already"):
            reverse(connection, entry.id, "again")
    assert_proven(connection)


def test_what_was_spent_is_not_reversed(connection: Connection) -> None:
    mine = tenant(connection, 0)
    given = add_credit(connection, mine, 100, "in")
    ended(connection, mine, 1)
    with pytest.raises(NoCredit):
        reverse(connection, given.id, "undo")
    assert funds(connection, mine) == (99, 0)
    change_tenant(connection, mine, {"overdraft": 1})
    reverse(connection, given.id, "undo")
    assert funds(connection, mine) == (-1, 0)
    assert_proven(connection)


def test_jobs_transfers_and_reversals_are_not_reversed(connection: Connection) -> None:
    mine = tenant(connection, 0)
    given = add_credit(connection, mine, 200, "in")
    job = ended(connection, mine)
    rows = connection.execute("SELECT seq FROM transfer WHERE job_id = %s", (job,)).fetchall()
    add_credit(connection, mine, 1000, "more")
    undone = reverse(connection, given.id, "undo")
    for entry in (*[entry_id(seq) for (seq,) in rows], undone.id):
        with pytest.raises(Conflict, match="not reversed"):
            reverse(connection, entry, "undo")
    assert len(rows) == 3


@pytest.mark.parametrize(
    "entry", ["ent_999999", "ent_", "ent_x", "job_1", "", "ent_٣", "ent_1_1", "ent_9" * 9,
              f"ent_{2**63}", "ent_9999999999999999999"]
)  # fmt: skip
def test_an_unknown_entry_is_not_found(connection: Connection, entry: str) -> None:
    with pytest.raises(NotFound):
        reverse(connection, entry, "undo")


def test_an_entry_number_is_read_from_its_id() -> None:
    assert entry_seq(entry_id(17)) == 17
    assert entry_seq(entry_id(2**63 - 1)) == 2**63 - 1


def test_each_posting_is_in_the_audit_log(connection: Connection) -> None:
    mine = tenant(connection, 100)
    job = ended(connection, mine)
    made = [
        add_credit(connection, mine, 5, "a", actor="key_1"),
        debit(connection, mine, 4, "b", actor="key_1"),
        refund(connection, job, 3, "c", actor="key_1"),
    ]
    made.append(reverse(connection, made[2].id, "d", actor="key_1"))
    noted = audit_page(connection, mine, None, 4)[::-1]
    assert [(n.action, n.target, n.actor) for n in noted] == [
        (f"entry.{entry.kind}", entry.id, "key_1") for entry in made
    ]
    assert noted[2].detail == {"amount_nanos": 3, "job_id": job, "reverses": None, "note": "c"}


def test_a_refused_posting_is_not_in_the_audit_log(connection: Connection) -> None:
    mine = tenant(connection, 1)
    before = audit_page(connection, mine, None, 1)
    with pytest.raises(NoCredit):
        debit(connection, mine, 2, "too much")
    assert audit_page(connection, mine, None, 1) == before


def at_once(books: str, post: object, count: int = 8) -> list[object]:
    """What `count` threads, each with a connection, get out of `post(connection)`."""

    def one(_: int) -> object:
        with connect(books) as connection:
            try:
                return post(connection)  # type: ignore[operator]
            except MoonpoolError as error:
                return type(error)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_refunds_at_once_never_give_back_more_than_was_charged(
    connection: Connection, books: str
) -> None:
    mine = tenant(connection, 100)
    job = ended(connection, mine)
    got = at_once(books, lambda c: refund(c, job, 10, "sorry").amount)
    assert sorted(got, key=str) == [10] * 3 + [Conflict] * 5
    assert funds(connection, mine) == (100, 0)
    assert_proven(connection)


def test_an_entry_reversed_at_once_is_reversed_once(connection: Connection, books: str) -> None:
    mine = tenant(connection, 100)
    given = add_credit(connection, mine, 7, "in")
    got = at_once(books, lambda c: reverse(c, given.id, "undo").amount)
    assert sorted(got, key=str) == [7] + [Conflict] * 7
    assert funds(connection, mine) == (100, 0)


def test_debits_at_once_never_take_more_than_there_is(connection: Connection, books: str) -> None:
    mine = tenant(connection, 50)
    got = at_once(books, lambda c: debit(c, mine, 10, "out").amount)
    assert sorted(got, key=str) == [10] * 5 + [NoCredit] * 3
    assert funds(connection, mine) == (0, 0)
    assert_proven(connection)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE transfer SET amount = 0",
        "UPDATE transfer SET note = note WHERE false",
        "DELETE FROM transfer",
        "TRUNCATE transfer",
    ],
)
def test_a_transfer_is_never_changed(connection: Connection, statement: str) -> None:
    mine = tenant(connection, 500)
    admit(connection, mine)
    with pytest.raises(psycopg.errors.RaiseException, match="never changed"):
        connection.execute(statement.encode())
    rows = connection.execute("SELECT kind, amount FROM transfer ORDER BY seq").fetchall()
    assert rows == [("credit", 500), ("hold", 100)]


@pytest.mark.parametrize(
    ("kind", "job_id", "amount", "broken"),
    [
        ("hold", "job_taken", 1, psycopg.errors.UniqueViolation),
        ("hold", None, 1, psycopg.errors.CheckViolation),
        ("credit", "job_other", 1, psycopg.errors.CheckViolation),
        ("settle", "job_other", -1, psycopg.errors.CheckViolation),
        ("debit", "job_other", 1, psycopg.errors.CheckViolation),
        ("refund", None, 1, psycopg.errors.CheckViolation),
        ("reversal", None, 1, psycopg.errors.CheckViolation),
        ("cost", "job_other", 1, psycopg.errors.CheckViolation),
        ("gift", "job_other", 1, psycopg.errors.CheckViolation),
    ],
)
def test_postgres_refuses_a_transfer_that_breaks_a_rule(
    connection: Connection, kind: str, job_id: str | None, amount: int, broken: type[Exception]
) -> None:
    insert = (
        "INSERT INTO transfer (job_id, tenant_id, kind, debit, credit, amount) "
        "VALUES (%s, 't', %s, 'a', 'b', %s)"
    )
    connection.execute(insert, ("job_taken", "hold", 1))
    with pytest.raises(broken):
        connection.execute(insert, (job_id, kind, amount))


@pytest.mark.parametrize("kind", ["wallet", "held"])
def test_a_balance_below_the_overdraft_is_refused(connection: Connection, kind: str) -> None:
    mine = tenant(connection, 10)
    change_tenant(connection, mine, {"overdraft": 4})
    floor = -4 if kind == "wallet" else 0
    change = "UPDATE account SET balance = %s WHERE tenant_id = %s AND kind = %s"
    connection.execute(change, (floor, mine, kind))
    with pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(change, (floor - 1, mine, kind))
