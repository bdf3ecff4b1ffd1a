"""The tokens of a day, as the books tell them to a limiter that has forgotten."""

from app.accounts.store import create_key
from app.db.connect import Connection
from app.jobs import store
from app.jobs.model import HandedBack
from tests.app.line import assert_proven, claim_one, draft, outcome, tenant


def today(connection: Connection) -> int:
    row = connection.execute("SELECT floor(extract(epoch FROM now()) / 86400)::int").fetchone()
    assert row is not None
    return int(row[0])


def reserve(connection: Connection, tenant_id: str, key_id: str, tokens: int) -> str:
    """Admits a job that reserves `tokens`."""
    one = draft(tenant_id, 1)
    one.key_id, one.reserved = key_id, tokens
    assert store.admit_group(connection, [one]) == ["admitted"]
    return one.id


def answer(connection: Connection, prompt: int, cached: int, completion: int) -> None:
    """Completes the job whose turn it is."""
    told = outcome(claim_one(connection), cost=1)
    told.prompt_tokens, told.cached_tokens, told.completion_tokens = prompt, cached, completion
    assert store.settle_group(connection, "wrk_a", [told]) == [True]


def test_a_day_without_jobs_is_empty(connection: Connection) -> None:
    day = today(connection)
    assert store.tokens_of_day(connection, tenant(connection), day) == 0
    assert store.tokens_of_day(connection, "key_nobody", day) == 0


def test_open_jobs_count_what_they_reserved_and_ended_ones_what_they_used(
    connection: Connection,
) -> None:
    mine, other = tenant(connection), tenant(connection)
    key, second = (create_key(connection, mine, name).id for name in ("a", "b"))
    theirs = create_key(connection, other, "c").id
    day = today(connection)

    def counts() -> list[int]:
        who = (mine, key, second, other, theirs)
        return [store.tokens_of_day(connection, bucket, day) for bucket in who]

    reserve(connection, mine, key, 1000)
    assert counts() == [1000, 1000, 0, 0, 0]
    answer(connection, 40, 30, 2)
    assert counts() == [42, 42, 0, 0, 0]
    reserve(connection, mine, second, 500)
    reserve(connection, other, theirs, 70)
    assert counts() == [542, 42, 500, 70, 70]
    job = claim_one(connection)
    assert counts() == [542, 42, 500, 70, 70]
    store.requeue(connection, [HandedBack(job.id, 1, None)], "lost")
    assert counts() == [542, 42, 500, 70, 70]
    assert_proven(connection)


def test_a_job_that_was_voided_has_used_nothing(connection: Connection) -> None:
    mine, day = tenant(connection), today(connection)
    job_id = reserve(connection, mine, "key_x", 900)
    store.void(connection, [job_id], "queued", "cancelled", None, "client")
    assert store.tokens_of_day(connection, mine, day) == 0


def test_a_failed_answer_counts_the_tokens_that_it_took(connection: Connection) -> None:
    mine, day = tenant(connection), today(connection)
    reserve(connection, mine, "key_x", 900)
    told = outcome(claim_one(connection), 0, "failed")
    told.prompt_tokens, told.completion_tokens = 10, 3
    store.settle_group(connection, "wrk_a", [told])
    assert store.tokens_of_day(connection, mine, day) == 13


def test_a_day_counts_the_jobs_admitted_in_it(connection: Connection) -> None:
    mine, day = tenant(connection), today(connection)
    at = {1: -1, 20: 0, 300: 0, 4000: 86_399, 50_000: 86_400}
    for tokens, second in at.items():
        job_id = reserve(connection, mine, "key_x", tokens)
        connection.execute(
            "UPDATE job SET created_at = to_timestamp(%s) WHERE id = %s",
            (day * 86_400 + second, job_id),
        )
    assert store.tokens_of_day(connection, mine, day) == 4320
    assert store.tokens_of_day(connection, mine, day - 1) == 1
