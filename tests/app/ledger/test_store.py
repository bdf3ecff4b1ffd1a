"""Credit, balances, and transfers that nothing changes."""

import psycopg
import pytest

from app.db.connect import Connection
from app.ledger.store import Balance, add_credit, balance
from tests.app.line import admit, assert_proven, tenant


def test_credit_goes_to_the_wallet_with_its_transfer(connection: Connection) -> None:
    mine = tenant(connection, 0)
    assert add_credit(connection, mine, 5, "first") == Balance(wallet=5, held=0)
    assert add_credit(connection, mine, 7, "second") == Balance(wallet=12, held=0)
    rows = connection.execute(
        "SELECT kind, debit, credit, amount, note FROM transfer ORDER BY seq"
    ).fetchall()
    assert rows == [
        ("credit", "platform/funding", f"{mine}/wallet", 5, "first"),
        ("credit", "platform/funding", f"{mine}/wallet", 7, "second"),
    ]
    assert_proven(connection)


@pytest.mark.parametrize("nanos", [0, -1])
def test_credit_is_positive(connection: Connection, nanos: int) -> None:
    mine = tenant(connection, 0)
    with pytest.raises(ValueError, match="positive"):
        add_credit(connection, mine, nanos, "none")
    assert balance(connection, mine) == Balance(0, 0)


def test_credit_beyond_what_a_wallet_holds_changes_nothing(connection: Connection) -> None:
    mine = tenant(connection, 2**63 - 1)
    with pytest.raises(psycopg.errors.NumericValueOutOfRange):
        add_credit(connection, mine, 1, "too much")
    assert balance(connection, mine).wallet == 2**63 - 1
    assert_proven(connection)


def test_an_unknown_tenant_has_nothing(connection: Connection) -> None:
    assert balance(connection, "ten_nobody") == Balance(0, 0)


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
def test_a_balance_below_zero_is_refused(connection: Connection, kind: str) -> None:
    mine = tenant(connection, 10)
    with pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(
            "UPDATE account SET balance = -1 WHERE tenant_id = %s AND kind = %s", (mine, kind)
        )
