"""Jobs that have ended, written into their tables as they are: at any time, with any numbers."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from app.db.connect import Connection
from app.db.reads import Reads
from app.ids import first_id, new_id

ESTIMATED = '{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2,"estimated":true}'
TOLD = '{"total_tokens":2,"latency_ms":512.3,"ttft_ms":80.1}'


def id_at(unix_s: float) -> str:
    """A job id as the web makes it at that time."""
    return first_id("job", unix_s)[:14] + new_id("job")[14:]


def ended(
    connection: Connection,
    tenant_id: str,
    at: float | None = None,
    *,
    lived_s: float = 1.0,
    job_id: str | None = None,
    app_id: str = "tests",
    key_id: str = "key_x",
    model: str = "m",
    kind: str = "chat.completion",
    provider: str | None = "p",
    state: str = "completed",
    tokens: tuple[int, int, int] = (10, 4, 5),
    cost: int = 30,
    usage: str | None = TOLD,
) -> str:
    """A job that finished at `at` (unix seconds; now) after `lived_s`; returns its id. `tokens`:
    prompt, those of it that were cached, completion."""
    at = time.time() if at is None else at
    job_id = job_id or id_at(at - lived_s)
    connection.execute(
        "INSERT INTO job (id, tenant_id, key_id, app_id, kind, lane, door, model, request, hold, "
        "created_at) VALUES (%s, %s, %s, %s, %s, 'interactive', 'sync', %s, 'a secret question', "
        "100, to_timestamp(%s))",
        (job_id, tenant_id, key_id, app_id, kind, model, at - lived_s),
    )
    connection.execute(
        "INSERT INTO result (id, state, attempt, last_seq, settled_by, body, usage, cost, "
        "provider, price, prompt_tokens, cached_tokens, completion_tokens, started_at, "
        "finished_at) VALUES (%s, %s, 1, 3, 'wrk_a', 'a secret answer', %s, %s, %s, "
        "'price_0', %s, %s, %s, to_timestamp(%s), to_timestamp(%s))",
        (job_id, state, usage, cost, provider, *tokens, at - lived_s, at),
    )
    return job_id


@contextmanager
def reading(url: str) -> Iterator[Reads]:
    """Reads whose connections end with the block."""
    reads = Reads(url, "usage")
    try:
        yield reads
    finally:
        reads.close()
