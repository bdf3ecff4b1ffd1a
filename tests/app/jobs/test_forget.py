"""Forgetting: nothing that was said is left, and all that was counted stays."""

from collections.abc import Callable, Iterator
from contextlib import closing

import orjson
import pytest

from app.db.connect import Connection
from app.db.reads import Reads
from app.errors import Unavailable
from app.events.log import stream_key
from app.jobs import store
from app.jobs.forget import (
    WRITTEN_S,
    forget,
    forget_delivered,
    forget_now,
    sweep_undelivered,
)
from app.jobs.upkeep import Upkeep
from app.redis import RedisGone, Wire
from app.settings import Settings
from tests.app.line import admit, assert_proven, state, tenant
from tests.app.retention.parts import SECRET, books_of, ended_jobs, with_content

AWAY = "redis://127.0.0.1:1/0"


def test_nothing_that_was_said_is_left_and_all_that_was_counted_stays(
    connection: Connection, wire: Wire
) -> None:
    mine = tenant(connection)
    [gone, other] = ended_jobs(connection, mine, 2, wire=wire)
    before = books_of(connection)
    assert with_content(connection, wire) == {gone, other}
    assert forget(connection, wire, [gone], "job_deletion") == [gone]
    assert with_content(connection, wire) == {other}
    assert books_of(connection) == before
    assert_proven(connection)
    job = store.find_job(connection, gone, mine)
    assert job is not None
    assert (job.body, job.metadata) == (None, None)
    assert job.forgotten_s is not None
    assert job.error == {
        "message": "deleted", "type": "provider_error", "param": None,
        "code": "all_providers_failed", "attempts": [{"provider": "p", "reason": "deleted"}],
    }  # fmt: skip
    [attempt] = store.attempts_of(connection, gone)
    assert [call["error"] for call in attempt["calls"]] == ["deleted", None]
    assert [call["outcome"] for call in attempt["calls"]] == ["invalid", "completed"]
    assert attempt["calls"][1]["latency_ms"] == 1.5


def test_only_the_first_to_forget_a_job_is_told_so(connection: Connection, wire: Wire) -> None:
    [job_id] = ended_jobs(connection, tenant(connection))
    assert forget(connection, wire, [job_id], "job_first") == [job_id]
    assert forget(connection, wire, [job_id], "job_second") == []
    assert forget(connection, wire, [], None) == []
    row = connection.execute("SELECT forgotten_by FROM job WHERE id = %s", (job_id,)).fetchone()
    assert row == ("job_first",)


def test_an_open_job_keeps_its_request(connection: Connection, wire: Wire) -> None:
    [job_id] = admit(connection, tenant(connection), request=f'{{"m":"{SECRET}"}}')
    assert forget(connection, wire, [job_id], None) == []
    assert with_content(connection) == {job_id}


def test_no_row_is_forgotten_whose_log_could_not_be(connection: Connection, wire: Wire) -> None:
    [job_id] = ended_jobs(connection, tenant(connection))
    wire.close()
    with pytest.raises(RedisGone):
        forget(connection, wire, [job_id], None)
    assert with_content(connection) == {job_id}


@pytest.mark.parametrize(
    "text", ['say "error":"x"', '\\"reason\\":', "\\", '"', '"message":"', "\0", "é\ud7ff"]
)
def test_texts_are_blanked_whole_and_nothing_else(connection: Connection, text: str) -> None:
    told = {"code": text, "message": text, "error": text, "reason": text, "n": [{"error": text}]}
    row = connection.execute(
        "SELECT without_texts(%s)", (orjson.dumps(told).decode(),)
    ).fetchone()  # fmt: skip
    assert row is not None
    assert orjson.loads(row[0]) == {
        "code": text, "message": "deleted", "error": "deleted", "reason": "deleted",
        "n": [{"error": "deleted"}],
    }  # fmt: skip


@pytest.fixture
def reads(books: str) -> Iterator[Reads]:
    made = Reads(books, "test")
    yield made
    made.close()


def test_a_delivered_job_is_forgotten_at_once(
    connection: Connection, wire: Wire, reads: Reads, redis: str
) -> None:
    [job_id] = ended_jobs(connection, tenant(connection), store=False, wire=wire)
    assert forget_delivered(reads, redis, job_id)
    assert with_content(connection, wire) == set()
    assert not forget_delivered(reads, redis, job_id)


