"""What the doors do not show: who waits for whom, what goes with what, and whose order counts."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.db.connect import Connection, connect
from app.ids import new_id
from app.jobs import store as jobs
from app.memory.model import NewMemory, Scope, Stored
from app.memory.shelf import store
from app.memory.shelf.model import Which, memory_object, stored_id
from tests.app.line import draft, tenant
from tests.app.memory.parts import VECTOR, shelf

NOW_S = 4e9
"""Later than any test."""


def names(connection: Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT id FROM memory")}


def summed(connection: Connection, tenant_id: str, ids: list[str], summary: str) -> None:
    connection.execute(
        "INSERT INTO memory_summed SELECT seq, %s FROM memory WHERE id = ANY (%s)", (summary, ids)
    )


def admitted(connection: Connection, tenant_id: str, age_s: float = 0) -> tuple[str, float]:
    """A job's id and when it was admitted."""
    one = draft(tenant_id)
    assert jobs.admit_group(connection, [one]) == ["admitted"]
    row = connection.execute(
        "UPDATE job SET created_at = created_at - %s * interval '1 s' WHERE id = %s "
        "RETURNING extract(epoch FROM created_at)::float8",
        (age_s, one.id),
    ).fetchone()
    assert row is not None
    return one.id, row[0]


def test_with_an_episode_goes_the_summary_that_tells_it(connection: Connection) -> None:
    mine = tenant(connection)
    ids = shelf(connection, mine, 3, session_id="s")
    [summary] = shelf(connection, mine, 1, session_id="s", memory_type="semantic")
    summed(connection, mine, ids, summary)
    with connection.transaction():
        assert store.delete(connection, mine, ids[:1]) == (1, 1)
    assert names(connection) == set(ids[1:])
    assert connection.execute("SELECT count(*) FROM memory_summed").fetchone() == (0,)


def test_episodes_stay_when_their_summary_is_deleted_and_are_not_summed_up_again(
    connection: Connection,
) -> None:
    mine = tenant(connection)
    ids = shelf(connection, mine, 2, session_id="s")
    [summary] = shelf(connection, mine, 1, session_id="s", memory_type="semantic")
    summed(connection, mine, ids, summary)
    with connection.transaction():
        assert store.delete(connection, mine, [summary]) == (1, 0)
    assert names(connection) == set(ids)
    kept = store.find(connection, mine, ids[0])
    assert kept is not None
    assert memory_object(kept.memory, kept.summary_id)["summary_id"] == summary


def test_episodes_of_one_summary_are_deleted_by_many_at_once(
    connection: Connection, books: str
) -> None:
    mine = tenant(connection)
    ids = shelf(connection, mine, 24, session_id="s")
    [summary] = shelf(connection, mine, 1, session_id="s", memory_type="semantic")
    summed(connection, mine, ids, summary)

    def gone(some: list[str]) -> tuple[int, int]:
        with connect(books) as own, own.transaction():
            return store.delete(own, mine, some)

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(gone, [ids[start::8] for start in range(8)]))
    assert sorted(done) == [(3, 0)] * 7 + [(3, 1)]
    assert names(connection) == set()


def test_a_tenants_deletions_wait_for_each_other(connection: Connection, books: str) -> None:
    mine, theirs = tenant(connection), tenant(connection)
    one, other = shelf(connection, mine, 2)
    [their_id] = shelf(connection, theirs)
    with connect(books) as own, connection.transaction():
        store.delete(connection, mine, [one])
        own.execute("SET lock_timeout = '50ms'")
        with own.transaction():
            assert store.delete(own, theirs, [their_id]) == (1, 0)
        with pytest.raises(Exception, match="lock timeout"), own.transaction():
            store.delete(own, mine, [other])


def test_a_deletion_reaches_no_other_tenant(connection: Connection) -> None:
    mine, theirs = tenant(connection), tenant(connection)
    [their_id] = shelf(connection, theirs)
    with connection.transaction():
        assert store.delete(connection, mine, [their_id]) == (0, 0)
    assert not store.restore(connection, mine, "mem_nothing")
    connection.execute("UPDATE memory SET forgotten_at = now()")
    assert not store.restore(connection, mine, their_id)
    assert store.forgettable(connection, Which(mine), NOW_S, 9) == ([], [])
    assert names(connection) == {their_id}


def test_the_order_of_admissions_decides_what_is_forgotten(connection: Connection) -> None:
    mine = tenant(connection)
    (early, _), (asked, asked_s), (late, _) = (admitted(connection, mine, s) for s in (9, 5, 1))
    scope, ids = Scope(mine, "u"), {}
    for job_id in (early, late):
        new = NewMemory(id=stored_id(job_id), content=f"Told by {job_id}.")
        vector = VECTOR[job_id == late]
        stored = store.store_unless_forgotten(connection, scope, new, vector, job_id, 0, NOW_S)
        assert stored is not None
        ids[job_id] = stored.id
    found, _ = store.forgettable(connection, Which(mine, "u"), asked_s, 9)
    assert found == [ids[early]], "what was asked for later stays"
    assert asked not in ids


@pytest.mark.parametrize(
    ("which", "forgotten"),
    [
        ({"user": "u"}, True),
        ({"session_id": "s"}, True),
        ({"user": "u", "session_id": "s"}, True),
        ({}, True),
        ({"user": "v"}, False),
        ({"user": "u", "session_id": "t"}, False),
    ],
)
def test_what_was_forgotten_is_not_stored_by_a_job_from_before(
    connection: Connection, which: dict[str, Any], forgotten: bool
) -> None:
    mine = tenant(connection)
    (early, early_s), (asked, asked_s), (late, late_s) = (
        admitted(connection, mine, s) for s in (9, 5, 1)
    )
    store.note_forgetting(connection, asked, Which(mine, **which), asked_s)
    store.note_forgetting(connection, asked, Which(mine, **which), asked_s)

    def say(job_id: str, admitted_s: float, tenant_id: str = mine) -> Stored | None:
        new = NewMemory(id=stored_id(job_id), content="The moon is far.")
        scope = Scope(tenant_id, "u", "s")
        return store.store_unless_forgotten(
            connection, scope, new, VECTOR[0], job_id, 0, admitted_s
        )

    assert (say(early, early_s) is None) == forgotten
    assert say(late, late_s) is not None
    assert say(new_id("job"), early_s, tenant(connection)) is not None, "of another tenant"


def test_a_forgetting_waits_for_who_is_storing(connection: Connection, books: str) -> None:
    mine = tenant(connection)
    (early, early_s), (asked, asked_s) = (admitted(connection, mine, s) for s in (9, 5))
    new = NewMemory(id=stored_id(early), content="The moon is far.")
    with connect(books) as other:
        with connection.transaction():
            stored = store.store_unless_forgotten(
                connection, Scope(mine), new, VECTOR[0], early, 0, early_s
            )
            assert stored is not None
            other.execute("SET lock_timeout = '50ms'")
            with pytest.raises(Exception, match="lock timeout"):
                store.note_forgetting(other, asked, Which(mine), asked_s)
        store.note_forgetting(other, asked, Which(mine), asked_s)
        assert store.forgettable(other, Which(mine), asked_s, 9)[0] == [stored.id]


def test_ids_of_a_job_are_its_own_and_sort_by_place() -> None:
    job_id = new_id("job")
    ids = [stored_id(job_id, place) for place in (0, 1, 10, 255)]
    assert ids == sorted(set(ids))
    assert stored_id(job_id) == "mem_" + job_id.removeprefix("job_")
    assert stored_id(job_id) not in ids
