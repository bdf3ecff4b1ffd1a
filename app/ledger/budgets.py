"""Budgets: what a tenant, an app or a key may spend in a day or month (UTC).

The job line enforces them, see `admit` and `pay_budgets` in `app/db/functions/job_line.sql`. What
is changed here is changed under the lock of the tenant's accounts, as it is there.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, LiteralString

from app.accounts import audit
from app.db.connect import Connection
from app.errors import Conflict, InvalidRequest, NotFound
from app.ids import first_id, new_id

Scope = Literal["tenant", "app", "key"]
Period = Literal["day", "month"]

LONGEST_LIFE_S = 3 * 86_400
"""How long before its end a job was admitted at most."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A budget as it stands now. `subject`: the app's or key's id, or the tenant's own. `spent`
    since `period_start`, and `held` by open jobs, in nano-dollars like the limits `soft`, from
    which on is warned, and `hard`, which is never exceeded."""

    id: str
    tenant_id: str
    scope: Scope
    subject: str
    period: Period
    soft: int | None
    hard: int | None
    spent: int
    held: int
    period_start: date
    period_end: date
    created_at: datetime

    @property
    def over_soft(self) -> bool:
        return self.soft is not None and self.spent >= self.soft

    @property
    def remaining(self) -> int | None:
        """What jobs may still hold; None without a hard limit."""
        return None if self.hard is None else max(0, self.hard - self.spent - self.held)


_BUDGETS: LiteralString = """
    SELECT b.id, b.tenant_id, b.scope, b.subject, b.period, b.soft, b.hard,
           CASE WHEN b.period_start < s.day THEN 0 ELSE b.spent END, b.held, s.day,
           (s.day + ('1 ' || b.period)::interval)::date, b.created_at
    FROM budget AS b, LATERAL (
        SELECT greatest(b.period_start, period_start(b.period))
    ) AS s (day)
    WHERE b.tenant_id = %(tenant)s
"""


def list_budgets(
    connection: Connection, tenant_id: str, after: str = "", limit: int | None = None
) -> list[Budget]:
    """A tenant's budgets, oldest first, those after the id `after`."""
    rows = connection.execute(
        _BUDGETS + "AND b.id > %(after)s ORDER BY b.id LIMIT %(limit)s",
        {"tenant": tenant_id, "after": after, "limit": limit},
    )
    return [Budget(*row) for row in rows]


def spendable(connection: Connection, tenant_id: str, app_id: str, key_id: str) -> int:
    """The most that a job of this app and key may hold now, in nano-dollars: what the wallet and
    its overdraft have, and no more than the tightest budget leaves."""
    row = connection.execute(
        "SELECT least(a.balance + a.overdraft, (SELECT min(b.hard - b.held - CASE "
        "WHEN b.period_start < period_start(b.period) THEN 0 ELSE b.spent END) FROM budget AS b "
        "WHERE b.tenant_id = %(tenant)s AND b.subject = ANY (CASE b.scope WHEN 'app' "
        "THEN ARRAY[%(app)s::text] WHEN 'key' THEN ARRAY[%(key)s::text, newest_key(%(key)s)] "
        "ELSE ARRAY[%(tenant)s::text] END))) FROM account AS a WHERE a.id = %(wallet)s",
        {"tenant": tenant_id, "app": app_id, "key": key_id, "wallet": f"{tenant_id}/wallet"},
    ).fetchone()
    return int(row[0]) if row else 0


def get_budget(connection: Connection, tenant_id: str, budget_id: str) -> Budget:
    """A tenant's budget. Raises NotFound, for another tenant's too."""
    row = connection.execute(
        _BUDGETS + "AND b.id = %(id)s", {"tenant": tenant_id, "id": budget_id}
    ).fetchone()
    if row is None:
        raise NotFound(f"There is no budget {budget_id!r}.", param="budget_id")
    return Budget(*row)


