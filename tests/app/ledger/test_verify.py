"""The proof of the books: silent on right ones, and each wrong row is named."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from psycopg import sql

from app.batches.flight import store as flights
from app.db.connect import Connection, connect, line_connection
from app.jobs import store
from app.jobs.model import HandedBack
from app.ledger.budgets import create_budget
from app.ledger.store import add_credit, debit, refund, reverse
from app.ledger.verify import CHECKS, Finding, verify
from tests.app.batches.parts import started, work_off
from tests.app.ledger.altered import ACCOUNTS, ALTERED, BALANCE, BILL, SETTLE
from tests.app.line import admit, claim_one, outcome, running, tenant, voided
from tests.conftest import other_database


@dataclass(frozen=True)
class Books:
    """One tenant with a budget, one job in each state that the books tell apart, a refund of which
    a part was undone, a lost attempt that told its costs late, and a batch of which one line has
    ended."""

    tenant: str
    queued: str
    running: str
    completed: str
    voided: str
    free: str
    budget: str
    batch: str
    line: str
    refund: int
    last: int

    def named(self, text: str) -> str:
        """`text` with {tenant}, {queued}, … filled in."""
        return text.format(**{f: getattr(self, f) for f in self.__dataclass_fields__})


@pytest.fixture
def full(connection: Connection) -> Books:
    return kept(connection)


def kept(connection: Connection) -> Books:
    """Keeps books of one tenant, and has them."""
    mine = tenant(connection, 10_000)
    budget = create_budget(connection, mine, "tenant", mine, "day", 1, 5000)
    connection.execute(
        "INSERT INTO price (version, model, provider, input, cached_input, output, source) "
        "VALUES ('price_a', 'm', 'p', 1000000, 500000, 3000001, 'catalogue')"
    )
    lost = running(connection, mine, "wrk_lost")
    back = [HandedBack(lost.id, lost.attempt, None)]
    assert store.requeue(connection, back, "lost") == [(lost.id, "interactive")]
    done = claim_one(connection)
    runs = running(connection, mine)
    late = outcome(lost)
    late.owed = {"p": 3}
    assert store.settle_group(connection, "wrk_lost", [late]) == [False]
    [gone, waits] = admit(connection, mine, 2)
    [free] = admit(connection, mine, hold=0)
    # 10 x 1 + 3 x 0.5 + 5 x 3.000001, each rounded up.
    end = outcome(done, 28)
    end.prompt_tokens, end.cached_tokens, end.completion_tokens, end.price = 13, 3, 5, "price_a"
    end.owed = {"p": 7, "q": 2, "r": 0}
    assert store.settle_group(connection, "wrk_a", [end]) == [True]
    for job in (gone, free):
        assert voided(connection, [job], "queued", "cancelled", None, "client") == [job]
    batch = started(connection, mine, 3)
    flights.dispatch(connection, batch.id, 1)
    [line] = work_off(connection, 1)
    flights.count(connection, batch.id)
    debit(connection, mine, 10, "a debit")
    reverse(connection, add_credit(connection, mine, 20, "a mistake").id, "undone")
    given = refund(connection, done.id, 20, "a refund")
    last = reverse(connection, refund(connection, done.id, 8, "another").id, "undone")
    return Books(
        mine, waits, runs.id, done.id, gone, free, budget.id, batch.id, line.id, given.seq,
        last.seq,
    )  # fmt: skip


@pytest.fixture(scope="module")
def untouched(postgres_url: str, template: str) -> Iterator[tuple[Connection, Books]]:
    """Books in a database of their own, which no test changes for good."""
    named, source = sql.Identifier("books"), sql.Identifier(template)
    with connect(postgres_url) as owner:
        owner.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(named, source))
        try:
            with line_connection(other_database(postgres_url, "books"), "test") as connection:
                yield connection, kept(connection)
        finally:
            owner.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(named))


@pytest.fixture
def by_hand(untouched: tuple[Connection, Books]) -> Iterator[Connection]:
    """A connection that may alter anything, as an operator's with all triggers off; nothing of it
    lasts."""
    connection, _ = untouched
    with connection.transaction(force_rollback=True):
        connection.execute("ALTER TABLE transfer DISABLE TRIGGER transfer_immutable")
        constraints = connection.execute(
            "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE contype = 'c' "
            "AND conname ~ '(balance|cost|hold|amount|job|reversal|kind|overdraft)'"
        ).fetchall()
        for table, name in constraints:
            drop = sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}")
            connection.execute(drop.format(sql.Identifier(table), sql.Identifier(name)))
        yield connection


@pytest.fixture
def altered(untouched: tuple[Connection, Books]) -> Books:
    """What `by_hand` alters."""
    return untouched[1]


def findings(connection: Connection) -> list[Finding]:
    """What `verify` finds, within the transaction that altered the books."""
    return [
        Finding(name, row, text)
        for name, query in CHECKS.items()
        for row, text in connection.execute(query)
    ]


def rows_found(connection: Connection) -> set[tuple[str, str]]:
    return {(finding.check, finding.row) for finding in findings(connection)}


def test_right_books_have_no_findings(connection: Connection, full: Books) -> None:
    assert verify(connection) == []


def test_empty_books_have_no_findings(connection: Connection) -> None:
    assert verify(connection) == []


@pytest.mark.parametrize("what", ALTERED)
def test_names_the_row_that_was_altered(by_hand: Connection, altered: Books, what: str) -> None:
    statement, expected = ALTERED[what]
    by_hand.execute(altered.named(statement).encode())
    found = rows_found(by_hand)
    assert {(check, altered.named(row)) for check, row in expected} <= found


def test_the_alterations_cover_every_check() -> None:
    covered = {check for _, expected in ALTERED.values() for check, _ in expected}
    assert covered | {ACCOUNTS} == set(CHECKS)


@pytest.mark.parametrize(
    ("kind", "column", "value"),
    [
        ("hold", "debit", "platform/funding"),
        ("hold", "credit", "platform/revenue"),
        ("settle", "credit", "{tenant}/wallet"),
        ("release", "credit", "platform/revenue"),
        ("credit", "debit", "platform/revenue"),
        ("credit", "credit", "{tenant}/held"),
        ("debit", "debit", "{tenant}/held"),
        ("debit", "credit", "platform/revenue"),
        ("refund", "debit", "platform/funding"),
        ("refund", "credit", "{tenant}/held"),
        ("cost", "debit", "platform/funding"),
        ("cost", "credit", "platform/revenue"),
        ("hold", "tenant_id", "ten_other"),
        ("hold", "job_id", "job_other"),
    ],
)
def test_names_a_transfer_between_wrong_accounts(
    by_hand: Connection, altered: Books, kind: str, column: str, value: str
) -> None:
    row = by_hand.execute(
        "SELECT seq FROM transfer WHERE kind = %s AND coalesce(job_id, %s) = %s",
        (kind, altered.completed, altered.completed),
    ).fetchone()
    assert row is not None
    change = sql.SQL("UPDATE transfer SET {} = %s WHERE seq = %s").format(sql.Identifier(column))
    by_hand.execute(change, (altered.named(value), row[0]))
    assert (ACCOUNTS, f"transfer {row[0]}") in rows_found(by_hand)


@pytest.mark.parametrize("kind", ["settle", "release"])
def test_names_a_payment_for_a_job_that_is_open(
    by_hand: Connection, altered: Books, kind: str
) -> None:
    row = by_hand.execute(
        "INSERT INTO transfer (job_id, tenant_id, kind, debit, credit, amount) "
        "VALUES (%s, %s, %s, 'a', 'b', 0) RETURNING seq",
        (altered.running, altered.tenant, kind),
    ).fetchone()
    assert row is not None
    assert (SETTLE, f"transfer {row[0]}") in rows_found(by_hand)


def test_a_balance_below_zero_is_found_even_if_it_adds_up(
    by_hand: Connection, altered: Books
) -> None:
    by_hand.execute("UPDATE account SET balance = -1 WHERE kind = 'wallet'")
    by_hand.execute(
        "UPDATE transfer SET amount = amount - 1 - (SELECT sum(CASE WHEN credit LIKE '%/wallet' "
        "THEN amount ELSE 0 END - CASE WHEN debit LIKE '%/wallet' THEN amount ELSE 0 END) "
        "FROM transfer) WHERE kind = 'credit' AND amount = 10000"
    )
    assert (BALANCE, f"account {altered.tenant}/wallet") in rows_found(by_hand)


def test_a_finding_says_what_is_wrong(by_hand: Connection, altered: Books) -> None:
    by_hand.execute("UPDATE result SET cost = 31 WHERE id = %s", (altered.completed,))
    row, whole_cost = f"result {altered.completed}", "what it used at price_a cost 28"
    assert findings(by_hand) == [
        Finding(SETTLE, row, "cost of 31 but settled 28"),
        Finding(BILL, row, f"cost of 31 but {whole_cost}, at most the hold of 100"),
    ]


def test_an_answer_never_costs_more_than_its_hold(by_hand: Connection, altered: Books) -> None:
    by_hand.execute("UPDATE price SET output = 9000000000000000000")
    assert (BILL, f"result {altered.completed}") in rows_found(by_hand)
    by_hand.execute("UPDATE result SET cost = 100 WHERE id = %s", (altered.completed,))
    assert (BILL, f"result {altered.completed}") not in rows_found(by_hand)


@pytest.mark.parametrize("change", ["state = 'failed'", "price = NULL", "price = 'price_gone'"])
def test_only_what_was_priced_is_reckoned_again(
    by_hand: Connection, altered: Books, change: str
) -> None:
    by_hand.execute(f"UPDATE result SET completion_tokens = 99, {change}".encode())
    assert rows_found(by_hand) == set()


def test_free_jobs_of_before_may_have_transfers_of_nothing(
    by_hand: Connection, altered: Books
) -> None:
    for kind, source, target in (
        ("hold", "wallet", "held"), ("settle", "held", ""), ("release", "held", "wallet"),
    ):  # fmt: skip
        by_hand.execute(
            "INSERT INTO transfer (job_id, tenant_id, kind, debit, credit, amount) "
            "VALUES (%s, %s, %s, %s, %s, 0)",
            (altered.free, altered.tenant, kind, f"{altered.tenant}/{source}",
             f"{altered.tenant}/{target}" if target else "platform/revenue"),
        )  # fmt: skip
    assert rows_found(by_hand) == set()


def test_all_checks_speak_of_one_moment(
    books: str, connection: Connection, full: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit between two checks is in neither or in both."""

    class Meddling(dict[str, str]):
        def items(self) -> Iterator[tuple[str, str]]:  # type: ignore[override]
            for number, (name, query) in enumerate(super().items()):
                if number == 1:
                    with connect(books) as other:
                        other.execute("DELETE FROM open_job WHERE id = %s", (full.queued,))
                yield name, query

    monkeypatch.setattr("app.ledger.verify.CHECKS", Meddling(CHECKS))
    assert verify(connection) == []
    monkeypatch.undo()
    assert verify(connection) != []
