"""A short text that a regular expression matches, made from its form and never searched for: an
expression of a request could be made to run for ever."""

import string
import warnings
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

# Python's own reader of regular expressions, which typeshed does not know everywhere.
codes: Any = import_module("re._constants")
parser: Any = import_module("re._parser")

PATTERN_MAX = 1000
TEXT_MAX = 2000
_CHARACTERS = string.ascii_lowercase + string.digits + string.ascii_uppercase + " -_.@/:+,;"
_REPEATS = frozenset({codes.MAX_REPEAT, codes.MIN_REPEAT})
_STARTS = frozenset({codes.AT_BEGINNING, codes.AT_BEGINNING_STRING})
_ENDS = frozenset({codes.AT_END, codes.AT_END_STRING})
_KINDS: dict[Any, Callable[[str], bool]] = {
    codes.CATEGORY_DIGIT: str.isdecimal,
    codes.CATEGORY_NOT_DIGIT: lambda c: not c.isdecimal(),
    codes.CATEGORY_SPACE: str.isspace,
    codes.CATEGORY_NOT_SPACE: lambda c: not c.isspace(),
    codes.CATEGORY_WORD: lambda c: c.isalnum() or c == "_",
    codes.CATEGORY_NOT_WORD: lambda c: not (c.isalnum() or c == "_"),
}


def matching(pattern: str, least: int = 0) -> str | None:
    """A text of at least `least` characters that `pattern` matches; None where none is found.

    Look-arounds, back references, word boundaries and possessive repeats are beyond it.
    """
    if len(pattern) > PATTERN_MAX:
        return None
    try:
        with warnings.catch_warnings(action="ignore"):
            items = parser.parse(pattern)
        shortest = _Writer(0).text(items)
        if len(shortest) >= least:
            return shortest
        writer = _Writer(least - len(shortest))
        longer = writer.text(items)
    except (_Beyond, parser.error, OverflowError, RecursionError):
        return None
    if not writer.ended and least <= TEXT_MAX:
        longer = longer.ljust(least, _CHARACTERS[0])
    return longer if len(longer) >= least else None


class _Beyond(Exception):
    pass


class _Writer:
    """Writes the shortest match, with up to `spare` characters more where a repeat allows it.
    `ended`: nothing may follow."""

    def __init__(self, spare: int) -> None:
        self._spare = spare
        self._text: list[str] = []
        self.ended = False

    def text(self, items: Iterable[tuple[Any, Any]]) -> str:
        self._write(items)
        return "".join(self._text)

    def _write(self, items: Iterable[tuple[Any, Any]]) -> None:
        for code, value in items:
            self._item(code, value)

    def _item(self, code: Any, value: Any) -> None:
        if code is codes.LITERAL:
            self._put(chr(value))
        elif code is codes.NOT_LITERAL:
            self._put(_character(lambda c: ord(c) != value))
        elif code is codes.ANY:
            self._put(_CHARACTERS[0])
        elif code is codes.IN:
            self._put(_member(value))
        elif code is codes.BRANCH:
            self._write(value[1][0])
        elif code is codes.SUBPATTERN:
            self._write(value[3])
        elif code in _REPEATS:
            self._repeat(*value)
        elif code is codes.AT and value in _STARTS and not self._text:
            pass
        elif code is codes.AT and value in _ENDS:
            self.ended = True
        else:
            raise _Beyond

    def _repeat(self, least: int, most: Any, items: Any) -> None:
        done = 0
        while done < least or (done < most and self._spare > 0):
            before = len(self._text)
            self._write(items)
            done += 1
            if done > least:
                self._spare -= len(self._text) - before
            if len(self._text) == before and done >= min(least, 1):
                break

    def _put(self, character: str) -> None:
        if self.ended or len(self._text) >= TEXT_MAX:
            raise _Beyond
        self._text.append(character)


def _character(wanted: Callable[[str], bool]) -> str:
    for character in _CHARACTERS:
        if wanted(character):
            return character
    raise _Beyond


def _member(items: list[tuple[Any, Any]]) -> str:
    """A character of a set such as `[a-z_]` or `[^0-9]`."""
    inverted = items[0][0] is codes.NEGATE
    parts = items[1:] if inverted else items
    try:
        return _character(lambda c: any(_holds(part, c) for part in parts) is not inverted)
    except _Beyond:
        code, value = parts[0]
        if inverted or code not in (codes.LITERAL, codes.RANGE):
            raise
        return chr(value if code is codes.LITERAL else value[0])


def _holds(part: tuple[Any, Any], character: str) -> bool:
    code, value = part
    if code is codes.LITERAL:
        return bool(ord(character) == value)
    if code is codes.RANGE:
        return bool(value[0] <= ord(character) <= value[1])
    return _KINDS[value](character)
