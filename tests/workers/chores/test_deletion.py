"""Deletion by a real desk: what goes, what stays, what is proven, and what a crash leaves."""

import hashlib
from contextlib import closing
from typing import Any

import orjson
import pytest

from app.db.connect import Connection
from app.db.reads import Reads
from app.events.log import stream_key
from app.files.service import Files
from app.jobs import store
from app.jobs.forget import forget
from app.jobs.model import HandedBack
from app.redis import RedisGone, Wire
from app.retention import store as retention
from app.retention.model import LANE
from app.retention.store import database_now
from app.retention.sweep import sweep_content
from tests.app.batches.parts import started
from tests.app.events.parts import names
from tests.app.line import admit, assert_proven, state, tenant
from tests.app.retention.parts import SECRET, books_of, ended_jobs, with_content
from tests.workers.chores.conftest import MakeDesk
from tests.workers.chores.parts import deleted, deletion_of, result_of
from tests.workers.inference.desks import log_of
from workers.chores import base, deletion
from workers.inference.desk import Desk
from workers.inference.run import Lost

DAY = 86_400


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletion, "STEP", 2)
    monkeypatch.setattr(retention, "PAGE", 3)


def sha256_of(ids: list[str]) -> str:
    return hashlib.sha256("".join(f"{job_id}\n" for job_id in sorted(ids)).encode()).hexdigest()


def progress_of(desk: Desk, wire: Wire, job_id: str, attempt: int = 1) -> list[dict[str, int]]:
    told = [event for event in log_of(desk, wire, job_id) if event.name == "progress"]
    return [orjson.loads(event.data) for event in told if event.id.attempt == attempt]


def test_deletes_all_that_matches_and_proves_it(
    desk: Desk, connection: Connection, wire: Wire
) -> None:
    mine, theirs = tenant(connection), tenant(connection)
    ids = ended_jobs(connection, mine, 7, wire=wire)
    spared = ended_jobs(connection, mine, 2, wire=wire, app_id="other")
    others = ended_jobs(connection, theirs, 3, wire=wire)
    forget(connection, wire, ids[:1], None)
    [waiting] = admit(connection, mine, request=f'{{"m":"{SECRET}"}}')
    before = books_of(connection)[0]
    job_id, told = deleted(desk, connection, mine, app_id="tests")
    now = database_now(connection)
    assert now - 60 < told["proof"].pop("checked_at") <= now
    assert told == {
        "object": "content.deletion",
        "deleted": 6,
        "already_deleted": 1,
        "open": 1,
        "remaining": 0,
        "redis_keys_remaining": 0,
        "files_deleted": 0,
        "proof": {"jobs_sha256": sha256_of(ids[1:]), "first_id": ids[1], "last_id": ids[-1]},
        "kept": "ledger and usage rows",
    }
    assert with_content(connection) == {*spared, *others, waiting}
    logs = wire.call(*[("EXISTS", stream_key(one)) for one in (*ids, *spared, *others)])
    assert logs == [0] * 7 + [1] * 5
    assert state(connection, waiting) == "queued"
    assert books_of(connection)[0] == before, "a deletion moves no money"
    assert_proven(connection)
    by = connection.execute("SELECT id FROM job WHERE forgotten_by = %s", (job_id,)).fetchall()
    assert {row[0] for row in by} == set(ids[1:])


def test_the_books_are_the_same_after_a_deletion_but_for_its_own_row(
    desk: Desk, connection: Connection, wire: Wire
) -> None:
    mine = tenant(connection)
    ids = ended_jobs(connection, mine, 5, wire=wire)
    transfers, accounts, results, jobs = books_of(connection)
    job_id, _ = deleted(desk, connection, mine, user="u1")
    now = books_of(connection)
    assert now[:2] == [transfers, accounts]
    assert [row for row in now[2] if row[0] != job_id] == results
    assert [row for row in now[3] if row[0] != job_id] == jobs
    assert len(ids) == len(results)


