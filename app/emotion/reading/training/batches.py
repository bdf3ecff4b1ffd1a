"""Texts in batches of like length, each with what people said of them."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

AHEAD = 40
"""Batches whose texts are sorted by length together: enough that little of a batch is filling, few
enough that its texts change from pass to pass."""


@dataclass(frozen=True, slots=True)
class Example:
    """The tokens of a text, and its targets: three axes or 28 labels, each 0 or 1."""

    tokens: Sequence[int]
    targets: Sequence[float]


def batches(examples: Sequence[Example], size: int, chance: random.Random) -> list[list[Example]]:
    """All examples, once each, in batches of at most `size` in no order."""
    order = chance.sample(examples, len(examples))
    found = []
    for start in range(0, len(order), size * AHEAD):
        alike = sorted(order[start : start + size * AHEAD], key=lambda example: len(example.tokens))
        found += [alike[place : place + size] for place in range(0, len(alike), size)]
    chance.shuffle(found)
    return found


def mixed(
    tasks: Sequence[Sequence[list[Example]]], chance: random.Random
) -> Iterator[tuple[int, list[Example]]]:
    """The batches of several tasks in one row, in no order, each with its task's number."""
    row = [(task, batch) for task, some in enumerate(tasks) for batch in some]
    chance.shuffle(row)
    return iter(row)
