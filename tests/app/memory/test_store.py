"""Memories that are written once, and merged with what says the same."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.db.connect import Connection, connect
from app.ids import new_id
from app.memory.model import Scope
from app.memory.store import SAME
from tests.app.line import tenant
from tests.app.memory.bags import remember, row, vectors


def total(connection: Connection) -> int:
    found = connection.execute("SELECT count(*) FROM memory").fetchone()
    assert found is not None
    return int(found[0])


def test_a_memory_is_written_as_it_is_told(plain: Connection, scope: Scope) -> None:
    stored = remember(
        plain, scope, "I like tea.", memory_type="preference", importance=0.75,
        emotional_context={"valence": 0.5}, metadata={"from": "chat"}, ttl_s=3600,
    )  # fmt: skip
    assert not stored.merged
    assert row(
        plain, stored.id,
        "tenant_id, user_id, session_id, memory_type, content, importance, emotional_context, "
        "metadata, uses, expires_at - created_at > interval '59 min'",
    ) == (
        scope.tenant_id, "ann", "s1", "preference", "I like tea.", 0.75, {"valence": 0.5},
        {"from": "chat"}, 0, True,
    )  # fmt: skip


def test_the_same_text_is_merged(plain: Connection, scope: Scope) -> None:
    first = remember(plain, scope, "I like tea.", importance=0.75, metadata={"a": 1, "b": 1})
    second = remember(
        plain, scope, "i  like TEA.", importance=0.25, metadata={"b": 2},
        emotional_context={"valence": 0.5}, meaning="far away",
    )  # fmt: skip
    assert (second.id, second.merged) == (first.id, True)
    columns = "content, importance, uses, metadata, emotional_context"
    told = ("I like tea.", 0.75, 1, {"a": 1, "b": 2}, {"valence": 0.5})
    assert row(plain, first.id, columns) == told
    assert total(plain) == 1


def test_a_greater_importance_is_taken_over(plain: Connection, scope: Scope) -> None:
    first = remember(plain, scope, "I like tea.", importance=0.25)
    remember(plain, scope, "I like tea.", importance=1.0)
    assert row(plain, first.id, "importance") == (1.0,)


def test_texts_near_in_meaning_are_merged_if_their_words_are_the_same(
    plain: Connection, scope: Scope
) -> None:
    said = " ".join(f"word{number}" for number in range(40))
    alike, negated, turned = f"The {said}.", f"not {said}", f"word1 word0 {said[12:]}"
    assert all(vectors([said])[0] @ meant > SAME for meant in vectors([negated, turned]))
    first = remember(plain, scope, said)
    assert remember(plain, scope, alike, meaning=said).id == first.id
    assert not remember(plain, scope, alike, meaning="far away").merged
    assert not remember(plain, scope, negated).merged
    assert not remember(plain, scope, turned).merged


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("😀", "🙁"),
        ("ฉันชอบกาแฟ", "ฉันไม่ชอบชา"),
        ("I am -5 m down.", "I am 5 m down."),
        ("!", "..."),
        ("Give .5 mg of it", "Give 5 mg of it"),
        ("Today was :)", "Today was :("),
        ("5'", '5"'),
    ],
)
def test_texts_that_the_model_cannot_tell_apart_are_all_kept(
    plain: Connection, scope: Scope, first: str, second: str
) -> None:
    remember(plain, scope, first)
    assert not remember(plain, scope, second, meaning=first).merged


def test_other_scopes_and_types_are_left_alone(plain: Connection, scope: Scope) -> None:
    tenant_id = scope.tenant_id
    remember(plain, scope, "I like tea.")
    remember(plain, scope, "I like tea.", memory_type="semantic")
    for other in (
        Scope(tenant_id, "ann", "s2"), Scope(tenant_id, "ann"), Scope(tenant_id, "bob", "s1"),
        Scope(tenant_id, None, "s1"), Scope(tenant_id), Scope(tenant(plain, 0), "ann", "s1"),
    ):  # fmt: skip
        assert not remember(plain, other, "I like tea.").merged
    assert total(plain) == 8


def test_what_was_put_away_is_remembered_anew(plain: Connection, scope: Scope) -> None:
    first = remember(plain, scope, "I like tea.")
    plain.execute("UPDATE memory SET forgotten_at = now()")
    second = remember(plain, scope, "I like tea.")
    assert (second.id != first.id, second.merged) == (True, False)


@pytest.mark.parametrize(
    ("first", "second", "lives"),
    [(60, 3600, 3600), (3600, 60, 3600), (None, 60, None), (60, None, None)],
)
def test_the_longer_life_counts(
    plain: Connection, scope: Scope, first: float | None, second: float | None, lives: float | None
) -> None:
    stored = remember(plain, scope, "I like tea.", ttl_s=first)
    assert remember(plain, scope, "I like tea.", ttl_s=second).merged
    [left] = row(plain, stored.id, "extract(epoch FROM expires_at - now())::float8")
    assert left is None if lives is None else lives - 30 < left <= lives


def test_nothing_of_what_has_expired_comes_back(plain: Connection, scope: Scope) -> None:
    gone = remember(plain, scope, "I like tea.", ttl_s=-5, importance=1.0, metadata={"a": 1})
    told = remember(plain, scope, "I like tea.")
    assert (told.id != gone.id, told.merged) == (True, False)
    assert row(plain, told.id, "importance, metadata, expires_at") == (0.5, {}, None)
    assert total(plain) == 1


def test_a_job_that_runs_twice_stores_once(plain: Connection, scope: Scope) -> None:
    job = new_id("job")
    first = remember(plain, scope, "I like tea.", job_id=job)
    assert remember(plain, scope, "I like tea.", job_id=job) == first
    assert row(plain, first.id, "uses") == (0,)
    other = remember(plain, scope, "I like tea.", job_id=job, place=1)
    assert (other.id, other.merged) == (first.id, True)
    assert remember(plain, scope, "I like tea.", job_id=job, place=1) == other
    assert row(plain, first.id, "uses") == (1,)


def test_duplicates_at_the_same_time_are_one(books: str, plain: Connection, scope: Scope) -> None:
    def one(number: int) -> str:
        with connect(books) as connection:
            return remember(connection, scope, "I like tea.", importance=number / 10).id

    with ThreadPoolExecutor(6) as pool:
        ids = set(pool.map(one, range(10)))
    assert len(ids) == total(plain) == 1
    importance, uses = row(plain, ids.pop(), "importance, uses")
    assert (round(importance, 3), uses) == (0.9, 9)


def test_one_job_at_the_same_time_stores_once(books: str, plain: Connection, scope: Scope) -> None:
    job = new_id("job")

    def one(_: int) -> str:
        with connect(books) as connection:
            return remember(connection, scope, "I like tea.", job_id=job).id

    with ThreadPoolExecutor(6) as pool:
        ids = set(pool.map(one, range(10)))
    assert len(ids) == total(plain) == 1
    assert row(plain, ids.pop(), "uses") == (0,)


def test_words_stand_in_the_postings_while_a_memory_is_not_put_away(
    plain: Connection, scope: Scope
) -> None:
    remember(plain, scope, "The cats sat and sat.")
    asked = "SELECT lexeme, times, words FROM memory_word ORDER BY lexeme"
    words = [("", 1, 3), ("cat", 1, 3), ("sat", 2, 3)]
    assert plain.execute(asked).fetchall() == words
    plain.execute("UPDATE memory SET forgotten_at = now()")
    assert plain.execute(asked).fetchall() == []
    plain.execute("UPDATE memory SET forgotten_at = NULL")
    assert plain.execute(asked).fetchall() == words
    plain.execute("DELETE FROM memory")
    assert plain.execute(asked).fetchall() == []
