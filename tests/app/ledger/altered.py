"""Books altered by hand: each with its statement, and the checks and rows that find it."""

OPEN_OR_ENDED = "every job is open or ended, and not both"
HOLD = "one hold a job, of its amount"
SETTLE = "one settle an ended job, of its cost, and none for an open one"
SPLIT = "hold = settled + released for each ended job"
REVERSAL = "a reversal mirrors a credit, debit or refund"
REFUND = "refunds are not above the charge"
BILL = "an answer costs what it used at its price"
OWED = "an attempt's costs are those of its calls"
BUDGET = "a budget holds what its open jobs hold, and has not spent less than nothing"
ACCOUNTS = "each transfer is between the accounts that its kind names"
HELD = "held = holds of open jobs"
BALANCE = "balance = sum of transfers, and not below zero"
WAITING = "a batch holds what its waiting lines may cost"
LINES = "a batch has a job for each line that does not wait, and costs what they do"
TWO = "each tenant has a wallet and a held account"

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
        {(SETTLE, "result {completed}"), (BILL, "result {completed}")},
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
        "UPDATE transfer SET amount = 71 WHERE job_id = '{completed}' AND kind = 'release'",
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
    "a void's cost": (
        "UPDATE result SET cost = 1 WHERE id = '{voided}'",
        {(SETTLE, "result {voided}")},
    ),
    "a free job's cost": (
        "UPDATE result SET cost = 1 WHERE id = '{free}'",
        {(SETTLE, "result {free}")},
    ),
    "a free job's hold": (
        "UPDATE job SET hold = 1 WHERE id = '{free}'",
        {(HOLD, "job {free}"), (SETTLE, "result {free}"), (SPLIT, "job {free}")},
    ),
    "a reversal of more": (
        "UPDATE transfer SET amount = amount + 1 WHERE kind = 'reversal'",
        {(REVERSAL, "transfer {last}"), (BALANCE, "account {tenant}/wallet")},
    ),
    "a reversal of nothing": (
        "UPDATE transfer SET reverses = -reverses WHERE kind = 'reversal'",
        {(REVERSAL, "transfer {last}")},
    ),
    "a reversal the other way": (
        "UPDATE transfer SET debit = credit, credit = debit WHERE kind = 'reversal'",
        {(REVERSAL, "transfer {last}")},
    ),
    "a reversal of another tenant's": (
        "UPDATE transfer SET tenant_id = 'ten_other' WHERE kind = 'reversal'",
        {(REVERSAL, "transfer {last}"), (ACCOUNTS, "transfer {last}")},
    ),
    "a reversal of another job": (
        "UPDATE transfer SET job_id = '{voided}' WHERE seq = {last}",
        {(REVERSAL, "transfer {last}")},
    ),
    "a reversal of a reversal": (
        "UPDATE transfer SET reverses = seq WHERE seq = {last}",
        {(REVERSAL, "transfer {last}")},
    ),
    "a refund of more than the charge": (
        "UPDATE transfer SET amount = 29 WHERE kind = 'refund' AND amount = 20",
        {(REFUND, "job {completed}")},
    ),
    "a refund of a job that cost nothing": (
        "UPDATE transfer SET job_id = '{voided}' WHERE kind = 'refund' AND amount = 20",
        {(REFUND, "job {voided}")},
    ),
    "a refund of an open job": (
        "UPDATE transfer SET job_id = '{running}' WHERE kind = 'refund' AND amount = 20",
        {(REFUND, "job {running}"), (SETTLE, "transfer {refund}")},
    ),
    "a token more": (
        "UPDATE result SET completion_tokens = 6 WHERE id = '{completed}'",
        {(BILL, "result {completed}")},
    ),
    "a cached token more": (
        "UPDATE result SET cached_tokens = 5 WHERE id = '{completed}'",
        {(BILL, "result {completed}")},
    ),
    "a price": (
        "UPDATE price SET input = 1000001",
        {(BILL, "result {completed}")},
    ),
    "a cancelled answer's tokens": (
        "UPDATE result SET state = 'cancelled', prompt_tokens = 14 WHERE id = '{completed}'",
        {(BILL, "result {completed}")},
    ),
    "a cost of no attempt": (
        "UPDATE transfer SET attempt = 9 WHERE kind = 'cost' AND amount = 7",
        {(OWED, "attempt {completed}/9"), (OWED, "attempt {completed}/2")},
    ),
    "a cost of more": (
        "UPDATE transfer SET amount = 8 WHERE kind = 'cost' AND amount = 7",
        {(OWED, "attempt {completed}/2")},
    ),
    "a cost deleted": (
        "DELETE FROM transfer WHERE kind = 'cost'",
        {(OWED, "attempt {completed}/2")},
    ),
    "an attempt deleted": (
        "DELETE FROM attempt WHERE attempt = 1",
        {(OWED, "attempt {completed}/1")},
    ),
    "what a budget holds": (
        "UPDATE budget SET held = held + 1",
        {(BUDGET, "budget {budget}")},
    ),
    "what a budget spent": (
        "UPDATE budget SET spent = -1",
        {(BUDGET, "budget {budget}")},
    ),
    "a job that names no budget": (
        "UPDATE open_job SET budgets = NULL WHERE id = '{queued}'",
        {(BUDGET, "budget {budget}")},
    ),
    "a job of another tenant that names it": (
        "UPDATE open_job SET tenant_id = 'ten_other' WHERE id = '{queued}'",
        {(BUDGET, "budget {budget}")},
    ),
    "an overdraft that does not cover what is owed": (
        "UPDATE account SET overdraft = -20000 WHERE id = '{tenant}/wallet'",
        {(BALANCE, "account {tenant}/wallet")},
    ),
    "a wallet deleted": (
        "DELETE FROM account WHERE id = '{tenant}/wallet'",
        {(TWO, "tenant {tenant}")},
    ),
    "a credit that is not in the wallet": (
        "UPDATE transfer SET amount = amount + 1 WHERE kind = 'credit'",
        {(BALANCE, "account {tenant}/wallet")},
    ),
    "a waiting line deleted": (
        "DELETE FROM batch_line WHERE line = 3",
        {(WAITING, "account {tenant}/{batch}"), (LINES, "batch {batch}")},
    ),
    "a batch's account": (
        "UPDATE account SET balance = balance + 1 WHERE kind = 'batch'",
        {
            (WAITING, "account {tenant}/{batch}"),
            (BALANCE, "account {tenant}/{batch}"),
            (BUDGET, "budget {budget}"),
        },
    ),
    "a batch's cost": (
        "UPDATE batch SET cost = cost + 1",
        {(LINES, "batch {batch}")},
    ),
    "a line that belongs to no batch": (
        "UPDATE job SET batch_id = NULL WHERE id = '{line}'",
        {(LINES, "batch {batch}")},
    ),
    "a line's hold out of the wallet": (
        "UPDATE transfer SET debit = '{tenant}/wallet' WHERE job_id = '{line}' AND kind = 'hold'",
        {(BALANCE, "account {tenant}/{batch}"), (BALANCE, "account {tenant}/wallet")},
    ),
}
