"""Versions are made beside what is found and take its place whole; deletion leaves nothing."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.db.connect import Connection, connect
from app.errors import Gone
from app.ids import new_id
from app.lunes.erasing import store as erasing
from app.lunes.erasing.steps import erase_document, erase_lune, erase_version, sweep
from app.lunes.extraction.blocks import Unreadable
from app.lunes.intake import store
from app.lunes.intake.model import Wanted
from app.lunes.model import Lune, identity
from app.lunes.store import find, find_document, passage_page
from tests.app.line import empty, tenant
from tests.app.lunes.parts import Intake, lune_of, taken_in
from tests.app.web.lunes import TABLES, counted_right, rows


@pytest.fixture
def lune(connection: Connection) -> Lune:
    return lune_of(connection, tenant(connection, 0))


def said(connection: Connection, document_id: str) -> list[str]:
    return [one.content for one in passage_page(connection, document_id, None, 100)]


def now(connection: Connection, lune: Lune) -> Lune:
    found = find(connection, lune.tenant_id, lune.id)
    assert found is not None
    return found


def mark(connection: Connection, one: Intake) -> None:
    with connection.transaction():
        assert erasing.mark_document(connection, one.document_id)


def test_nothing_is_found_before_it_is_whole(connection: Connection, lune: Lune) -> None:
    first = taken_in(connection, lune, "a", "The moon is far.")
    again = Intake(connection, lune, "a")
    assert again.document_id == first.document_id
    again.begin()
    again.stage("The moon is near.", "Is it?")
    assert said(connection, first.document_id) == ["The moon is far."]
    assert now(connection, lune).passages == 1
    old = again.put()
    assert old == first.version
    assert said(connection, first.document_id) == ["The moon is near.", "Is it?"]
    assert (now(connection, lune).passages, now(connection, lune).bytes) == (2, 10)
    erase_version(connection, old)
    assert (rows(connection, "lune_version"), rows(connection, "lune_passage")) == (1, 2)
    assert counted_right(connection)


@pytest.mark.parametrize("later_first", [False, True])
def test_of_two_ingests_at_once_the_later_one_stays_whole(
    connection: Connection, lune: Lune, later_first: bool
) -> None:
    early, late = Intake(connection, lune, "a"), Intake(connection, lune, "a")
    early.begin()
    late.begin()
    early.stage("Early one.", "Early two.")
    late.stage("Late one.")
    for one in (late, early) if later_first else (early, late):
        old = one.put()
        if old is not None:
            assert old == early.version
            erase_version(connection, old)
    assert said(connection, late.document_id) == ["Late one."]
    document = find_document(connection, lune.tenant_id, late.document_id)
    assert document is not None
    assert (document.state, document.job_id) == ("completed", late.job_id)
    assert rows(connection, "lune_version") == rows(connection, "lune_passage") == 1
    assert rows(connection, "lune_intake") == 0
    assert counted_right(connection)


def test_an_attempt_that_comes_again_begins_anew_or_is_done(
    connection: Connection, lune: Lune
) -> None:
    one = Intake(connection, lune, "a")
    assert one.begin() is False
    one.stage("The moon", "is far.")
    crashed = one.version
    assert one.begin() is False
    assert one.stage("The moon is far.") == [crashed]
    erase_version(connection, crashed)
    assert one.put() is None
    assert one.begin() is True
    assert said(connection, one.document_id) == ["The moon is far."]
    assert counted_right(connection)


def test_a_failure_leaves_what_is_found_and_what_a_later_job_says(
    connection: Connection, lune: Lune
) -> None:
    taken_in(connection, lune, "a", "The moon is far.")
    early, late = Intake(connection, lune, "a"), Intake(connection, lune, "a")
    early.begin()
    late.begin()
    store.fail(connection, early.document_id, early.job_id, {"code": "early"}, last=True)
    document = find_document(connection, lune.tenant_id, late.document_id)
    assert document is not None
    assert (document.state, document.error) == ("in_progress", None)
    store.fail(connection, late.document_id, late.job_id, {"code": "late"}, last=False)
    document = find_document(connection, lune.tenant_id, late.document_id)
    assert document is not None
    assert (document.state, document.error) == ("failed", {"code": "late"})
    assert said(connection, late.document_id) == ["The moon is far."]
    assert rows(connection, "lune_intake") == 1


def test_a_version_takes_its_place_only_where_there_is_room_beside_all_others(
    connection: Connection, lune: Lune
) -> None:
    taken_in(connection, lune, "a", "The moon is far.")
    other = lune_of(connection, lune.tenant_id, "other")
    one = Intake(connection, other, "b")
    one.begin()
    one.stage("The moon is near.")
    with pytest.raises(Unreadable) as raised:
        one.put(limit=19)
    assert (raised.value.reason, said(connection, one.document_id)) == ("no_room", [])
    assert (now(connection, other).bytes, one.put(limit=20)) == (0, None)
    again = Intake(connection, other, "b")
    again.begin()
    again.stage("The moon is near?")
    assert again.put(limit=20) == one.version
    assert counted_right(connection)


def test_nothing_more_is_written_of_what_is_deleted(connection: Connection, lune: Lune) -> None:
    one = Intake(connection, lune, "a")
    one.begin()
    one.stage("The moon is far.")
    mark(connection, one)
    for step in (one.begin, one.put, lambda: one.stage("more")):
        with pytest.raises(Gone):
            step()
    erase_document(connection, one.document_id)
    assert [rows(connection, table) for table in ("lune_document", *TABLES)] == [0] * 6
    erasing.mark_lune(connection, lune.seq)
    with pytest.raises(Gone):
        Intake(connection, lune, "b")
    erase_lune(connection, lune.seq)
    assert rows(connection, "lune") == rows(connection, "lune_document") == 0


def test_a_url_is_one_document_with_and_without_an_external_id(
    connection: Connection, lune: Lune
) -> None:
    def asked(url: str, external_id: str | None = None) -> str:
        known_by = identity(external_id, url, None, b"")
        with connection.transaction():
            wanted = Wanted("fetched", known_by, external_id, url)
            return store.take(connection, lune, wanted, new_id("job"))

    first = asked("https://moon.example/a", "a")
    assert asked("https://moon.example/a") == first
    second = asked("https://moon.example/b")
    assert asked("https://moon.example/b", "b") == second
    assert asked("https://elsewhere.example/b", "b") == second
    third = asked("https://moon.example/a", "third")
    assert len({first, second, third}) == 3
    assert asked("https://moon.example/a") not in (first, second, third), "it might be either"


def test_a_name_is_free_again_once_its_document_is_marked(
    connection: Connection, lune: Lune
) -> None:
    first = taken_in(connection, lune, "a", "The moon is far.")
    mark(connection, first)
    second = taken_in(connection, lune, "a", "The moon is near.")
    assert second.document_id != first.document_id
    assert counted_right(connection)
    erase_document(connection, first.document_id)
    assert said(connection, second.document_id) == ["The moon is near."]
    assert counted_right(connection)


def test_a_sweep_deletes_what_was_left_behind_and_nothing_else(
    connection: Connection, lune: Lune
) -> None:
    kept = taken_in(connection, lune, "kept", "The sun is far.")
    young = Intake(connection, lune, "young")
    young.begin()
    young.stage("A young moon.")
    left = Intake(connection, lune, "left")
    left.begin()
    left.stage("An old moon.")
    gone = taken_in(connection, lune, "gone", "No moon.")
    mark(connection, gone)
    other = lune_of(connection, lune.tenant_id, "other")
    taken_in(connection, other, "a", "The moon is far.")
    erasing.mark_lune(connection, other.seq)
    sweep(connection)
    assert rows(connection, "lune_version") == 5
    connection.execute(
        "UPDATE lune_version SET created_at = now() - interval '2 days' WHERE seq = ANY (%s)",
        ([left.version, kept.version],),
    )
    connection.execute(
        "UPDATE lune_intake SET created_at = now() - interval '2 days' WHERE job_id = %s",
        (left.job_id,),
    )
    connection.execute("UPDATE lune_document SET deleted_at = deleted_at - interval '1 hour'")
    connection.execute("UPDATE lune SET deleted_at = deleted_at - interval '1 hour'")
    sweep(connection)
    found = connection.execute("SELECT array_agg(seq ORDER BY seq) FROM lune_version").fetchone()
    assert found == ([kept.version, young.version],)
    assert rows(connection, "lune") == 1
    assert connection.execute("SELECT job_id FROM lune_intake").fetchall() == [(young.job_id,)]
    assert counted_right(connection)


def test_many_at_once_neither_wait_for_each_other_nor_miscount(
    connection: Connection, lune: Lune, books: str
) -> None:
    words = ["moon", "sun", "star", "comet", "earth", "night"]

    def one(number: int) -> None:
        with connect(books, "test") as own:
            texts = [" ".join(words[number % 3 :: -1] + words[n:]) for n in range(6)]
            # Another may have deleted it, or be about to.
            with suppress(Gone, AssertionError):
                taken = taken_in(own, lune, f"document {number % 4}", *texts)
                if number % 3 == 0:
                    mark(own, taken)
                    erase_document(own, taken.document_id)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(one, range(18)))
    assert counted_right(connection)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["take", "stage", "delete"]),
        st.sampled_from("abc"),
        st.lists(st.sampled_from(["moon far", "sun", "moon moon star"]), min_size=1, max_size=5),
    ),
    max_size=8,
)


@given(STEPS)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_counts_are_right_after_any_steps(
    connection: Connection, steps: list[tuple[str, str, list[str]]]
) -> None:
    empty(connection)
    lune = lune_of(connection, tenant(connection, 0))
    for step, name, texts in steps:
        one = Intake(connection, lune, name)
        one.begin()
        if step == "delete":
            mark(connection, one)
            erase_document(connection, one.document_id)
            continue
        one.stage(*texts)
        if step == "take" and (old := one.put()) is not None:
            erase_version(connection, old)
    assert counted_right(connection)
    erasing.mark_lune(connection, lune.seq)
    erase_lune(connection, lune.seq)
    assert [rows(connection, table) for table in ("lune", "lune_document", *TABLES)] == [0] * 7
