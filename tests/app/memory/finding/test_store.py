"""Candidates by words and meaning, and the score of each."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.db.connect import Connection
from app.memory.finding import store
from app.memory.finding.store import Places
from app.memory.model import MemoryType, Recalled, Scope
from app.memory.recall import EXACT_MAX, WEIGHTS
from app.ranking import bm25 as ranking
from app.ranking.bm25 import K1, B, Count, idf, words_of
from tests.app.line import tenant
from tests.app.memory.bags import remember, row, vector

WORDS = ("moon", "sea", "tide", "ship", "harbour", "the", "lantern")


def find(
    connection: Connection, scope: Scope, query: str, *, limit: int = 10,
    types: list[MemoryType] | None = None,
) -> list[Recalled]:  # fmt: skip
    where = store.places(connection, scope, types)
    total, counts = store.counts(connection, where, query)
    words, meaning = words_of(total, counts), vector(query)
    core = {*store.near(connection, where, meaning, total.texts)}
    core |= {*store.worded(connection, where, words)}
    return store.scored(connection, where, sorted(core), meaning, words, limit)


def said(found: list[Recalled]) -> list[str]:
    return [one.memory.content for one in found]


def lexemes(connection: Connection, text: str) -> list[str]:
    """The lexemes of a text, each as often as it stands there."""
    rows = connection.execute(
        "SELECT lexeme, cardinality(positions) FROM unnest(to_tsvector('english', %s))", (text,)
    )
    return [lexeme for lexeme, times in rows for _ in range(times)]


def bm25(texts: list[list[str]], asked: set[str]) -> list[float]:
    """The scores of texts, as Robertson and Zaragoza 2009 have them in equation 3.15."""
    mean = max(1, sum(map(len, texts)) / len(texts))
    scores = []
    for text in texts:
        times, score = Counter(text), 0.0
        for lexeme in asked & times.keys():
            having = sum(lexeme in other for other in texts)
            norm = K1 * (1 - B + B * len(text) / mean)
            score += idf(len(texts), having) * times[lexeme] * (K1 + 1) / (times[lexeme] + norm)
        scores.append(score)
    return scores


sentences = st.lists(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=8).map(" ".join),
    min_size=1, max_size=8, unique_by=lambda text: tuple(text.split()),
)  # fmt: skip


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(sentences, st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join))
def test_words_are_scored_as_bm25_says(
    plain: Connection, scope: Scope, texts: list[str], query: str
) -> None:
    plain.execute("DELETE FROM memory")
    for number, text in enumerate(texts):
        remember(plain, scope, text, meaning=f"nothing {number}")
    scores = bm25([lexemes(plain, text) for text in texts], {*lexemes(plain, query)})
    expected = dict(zip(texts, scores, strict=True))
    highest = max(scores)
    for one in find(plain, scope, query):
        share = expected[one.memory.content] / highest if highest else 0
        assert one.parts["words"] == pytest.approx(WEIGHTS["words"] * share)


def test_the_candidates_by_words_are_the_best_of_bm25(
    plain: Connection, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "CANDIDATES", 2)
    ids = [
        remember(plain, scope, text).id
        for text in ("moon and sea", "moon", "sea and sea and sea", "ship", "moon moon sea")
    ]
    where = store.places(plain, scope)
    total, counts = store.counts(plain, where, "Is the moon over the sea?")
    assert (total.texts, counts["moon"].texts, counts["sea"].texts) == (5, 3, 3)
    best = store.worded(plain, where, words_of(total, counts))
    assert best == [row(plain, ids[place], "seq")[0] for place in (4, 0)]


def test_a_common_lexeme_counts_though_it_chooses_none(
    plain: Connection, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "POSTINGS_MAX", 2)
    for text in ("moon tide", "moon ship", "moon sea", "sea"):
        remember(plain, scope, text, meaning=f"of {text}")
    where = store.places(plain, scope)
    words = words_of(*store.counts(plain, where, "moon sea"))
    assert words.choosing == ["sea"]
    assert len(store.worded(plain, where, words)) == 2
    assert said(find(plain, scope, "moon sea"))[0] == "moon sea"


def noted(connection: Connection) -> dict[str, int]:
    rows = connection.execute("SELECT lexeme, memories FROM memory_common")
    return dict(rows.fetchall())


def test_what_is_common_is_counted_once_and_then_what_came_later(
    plain: Connection, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "COMMON", 2)
    for text in ("moon sea", "moon tide", "moon ship"):
        remember(plain, scope, text)
    where = store.places(plain, Scope(scope.tenant_id, "ann"))
    first = store.counts(plain, where, "the moon and the sea")
    assert first == (Count(3, 6), {"moon": Count(3, 6), "sea": Count(1, 2)})
    assert noted(plain) == {"": 3, "moon": 3}
    assert store.counts(plain, where, "the moon and the sea") == first
    plain.execute("UPDATE memory_common SET memories = memories + 10, words = words + 10")
    remember(plain, scope, "moon lantern sea")
    later = (Count(14, 19), {"moon": Count(14, 19), "sea": Count(2, 5)})
    assert store.counts(plain, where, "the moon and the sea") == later
    plain.execute("UPDATE memory_common SET counted_at = now() - interval '2 days'")
    anew = (Count(4, 9), {"moon": Count(4, 9), "sea": Count(2, 5)})
    assert store.counts(plain, where, "the moon and the sea") == anew
    assert noted(plain) == {"": 4, "moon": 4}


def test_counts_go_with_the_memories_they_are_of(
    plain: Connection, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "COMMON", 0)
    remember(plain, scope, "moon")
    find(plain, scope, "moon")
    assert noted(plain) == {"": 1, "moon": 1}
    plain.execute("DELETE FROM memory")
    assert noted(plain) == {}
    assert find(plain, scope, "moon") == []


def test_a_session_of_several_users_is_counted_by_itself(
    plain: Connection, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "COMMON", 0)
    remember(plain, scope, "moon")
    remember(plain, Scope(scope.tenant_id, "ann", "s2"), "moon sea")
    remember(plain, Scope(scope.tenant_id, "bob", "s1"), "moon tide")
    ann = store.places(plain, Scope(scope.tenant_id, "ann"))
    assert store.counts(plain, ann, "moon")[0] == Count(2, 3)
    where = store.places(plain, Scope(scope.tenant_id, None, "s1"))
    assert store.counts(plain, where, "moon") == (Count(2, 3), {"moon": Count(2, 3)})
    remember(plain, scope, "moon lantern ship")
    assert store.counts(plain, where, "moon") == (Count(3, 6), {"moon": Count(3, 6)})
    assert noted(plain) == {"": 2, "moon": 2}


def test_the_index_and_the_exact_search_agree(
    plain: Connection, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "CANDIDATES", 5)
    # What tests before deleted stands in the index until then.
    plain.execute("VACUUM memory")
    other = Scope(tenant(plain, 0), "ann", "s1")
    for number in range(60):
        text = f"{WORDS[number % 7]} {WORDS[number % 5]} {WORDS[number % 3]} {number}"
        remember(plain, scope, text)
        remember(plain, other, text)
    where = store.places(plain, scope)
    for query in WORDS:
        exact = store.near(plain, where, vector(query), 60)
        by_index = store.near(plain, where, vector(query), EXACT_MAX + 1)
        assert len(exact) == 5
        assert set(exact) == set(by_index)


def scans(connection: Connection) -> int:
    """How often the index of vectors was read."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    found = connection.execute(
        "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'memory_vector'"
    ).fetchone()
    assert found is not None
    return int(found[0])


