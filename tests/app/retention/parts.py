"""Jobs that have ended and hold content, and ways to see whether it is still there."""

import time
from dataclasses import replace
from typing import Any

import orjson

from app.db.connect import Connection
from app.events.log import stream_key
from app.ids import first_id, new_id
from app.jobs import store
from app.redis import Wire
from tests.app.line import LANE, draft, outcome

SECRET = "canary"
"""Stands wherever content may be."""

ASKED = orjson.dumps({"messages": [{"role": "user", "content": SECRET}], "user": "u1"}).decode()
ANSWER = orjson.dumps({"choices": [{"index": 0, "message": {"content": SECRET}}]}).decode()
FAILURE = orjson.dumps({
    "message": f'refused: "{SECRET}\\" \0', "type": "provider_error", "param": None,
    "code": "all_providers_failed", "attempts": [{"provider": "p", "reason": f"bad: {SECRET}"}],
}).decode()  # fmt: skip
CALLS = orjson.dumps([
    {"provider": "p", "outcome": "invalid", "status": 400, "error": f'no "{SECRET}"'},
    {"provider": "q", "outcome": "completed", "status": 200, "error": None, "latency_ms": 1.5},
]).decode()  # fmt: skip


def aged_id(age_s: float) -> str:
    """A job id as one that was made so many seconds ago."""
    return first_id("job", time.time() - age_s)[:-10] + new_id("job")[-10:]


def ended_jobs(
    connection: Connection, tenant_id: str, count: int = 1, *, age_s: float = 0,
    wire: Wire | None = None, **fields: Any,
) -> list[str]:  # fmt: skip
    """Ends jobs that hold content everywhere; `wire`: in an event log too. Returns their ids."""
    drafts = [
        replace(
            draft(tenant_id, request=ASKED),
            **{"id": aged_id(age_s), "metadata": f'{{"m":"{SECRET}"}}', **fields},
        )
        for _ in range(count)
    ]
    assert store.admit_group(connection, drafts) == ["admitted"] * count
    claimed = store.claim(connection, LANE, "wrk_a", count)
    ends = [
        replace(outcome(job, state="failed"), body=ANSWER, error=FAILURE, calls=CALLS)
        for job in claimed
    ]
    assert all(store.settle_group(connection, "wrk_a", ends))
    ids = sorted(one.id for one in drafts)
    connection.execute(
        "UPDATE job SET created_at = now() - %s * interval '1 s' WHERE id = ANY (%s)", (age_s, ids)
    )
    if wire is not None:
        entry = ("1-1", "e", "completed", "d", SECRET)
        wire.call(*[("XADD", stream_key(job_id), *entry) for job_id in ids])
    return ids


def with_content(connection: Connection, wire: Wire | None = None) -> set[str]:
    """The jobs of which something is still to be read, in any table or log."""
    rows = connection.execute(
        "SELECT id FROM job AS t WHERE t::text LIKE %(s)s UNION "
        "SELECT id FROM result AS t WHERE t::text LIKE %(s)s UNION "
        "SELECT job_id FROM attempt AS t WHERE t::text LIKE %(s)s",
        {"s": f"%{SECRET}%"},
    )
    found = {row[0] for row in rows}
    if wire is not None:
        [keys] = wire.call(("KEYS", stream_key("*")))
        found |= {key.decode().removeprefix(stream_key("")) for key in keys}
    return found


def books_of(connection: Connection) -> list[Any]:
    """All that must survive a deletion: transfers, and what jobs used and cost."""
    return [
        connection.execute("SELECT * FROM transfer ORDER BY seq").fetchall(),
        connection.execute("SELECT * FROM account ORDER BY id").fetchall(),
        connection.execute(
            "SELECT id, state, usage, cost, prompt_tokens, completion_tokens, price, finished_at "
            "FROM result ORDER BY id"
        ).fetchall(),
        connection.execute("SELECT id, tenant_id, app_id, model, created_at FROM job ORDER BY id")
        .fetchall(),
    ]  # fmt: skip
