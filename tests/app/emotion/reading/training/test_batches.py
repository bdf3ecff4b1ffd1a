import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.emotion.reading.training.batches import Example, batches, mixed


@given(st.lists(st.integers(2, 64), max_size=300), st.integers(1, 40))
def test_every_text_is_in_one_batch_of_bounded_size(lengths: list[int], size: int) -> None:
    examples = [Example([i] * length, [0.0]) for i, length in enumerate(lengths)]
    found = batches(examples, size, random.Random(1))
    seen = [example.tokens[0] for batch in found for example in batch]
    assert sorted(seen) == list(range(len(lengths)))
    assert all(0 < len(batch) <= size for batch in found)


def test_a_batch_holds_texts_of_like_length() -> None:
    chance = random.Random(1)
    examples = [Example([0] * chance.randint(2, 60), [0.0]) for _ in range(4000)]
    found = batches(examples, 20, chance)
    spreads = [len(b[-1].tokens) - len(b[0].tokens) for b in found]
    assert sum(spreads) / len(spreads) < 4


def test_the_tasks_take_turns_in_no_order() -> None:
    one, two = [[Example([1], [0.0])]] * 50, [[Example([2], [0.0])]] * 50
    row = list(mixed((one, two), random.Random(1)))
    assert sorted(task for task, _ in row) == [0] * 50 + [1] * 50
    assert all(batch[0].tokens == [task + 1] for task, batch in row)
    assert 20 < sum(a[0] != b[0] for a, b in pairwise(row)) < 80
