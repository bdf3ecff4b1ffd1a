"""Decomposition and reassembly: the two transformations of ELIZA (CACM 9(1) 1966, p. 37-38)."""

import re
from collections.abc import Iterator, Sequence

# One element of a decomposition rule: a count of words (0: any number) or the words it may be.
Element = int | frozenset[str]
Pattern = tuple[Element, ...]

_PART = re.compile(r"\b[1-9]\b")


def decompose(pattern: Pattern, words: Sequence[str]) -> list[list[str]] | None:
    """Splits `words` into one part for each element of `pattern`; None if they do not fit.

    Each 0 takes as few words as it can, left to right, as in the paper. Between two zeros stands
    a run of elements of fixed width, so that the first place where a run fits is the right one
    and the time is linear in the text; only the last run is bound to the end of the text. Words
    are compared without regard to case and returned as they came.
    """
    folded = [word.casefold() for word in words]
    runs = list(_runs(pattern))
    parts: list[list[str]] = []
    position = 0
    for number, (gap, run) in enumerate(runs):
        width = sum(_width(element) for element in run)
        first, last = position, len(words) - width
        if not gap:
            last = min(first, last)
        elif number == len(runs) - 1:
            first = max(first, last)
        found = next((at for at in range(first, last + 1) if _fits(run, folded, at)), None)
        if found is None:
            return None
        if gap:
            parts.append(list(words[position:found]))
        position = found
        for element in run:
            parts.append(list(words[position : position + _width(element)]))
            position += _width(element)
    return parts if position == len(words) else None


def reassemble(template: str, parts: Sequence[Sequence[str]]) -> str:
    """Fills the numbers of `template` with the parts of that number, from 1."""
    filled = _PART.sub(lambda number: " ".join(parts[int(number[0]) - 1]), template)
    return re.sub(r"\s+(?=[\s.,?])", "", filled).strip()


def parts_named(template: str) -> set[int]:
    """The numbers of the parts that `template` asks for."""
    return {int(number) for number in _PART.findall(template)}


def _runs(pattern: Pattern) -> Iterator[tuple[bool, list[Element]]]:
    """The elements between the zeros, each run with whether a 0 stands before it."""
    gap, run = False, list[Element]()
    for element in pattern:
        if element == 0:
            if gap or run:
                yield gap, run
            gap, run = True, []
        else:
            run.append(element)
    yield gap, run


def _width(element: Element) -> int:
    return element if isinstance(element, int) else 1


def _fits(run: Sequence[Element], folded: Sequence[str], at: int) -> bool:
    for element in run:
        if isinstance(element, int):
            at += element
        elif folded[at] in element:
            at += 1
        else:
            return False
    return True
