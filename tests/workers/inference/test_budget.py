"""The retry budget: a share of the first tries, and never less than nothing."""

from hypothesis import given
from hypothesis import strategies as st

from workers.inference.budget import PER_SECOND, RESERVE, Budget


def spent(budget: Budget, now: float, times: int) -> int:
    return sum(budget.spend(now) for _ in range(times))


def test_a_lone_failure_is_retried_at_once() -> None:
    assert Budget(0.2, 0.0).spend(0.0)


def test_retries_are_a_share_of_first_tries_once_the_reserve_is_gone() -> None:
    budget = Budget(0.2, 0.0)
    assert spent(budget, 0.0, 1000) == RESERVE
    for _ in range(100):
        budget.first()
    assert spent(budget, 0.0, 1000) == RESERVE, "no more is saved up than the reserve"
    retries = 0
    for _ in range(1000):
        budget.first()
        retries += budget.spend(0.0)
    assert 199 <= retries <= 200


def test_time_alone_gives_a_few_back() -> None:
    budget = Budget(0.0, 0.0)
    spent(budget, 0.0, 1000)
    assert not budget.allows(0.9 / PER_SECOND)
    assert spent(budget, 1.01 / PER_SECOND, 10) == 1
    assert spent(budget, 1e9, 1000) == RESERVE


def test_a_clock_that_goes_back_gives_nothing() -> None:
    budget = Budget(0.0, 100.0)
    spent(budget, 100.0, 1000)
    assert not budget.spend(0.0)
    assert budget.left >= 0
    assert not budget.spend(100.0)


@given(
    st.floats(0, 1),
    st.lists(st.tuples(st.booleans(), st.floats(0, 5)), max_size=200),
)
def test_it_is_never_overdrawn_and_never_gives_more_than_it_may(
    ratio: float, story: list[tuple[bool, float]]
) -> None:
    budget, now, firsts, retries = Budget(ratio, 0.0), 0.0, 0, 0
    for is_first, later in story:
        now += later
        if is_first:
            budget.first()
            firsts += 1
        else:
            retries += budget.spend(now)
        assert 0 <= budget.left <= RESERVE
        assert retries <= RESERVE + firsts * ratio + now * PER_SECOND + 1e-6
