"""What a question's lexemes weigh; the score itself is tested where the statements are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ranking import bm25
from app.ranking.bm25 import Count, idf, words_of


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_a_rarer_lexeme_weighs_more_and_none_weighs_less_than_nothing(a: int, b: int) -> None:
    few, many = sorted((a, b))
    assert idf(10**6, few) >= idf(10**6, many) >= 0


def test_the_rarest_lexemes_choose_until_they_have_too_many_texts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bm25, "POSTINGS_MAX", 10)
    counts = {"common": Count(90, 900), "rare": Count(2, 20), "middle": Count(8, 80)}
    words = words_of(Count(100, 1200), counts)
    assert words.choosing == ["rare", "middle"]
    assert words.weights.keys() == counts.keys()
    assert words.mean_words == 12


def test_a_common_lexeme_alone_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bm25, "POSTINGS_MAX", 10)
    assert words_of(Count(100, 1200), {"common": Count(90, 900)}).choosing == ["common"]


def test_counts_that_are_off_give_weights_all_the_same() -> None:
    weights = words_of(Count(5, 50), {"more": Count(9, 90), "few": Count(1, 10)}).weights
    assert 0 <= weights["more"] < weights["few"]


def test_nothing_to_search_has_words_all_the_same() -> None:
    words = words_of(Count(0, 0), {})
    assert (words.weights, words.choosing, words.mean_words) == ({}, [], 1)
