"""The memories that recall is measured among."""

import random
from collections import Counter

from bench.recall import SPEAKERS, Row, question, texts


def test_turns_are_words_as_often_as_zipf_has_them() -> None:
    turns = texts(500, random.Random(1))
    assert turns == texts(500, random.Random(1))
    assert {turn.partition(":")[0] for turn in turns} == {*SPEAKERS}
    count = Counter(word for turn in turns for word in turn.split()[1:])
    assert 1.4 < count["the"] / count["of"] < 3
    assert len(count) > 1000


def test_a_question_is_words_of_a_turn() -> None:
    rng = random.Random(1)
    for turn in texts(50, rng):
        assert {*question(turn, rng).split()} <= {*turn.split()}


def test_a_row_tells_the_95th_percentile() -> None:
    row = Row(1000, [float(ms) for ms in range(1, 101)], 7.25, 0.987, 3 << 20)
    assert row.cells == ["1,000", "50.5", "96.0", "7.2", "98.7%", "3"]
