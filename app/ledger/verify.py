"""Proves the books against the jobs, on any data, while the platform runs.

Each check is one query that returns the rows that break a rule; a repeatable-read snapshot makes
them speak of one moment.
"""

from dataclasses import dataclass
from typing import LiteralString

from psycopg import IsolationLevel

from app.db.connect import Connection


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken rule: the check's name, the row, and what is wrong with it."""

    check: str
    row: str
    message: str


CHECKS: dict[str, LiteralString] = {
    "every job is open or ended, and not both": """
        SELECT 'job ' || j.id, CASE WHEN o.id IS NULL THEN 'neither open nor ended'
                                    ELSE 'open and ended at once' END
        FROM job AS j LEFT JOIN open_job AS o ON o.id = j.id LEFT JOIN result AS r ON r.id = j.id
        WHERE (o.id IS NULL) = (r.id IS NULL)
        UNION ALL
        SELECT 'result ' || r.id, 'of no job' FROM result AS r LEFT JOIN job AS j ON j.id = r.id
        WHERE j.id IS NULL
        UNION ALL
        SELECT 'open_job ' || o.id, 'of no job' FROM open_job AS o LEFT JOIN job AS j ON j.id = o.id
        WHERE j.id IS NULL""",
    "one hold a job, of its amount": """
        SELECT 'job ' || j.id, 'hold of ' || j.hold || ' but transfer of '
               || coalesce(t.amount::text, 'nothing')
        FROM job AS j LEFT JOIN transfer AS t ON t.job_id = j.id AND t.kind = 'hold'
        WHERE t.amount IS DISTINCT FROM j.hold
        UNION ALL
        SELECT 'open_job ' || o.id, 'hold of ' || o.hold || ' but the job has ' || j.hold
        FROM open_job AS o JOIN job AS j ON j.id = o.id WHERE o.hold <> j.hold""",
    "one settle an ended job, of its cost, and none for an open one": """
        SELECT 'result ' || r.id, 'cost of ' || r.cost || ' but settled '
               || coalesce(t.amount::text, 'nothing')
        FROM result AS r LEFT JOIN transfer AS t ON t.job_id = r.id AND t.kind = 'settle'
        WHERE t.amount IS DISTINCT FROM r.cost
        UNION ALL
        SELECT 'transfer ' || t.seq, t.kind || ' of a job that has not ended: ' || t.job_id
        FROM transfer AS t LEFT JOIN result AS r ON r.id = t.job_id
        WHERE t.kind IN ('settle', 'release') AND r.id IS NULL""",
    "hold = settled + released for each ended job": """
        SELECT 'job ' || r.id, 'hold of ' || j.hold || ', settled ' || coalesce(s.amount, 0)
               || ', released ' || coalesce(l.amount, 0)
        FROM result AS r JOIN job AS j ON j.id = r.id
        LEFT JOIN transfer AS s ON s.job_id = r.id AND s.kind = 'settle'
        LEFT JOIN transfer AS l ON l.job_id = r.id AND l.kind = 'release'
        WHERE j.hold <> coalesce(s.amount, 0) + coalesce(l.amount, 0)""",
    "each transfer is between the accounts that its kind names": """
        SELECT 'transfer ' || t.seq, t.kind || ' from ' || t.debit || ' to ' || t.credit
        FROM transfer AS t LEFT JOIN job AS j ON j.id = t.job_id
        WHERE t.debit <> CASE t.kind WHEN 'hold' THEN t.tenant_id || '/wallet'
                         WHEN 'credit' THEN 'platform/funding' ELSE t.tenant_id || '/held' END
           OR t.credit <> CASE t.kind WHEN 'hold' THEN t.tenant_id || '/held'
                          WHEN 'settle' THEN 'platform/revenue' ELSE t.tenant_id || '/wallet' END
           OR (t.job_id IS NOT NULL AND j.tenant_id IS DISTINCT FROM t.tenant_id)""",
    "held = holds of open jobs": """
        SELECT 'account ' || a.id, 'balance of ' || a.balance || ' but open holds of '
               || coalesce(o.total, 0)
        FROM account AS a LEFT JOIN (
            SELECT tenant_id, sum(hold) AS total FROM open_job GROUP BY tenant_id
        ) AS o ON o.tenant_id = a.tenant_id
        WHERE a.kind = 'held' AND a.balance <> coalesce(o.total, 0)""",
    "balance = sum of transfers, and not below zero": """
        SELECT 'account ' || a.id, 'balance of ' || a.balance || ' but transfers sum to '
               || coalesce(s.total, 0)
        FROM account AS a LEFT JOIN (
            SELECT id, sum(amount) AS total FROM (
                SELECT credit AS id, amount FROM transfer
                UNION ALL SELECT debit, -amount FROM transfer
            ) AS sides GROUP BY id
        ) AS s ON s.id = a.id
        WHERE a.balance <> coalesce(s.total, 0) OR a.balance < 0""",
    "each tenant has a wallet and a held account": """
        SELECT 'tenant ' || t.id, 'has ' || count(a.id) || ' accounts, not 2'
        FROM tenant AS t LEFT JOIN account AS a ON a.tenant_id = t.id
        GROUP BY t.id HAVING count(a.id) <> 2""",
}


def verify(connection: Connection) -> list[Finding]:
    """Runs every check in one snapshot; an empty list means that the books are right."""
    findings = []
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        with connection.transaction():
            connection.execute("SET LOCAL statement_timeout = 0")
            for name, query in CHECKS.items():
                findings += [Finding(name, row, text) for row, text in connection.execute(query)]
    finally:
        connection.isolation_level = None
    return findings