def test_tells_its_progress_step_by_step(desk: Desk, connection: Connection, wire: Wire) -> None:
    mine = tenant(connection)
    ended_jobs(connection, mine, 5, wire=wire)
    job_id, told = deleted(desk, connection, mine, user="u1")
    steps = [(p["matched"], p["deleted"], p["remaining"]) for p in progress_of(desk, wire, job_id)]
    assert steps == [(5, 0, 5), (5, 2, 3), (5, 3, 2), (5, 5, 0)]
    events = log_of(desk, wire, job_id)
    assert (names(events)[0], names(events)[-1]) == ("started", "completed")
    assert [event.id.seq for event in events] == list(range(1, len(events) + 1))
    job = store.find_job(connection, job_id, mine)
    assert job is not None
    assert job.last_seq == events[-1].id.seq
    assert told["already_deleted"] is None, "a forgotten job no longer tells its user"


def test_nothing_to_delete_is_proven_too(desk: Desk, connection: Connection, wire: Wire) -> None:
    _, told = deleted(desk, connection, tenant(connection), user="nobody")
    assert (told["deleted"], told["open"], told["remaining"]) == (0, 0, 0)
    assert told["proof"]["first_id"] is told["proof"]["last_id"] is None
    assert told["proof"]["jobs_sha256"] == hashlib.sha256().hexdigest()