def test_the_index_is_what_a_large_scope_alone_is_searched_by(
    plain: Connection, scope: Scope
) -> None:
    remember(plain, scope, "moon")
    where, before = store.places(plain, scope), scans(plain)
    store.near(plain, where, vector("moon"), EXACT_MAX)
    assert scans(plain) == before
    store.near(plain, where, vector("moon"), EXACT_MAX + 1)
    assert scans(plain) == before + 1


@pytest.mark.parametrize("exact_max", [8000, 0])
def test_what_has_expired_or_was_put_away_is_not_found(
    plain: Connection, scope: Scope, monkeypatch: pytest.MonkeyPatch, exact_max: int
) -> None:
    monkeypatch.setattr(store, "EXACT_MAX", exact_max)
    remember(plain, scope, "the moon", ttl_s=-1)
    away = remember(plain, scope, "the moon and the sea")
    plain.execute("UPDATE memory SET forgotten_at = now() WHERE id = %s", (away.id,))
    remember(plain, scope, "a ship", ttl_s=3600)
    assert said(find(plain, scope, "the moon")) == ["a ship"]


def scopes(tenant_id: str) -> dict[str, Scope]:
    return {
        "ann in s1": Scope(tenant_id, "ann", "s1"), "ann in s2": Scope(tenant_id, "ann", "s2"),
        "ann": Scope(tenant_id, "ann"), "bob in s1": Scope(tenant_id, "bob", "s1"),
        "s1": Scope(tenant_id, None, "s1"), "s2": Scope(tenant_id, None, "s2"),
        "neither": Scope(tenant_id),
    }  # fmt: skip


