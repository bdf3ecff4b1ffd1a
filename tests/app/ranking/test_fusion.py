"""How measures become a score."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ranking.fusion import Fusion, fused

measures = st.dictionaries(st.integers(), st.tuples(st.floats(-1, 1), st.floats(0, 50)), max_size=8)


@given(measures, st.floats(0, 1))
def test_every_part_lies_between_nothing_and_its_weight_and_the_best_comes_first(
    found: dict[int, tuple[float, float]], share: float
) -> None:
    scored = fused(found, Fusion(share, 1 - share))
    assert scored.keys() == found.keys()
    assert all(0 <= one.meaning <= share and 0 <= one.words <= 1 - share for one in scored.values())
    scores = [one.score for one in scored.values()]
    assert scores == sorted(scores, reverse=True)


def test_each_measure_counts_against_its_highest() -> None:
    scored = fused({1: (0.8, 0.0), 2: (0.4, 6.0), 3: (-0.2, 3.0)}, Fusion(0.5, 0.5))
    assert list(scored) == [2, 1, 3]
    assert [scored[at].meaning for at in (1, 2, 3)] == pytest.approx([0.5, 0.25, 0])
    assert [scored[at].words for at in (1, 2, 3)] == pytest.approx([0, 0.5, 0.25])


def test_a_weight_of_nothing_leaves_a_measure_out() -> None:
    assert list(fused({1: (0.9, 1.0), 2: (0.1, 2.0)}, Fusion(0, 1))) == [2, 1]
    assert list(fused({1: (0.9, 1.0), 2: (0.1, 2.0)}, Fusion(1, 0))) == [1, 2]


def test_equals_stand_in_the_order_of_their_numbers() -> None:
    assert list(fused({7: (0.5, 1.0), 3: (0.5, 1.0)}, Fusion(0.5, 0.5))) == [3, 7]
