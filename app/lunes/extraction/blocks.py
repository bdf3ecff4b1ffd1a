"""What a document's text is made of once it is read, whatever form it came in."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["heading", "text", "item", "row", "code"]

HEADING_MAX = 200
"""Characters of a heading; what is longer was marked as one and is none."""

TITLE_MAX = 300

_CLOSE: frozenset[str] = frozenset({"item", "row"})
_SPACES = re.compile(r"[^\S\n]+")
_BLANK = re.compile(r"\n{3,}")
_UNFIT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufeff]")


@dataclass(frozen=True, slots=True)
class Block:
    """A heading of a `level` from 1, a paragraph, an entry of a list, a table's row or a piece of
    code. `page` is counted from 1, None where there are no pages."""

    kind: Kind
    text: str
    level: int = 0
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Extracted:
    """A document as it was read. `pages` is how many it has, None where there are none."""

    title: str | None
    blocks: list[Block]
    pages: int | None = None


class Unreadable(Exception):
    """A document that cannot be taken in. The message is fit for its tenant; `reason` is one
    word of it."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


def block(kind: Kind, text: str, level: int = 0, page: int | None = None) -> Iterator[Block]:
    """The block of a text, or none of one that is blank."""
    plain = clean(text)
    plain = plain.strip("\n").rstrip() if kind == "code" else tidy(plain)
    if not plain.strip():
        return
    if kind == "heading":
        plain = " ".join(plain.split())
        if len(plain) > HEADING_MAX:
            kind, level = "text", 0
    yield Block(kind, plain, level, page)


def clean(text: str) -> str:
    """A text without what no text has: control characters, and halves of surrogate pairs."""
    return _UNFIT.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n"))


def tidy(text: str) -> str:
    """A text whose runs of spaces are one space and whose lines begin and end with none."""
    lines = [line.strip() for line in _SPACES.sub(" ", text).split("\n")]
    return _BLANK.sub("\n\n", "\n".join(lines)).strip()


def title_of(*candidates: str | None) -> str | None:
    """The first of them that says something, at most TITLE_MAX characters of it."""
    for one in candidates:
        plain = " ".join(clean(one or "").split())
        if plain:
            return plain[:TITLE_MAX]
    return None


def joined(blocks: Iterable[Block]) -> tuple[str, list[int]]:
    """The text that blocks make together, and where in it each begins."""
    parts: list[str] = []
    starts: list[int] = []
    length, before = 0, None
    for one in blocks:
        gap = "" if before is None else "\n" if before == one.kind in _CLOSE else "\n\n"
        parts += [gap, one.text]
        starts.append(length + len(gap))
        length += len(gap) + len(one.text)
        before = one.kind
    return "".join(parts), starts
