"""Idempotency-Keys: one key, one job, one hold, whoever asks when."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from app.db.connect import Connection, line_connection
from app.jobs import store
from app.jobs.model import Draft
from tests.app.line import assert_proven, draft, funds, running, tenant

HELD = 100


def keyed(
    tenant_id: str, key: str | None = "k", body: str = "b", path: str = "/x", backlog: int = 100
) -> Draft:
    one = draft(tenant_id, HELD, backlog=backlog)
    one.idempotency_key, one.body_hash, one.path = key, body if key else None, path
    return one


def verdict(connection: Connection, one: Draft) -> str:
    [told] = store.admit_group(connection, [one])
    return told


def age(connection: Connection, hours: float) -> None:
    connection.execute(
        "UPDATE idempotency SET created_at = now() - %s * interval '1 hour'", (hours,)
    )


def test_the_same_key_and_body_is_the_same_job(connection: Connection) -> None:
    mine = tenant(connection, 1000)
    first = keyed(mine)
    assert verdict(connection, first) == "admitted"
    for _ in range(2):
        assert verdict(connection, keyed(mine)) == f"replayed {first.id}"
    assert funds(connection, mine) == (1000 - HELD, HELD)
    assert connection.execute("SELECT count(*) FROM job").fetchone() == (1,)
    assert_proven(connection)


def test_another_body_is_told(connection: Connection) -> None:
    mine = tenant(connection, 1000)
    verdict(connection, keyed(mine))
    assert verdict(connection, keyed(mine, body="c")) == "mismatch"
    assert funds(connection, mine) == (1000 - HELD, HELD)


def test_a_key_belongs_to_one_tenant_and_one_path(connection: Connection) -> None:
    mine, other = tenant(connection), tenant(connection)
    for one in (keyed(mine), keyed(other), keyed(mine, path="/y"), keyed(mine, key="l")):
        assert verdict(connection, one) == "admitted"


def test_jobs_without_a_key_are_never_the_same(connection: Connection) -> None:
    mine = tenant(connection)
    drafts = [keyed(mine, key=None) for _ in range(3)]
    assert store.admit_group(connection, drafts) == ["admitted"] * 3


def test_a_group_may_hold_a_key_many_times(connection: Connection) -> None:
    mine, other = tenant(connection, 1000), tenant(connection, 1000)
    group = [
        keyed(mine), keyed(mine), keyed(mine, body="c"), keyed(other), keyed(mine, key="l"),
        keyed(mine),
    ]  # fmt: skip
    first = group[0].id
    assert store.admit_group(connection, group) == [
        "admitted", f"replayed {first}", "mismatch", "admitted", "admitted", f"replayed {first}",
    ]  # fmt: skip
    assert funds(connection, mine) == (1000 - 2 * HELD, 2 * HELD)
    assert_proven(connection)


@pytest.mark.parametrize(
    ("credit", "backlog", "told"), [(50, 100, "no_credit"), (1000, 0, "overloaded")]
)
def test_a_refused_job_leaves_its_key_free(
    connection: Connection, credit: int, backlog: int, told: str
) -> None:
    mine = tenant(connection, credit)
    drafts = [keyed(mine, backlog=backlog) for _ in range(2)]
    assert store.admit_group(connection, drafts) == [told, told]
    assert connection.execute("SELECT count(*) FROM idempotency").fetchone() == (0,)


def test_a_replay_needs_neither_credit_nor_room(connection: Connection) -> None:
    mine = tenant(connection, HELD)
    first = keyed(mine)
    verdict(connection, first)
    assert verdict(connection, keyed(mine, backlog=0)) == f"replayed {first.id}"


def test_a_replay_takes_no_room_from_another(connection: Connection) -> None:
    mine = tenant(connection)
    first = keyed(mine)
    verdict(connection, first)
    group = [keyed(mine, backlog=2), keyed(mine, key="l", backlog=2)]
    assert store.admit_group(connection, group) == [f"replayed {first.id}", "admitted"]


@pytest.mark.parametrize(("hours", "replayed"), [(23.9, True), (24.1, False)])
def test_a_key_stands_for_its_job_for_a_day(
    connection: Connection, hours: float, replayed: bool
) -> None:
    mine = tenant(connection)
    first, second = keyed(mine), keyed(mine, body="b" if replayed else "c")
    verdict(connection, first)
    age(connection, hours)
    assert verdict(connection, second) == (f"replayed {first.id}" if replayed else "admitted")
    latest = first if replayed else second
    assert verdict(connection, keyed(mine, body=latest.body_hash or "")) == (
        f"replayed {latest.id}"
    )


def test_old_keys_are_forgotten(connection: Connection) -> None:
    verdict(connection, keyed(tenant(connection)))
    for hours, left in ((24.5, 1), (25.5, 0)):
        age(connection, hours)
        store.forget_keys(connection)
        assert connection.execute("SELECT count(*) FROM idempotency").fetchone() == (left,)


def test_a_key_outlives_its_job(connection: Connection) -> None:
    mine = tenant(connection)
    first = keyed(mine)
    verdict(connection, first)
    store.void(connection, [first.id], "queued", "cancelled", None, "client")
    assert verdict(connection, keyed(mine)) == f"replayed {first.id}"
    running(connection, mine)


def test_doors_that_take_a_key_at_once_make_one_job(connection: Connection, books: str) -> None:
    """One commits; the others are undone and find it when they ask again, as the group commit
    does with each item of a group that failed."""
    mine = tenant(connection, 10_000)

    def ask(number: int) -> str:
        with line_connection(books, "test") as line:
            one = keyed(mine, key=f"k{number % 5}")
            try:
                return verdict(line, one)
            except psycopg.errors.UniqueViolation:
                return verdict(line, one)

    with ThreadPoolExecutor(10) as pool:
        told = list(pool.map(ask, range(50)))
    assert told.count("admitted") == 5
    assert all(one == "admitted" or one.startswith("replayed job_") for one in told)
    assert funds(connection, mine) == (10_000 - 5 * HELD, 5 * HELD)
    assert_proven(connection)