@pytest.mark.parametrize("last", ["delta", None])
def test_a_job_whose_log_is_still_written_is_left_to_the_sweep(
    connection: Connection, wire: Wire, reads: Reads, redis: str, last: str | None
) -> None:
    """Else its worker would write the answer into a log that nobody deletes."""
    [job_id] = ended_jobs(connection, tenant(connection), store=False)
    if last is not None:
        wire.call(("XADD", stream_key(job_id), "1-1", "e", last, "d", SECRET))
    assert not forget_delivered(reads, redis, job_id)
    assert with_content(connection) == {job_id}
    assert sweep_undelivered(connection, redis, after_s=0) == [job_id]
    assert with_content(connection, wire) == set()


def test_an_owner_forgets_at_once_what_is_written_whole(
    connection: Connection, wire: Wire, reads: Reads, redis: str
) -> None:
    [job_id] = ended_jobs(connection, tenant(connection), wire=wire)
    forget_now(reads, redis, job_id, 0)
    assert with_content(connection, wire) == set()


def test_an_owner_forgets_what_is_still_written_once_that_is_over(
    connection: Connection, wire: Wire, reads: Reads, redis: str
) -> None:
    [job_id] = ended_jobs(connection, tenant(connection))
    for name in (None, "delta"):
        if name is not None:
            wire.call(("XADD", stream_key(job_id), "1-1", "e", name, "d", SECRET))
        with pytest.raises(Unavailable):
            forget_now(reads, redis, job_id, WRITTEN_S - 1)
    with pytest.raises(Unavailable):
        forget_now(reads, AWAY, job_id, WRITTEN_S)
    assert with_content(connection) == {job_id}
    forget_now(reads, redis, job_id, WRITTEN_S)
    assert with_content(connection, wire) == set()


def test_a_redis_that_is_away_leaves_the_job_to_the_sweep(
    connection: Connection, wire: Wire, reads: Reads, redis: str
) -> None:
    [job_id] = ended_jobs(connection, tenant(connection), store=False, wire=wire)
    assert not forget_delivered(reads, AWAY, job_id)
    assert sweep_undelivered(connection, AWAY, after_s=0) == []
    assert with_content(connection) == {job_id}
    assert sweep_undelivered(connection, redis, after_s=0) == [job_id]


def test_the_sweep_takes_what_ended_long_ago_and_was_not_to_be_stored(
    connection: Connection, wire: Wire, redis: str
) -> None:
    mine = tenant(connection)
    [stored] = ended_jobs(connection, mine, age_s=7300)
    [fresh] = ended_jobs(connection, mine, store=False, age_s=7300)
    [old] = ended_jobs(connection, mine, store=False, age_s=7300)
    connection.execute(
        "UPDATE result SET finished_at = now() - interval '61 min' WHERE id = ANY (%s)",
        ([stored, old],),
    )
    [waiting] = admit(connection, mine)
    connection.execute("UPDATE job SET store = false WHERE id = %s", (waiting,))
    assert sweep_undelivered(connection, redis) == [old]
    assert with_content(connection) == {stored, fresh}
    assert state(connection, waiting) == "queued"


def test_upkeep_sweeps_in_its_round(
    connection: Connection, wire: Wire, line_settings: Callable[..., Settings]
) -> None:
    ended_jobs(connection, tenant(connection), store=False, age_s=7300, wire=wire)
    connection.execute("UPDATE result SET finished_at = now() - interval '61 min'")
    Upkeep(line_settings()).round(connection)
    assert with_content(connection, wire) == set()
    Upkeep(line_settings()).round(connection)


def test_the_sweep_reads_an_index_of_undelivered_jobs_alone(connection: Connection) -> None:
    connection.execute("SET enable_seqscan = off")
    plan = connection.execute(
        "EXPLAIN SELECT id FROM job WHERE NOT store AND forgotten_at IS NULL AND id < 'job_1' "
        "ORDER BY id LIMIT 5"
    ).fetchall()
    assert "job_undelivered" in str(plan)


def test_a_crash_between_log_and_row_is_healed_by_doing_it_again(
    connection: Connection, wire: Wire, redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [job_id] = ended_jobs(connection, tenant(connection), store=False, wire=wire)
    with closing(Wire(redis)) as other, monkeypatch.context() as patch:
        patch.setattr(store, "forget", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            forget(connection, other, [job_id], None)
    assert with_content(connection) == {job_id}
    assert sweep_undelivered(connection, redis, after_s=0) == [job_id]
    assert with_content(connection, wire) == set()
