"""How much of a question is read, and how much of what was found is given to a model."""

from collections.abc import Callable, Sequence
from typing import TypeVar

Found = TypeVar("Found")

QUERY_CHARS_MAX = 1000
"""What is read of a question: about the 256 tokens that the model of vectors reads."""


def within(found: Sequence[Found], tokens: int | None, cost: Callable[[Found], int]) -> list[Found]:
    """Of what was found, best first, what fits into so many tokens; what is too long is left out,
    and shorter ones behind it may still fit. None: all."""
    if tokens is None:
        return list(found)
    chosen, left = [], tokens
    for one in found:
        if (spent := cost(one)) <= left:
            chosen.append(one)
            left -= spent
    return chosen
