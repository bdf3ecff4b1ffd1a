"""Which job's answer stands for a request, and until when."""

from app.cache.store import drop_expired, find_answer, keep_answer
from app.db.connect import Connection
from app.jobs.forget import forget
from app.redis import Wire
from tests.app.line import tenant
from tests.app.retention.parts import ended_jobs


def expire(connection: Connection) -> None:
    connection.execute("UPDATE cached_answer SET expires_at = now() - interval '1 second'")


def test_an_answer_stands_for_its_own_tenant_and_key_alone(
    connection: Connection, wire: Wire
) -> None:
    mine, other = tenant(connection), tenant(connection)
    [job_id] = ended_jobs(connection, mine, wire=wire)
    keep_answer(connection, mine, "k", job_id, 60)
    found = find_answer(connection, mine, "k")
    assert found is not None
    assert (found.job_id, found.body != "", found.age_s >= 0) == (job_id, True, True)
    assert find_answer(connection, other, "k") is None
    assert find_answer(connection, mine, "l") is None


def test_the_last_answer_stands(connection: Connection, wire: Wire) -> None:
    mine = tenant(connection)
    first, second = ended_jobs(connection, mine, 2, wire=wire)
    for job_id in (first, second):
        keep_answer(connection, mine, "k", job_id, 60)
    found = find_answer(connection, mine, "k")
    assert found is not None
    assert found.job_id == second


def test_what_has_expired_stands_for_nothing_and_is_dropped(
    connection: Connection, wire: Wire
) -> None:
    mine = tenant(connection)
    [job_id] = ended_jobs(connection, mine, wire=wire)
    keep_answer(connection, mine, "k", job_id, 60)
    assert drop_expired(connection) == 0
    expire(connection)
    assert find_answer(connection, mine, "k") is None
    assert drop_expired(connection) == 1


def test_a_forgotten_answer_is_not_told_again(connection: Connection, wire: Wire) -> None:
    mine = tenant(connection)
    [job_id] = ended_jobs(connection, mine, wire=wire)
    keep_answer(connection, mine, "k", job_id, 60)
    assert forget(connection, wire, [job_id], None) == [job_id]
    assert find_answer(connection, mine, "k") is None