def create_budget(
    connection: Connection, tenant_id: str, scope: Scope, subject: str, period: Period,
    soft: int | None, hard: int | None, *, actor: str = audit.CLI,
) -> Budget:  # fmt: skip
    """Makes a budget, which counts what this period's jobs have spent already and what open ones
    hold. Raises NotFound for a tenant or key that is not there, InvalidRequest for limits that make
    no sense, and Conflict if there is one of this scope, subject and period."""
    _sensible(soft, hard)
    budget_id = new_id("bud")
    with connection.transaction():
        _lock_accounts(connection, tenant_id)
        if scope == "key":
            _own_key(connection, tenant_id, subject)
        made = connection.execute(
            "INSERT INTO budget (id, tenant_id, scope, subject, period, soft, hard, period_start) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, period_start(%s)) ON CONFLICT DO NOTHING "
            "RETURNING extract(epoch FROM period_start::timestamp)::float8",
            (budget_id, tenant_id, scope, subject, period, soft, hard, period),
        ).fetchone()
        if made is None:
            raise Conflict(f"There is a budget for each {period} of this {scope} already.")
        _count_what_is(connection, tenant_id, budget_id, made[0])
        detail = {"scope": scope, "subject": subject, "period": period, "soft": soft, "hard": hard}
        audit.record(connection, actor, "budget.create", budget_id, tenant_id, detail)
        return get_budget(connection, tenant_id, budget_id)


def change_budget(
    connection: Connection, tenant_id: str, budget_id: str, changes: dict[str, Any], *,
    actor: str = audit.CLI,
) -> Budget:  # fmt: skip
    """Sets `soft`, `hard` or both; a new soft limit warns anew. Raises NotFound, InvalidRequest."""
    with connection.transaction():
        _lock_accounts(connection, tenant_id)
        old = get_budget(connection, tenant_id, budget_id)
        soft, hard = changes.get("soft", old.soft), changes.get("hard", old.hard)
        _sensible(soft, hard)
        connection.execute(
            "UPDATE budget SET hard = %(hard)s, soft = %(soft)s, "
            "warned_for = CASE WHEN soft IS NOT DISTINCT FROM %(soft)s::bigint THEN warned_for END "
            "WHERE id = %(id)s",
            {"soft": soft, "hard": hard, "id": budget_id},
        )
        detail = {"soft": soft, "hard": hard}
        audit.record(connection, actor, "budget.change", budget_id, tenant_id, detail)
        return get_budget(connection, tenant_id, budget_id)


def delete_budget(
    connection: Connection, tenant_id: str, budget_id: str, *, actor: str = audit.CLI
) -> None:
    """Deletes a budget; jobs that it held for go on without it. Raises NotFound."""
    with connection.transaction():
        _lock_accounts(connection, tenant_id)
        gone = connection.execute(
            "DELETE FROM budget WHERE id = %s AND tenant_id = %s", (budget_id, tenant_id)
        )
        if gone.rowcount == 0:
            raise NotFound(f"There is no budget {budget_id!r}.", param="budget_id")
        audit.record(connection, actor, "budget.delete", budget_id, tenant_id)


def pass_on_budgets(connection: Connection, tenant_id: str, old_key: str, new_key: str) -> None:
    """Gives the budgets of a key to the one that takes its place. While the old one still opens,
    what it asks for counts there too."""
    with connection.transaction():
        _lock_accounts(connection, tenant_id)
        connection.execute(
            "UPDATE budget SET subject = %s "
            "WHERE tenant_id = %s AND scope = 'key' AND subject = %s",
            (new_key, tenant_id, old_key),
        )


def _sensible(soft: int | None, hard: int | None) -> None:
    if soft is None and hard is None:
        raise InvalidRequest("A budget has a soft or a hard limit, or both.", param="hard_usd")
    if soft is not None and hard is not None and soft > hard:
        raise InvalidRequest("The soft limit is above the hard one.", param="soft_usd")


