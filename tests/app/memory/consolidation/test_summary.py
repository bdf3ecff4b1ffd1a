import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.memory.consolidation.summary import (
    CHOSEN_MAX,
    CHOSEN_MIN,
    REPEATS,
    central,
    ranks,
    sentences,
)


def unit(rows: list[list[float]]) -> NDArray[np.float32]:
    found = np.asarray(rows, np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


def test_texts_are_split_at_the_ends_of_sentences() -> None:
    texts = ["I moved to Rome. It is warm here! Yes.", "Do you like the food?\nI cook it myself."]
    assert sentences(texts) == [
        "I moved to Rome.", "It is warm here!", "Do you like the food?", "I cook it myself.",
    ]  # fmt: skip


def test_a_sentence_comes_once_and_short_or_endless_ones_do_not() -> None:
    assert sentences(["We met today. We met today.", "Ok. Fine!", "word " * 200]) == [
        "We met today."
    ]


def test_where_no_sentence_is_left_the_beginnings_are_taken() -> None:
    assert sentences(["Ok.", "x" * 500]) == ["Ok.", "x" * 400]


def test_the_sentence_that_others_resemble_ranks_highest() -> None:
    rank = ranks(unit([[1, 0, 0], [0.8, 0.6, 0], [0.8, 0, 0.6], [0, 0, 1]]))
    assert rank.sum() == pytest.approx(1)
    assert rank.argmax() == 2
    lonely = ranks(unit([[1, 0.1, 0], [1, 0, 0.1], [1, 0.1, 0.1], [-1, 0, 0]]))
    assert lonely.argmin() == 3


def test_ranks_solve_the_equation_of_the_paper() -> None:
    vectors = unit([[1, 0, 0], [0.8, 0.6, 0], [0.5, 0.5, 0.7], [0, 0.2, 1]])
    alike = vectors.astype(float) @ vectors.astype(float).T
    alike[alike < 0.1] = 0
    np.fill_diagonal(alike, 0)
    walk = alike / alike.sum(axis=1, keepdims=True)
    matrix = 0.15 / 4 * np.ones((4, 4)) + 0.85 * walk.T
    values, columns = np.linalg.eig(matrix)
    steady = np.real(columns[:, np.argmax(np.real(values))])
    assert ranks(vectors) == pytest.approx(steady / steady.sum(), abs=1e-5)


@given(st.integers(1, 60), st.integers(0, 1000))
def test_what_is_chosen_is_few_ordered_and_not_alike(count: int, seed: int) -> None:
    vectors = unit(np.random.default_rng(seed).normal(size=(count, 6)).tolist())
    chosen = central(vectors)
    assert chosen == sorted(set(chosen)) == central(vectors)
    assert 1 <= len(chosen) <= max(CHOSEN_MIN, min(CHOSEN_MAX, round(count / 5)))
    near = vectors[chosen] @ vectors[chosen].T - np.eye(len(chosen))
    assert near.max() < REPEATS


def test_equals_are_said_once() -> None:
    assert central(unit([[1, 0]] * 9)) == [0]
