"""The proof of the books: silent on right ones, and each wrong row is named."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from psycopg import sql

from app.db.connect import Connection, connect
from app.jobs import store
from app.ledger.verify import CHECKS, Finding, verify
from tests.app.line import admit, outcome, running, tenant

OPEN_OR_ENDED = "every job is open or ended, and not both"
HOLD = "one hold a job, of its amount"
SETTLE = "one settle an ended job, of its cost, and none for an open one"
SPLIT = "hold = settled + released for each ended job"
ACCOUNTS = "each transfer is between the accounts that its kind names"
HELD = "held = holds of open jobs"
BALANCE = "balance = sum of transfers, and not below zero"
TWO = "each tenant has a wallet and a held account"


@dataclass(frozen=True)
class Books:
    """One tenant, one job in each state that the books tell apart."""

    tenant: str
    queued: str
    running: str
    completed: str
    voided: str

    def named(self, text: str) -> str:
        """`text` with {tenant}, {queued}, … filled in."""
        return text.format(**{f: getattr(self, f) for f in self.__dataclass_fields__})


@pytest.fixture
def full(connection: Connection) -> Books:
    mine = tenant(connection, 10_000)
    done, runs = running(connection, mine), running(connection, mine)
    [gone, waits] = admit(connection, mine, 2)
    assert store.settle_group(connection, "wrk_a", [outcome(done)]) == [True]
    assert store.void(connection, [gone], "queued", "cancelled", None, "client") == [gone]
    return Books(mine, waits, runs.id, done.id, gone)


@pytest.fixture
def by_hand(books: str) -> Iterator[Connection]:
    """A connection that may alter anything: as an operator's with all triggers off."""
    with connect(books) as connection:
        connection.execute("ALTER TABLE transfer DISABLE TRIGGER transfer_immutable")
        constraints = connection.execute(
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) "
            "FROM pg_constraint WHERE contype = 'c' AND conname ~ '(balance|cost|hold|amount)'"
        ).fetchall()
        for table, name, _ in constraints:
            drop = sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}")
            connection.execute(drop.format(sql.Identifier(table), sql.Identifier(name)))
        yield connection
        connection.execute("SET session_replication_role = replica")
        for table in ("transfer", "account", "result", "job", "open_job"):
            connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
        connection.execute("ALTER TABLE transfer ENABLE TRIGGER transfer_immutable")
        for table, name, rule in constraints:
            add = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}")
            connection.execute(
                add.format(sql.Identifier(table), sql.Identifier(name), sql.SQL(rule))
            )


def findings(connection: Connection) -> set[tuple[str, str]]:
    return {(finding.check, finding.row) for finding in verify(connection)}


def test_right_books_have_no_findings(connection: Connection, full: Books) -> None:
    assert verify(connection) == []


def test_empty_books_have_no_findings(connection: Connection) -> None:
    assert verify(connection) == []


ALTERED = {
    "a result deleted": (
        "DELETE FROM result WHERE id = '{completed}'",
        {(OPEN_OR_ENDED, "job {completed}")},
    ),
    "an open job deleted": (
        "DELETE FROM open_job WHERE id = '{running}'",
        {(OPEN_OR_ENDED, "job {running}"), (HELD, "account {tenant}/held")},
    ),
    "an open job that has ended": (
        "INSERT INTO open_job SELECT '{voided}', tenant_id, lane, 'queued', 0, 0, 0, 0, NULL, "
        "false, now(), NULL, NULL, now(), 0, now() FROM open_job WHERE id = '{queued}'",
        {(OPEN_OR_ENDED, "job {voided}"), (HOLD, "open_job {voided}")},
    ),
    "a job deleted": (
        "DELETE FROM job WHERE id = '{queued}'",
        {(OPEN_OR_ENDED, "open_job {queued}")},
    ),
    "an ended job deleted": (
        "DELETE FROM job WHERE id = '{completed}'",
        {(OPEN_OR_ENDED, "result {completed}")},
    ),
    "a job's hold": ("UPDATE job SET hold = 99 WHERE id = '{queued}'", {(HOLD, "job {queued}")}),
    "an open job's hold": (
        "UPDATE open_job SET hold = 101 WHERE id = '{queued}'",
        {(HOLD, "open_job {queued}"), (HELD, "account {tenant}/held")},
    ),
    "a hold transfer deleted": (
        "DELETE FROM transfer WHERE job_id = '{running}' AND kind = 'hold'",
        {(HOLD, "job {running}")},
    ),
    "a result's cost": (
        "UPDATE result SET cost = 31 WHERE id = '{completed}'",
        {(SETTLE, "result {completed}")},
    ),
    "a settle deleted": (
        "DELETE FROM transfer WHERE job_id = '{completed}' AND kind = 'settle'",
        {(SETTLE, "result {completed}"), (SPLIT, "job {completed}")},
    ),
    "a void's settle deleted": (
        "DELETE FROM transfer WHERE job_id = '{voided}' AND kind = 'settle'",
        {(SETTLE, "result {voided}")},
    ),
    "a release of less": (
        "UPDATE transfer SET amount = 69 WHERE job_id = '{completed}' AND kind = 'release'",
        {(SPLIT, "job {completed}"), (BALANCE, "account {tenant}/wallet")},
    ),
    "a wallet": (
        "UPDATE account SET balance = balance + 1 WHERE id = '{tenant}/wallet'",
        {(BALANCE, "account {tenant}/wallet")},
    ),
    "a held account": (
        "UPDATE account SET balance = balance - 1 WHERE id = '{tenant}/held'",
        {(HELD, "account {tenant}/held"), (BALANCE, "account {tenant}/held")},
    ),
    "a wallet deleted": (
        "DELETE FROM account WHERE id = '{tenant}/wallet'",
        {(TWO, "tenant {tenant}")},
    ),
    "a credit that is not in the wallet": (
        "UPDATE transfer SET amount = amount + 1 WHERE kind = 'credit'",
        {(BALANCE, "account {tenant}/wallet")},
    ),
}


