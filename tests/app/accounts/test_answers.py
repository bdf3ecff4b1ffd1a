"""Answers kept for an Idempotency-Key: for a day, for one place, for one credential."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.accounts.answers import (
    Answer,
    Place,
    forget_answers,
    keep_answer,
    lock_place,
    stored_answer,
)
from app.db.connect import Connection, connect
from app.errors import Conflict, KeyInFlight, KeyReused

PLACE = Place("ten_a", "/keys", "k")
ANSWER = Answer(201, b'{"key":"pk_live_secret"}')
parts = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@pytest.fixture
def other(books: str) -> Iterator[Connection]:
    with connect(books) as opened:
        yield opened


def aged(connection: Connection, hours: float) -> None:
    """Makes all answers this old."""
    connection.execute(
        "UPDATE idempotent_answer SET created_at = now() - %s * interval '1 hour'", (hours,)
    )


def test_an_answer_is_read_where_it_was_kept(connection: Connection) -> None:
    assert stored_answer(connection, PLACE, "hash", "secret") is None
    keep_answer(connection, PLACE, "hash", "secret", ANSWER)
    assert stored_answer(connection, PLACE, "hash", "secret") == ANSWER


@pytest.mark.parametrize(
    "elsewhere",
    [replace(PLACE, tenant_id="ten_b"), replace(PLACE, path="/apps"), replace(PLACE, key="K")],
)
def test_it_is_nothing_to_another_place(connection: Connection, elsewhere: Place) -> None:
    keep_answer(connection, PLACE, "hash", "secret", ANSWER)
    assert stored_answer(connection, elsewhere, "hash", "secret") is None


def test_another_body_is_refused(connection: Connection) -> None:
    keep_answer(connection, PLACE, "hash", "secret", ANSWER)
    with pytest.raises(KeyReused):
        stored_answer(connection, PLACE, "other", "secret")


def test_another_credential_reads_nothing(connection: Connection) -> None:
    keep_answer(connection, PLACE, "hash", "secret", ANSWER)
    with pytest.raises(Conflict, match="another credential"):
        stored_answer(connection, PLACE, "hash", "Secret")


def test_an_answer_moved_elsewhere_in_the_table_cannot_be_read(connection: Connection) -> None:
    keep_answer(connection, PLACE, "hash", "secret", ANSWER)
    connection.execute("UPDATE idempotent_answer SET path = '/apps'")
    with pytest.raises(Conflict):
        stored_answer(connection, replace(PLACE, path="/apps"), "hash", "secret")


def test_what_lies_in_postgres_tells_nothing(connection: Connection) -> None:
    keep_answer(connection, PLACE, "hash", "secret", ANSWER)
    [row] = connection.execute("SELECT body FROM idempotent_answer").fetchall()
    assert b"pk_live" not in bytes(row[0])
    assert ANSWER.body not in bytes(row[0])


def test_a_key_is_honoured_for_24_hours_and_free_again_after(connection: Connection) -> None:
    keep_answer(connection, PLACE, "hash", "secret", ANSWER)
    aged(connection, 23.9)
    keep_answer(connection, PLACE, "late", "late", Answer(200, b"{}"))
    assert stored_answer(connection, PLACE, "hash", "secret") == ANSWER
    aged(connection, 24.1)
    assert stored_answer(connection, PLACE, "hash", "secret") is None
    assert stored_answer(connection, PLACE, "other", "other") is None
    newer = Answer(200, b"{}")
    keep_answer(connection, PLACE, "other", "other", newer)
    assert stored_answer(connection, PLACE, "other", "other") == newer


def test_old_answers_are_forgotten_and_young_ones_are_not(connection: Connection) -> None:
    keep_answer(connection, PLACE, "hash", "secret", ANSWER)
    aged(connection, 24.9)
    assert forget_answers(connection) == 0
    aged(connection, 25.1)
    keep_answer(connection, replace(PLACE, key="young"), "hash", "secret", ANSWER)
    assert forget_answers(connection) == 1
    assert connection.execute("SELECT key FROM idempotent_answer").fetchall() == [("young",)]


def test_a_place_is_one_transactions_at_a_time(connection: Connection, other: Connection) -> None:
    with connection.transaction():
        lock_place(connection, PLACE)
        with pytest.raises(KeyInFlight) as refused:
            lock_place(other, PLACE)
        lock_place(other, replace(PLACE, key="another"))
    assert refused.value.retry_after == 1
    with other.transaction():
        lock_place(other, PLACE)


def test_of_many_at_once_one_gets_the_place(books: str) -> None:
    barrier, taken, refused = threading.Barrier(6), [], []

    def try_it() -> None:
        with connect(books) as mine, mine.transaction():
            barrier.wait(20)
            try:
                lock_place(mine, PLACE)
                taken.append(1)
            except KeyInFlight:
                refused.append(1)
            barrier.wait(20)

    threads = [threading.Thread(target=try_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (len(taken), len(refused)) == (1, 5)


@given(st.tuples(parts, parts, parts), st.tuples(parts, parts, parts))
def test_two_places_are_never_taken_for_one(
    one: tuple[str, str, str], another: tuple[str, str, str]
) -> None:
    assert (Place(*one).text == Place(*another).text) is (one == another)
