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
        WHERE coalesce(t.amount, 0) <> j.hold
        UNION ALL
        SELECT 'open_job ' || o.id, 'hold of ' || o.hold || ' but the job has ' || j.hold
        FROM open_job AS o JOIN job AS j ON j.id = o.id WHERE o.hold <> j.hold""",
    "one settle an ended job, of its cost, and none for an open one": """
        SELECT 'result ' || r.id, 'cost of ' || r.cost || ' but settled '
               || coalesce(t.amount::text, 'nothing')
        FROM result AS r LEFT JOIN job AS j ON j.id = r.id
        LEFT JOIN transfer AS t ON t.job_id = r.id AND t.kind = 'settle'
        WHERE coalesce(t.amount, 0) <> r.cost OR (t.amount IS NULL AND j.hold > 0)
        UNION ALL
        SELECT 'transfer ' || t.seq, t.kind || ' of a job that has not ended: ' || t.job_id
        FROM transfer AS t LEFT JOIN result AS r ON r.id = t.job_id
        LEFT JOIN batch AS b ON b.id = t.job_id AND b.ended_at IS NOT NULL AND t.kind = 'release'
        WHERE t.kind IN ('settle', 'release', 'refund') AND r.id IS NULL AND b.id IS NULL""",
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
        LEFT JOIN batch AS b ON b.id = coalesce(j.batch_id, t.job_id),
             LATERAL (SELECT t.tenant_id || '/wallet', t.tenant_id || '/held',
                             t.tenant_id || '/' || b.id) AS a (wallet, held, batch)
        WHERE CASE t.kind
              WHEN 'hold' THEN t.debit <> CASE WHEN j.batch_id IS NULL THEN a.wallet
                                                ELSE a.batch END
                            OR t.credit <> CASE WHEN j.id IS NULL THEN a.batch ELSE a.held END
              WHEN 'settle' THEN (t.debit, t.credit) <> (a.held, 'platform/revenue')
              WHEN 'release' THEN t.debit <> CASE WHEN j.id IS NULL THEN a.batch ELSE a.held END
                               OR t.credit <> a.wallet
              WHEN 'credit' THEN (t.debit, t.credit) <> ('platform/funding', a.wallet)
              WHEN 'debit' THEN (t.debit, t.credit) <> (a.wallet, 'platform/funding')
              WHEN 'refund' THEN (t.debit, t.credit) <> ('platform/revenue', a.wallet)
              WHEN 'cost' THEN t.debit <> 'platform/cost' OR NOT starts_with(t.credit, 'provider/')
              ELSE false END
           OR (t.job_id IS NOT NULL
               AND coalesce(j.tenant_id, b.tenant_id) IS DISTINCT FROM t.tenant_id)""",
    "a reversal mirrors a credit, debit or refund": """
        SELECT 'transfer ' || t.seq, 'reverses ' || t.reverses || ', which is ' || coalesce(
                   o.kind || ' of ' || o.amount || ' from ' || o.debit || ' to ' || o.credit,
                   'not there')
        FROM transfer AS t LEFT JOIN transfer AS o ON o.seq = t.reverses
        WHERE t.kind = 'reversal' AND (o.seq IS NULL OR o.kind NOT IN ('credit', 'debit', 'refund')
              OR (o.debit, o.credit, o.amount) <> (t.credit, t.debit, t.amount)
              OR o.tenant_id <> t.tenant_id OR o.job_id IS DISTINCT FROM t.job_id)""",
    "refunds are not above the charge": """
        SELECT 'job ' || b.job_id,
               'charged ' || coalesce(s.amount, 0) || ' but refunded ' || b.total
        FROM (
            SELECT job_id, sum(CASE kind WHEN 'refund' THEN amount ELSE -amount END) AS total
            FROM transfer WHERE kind IN ('refund', 'reversal') AND job_id IS NOT NULL
            GROUP BY job_id
        ) AS b LEFT JOIN transfer AS s ON s.job_id = b.job_id AND s.kind = 'settle'
        WHERE b.total > coalesce(s.amount, 0)""",
    "an answer costs what it used at its price": """
        SELECT 'result ' || r.id, 'cost of ' || r.cost || ' but what it used at ' || r.price
               || ' cost ' || full_cost.total || ', at most the hold of ' || j.hold
        FROM result AS r JOIN job AS j ON j.id = r.id JOIN price AS p ON p.version = r.price,
             LATERAL (
                 SELECT coalesce((r.billed::json->>'images')::bigint, 0) * p.image
                        + ceil(coalesce((r.billed::json->>'seconds')::float8, 0)
                               * p.minute / 60)::bigint AS units,
                        coalesce((r.billed::json->>'share')::bigint, 1000000) AS share
             ) AS beside,
             LATERAL (
                 SELECT sum(div((div(tokens::numeric * price + 999999, 1000000) + units) * share,
                                1000000)) AS total
                 FROM (VALUES (r.prompt_tokens - r.cached_tokens, p.input, 0),
                              (r.cached_tokens, p.cached_input, 0),
                              (r.completion_tokens, p.output, beside.units))
                      AS part (tokens, price, units)
             ) AS full_cost
        WHERE r.state IN ('completed', 'cancelled') AND r.cost <> least(full_cost.total, j.hold)""",
    "an attempt's costs are those of its calls": """
        SELECT 'attempt ' || c.job_id || '/' || c.attempt, 'owes ' || c.total || ' but is not there'
        FROM (SELECT job_id, attempt, sum(amount) AS total FROM transfer WHERE kind = 'cost'
              GROUP BY job_id, attempt) AS c
        LEFT JOIN attempt AS a ON a.job_id = c.job_id AND a.attempt = c.attempt
        WHERE a.job_id IS NULL
        UNION ALL
        -- One that was given up for lost may tell later what it had called.
        SELECT 'attempt ' || a.job_id || '/' || a.attempt,
               'calls of ' || a.platform_cost || ' but owes ' || coalesce(c.total, 0)
        FROM attempt AS a LEFT JOIN (
            SELECT job_id, attempt, sum(amount) AS total FROM transfer WHERE kind = 'cost'
            GROUP BY job_id, attempt
        ) AS c ON c.job_id = a.job_id AND c.attempt = a.attempt
        WHERE a.outcome <> 'lost' AND a.platform_cost <> coalesce(c.total, 0)""",
    "held = holds of open jobs": """
        SELECT 'account ' || a.id, 'balance of ' || a.balance || ' but open holds of '
               || coalesce(o.total, 0)
        FROM account AS a LEFT JOIN (
            SELECT tenant_id, sum(hold) AS total FROM open_job GROUP BY tenant_id
        ) AS o ON o.tenant_id = a.tenant_id
        WHERE a.kind = 'held' AND a.balance <> coalesce(o.total, 0)""",
    "a batch holds what its waiting lines may cost": """
        SELECT 'account ' || a.id, 'balance of ' || a.balance || ' but waiting lines of '
               || coalesce(l.total, 0)
        FROM account AS a LEFT JOIN (
            SELECT b.tenant_id || '/' || b.id AS id, sum(l.hold) AS total
            FROM batch AS b JOIN batch_line AS l ON l.batch_id = b.id GROUP BY b.id
        ) AS l ON l.id = a.id
        WHERE a.kind = 'batch' AND a.balance <> coalesce(l.total, 0)""",
    "a batch has a job for each line that does not wait, and costs what they do": """
        SELECT 'batch ' || b.id, 'lines ' || b.total || ', waiting ' || coalesce(w.count, 0)
               || ', jobs ' || coalesce(j.count, 0) || ', counted ' || b.completed + b.failed
               || ', cost ' || b.cost || ' but theirs ' || coalesce(j.cost, 0)
        FROM batch AS b LEFT JOIN (
            SELECT batch_id, count(*) FROM batch_line GROUP BY batch_id
        ) AS w ON w.batch_id = b.id LEFT JOIN (
            SELECT j.batch_id, count(*), sum(r.cost) FILTER (WHERE f.job_id IS NULL) AS cost,
                   count(r.id) FILTER (WHERE f.job_id IS NULL) AS counted
            FROM job AS j LEFT JOIN result AS r ON r.id = j.id
            LEFT JOIN batch_flight AS f ON f.job_id = j.id AND f.batch_id = j.batch_id
            WHERE j.batch_id IS NOT NULL GROUP BY j.batch_id
        ) AS j ON j.batch_id = b.id
        WHERE b.dispatched <> coalesce(j.count, 0) OR b.cost <> coalesce(j.cost, 0)
           OR b.completed + b.failed <> coalesce(j.counted, 0)
           OR (b.in_progress_at IS NOT NULL AND b.ended_at IS NULL
               AND b.total <> b.dispatched + coalesce(w.count, 0))
           OR (b.status = 'completed' AND b.total <> b.completed + b.failed)""",
    "a budget holds what its open jobs hold, and has not spent less than nothing": """
        SELECT 'budget ' || b.id, 'spent ' || b.spent || ', held ' || b.held
               || ' but open holds of ' || coalesce(o.total, 0)
        FROM budget AS b LEFT JOIN (
            SELECT p.id, j.tenant_id, sum(j.hold) AS total FROM (
                SELECT tenant_id, hold, budgets FROM open_job
                UNION ALL
                SELECT t.tenant_id, a.balance, t.budgets FROM batch AS t
                JOIN account AS a ON a.id = t.tenant_id || '/' || t.id WHERE t.ended_at IS NULL
            ) AS j, LATERAL unnest(string_to_array(j.budgets, ' ')) AS p (id)
            GROUP BY p.id, j.tenant_id
        ) AS o ON o.id = b.id AND o.tenant_id = b.tenant_id
        WHERE b.held <> coalesce(o.total, 0) OR b.spent < 0""",
    "balance = sum of transfers, and not below zero": """
        SELECT 'account ' || a.id, 'balance of ' || a.balance || ', transfers sum to '
               || coalesce(s.total, 0) || ', may owe ' || a.overdraft
        FROM account AS a LEFT JOIN (
            SELECT id, sum(amount) AS total FROM (
                SELECT credit AS id, amount FROM transfer
                UNION ALL SELECT debit, -amount FROM transfer
            ) AS sides GROUP BY id
        ) AS s ON s.id = a.id
        WHERE a.balance <> coalesce(s.total, 0) OR a.balance < -a.overdraft""",
    "each tenant has a wallet and a held account": """
        SELECT 'tenant ' || t.id, 'has ' || count(a.id) || ' accounts, not 2'
        FROM tenant AS t LEFT JOIN account AS a ON a.tenant_id = t.id AND a.kind <> 'batch'
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
