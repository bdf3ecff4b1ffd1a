"""Postings beyond the job line: credit, debits, refunds and reversals, and what a tenant has.

Each is one transaction that locks the wallet before it reads what it decides on, so that two at
once never give back or take away more than there is.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from app.accounts import audit
from app.db.connect import Connection
from app.errors import Conflict, NoCredit, NotFound
from app.money import FUNDS_MAX, usd_text

SEQ_MAX = 2**63 - 1
FUNDING = "platform/funding"
REVENUE = "platform/revenue"
REVERSIBLE = frozenset({"credit", "debit", "refund"})


@dataclass(frozen=True, slots=True)
class Balance:
    """Nano-dollars a tenant may spend (`wallet`), has set aside for open jobs and for lines of
    batches that are to be jobs (`held`), and may owe (`overdraft`)."""

    wallet: int
    held: int
    overdraft: int = 0

    @property
    def available(self) -> int:
        return self.wallet + self.overdraft


@dataclass(frozen=True, slots=True)
class Entry:
    """One transfer: `amount` nano-dollars from the account `debit` to the account `credit`."""

    id: str
    seq: int
    kind: str
    amount: int
    debit: str
    credit: str
    job_id: str | None
    reverses: str | None
    note: str | None
    actor: str | None
    created_at: datetime
    tenant_id: str


ENTRIES: LiteralString = (
    "SELECT seq, kind, amount, debit, credit, job_id, reverses, note, actor, created_at, tenant_id "
    "FROM transfer "
)
"""What a query begins with whose rows `entry_of` reads."""


def entry_of(row: tuple[Any, ...]) -> Entry:
    """The entry that a row of ENTRIES holds."""
    seq, kind, amount, debit_id, credit_id, job_id, reverses, *rest = row
    undone = None if reverses is None else entry_id(reverses)
    return Entry(
        entry_id(seq), seq, kind, amount, debit_id, credit_id, job_id, undone, *rest
    )  # fmt: skip


def entry_id(seq: int) -> str:
    """The id of the transfer with this number."""
    return f"ent_{seq}"


def entry_seq(an_id: str) -> int | None:
    """The number in an entry's id, or None if `an_id` is none."""
    word, _, digits = an_id.partition("_")
    known = word == "ent" and digits.isascii() and digits.isdecimal() and len(digits) < 20
    return int(digits) if known and int(digits) <= SEQ_MAX else None


def balance(connection: Connection, tenant_id: str) -> Balance:
    """What a tenant has; nothing if there is no such tenant."""
    rows = connection.execute(
        "SELECT kind, balance, overdraft FROM account WHERE tenant_id = %s", (tenant_id,)
    ).fetchall()
    return Balance(
        wallet=sum(amount for kind, amount, _ in rows if kind == "wallet"),
        held=sum(amount for kind, amount, _ in rows if kind != "wallet"),
        overdraft=sum(overdraft for _, _, overdraft in rows),
    )


def add_credit(
    connection: Connection, tenant_id: str, nanos: int, note: str, *, actor: str = audit.CLI
) -> Entry:
    """Credits a wallet. Raises ValueError unless `nanos` is positive, NotFound, and Conflict if
    the wallet cannot hold as much."""
    _positive(nanos)
    with connection.transaction():
        wallet = _lock_wallet(connection, tenant_id)
        return _post(connection, wallet, "credit", nanos, FUNDING, wallet.id, note, actor)


def debit(
    connection: Connection, tenant_id: str, nanos: int, note: str, *, actor: str = audit.CLI
) -> Entry:
    """Takes from a wallet. Raises ValueError unless `nanos` is positive, NotFound, and NoCredit
    if the wallet has less, its overdraft included."""
    _positive(nanos)
    with connection.transaction():
        wallet = _lock_wallet(connection, tenant_id)
        return _post(connection, wallet, "debit", nanos, wallet.id, FUNDING, note, actor)