@pytest.mark.parametrize("exact_max", [8000, 0])
@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        ("ann", {"ann", "ann in s1", "ann in s2"}),
        ("s1", {"s1", "ann in s1", "bob in s1"}),
        ("ann in s1", {"ann", "ann in s1", "ann in s2", "s1"}),
        ("neither", {"neither"}),
    ],
)
def test_a_scope_sees_its_own_and_no_other_tenants(
    plain: Connection, monkeypatch: pytest.MonkeyPatch, exact_max: int, asked: str, seen: set[str]
) -> None:
    monkeypatch.setattr(store, "EXACT_MAX", exact_max)
    tenant_id = tenant(plain, 0)
    for name, where in [*scopes(tenant_id).items(), *scopes(tenant(plain, 0)).items()]:
        remember(plain, where, f"moon {name} {where.tenant_id}")
    found = find(plain, scopes(tenant_id)[asked], "the moon", limit=100)
    assert {*said(found)} == {f"moon {name} {tenant_id}" for name in seen}
    assert {one.memory.tenant_id for one in found} == {tenant_id}
    assert len(found) == len(seen)


def test_another_tenants_memories_change_no_score(plain: Connection, scope: Scope) -> None:
    for text in ("moon", "moon and sea", "ship"):
        remember(plain, scope, text)
    before = [one.parts for one in find(plain, scope, "moon sea")]
    for text in ("sea", "sea sea", "the sea and the moon"):
        remember(plain, Scope(tenant(plain, 0), "ann", "s1"), text)
    after = [one.parts for one in find(plain, scope, "moon sea")]
    for old, new in zip(before, after, strict=True):
        assert new == pytest.approx(old, abs=1e-5)


def test_a_shelf_number_that_another_tenant_shares_shows_nothing(
    plain: Connection, scope: Scope
) -> None:
    remember(plain, scope, "the moon")
    where = Places(tenant(plain, 0), [scope.shelf], None, None)
    words = words_of(*store.counts(plain, where, "moon"))
    core = store.near(plain, where, vector("moon"), 1) + store.worded(plain, where, words)
    assert core == []
    seq = row(plain, remember(plain, scope, "the moon").id, "seq")[0]
    assert store.scored(plain, where, [seq], vector("moon"), words, 10) == []


def test_only_the_types_that_are_asked_for_are_found(plain: Connection, scope: Scope) -> None:
    remember(plain, scope, "the moon")
    remember(plain, scope, "the moon is far", memory_type="semantic")
    assert said(find(plain, scope, "moon", types=["semantic"])) == ["the moon is far"]


