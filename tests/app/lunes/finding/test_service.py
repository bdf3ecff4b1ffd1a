"""What a search in lunes finds, over real Postgres."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from app.db.connect import Connection, connect
from app.db.reads import Reads
from app.errors import NotFound
from app.lunes.finding import service, store
from app.lunes.finding.model import FUSION, Found, fusion_for, fusion_of
from app.lunes.finding.service import Finder
from app.ranking.bm25 import K1, B, Count, idf, words_of
from app.ranking.fusion import Fusion
from app.settings import Settings
from tests.app.line import tenant
from tests.app.lunes.finding.parts import Bags, document, lune
from tests.app.memory.bags import vector

WORDS = ("moon", "sea", "tide", "ship", "harbour", "the", "lantern")

TEXTS = (
    "The harbour opens at dawn.",
    "Ships leave the harbour with the tide, and the tide decides.",
    "The lantern of the lighthouse burns all night.",
    "A lantern needs oil.",
)


@pytest.fixture
def plain(books: str) -> Iterator[Connection]:
    with connect(books, "test") as connection:
        yield connection


@pytest.fixture
def mine(plain: Connection) -> str:
    return tenant(plain, 0)


@pytest.fixture
def finder(books: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Finder]:
    monkeypatch.setattr(service, "embedder", lambda settings: Bags())
    reads = Reads(books, "tests")
    yield Finder(reads, Settings())
    reads.close()


def find(finder: Finder, tenant_id: str, names: list[str], query: str, **asked: Any) -> list[Found]:
    given = {"limit": 10, **asked}
    return finder.find(tenant_id, finder.shelves(tenant_id, names), query, **given)


def texts(found: list[Found]) -> list[str]:
    return [one.content for one in found]


def test_what_shares_most_with_a_question_is_found_first_with_its_document(
    plain: Connection, mine: str, finder: Finder
) -> None:
    seq, lune_id = lune(plain, mine)
    made, _ = document(plain, seq, TEXTS, title="Port", url="https://port.example/", heading="Port")
    [first, *rest] = find(finder, mine, ["docs"], "When does the harbour open at dawn?")
    assert (first.content, first.ordinal) == (TEXTS[0], 0)
    assert (first.lune_id, first.document_id, first.title) == (lune_id, made, "Port")
    assert first.source_url == "https://port.example/"
    assert first.score == pytest.approx(1.0)
    assert [one.score for one in rest] == sorted((one.score for one in rest), reverse=True)
    assert find(finder, mine, [lune_id], "harbour")[0].seq in {first.seq, rest[0].seq}


def test_words_are_scored_as_bm25_says(plain: Connection, mine: str, finder: Finder) -> None:
    seq, _ = lune(plain, mine)
    _, seqs = document(plain, seq, TEXTS)
    rows = plain.execute("SELECT seq, lexeme, times FROM lune_word").fetchall()
    bags = {at: Counter({lex: n for s, lex, n in rows if s == at}) for at in seqs}
    mean = sum(bag.total() for bag in bags.values()) / len(bags)
    [shelf] = finder.shelves(mine, ["docs"])
    words = words_of(
        Count(shelf.passages, shelf.words), store.counts(plain, [seq], "tide and lantern")
    )
    assert {*words.weights} == {"tide", "lantern"}
    told = store.measures(plain, seqs, str([0.1] * 384), words)
    for at, bag in bags.items():
        expected = 0.0
        for lexeme in ("tide", "lantern"):
            having = sum(lexeme in other for other in bags.values())
            norm = K1 * (1 - B + B * bag.total() / mean)
            expected += idf(len(bags), having) * bag[lexeme] * (K1 + 1) / (bag[lexeme] + norm)
        assert told[at][1] == pytest.approx(expected)


def test_weights_of_a_request_come_before_those_of_the_lune(
    plain: Connection, mine: str, finder: Finder
) -> None:
    seq, _ = lune(plain, mine, fusion={"meaning": 0, "words": 1})
    document(plain, seq, TEXTS)
    [first, *_] = find(finder, mine, ["docs"], "oil for a lantern")
    assert first.parts.meaning == 0 < first.parts.words
    [first, *_] = find(finder, mine, ["docs"], "oil for a lantern", fusion=Fusion(1, 0))
    assert first.parts.words == 0 < first.parts.meaning


def test_several_lunes_are_searched_as_one_and_no_other(
    plain: Connection, mine: str, finder: Finder
) -> None:
    for name, text in (("a", "one moon"), ("b", "two moons"), ("c", "three moons")):
        document(plain, lune(plain, mine, name)[0], [text])
    document(plain, lune(plain, tenant(plain, 0), "a")[0], ["another's moon"])
    assert {*texts(find(finder, mine, ["a", "b"], "moon"))} == {"one moon", "two moons"}


def test_an_unknown_lune_and_anothers_are_named(
    plain: Connection, mine: str, finder: Finder
) -> None:
    _, others = lune(plain, tenant(plain, 0), "theirs")
    lune(plain, mine, "docs")
    for name in ("theirs", others, "nothing"):
        with pytest.raises(NotFound, match=name) as told:
            finder.shelves(mine, ["docs", name])
        assert told.value.param == "lunes"


def test_what_is_not_whole_or_deleted_is_not_found(
    plain: Connection, mine: str, finder: Finder
) -> None:
    seq, _ = lune(plain, mine)
    document(plain, seq, ["The harbour of today."])
    document(plain, seq, ["The harbour to come."], current=False)
    gone, _ = document(plain, seq, ["The harbour of old."])
    plain.execute("UPDATE lune_document SET deleted_at = now() WHERE id = %s", (gone,))
    assert texts(find(finder, mine, ["docs"], "harbour")) == ["The harbour of today."]
    plain.execute("UPDATE lune SET deleted_at = now()")
    with pytest.raises(NotFound):
        finder.shelves(mine, ["docs"])


def test_metadata_narrow_a_search(plain: Connection, mine: str, finder: Finder) -> None:
    seq, _ = lune(plain, mine)
    document(plain, seq, ["The old harbour."], metadata={"year": "1900", "by": "Ann"})
    document(plain, seq, ["The new harbour."], metadata={"year": "2000"})
    found = find(finder, mine, ["docs"], "harbour", metadata={"year": "1900"})
    assert texts(found) == ["The old harbour."]
    assert find(finder, mine, ["docs"], "harbour", metadata={"year": "1950"}) == []


def test_the_index_and_the_exact_search_agree_and_a_large_lune_alone_is_searched_by_it(
    plain: Connection, mine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "CANDIDATES", 5)
    # What tests before deleted stands in the index until then.
    plain.execute("VACUUM lune_passage")
    said = [f"{WORDS[n % 7]} {WORDS[n % 5]} {WORDS[n % 3]} {n}" for n in range(60)]
    seq, _ = lune(plain, mine)
    document(plain, lune(plain, mine, "other")[0], said)
    document(plain, seq, said, metadata={"kept": "yes"})
    document(plain, seq, said, current=False)
    where, before = store.Places([seq], {"kept": "yes"}), scans(plain)
    for number, query in enumerate(WORDS, 1):
        exact = store.near(plain, where, vector(query), store.EXACT_MAX)
        by_index = store.near(plain, where, vector(query), store.EXACT_MAX + 1)
        assert len(exact) == 5
        assert set(exact) == set(by_index)
        assert scans(plain) == before + number


def scans(connection: Connection) -> int:
    """How often the index of vectors was read."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    row = connection.execute(
        "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'lune_passage_vector'"
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_question_that_says_nothing_and_a_lune_that_is_empty_find_nothing(
    plain: Connection, mine: str, finder: Finder
) -> None:
    seq, _ = lune(plain, mine)
    assert find(finder, mine, ["docs"], "harbour") == []
    document(plain, seq, TEXTS)
    assert find(finder, mine, ["docs"], "  \n ") == []


def test_a_limit_keeps_the_best(plain: Connection, mine: str, finder: Finder) -> None:
    seq, _ = lune(plain, mine)
    document(plain, seq, TEXTS)
    everything = find(finder, mine, ["docs"], "the harbour and the tide")
    assert find(finder, mine, ["docs"], "the harbour and the tide", limit=2) == everything[:2]


def test_weights_sum_to_one_and_those_of_several_lunes_are_the_mean(
    plain: Connection, mine: str, finder: Finder
) -> None:
    assert fusion_of(None) == FUSION
    assert fusion_of({"meaning": 1, "words": 3}) == Fusion(0.25, 0.75)
    lune(plain, mine, "a", {"meaning": 1, "words": 0})
    lune(plain, mine, "b", {"meaning": 1, "words": 1})
    weights = fusion_for(finder.shelves(mine, ["a", "b"]))
    assert (weights.meaning, weights.words) == (0.75, 0.25)
