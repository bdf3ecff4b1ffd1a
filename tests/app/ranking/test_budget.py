"""What fits into a prompt."""

from hypothesis import given
from hypothesis import strategies as st

from app.ranking.budget import within


@given(st.lists(st.integers(1, 60), max_size=12), st.integers(0, 200))
def test_what_is_chosen_fits_and_nothing_that_fits_beside_it_is_left(
    costs: list[int], tokens: int
) -> None:
    chosen = within(costs, tokens, lambda cost: cost)
    left = tokens - sum(chosen)
    assert left >= 0
    rest = list(costs)
    for cost in chosen:
        rest.remove(cost)
    assert all(cost > left for cost in rest)


def test_the_best_are_chosen_first() -> None:
    assert within([5, 3, 9, 1], 9, lambda cost: cost) == [5, 3, 1]


def test_without_a_budget_all_are_chosen() -> None:
    assert within([10_000] * 3, None, lambda cost: cost) == [10_000] * 3