@pytest.mark.parametrize("what", ALTERED)
def test_names_the_row_that_was_altered(
    connection: Connection, by_hand: Connection, full: Books, what: str
) -> None:
    statement, expected = ALTERED[what]
    by_hand.execute(full.named(statement).encode())
    found = findings(connection)
    assert {(check, full.named(row)) for check, row in expected} <= found


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
        ("hold", "tenant_id", "ten_other"),
        ("hold", "job_id", "job_other"),
    ],
)
def test_names_a_transfer_between_wrong_accounts(
    connection: Connection, by_hand: Connection, full: Books, kind: str, column: str, value: str
) -> None:
    row = by_hand.execute(
        "SELECT seq FROM transfer WHERE kind = %s AND coalesce(job_id, %s) = %s",
        (kind, full.completed, full.completed),
    ).fetchone()
    assert row is not None
    change = sql.SQL("UPDATE transfer SET {} = %s WHERE seq = %s").format(sql.Identifier(column))
    by_hand.execute(change, (full.named(value), row[0]))
    assert (ACCOUNTS, f"transfer {row[0]}") in findings(connection)


@pytest.mark.parametrize("kind", ["settle", "release"])
def test_names_a_payment_for_a_job_that_is_open(
    connection: Connection, by_hand: Connection, full: Books, kind: str
) -> None:
    row = by_hand.execute(
        "INSERT INTO transfer (job_id, tenant_id, kind, debit, credit, amount) "
        "VALUES (%s, %s, %s, 'a', 'b', 0) RETURNING seq",
        (full.running, full.tenant, kind),
    ).fetchone()
    assert row is not None
    assert (SETTLE, f"transfer {row[0]}") in findings(connection)


def test_a_balance_below_zero_is_found_even_if_it_adds_up(
    connection: Connection, by_hand: Connection, full: Books
) -> None:
    by_hand.execute("UPDATE account SET balance = -1 WHERE kind = 'wallet'")
    by_hand.execute(
        "UPDATE transfer SET amount = amount - 1 - (SELECT sum(CASE WHEN credit LIKE '%/wallet' "
        "THEN amount ELSE 0 END - CASE WHEN debit LIKE '%/wallet' THEN amount ELSE 0 END) "
        "FROM transfer) WHERE kind = 'credit'"
    )
    assert (BALANCE, f"account {full.tenant}/wallet") in findings(connection)


def test_a_finding_says_what_is_wrong(
    connection: Connection, by_hand: Connection, full: Books
) -> None:
    by_hand.execute("UPDATE result SET cost = 31 WHERE id = %s", (full.completed,))
    row = f"result {full.completed}"
    assert verify(connection) == [Finding(SETTLE, row, "cost of 31 but settled 30")]


def test_all_checks_speak_of_one_moment(
    connection: Connection, by_hand: Connection, full: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit between two checks is in neither or in both."""

    class Meddling(dict[str, str]):
        def items(self) -> Iterator[tuple[str, str]]:  # type: ignore[override]
            for number, (name, query) in enumerate(super().items()):
                if number == 1:
                    store.void(by_hand, [full.queued], "queued", "cancelled", None, "client")
                    by_hand.execute("DELETE FROM transfer WHERE job_id = %s", (full.queued,))
                yield name, query

    monkeypatch.setattr("app.ledger.verify.CHECKS", Meddling(CHECKS))
    assert verify(connection) == []
    monkeypatch.undo()
    assert verify(connection) != []