def test_a_second_attempt_goes_on_where_a_crash_left_it(
    make_desk: MakeDesk, connection: Connection, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tenant(connection)
    ids = ended_jobs(connection, mine, 7, wire=wire)
    job_id = deletion_of(connection, mine, user="u1")
    steps = [0]

    def crash_at_the_third(*given: Any) -> list[str]:
        steps[0] += 1
        if steps[0] == 3:
            raise Lost
        return forget(*given)

    with monkeypatch.context() as patch:
        patch.setattr(deletion, "forget", crash_at_the_third)
        make_desk().answer(LANE, 1)
    assert state(connection, job_id) == "running", "a worker that is gone says nothing"
    left = with_content(connection)
    assert 0 < len(left) < len(ids)
    [(_, attempt, _, _)] = store.lost_jobs(connection, 9)
    assert attempt == 1
    store.requeue(connection, [HandedBack(job_id, 1, None)], "lost")
    second = make_desk()
    second.answer(LANE, 1)
    told = result_of(connection, mine, job_id)
    assert (told["deleted"], told["remaining"], told["redis_keys_remaining"]) == (7, 0, 0)
    assert told["proof"]["jobs_sha256"] == sha256_of(ids)
    told_again = progress_of(second, wire, job_id, attempt=2)
    assert told_again[0] == {"matched": 7, "deleted": 7 - len(left), "remaining": len(left)}
    assert told_again[-1] == {"matched": 7, "deleted": 7, "remaining": 0}
    assert with_content(connection) == set()
    assert_proven(connection)


def test_a_job_that_ends_meanwhile_is_deleted_too(
    desk: Desk, connection: Connection, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tenant(connection)
    ids = ended_jobs(connection, mine, 2, wire=wire)
    [late] = admit(connection, mine, request=f'{{"m":"{SECRET}"}}')
    prove = deletion.Deletion._prove

    def prove_after_it_ended(*given: Any) -> Any:
        if state(connection, late) == "queued":
            store.void(connection, [late], "queued", "cancelled", None, "client")
        return prove(*given)

    monkeypatch.setattr(deletion.Deletion, "_prove", prove_after_it_ended)
    _, told = deleted(desk, connection, mine, app_id="tests")
    assert (told["deleted"], told["open"]) == (3, 0)
    assert told["proof"]["jobs_sha256"] == sha256_of([*ids, late])
    assert with_content(connection) == set()


def test_a_log_that_is_written_late_is_deleted_before_the_proof(
    desk: Desk, connection: Connection, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tenant(connection)
    [job_id] = ended_jobs(connection, mine, wire=wire)
    prove, late = deletion.Deletion._prove, [True]

    def prove_after_a_write(*given: Any) -> Any:
        if late.pop() if late else False:
            wire.call(("XADD", stream_key(job_id), "1-2", "e", "delta", "d", SECRET))
        return prove(*given)

    monkeypatch.setattr(deletion.Deletion, "_prove", prove_after_a_write)
    _, told = deleted(desk, connection, mine, user="u1")
    assert told["redis_keys_remaining"] == 0
    assert wire.call(("EXISTS", stream_key(job_id))) == [0]


def test_a_redis_that_is_away_costs_time_and_not_the_job(
    desk: Desk, connection: Connection, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "REDIS_RETRY_S", 0.001)
    mine = tenant(connection)
    ended_jobs(connection, mine, 3, wire=wire)
    away = [True, True, True]

    def comes_back(url: str) -> Wire:
        if away:
            away.pop()
            raise RedisGone("away")
        return Wire(url)

    monkeypatch.setattr(deletion, "Wire", comes_back)
    job_id, told = deleted(desk, connection, mine, user="u1")
    assert told["deleted"] == 3
    assert len(store.attempts_of(connection, job_id)) == 1


def test_the_night_deletes_what_each_tenant_no_longer_keeps(
    desk: Desk, connection: Connection, wire: Wire
) -> None:
    short, usual = tenant(connection), tenant(connection)
    connection.execute("UPDATE tenant SET retention_days = 2 WHERE id = %s", (short,))
    gone = ended_jobs(connection, short, 3, age_s=3 * DAY, wire=wire)
    stays = ended_jobs(connection, short, 2, age_s=DAY) + ended_jobs(
        connection, usual, 2, age_s=3 * DAY
    )
    [job_id] = sweep_content(connection, desk.settings)
    desk.answer(LANE, 9)
    told = result_of(connection, short, job_id)
    assert (told["deleted"], told["proof"]["jobs_sha256"]) == (3, sha256_of(gone))
    assert with_content(connection) == set(stays)
    row = connection.execute(
        "SELECT extract(epoch FROM swept_to)::float8 FROM tenant WHERE id = %s", (short,)
    ).fetchone()
    assert row is not None
    assert row[0] == pytest.approx(database_now(connection) - 2 * DAY, abs=10)
    assert sweep_content(connection, desk.settings) == []
    assert_proven(connection)


def test_files_go_with_what_is_deleted_by_time_or_app(desk: Desk, connection: Connection) -> None:
    mine, theirs = tenant(connection), tenant(connection)
    with closing(Reads(desk._parts.settings.postgres, "test")) as database:
        files = Files(database, desk._parts.settings)

        def file(tenant_id: str, app_id: str) -> str:
            return files.create(tenant_id, "batch", "a", [b"moon"], app_id=app_id).id

        def there() -> set[str]:
            return {
                row.id for who in (mine, theirs) for row in files.page(who, None, "asc", None, 9)
            }

        one, other, spared = file(mine, "tests"), file(mine, "other"), file(theirs, "tests")
        for selection in ({"user": "u"}, {"session_id": "s"}, {"app_id": "tests", "user": "u"}):
            assert deleted(desk, connection, mine, **selection)[1]["files_deleted"] == 0
        assert deleted(desk, connection, mine, before=0.0)[1]["files_deleted"] == 0
        assert there() == {one, other, spared}
        assert deleted(desk, connection, mine, app_id="tests")[1]["files_deleted"] == 1
        assert there() == {other, spared}
        later = database_now(connection) + DAY
        assert deleted(desk, connection, mine, before=later)[1]["files_deleted"] == 1
        assert there() == {spared}


def test_lines_that_wait_in_batches_are_called_off(desk: Desk, connection: Connection) -> None:
    mine = tenant(connection)
    batch = started(connection, mine, 3)
    deleted(desk, connection, mine, job_ids=["job_none"])
    deleted(desk, connection, mine, app_id="other")
    assert connection.execute("SELECT FROM batch_line WHERE request <> ''").rowcount == 3
    deleted(desk, connection, mine, app_id="tests")
    assert connection.execute("SELECT FROM batch_line").rowcount == 0
    rows = connection.execute("SELECT DISTINCT request FROM job WHERE batch_id = %s", (batch.id,))
    assert rows.fetchall() == [("",)]
    assert_proven(connection)