def _lock_accounts(connection: Connection, tenant_id: str) -> None:
    locked = connection.execute(
        "SELECT 1 FROM account WHERE tenant_id = %s AND kind <> 'batch' ORDER BY id FOR UPDATE",
        (tenant_id,),
    ).fetchall()
    if not locked:
        raise NotFound(f"There is no tenant {tenant_id!r}.", param="tenant_id")


def _own_key(connection: Connection, tenant_id: str, key_id: str) -> None:
    known = connection.execute(
        "SELECT 1 FROM api_key WHERE id = %s AND tenant_id = %s", (key_id, tenant_id)
    ).fetchone()
    if known is None:
        raise NotFound(f"There is no key {key_id!r}.", param="key_id")


_THE_JOBS_OF: LiteralString = """
    FROM budget AS b JOIN job AS j ON j.tenant_id = b.tenant_id
    AND CASE b.scope WHEN 'app' THEN j.app_id = b.subject
                     WHEN 'key' THEN j.key_id = ANY (%(keys)s) ELSE true END
"""


def _count_what_is(
    connection: Connection, tenant_id: str, budget_id: str, period_start_s: float
) -> None:
    """Adds to a new budget what has been spent and is held.

    Whoever settles locks a job before the accounts, which are locked here already. So a job that
    is locked is passed over, not waited for: one that changes hands at this moment is not counted.
    The same is true of a batch, which holds for its waiting lines.
    """
    rotated = connection.execute(
        "WITH RECURSIVE place (id) AS (SELECT subject FROM budget WHERE id = %s AND scope = 'key' "
        "UNION SELECT k.id FROM place AS p JOIN api_key AS k ON k.rotated_to = p.id "
        "AND k.tenant_id = %s) SELECT id FROM place",
        (budget_id, tenant_id),
    )
    given = {
        "budget": budget_id,
        "keys": [row[0] for row in rotated],
        "first": first_id("job", period_start_s - LONGEST_LIFE_S),
        "start_s": period_start_s,
    }
    connection.execute(
        "UPDATE budget SET spent = (SELECT coalesce(sum(r.cost), 0) " + _THE_JOBS_OF +  # noqa: S608
        "JOIN result AS r ON r.id = j.id WHERE b.id = %(budget)s AND j.id >= %(first)s "
        "AND r.finished_at >= to_timestamp(%(start_s)s)) WHERE id = %(budget)s",
        given,
    )  # fmt: skip
    connection.execute(
        "WITH free AS (SELECT t.id FROM batch AS t JOIN budget AS b ON b.tenant_id = t.tenant_id "
        "AND CASE b.scope WHEN 'app' THEN t.app_id = b.subject "
        "WHEN 'key' THEN t.key_id = ANY (%(keys)s) ELSE true END "
        "WHERE b.id = %(budget)s AND t.ended_at IS NULL AND t.hold > 0 "
        "FOR UPDATE OF t SKIP LOCKED), named AS (UPDATE batch AS t "
        "SET budgets = concat_ws(' ', t.budgets, %(budget)s::text) FROM free "
        "WHERE t.id = free.id RETURNING t.tenant_id || '/' || t.id AS account) "
        "UPDATE budget SET held = held + (SELECT coalesce(sum(a.balance), 0) FROM named "
        "JOIN account AS a ON a.id = named.account) WHERE id = %(budget)s",
        given,
    )
    connection.execute(
        "WITH free AS (SELECT o.id " + _THE_JOBS_OF +  # noqa: S608
        "JOIN open_job AS o ON o.id = j.id WHERE b.id = %(budget)s AND o.hold > 0 "
        "FOR UPDATE OF o SKIP LOCKED), named AS (UPDATE open_job AS o "
        "SET budgets = concat_ws(' ', o.budgets, %(budget)s::text) FROM free "
        "WHERE o.id = free.id RETURNING o.hold) "
        "UPDATE budget SET held = held + (SELECT coalesce(sum(hold), 0) FROM named) "
        "WHERE id = %(budget)s",
        given,
    )  # fmt: skip
