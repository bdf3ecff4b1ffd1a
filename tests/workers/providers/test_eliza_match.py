"""Decomposition and reassembly against the paper's examples and a plain search."""

import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.providers.builtin.match import Element, Pattern, decompose, reassemble


def search(pattern: Pattern, words: Sequence[str]) -> list[list[str]] | None:
    """Every way to fit, the shortest first, by backtracking: slow and plainly right."""
    if not pattern:
        return None if words else []
    element, rest = pattern[0], pattern[1:]
    if not isinstance(element, int):
        widths = [1] if words and words[0].casefold() in element else []
    else:
        widths = [element] if element else list(range(len(words) + 1))
    for width in widths:
        if width <= len(words) and (after := search(rest, words[width:])) is not None:
            return [list(words[:width]), *after]
    return None


LETTERS = st.sampled_from("abAB")
ELEMENT: st.SearchStrategy[Element] = st.one_of(
    st.just(0), st.just(0), st.integers(1, 2), st.frozensets(st.sampled_from("ab"), min_size=1)
)


@given(st.lists(ELEMENT, max_size=7).map(tuple), st.lists(LETTERS, max_size=9))
def test_decomposes_as_the_plain_search_does(pattern: Pattern, words: list[str]) -> None:
    assert decompose(pattern, words) == search(pattern, words)


def one(word: str) -> frozenset[str]:
    return frozenset([word])


def test_the_example_of_the_paper() -> None:
    words = ["It", "seems", "that", "you", "hate", "me"]
    parts = decompose((0, one("you"), 0, one("me")), words)
    assert parts == [["It", "seems", "that"], ["you"], ["hate"], ["me"]]
    assert reassemble("What makes you think I 3 you?", parts) == "What makes you think I hate you?"


def test_a_long_text_takes_no_more_than_linear_time() -> None:
    pattern = (0, one("a"), 0, one("a"), 0, one("a"), 0, one("b"))
    words = ["a"] * 50_000
    begun = time.process_time()
    assert decompose(pattern, words) is None
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    ("template", "answer"),
    [
        ("Your 1.", "Your."),
        ("Is it because you are 1 that you came to me?", None),
        ("What does '2' suggest, 2?", "What does '4 b' suggest, 4 b?"),
    ],
)
def test_reassembly_closes_gaps_and_fills_once(template: str, answer: str | None) -> None:
    expected = answer or "Is it because you are that you came to me?"
    assert reassemble(template, [[], ["4", "b"]]) == expected
