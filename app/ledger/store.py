"""Credit and balances. Holds and settlements are posted by the job line itself."""

from dataclasses import dataclass

from app.db.connect import Connection


@dataclass(frozen=True, slots=True)
class Balance:
    """Nano-dollars a tenant may spend (`wallet`) and has set aside for open jobs (`held`)."""

    wallet: int
    held: int


def add_credit(connection: Connection, tenant_id: str, nanos: int, note: str) -> Balance:
    """Credits a wallet. Raises ValueError unless `nanos` is positive."""
    if nanos <= 0:
        raise ValueError("credit is a positive amount")
    with connection.transaction():
        connection.execute(
            "UPDATE account SET balance = balance + %s WHERE id = %s",
            (nanos, f"{tenant_id}/wallet"),
        )
        connection.execute(
            "INSERT INTO transfer (tenant_id, kind, debit, credit, amount, note) "
            "VALUES (%s, 'credit', 'platform/funding', %s, %s, %s)",
            (tenant_id, f"{tenant_id}/wallet", nanos, note),
        )
    return balance(connection, tenant_id)


def balance(connection: Connection, tenant_id: str) -> Balance:
    """What a tenant has."""
    rows: dict[str, int] = dict(
        connection.execute(
            "SELECT kind, balance FROM account WHERE tenant_id = %s", (tenant_id,)
        ).fetchall()
    )
    return Balance(wallet=rows.get("wallet", 0), held=rows.get("held", 0))
