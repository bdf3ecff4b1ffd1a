"""A tenant's entries as it reads them: page by page, and summed up for a statement. What the
platform owes providers is not among them."""

from dataclasses import dataclass
from typing import Any, LiteralString

from app.db.connect import Connection
from app.ledger.store import ENTRIES, Entry, entry_of

KINDS = ("credit", "debit", "hold", "settle", "release", "refund", "reversal")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries of a tenant: made from `start_s` until before `end_s` (unix seconds), of this
    job, of this kind. None: any."""

    tenant_id: str
    job_id: str | None = None
    kind: str | None = None
    start_s: int | None = None
    end_s: int | None = None


_OF_TENANT: LiteralString = """
    WHERE tenant_id = %(tenant_id)s AND kind <> 'cost' AND amount > 0
    AND (%(kind)s::text IS NULL OR kind = %(kind)s)
"""
# Both halves are what the indexes of a job's transfers are of.
_OF_JOB: LiteralString = """
    AND ((job_id = %(job_id)s AND kind IN ('hold', 'settle', 'release'))
         OR (job_id = %(job_id)s AND kind IN ('refund', 'reversal')))
"""
_SINCE: LiteralString = """
    AND seq >= transfer_at(to_timestamp(%(start_s)s)) AND created_at >= to_timestamp(%(start_s)s)
"""
_UNTIL: LiteralString = """
    AND seq < transfer_at(to_timestamp(%(end_s)s) + interval '10 minutes')
    AND created_at < to_timestamp(%(end_s)s)
"""


def list_entries(
    connection: Connection, wanted: Wanted, after: int | None, limit: int, *, newest_first: bool
) -> list[Entry]:
    """Entries that move money, those after the one with the number `after`."""
    query: LiteralString = ENTRIES + _OF_TENANT
    if wanted.job_id is not None:
        query += _OF_JOB
    if wanted.start_s is not None:
        query += _SINCE
    if wanted.end_s is not None:
        query += _UNTIL
    if newest_first:
        query += "AND (%(after)s::bigint IS NULL OR seq < %(after)s) ORDER BY seq DESC "
    else:
        query += "AND seq > coalesce(%(after)s::bigint, 0) ORDER BY seq "
    given: dict[str, Any] = {
        "tenant_id": wanted.tenant_id,
        "job_id": wanted.job_id,
        "kind": wanted.kind,
        "start_s": wanted.start_s,
        "end_s": wanted.end_s,
        "after": after,
        "limit": limit,
    }
    rows = connection.execute(query + "LIMIT %(limit)s", given)
    return [entry_of(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Totals:
    """How a tenant's funds changed in a time, in nano-dollars. Funds are the wallet and what is
    held, so holds and releases leave them as they are. Each sum is the change that it made:
    `opening` and all sums together are `closing`."""

    opening: int
    credits: int
    debits: int
    charges: int
    refunds: int
    reversals: int
    closing: int


def totals(connection: Connection, tenant_id: str, start_s: int, end_s: int) -> Totals:
    """The changes from `start_s` until before `end_s` (unix seconds), by kind.

    Counted back from what there is now, so that a late month takes no longer in an old ledger.
    """
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        row = connection.execute(
            "SELECT coalesce(sum(balance), 0)::bigint FROM account WHERE tenant_id = %s",
            (tenant_id,),
        ).fetchone()
        rows = connection.execute(
            "SELECT kind, sum(amount * side) FILTER (WHERE created_at < to_timestamp(%(end_s)s)), "
            "sum(amount * side) FILTER (WHERE created_at >= to_timestamp(%(end_s)s)) "
            "FROM transfer, LATERAL (SELECT CASE WHEN starts_with(credit, %(tenant_id)s || '/') "
            "THEN 1 ELSE -1 END) AS s (side) "
            "WHERE tenant_id = %(tenant_id)s AND kind <> 'cost' "
            "AND kind NOT IN ('hold', 'release') "
            "AND seq >= transfer_at(to_timestamp(%(start_s)s)) "
            "AND created_at >= to_timestamp(%(start_s)s) GROUP BY kind",
            {"tenant_id": tenant_id, "start_s": start_s, "end_s": end_s},
        ).fetchall()
    within = {kind: int(change or 0) for kind, change, _ in rows}
    closing = (row[0] if row else 0) - sum(int(later or 0) for _, _, later in rows)
    return Totals(
        opening=closing - sum(within.values()),
        credits=within.get("credit", 0),
        debits=within.get("debit", 0),
        charges=within.get("settle", 0),
        refunds=within.get("refund", 0),
        reversals=within.get("reversal", 0),
        closing=closing,
    )