def test_the_best_have_the_words_and_the_meaning(plain: Connection, scope: Scope) -> None:
    user = Scope(scope.tenant_id, "ann")
    remember(plain, user, "lantern", meaning="lantern")
    remember(plain, user, "harbour", meaning="the moon")
    remember(plain, user, "the moon", meaning="ship")
    remember(plain, user, "moon and tide", meaning="the moon moon")
    found = find(plain, user, "the moon")
    assert said(found)[0] == "moon and tide"
    assert said(found)[3] == "lantern"
    for one in found:
        assert one.score == pytest.approx(sum(one.parts.values()))
        assert one.parts["neighbours"] == 0
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_turns_lend_to_those_around_them_in_their_session_alone(
    plain: Connection, scope: Scope
) -> None:
    turns = ("far", "ship one", "ship two", "the moon", "ship three", "ship four", "end")
    for turn in turns:
        remember(plain, scope, turn)
    remember(plain, Scope(scope.tenant_id, "ann", "s2"), "ship five")
    lent = {one.memory.content: one.parts["neighbours"] for one in find(plain, scope, "moon")}
    given = WEIGHTS["meaning"] + WEIGHTS["words"]
    once, twice = WEIGHTS["neighbours"], WEIGHTS["neighbours"] ** 2
    for turn, share in (("ship two", once), ("ship three", once), ("ship four", twice)):
        assert lent[turn] == pytest.approx(share * given, abs=0.05)
    assert lent["ship five"] == 0
    assert lent["far"] < 0.05


def test_a_turn_without_the_words_is_found_for_its_neighbour(
    plain: Connection, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "CANDIDATES", 1)
    for turn in ("ship", "where is the moon", "behind it", "tide"):
        remember(plain, scope, turn)
    found = find(plain, scope, "where is the moon")
    assert said(found)[0] == "where is the moon"
    lent = {one.memory.content: one.parts["neighbours"] for one in found}
    given = WEIGHTS["meaning"] + WEIGHTS["words"]
    assert lent["behind it"] == pytest.approx(WEIGHTS["neighbours"] * given)
    assert lent["tide"] == pytest.approx(WEIGHTS["neighbours"] ** 2 * given)


def test_what_matters_and_what_was_used_stands_higher(plain: Connection, scope: Scope) -> None:
    user = Scope(scope.tenant_id, "ann")
    remember(plain, user, "tide moon", importance=0.0, meaning="moon")
    remember(plain, user, "ship moon", importance=1.0, meaning="moon", memory_type="semantic")
    assert said(find(plain, user, "moon")) == ["ship moon", "tide moon"]
    plain.execute("UPDATE memory_use SET importance = 0.5, last_used_at = now() - interval '1 day'")
    old = find(plain, user, "moon")
    assert old[0].parts["recency"] == pytest.approx(WEIGHTS["recency"] * 0.995**24, rel=1e-3)
    store.touch(plain, [old[1].memory.id])
    new = find(plain, user, "moon")
    assert said(new) == [old[1].memory.content, old[0].memory.content]
    assert [one.memory.uses for one in new] == [1, 0]


def test_one_session_does_not_take_all_places(plain: Connection, scope: Scope) -> None:
    for number in range(3):
        remember(plain, scope, f"moon {number}", meaning=f"moon {number}")
    found = find(plain, scope, "moon")
    lost = sorted(round(one.parts["spread"], 6) for one in found)
    assert lost == [-2 * WEIGHTS["spread"], -WEIGHTS["spread"], 0]
    for number in range(3):
        remember(plain, Scope(scope.tenant_id, "bob"), f"moon {number}")
    assert {one.parts["spread"] for one in find(plain, Scope(scope.tenant_id, "bob"), "moon")} == {
        0
    }
