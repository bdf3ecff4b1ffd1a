"""Batches for tests of the dispatcher: made and started without their chores, their lines ended as
a worker would."""

from dataclasses import replace

from app.batches import store
from app.batches.dispatch import Dispatcher
from app.batches.model import Batch, Line, NewBatch
from app.db.connect import Connection
from app.ids import new_id
from app.jobs import store as jobs
from app.jobs.model import Claimed
from tests.app.line import outcome

HOLD = 100
COST = 30


def made(
    connection: Connection, tenant_id: str, priority: int = 0, *, retry_of: str | None = None
) -> Batch:
    """A batch whose lines are about to be read."""
    chore_id = new_id("job")
    new = NewBatch(
        id=new_id("batch"), tenant_id=tenant_id, key_id="key_x", app_id="tests", test=False,
        endpoint="/v1/chat/completions", input_file_id=None, input_job_id=chore_id,
        retry_of=retry_of, completion_window="24h", priority=priority, metadata=None, ttl_s=None,
        chore_id=chore_id,
    )  # fmt: skip
    store.create(connection, new)
    return store.take(connection, new.id, chore_id, 1)


def line(number: int, hold: int = HOLD) -> Line:
    return Line(
        line=number, custom_id=f"line-{number}", kind="chat.completion", model="m",
        request='{"messages":[]}', metadata=None, session=None, store=True, hold=hold,
    )  # fmt: skip


def started(
    connection: Connection, tenant_id: str, count: int, priority: int = 0, hold: int = HOLD
) -> Batch:
    """A batch whose lines wait to be dispatched."""
    batch = made(connection, tenant_id, priority)
    store.add_lines(connection, batch, [line(number, hold) for number in range(1, count + 1)])
    assert store.start(connection, batch, "m") == "started"
    return now(connection, batch)


def now(connection: Connection, batch: Batch) -> Batch:
    """The batch as it stands."""
    found = store.find(connection, batch.tenant_id, batch.id)
    assert found is not None
    return found


def work_off(connection: Connection, wanted: int, *, failed: int = 0) -> list[Claimed]:
    """Ends up to `wanted` lines that wait in the lane, the first `failed` of them with an error."""
    claimed = [
        job for job in jobs.claim(connection, "batch", "wrk_a", wanted) if job.batch_id is not None
    ]
    # A claim gives jobs in any order.
    ids = [job.id for job in claimed]
    rows = connection.execute("SELECT id, line FROM job WHERE id = ANY (%s)", (ids,))
    lines: dict[str, int] = dict(rows.fetchall())
    claimed.sort(key=lambda job: lines[job.id])
    outcomes = [outcome(job, COST) for job in claimed]
    for place in range(min(failed, len(outcomes))):
        error = (
            '{"message":"no","type":"provider_error","param":null,"code":"all_providers_failed"}'
        )
        outcomes[place] = replace(outcomes[place], state="failed", body=None, cost=0, error=error)
    assert not outcomes or all(jobs.settle_group(connection, "wrk_a", outcomes))
    return claimed


def finish(connection: Connection, batch: Batch) -> None:
    """Ends a batch whose files are due, without files."""
    chore = now(connection, batch)
    store.end(connection, store.take(connection, batch.id, chore.chore_id, 1))
    connection.execute("DELETE FROM open_job WHERE id = %s", (chore.chore_id,))
    connection.execute("DELETE FROM job WHERE id = %s", (chore.chore_id,))


def run_to_end(connection: Connection, dispatcher: Dispatcher, batch: Batch) -> None:
    """Runs rounds, and lines, until nothing of a batch is left but its files."""
    for _ in range(100):
        dispatcher.round(connection)
        if now(connection, batch).finalizing_s is not None:
            return
        work_off(connection, 100)
    raise AssertionError("the batch does not end")
