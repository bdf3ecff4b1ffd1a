"""What a question's lexemes weigh, and what fits into a prompt."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalogue.tokens import estimate_tokens
from app.memory import recall
from app.memory.model import Memory, Recalled
from app.memory.recall import Count, idf, within, words_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def found(content: str) -> Recalled:
    memory = Memory(
        "mem_x", "ten_x", None, None, "episodic", content, 0.5, None, {}, NOW, NOW, 0, None, None,
        None,
    )  # fmt: skip
    return Recalled(memory, 1.0, {})


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_a_rarer_lexeme_weighs_more_and_none_weighs_less_than_nothing(a: int, b: int) -> None:
    few, many = sorted((a, b))
    assert idf(10**6, few) >= idf(10**6, many) >= 0


def test_the_rarest_lexemes_choose_until_they_have_too_many_memories(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recall, "POSTINGS_MAX", 10)
    counts = {"common": Count(90, 900), "rare": Count(2, 20), "middle": Count(8, 80)}
    words = words_of(Count(100, 1200), counts)
    assert words.choosing == ["rare", "middle"]
    assert words.weights.keys() == counts.keys()
    assert words.mean_words == 12


def test_a_common_lexeme_alone_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recall, "POSTINGS_MAX", 10)
    assert words_of(Count(100, 1200), {"common": Count(90, 900)}).choosing == ["common"]


def test_counts_that_are_off_give_weights_all_the_same() -> None:
    weights = words_of(Count(5, 50), {"more": Count(9, 90), "few": Count(1, 10)}).weights
    assert 0 <= weights["more"] < weights["few"]


def test_nothing_to_search_has_words_all_the_same() -> None:
    words = words_of(Count(0, 0), {})
    assert (words.weights, words.choosing, words.mean_words) == ({}, [], 1)


@given(st.lists(st.text(min_size=1, max_size=60), max_size=12), st.integers(0, 60))
def test_what_is_chosen_fits_and_nothing_that_fits_beside_it_is_left(
    texts: list[str], tokens: int
) -> None:
    chosen = [one.memory.content for one in within([found(text) for text in texts], tokens)]
    left = tokens - sum(map(estimate_tokens, chosen))
    assert left >= 0
    rest = list(texts)
    for text in chosen:
        rest.remove(text)
    assert all(estimate_tokens(text) > left for text in rest)


def test_without_a_budget_all_are_chosen() -> None:
    assert len(within([found("long " * 10_000)] * 3, None)) == 3