def refund(
    connection: Connection, job_id: str, nanos: int | None, note: str, *, actor: str = audit.CLI
) -> Entry:
    """Gives back some of what an ended job was charged, or with None all that is left of it.

    Raises ValueError unless `nanos` is positive, NotFound if no such job has ended, and Conflict if
    less than `nanos`, or nothing, is left.
    """
    if nanos is not None:
        _positive(nanos)
    with connection.transaction():
        row = connection.execute(
            "SELECT j.tenant_id FROM job AS j JOIN result AS r ON r.id = j.id WHERE j.id = %s",
            (job_id,),
        ).fetchone()
        if row is None:
            raise NotFound(f"No job {job_id!r} has ended.", param="job_id")
        wallet = _lock_wallet(connection, row[0])
        left = _refundable(connection, job_id)
        if left <= 0:
            raise Conflict(f"Nothing is left to refund of {job_id}.", param="job_id")
        if nanos is not None and nanos > left:
            raise Conflict(
                f"Only {usd_text(left)} is left to refund of {job_id}.", param="amount_usd"
            )
        amount = left if nanos is None else nanos
        return _post(
            connection, wallet, "refund", amount, REVENUE, wallet.id, note, actor, job_id=job_id
        )


def reverse(connection: Connection, entry: str, note: str, *, actor: str = audit.CLI) -> Entry:
    """Undoes the credit, debit or refund with the id `entry`, once.

    Raises NotFound; Conflict for another kind, or if it is reversed already; and NoCredit if the
    wallet no longer has what was given.
    """
    seq = entry_seq(entry)
    with connection.transaction():
        row = connection.execute(ENTRIES + "WHERE seq = %s AND kind <> 'cost'", (seq,)).fetchone()
        if row is None:
            raise NotFound(f"There is no entry {entry!r}.", param="entry_id")
        old = entry_of(row)
        if old.kind not in REVERSIBLE:
            raise Conflict(f"A {old.kind} is not reversed.", param="entry_id")
        wallet = _lock_wallet(connection, old.tenant_id)
        if connection.execute("SELECT 1 FROM transfer WHERE reverses = %s", (seq,)).fetchone():
            raise Conflict(f"{entry} is reversed already.", param="entry_id")
        return _post(
            connection, wallet, "reversal", old.amount, old.credit, old.debit, note, actor,
            job_id=old.job_id, reverses=seq,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Wallet:
    """A wallet that this transaction has locked."""

    id: str
    tenant_id: str
    balance: int
    overdraft: int


def _positive(nanos: int) -> None:
    if nanos <= 0:
        raise ValueError("an entry is of a positive amount")


def _lock_wallet(connection: Connection, tenant_id: str) -> _Wallet:
    row = connection.execute(
        "SELECT id, tenant_id, balance, overdraft FROM account WHERE id = %s || '/wallet' "
        "FOR UPDATE",
        (tenant_id,),
    ).fetchone()
    if row is None:
        raise NotFound(f"There is no tenant {tenant_id!r}.", param="tenant_id")
    return _Wallet(*row)


def _refundable(connection: Connection, job_id: str) -> int:
    """What a job was charged, less what was given back and not taken again."""
    row = connection.execute(
        "SELECT coalesce(sum(CASE kind WHEN 'refund' THEN -amount ELSE amount END), 0)::bigint "
        "FROM transfer WHERE job_id = %s AND kind IN ('settle', 'refund', 'reversal')",
        (job_id,),
    ).fetchone()
    return int(row[0]) if row else 0


def _post(
    connection: Connection, wallet: _Wallet, kind: str, nanos: int, source: str, target: str,
    note: str, actor: str, *, job_id: str | None = None, reverses: int | None = None,
) -> Entry:  # fmt: skip
    """Posts a transfer whose one side is the locked wallet."""
    change = nanos if target == wallet.id else -nanos
    after = wallet.balance + change
    if after < -wallet.overdraft and change < 0:
        has = usd_text(wallet.balance + wallet.overdraft)
        raise NoCredit(f"The wallet has {has}, less than {usd_text(nanos)}.", param="amount_usd")
    if after > FUNDS_MAX and change > 0:
        raise Conflict("A wallet cannot hold as much.", param="amount_usd")
    connection.execute("UPDATE account SET balance = %s WHERE id = %s", (after, wallet.id))
    row = connection.execute(
        "INSERT INTO transfer (job_id, tenant_id, kind, debit, credit, amount, note, actor, "
        "reverses) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING seq, created_at",
        (job_id, wallet.tenant_id, kind, source, target, nanos, note, actor, reverses),
    ).fetchone()
    assert row is not None
    seq, at = row
    posted = entry_of((
        seq, kind, nanos, source, target, job_id, reverses, note, actor, at, wallet.tenant_id,
    ))  # fmt: skip
    detail = {
        "amount_nanos": nanos, "job_id": job_id, "reverses": posted.reverses, "note": note,
    }  # fmt: skip
    audit.record(connection, actor, f"entry.{kind}", posted.id, wallet.tenant_id, detail)
    return posted
