"""What tests of the job line put into it: tenants with credit, drafts, outcomes."""

from typing import Any

from psycopg import sql

from app.accounts.tenants import create_tenant
from app.db.connect import Connection
from app.ids import new_id
from app.jobs import store
from app.jobs.model import Claimed, Door, Draft, EndState, Lane, Outcome, Plan
from app.ledger.store import Balance, add_credit, balance
from app.ledger.verify import verify

LANE: Lane = "interactive"


TABLES = (
    "open_job", "job", "result", "attempt", "transfer", "turn", "worker", "api_key", "account",
    "tenant", "idempotency", "idempotent_answer", "audit", "budget", "webhook_event",
    "console_user", "app", "price", "webhook_delivery", "webhook_endpoint", "cached_answer",
    "webhook_secret", "provider_key", "emotion_ripple", "emotion_history", "emotion_session",
    "memory_word", "memory_use", "memory_source", "memory",
    "memory_summed", "memory_forgetting", "memory_common", "trait_change", "trait_drift",
    "evolution", "feedback", "router_activation", "router_profile", "router_shadow", "lune_word",
    "lune_lexeme", "lune_passage", "lune_version", "lune_intake", "lune_document", "lune",
    "web_chat_turn", "web_chat",
    "file", "batch", "batch_line", "batch_flight",
)  # fmt: skip

_EMPTY = sql.SQL("; ").join([
    # As a replica does: transfers refuse to be deleted otherwise.
    sql.SQL("SET LOCAL session_replication_role = replica"),
    *[sql.SQL("DELETE FROM {}").format(sql.Identifier(table)) for table in TABLES],
    sql.SQL("UPDATE lane SET clock = 0"),
    sql.SQL("UPDATE reaper SET last_run = now(), healthy_since = now()"),
])  # fmt: skip
"""In one piece: statement by statement each test would wait for sixty answers."""


def empty(connection: Connection) -> None:
    """Deletes all that the migrations have not put there, and turns the lanes' clocks to zero."""
    with connection.transaction():
        connection.execute(_EMPTY, prepare=False)


def tenant(connection: Connection, credit: int = 1_000_000) -> str:
    """A new tenant with `credit` nano-dollars."""
    tenant_id = create_tenant(connection, new_id("name"))
    if credit:
        add_credit(connection, tenant_id, credit, "test")
    return tenant_id


def draft(
    tenant_id: str,
    hold: int = 100,
    *,
    lane: Lane = LANE,
    door: Door = "background",
    backlog: int = 10_000,
    deadline_s: float = 600,
    request: str = '{"messages":[]}',
) -> Draft:
    """A job on its way to admission."""
    return Draft(
        id=new_id("job"),
        tenant_id=tenant_id,
        key_id="key_x",
        app_id="tests",
        kind="chat.completion",
        lane=lane,
        door=door,
        model="m",
        request=request,
        metadata=None,
        hold=hold,
        deadline_s=deadline_s,
        backlog=backlog,
    )


def admit(connection: Connection, tenant_id: str, count: int = 1, **options: Any) -> list[str]:
    """Admits jobs and returns their ids. Fails the test if one is refused."""
    drafts = [draft(tenant_id, **options) for _ in range(count)]
    assert store.admit_group(connection, drafts) == ["admitted"] * count
    return [one.id for one in drafts]


def planned(connection: Connection, tenant_id: str, hold: int = 100, **plan: Any) -> Draft:
    """A job in the background, admitted with a plan."""
    one = draft(tenant_id, hold, lane="background")
    one.plan = Plan(**plan)
    assert store.admit_group(connection, [one]) == ["admitted"]
    return one


def claim_one(connection: Connection, owner: str = "wrk_a", lane: Lane = LANE) -> Claimed:
    """The one job that a claim gives."""
    [claimed] = store.claim(connection, lane, owner, 1)
    return claimed


def running(
    connection: Connection, tenant_id: str, owner: str = "wrk_a", **options: Any
) -> Claimed:
    """A job of `tenant_id`, admitted and claimed."""
    [job_id] = admit(connection, tenant_id, **options)
    claimed = claim_one(connection, owner)
    assert claimed.id == job_id
    return claimed


def voided(connection: Connection, *how: Any) -> list[str]:
    """The ids of the jobs that `store.void` ended."""
    return [ended.job_id for ended in store.void(connection, *how)]


def outcome(
    job: Claimed, cost: int = 30, state: EndState = "completed", attempt: int | None = None
) -> Outcome:
    """How an attempt of `job` ended."""
    return Outcome(
        id=job.id,
        attempt=job.attempt if attempt is None else attempt,
        state=state,
        last_seq=3,
        body='{"choices":[]}',
        error=None,
        usage='{"total_tokens":1}',
        cost=cost,
        calls="[]",
    )


def funds(connection: Connection, tenant_id: str) -> tuple[int, int]:
    """A tenant's wallet and held nano-dollars."""
    now: Balance = balance(connection, tenant_id)
    return now.wallet, now.held


def transfers(connection: Connection, job_id: str) -> dict[str, int]:
    """A job's transfers: their amounts by kind."""
    rows = connection.execute("SELECT kind, amount FROM transfer WHERE job_id = %s", (job_id,))
    return dict(rows.fetchall())


def state(connection: Connection, job_id: str) -> str:
    """A job's state."""
    row = connection.execute(
        "SELECT state FROM open_job WHERE id = %(i)s UNION ALL "
        "SELECT state FROM result WHERE id = %(i)s",
        {"i": job_id},
    ).fetchall()
    assert len(row) == 1, f"{job_id} is {row}"
    return str(row[0][0])


def assert_proven(connection: Connection) -> None:
    """Fails the test if a rule of the books is broken."""
    assert verify(connection) == []
