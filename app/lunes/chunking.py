"""A document cut into passages along its own structure.

A passage stays inside one section and ends where a paragraph does; a paragraph that is too long is
cut between sentences, one of those between words, and a word between letters. Code and a table's
rows are cut between lines, and only if they are longer than a passage.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from app.lunes.extraction.blocks import Block, joined
from app.lunes.model import BETWEEN, Passage, told

TARGET = 200
"""Tokens of a passage, its headings among them."""

MOST = 250
"""Tokens that a section's last passage may have rather than leave a rest behind; MiniLM reads 254
beside its marks."""

OVERLAP = 40
"""Tokens that a passage may repeat of the one before it, in a section that was cut."""

HEADING_TOKENS = 60
PIECE = TARGET - HEADING_TOKENS
"""Tokens of what is not cut any more; a passage has room for it under any headings."""

STRETCH = 240
"""Characters that are taken together where a sentence is too long."""

TOKEN_CHARS = 12
"""A token stands for so many characters at most: MiniLM makes one token of any long word, and of
every letter that it does not know."""

Count = Callable[[Sequence[str]], list[int]]
"""How many tokens each text has, the two marks around it among them."""

MARKS = 2
"""Tokens that MiniLM puts around every text."""

_SENTENCE = re.compile(r"(?<=[.!?…])\s+|(?<=[.!?…][\"'”’)\]])\s+|(?<=[。！？])|\n+")
_LINE = re.compile(r"\n+")


@dataclass(frozen=True, slots=True)
class _Piece:
    """What is not cut any more: characters of the document, and what they weigh in tokens."""

    start: int
    end: int
    weight: int
    page: int | None


@dataclass(frozen=True, slots=True)
class _Section:
    heading: str
    pieces: list[_Piece]


def chunk(title: str | None, blocks: Sequence[Block], count: Count) -> list[Passage]:
    """The passages of a document, in order; together they cover all of its text, each heading in
    the path of those that stand under it.

    `count` is that of the model of vectors. Each passage has at most MOST tokens.
    """
    text, starts = joined(blocks)
    weights = _weights([one.text for one in blocks], count)
    cut: list[tuple[str, _Piece, _Piece]] = []
    for section in _sections(title, blocks, starts, weights, count):
        budget = sum(_weights([section.heading], count)) if section.heading else 0
        for first, last in _packed(section.pieces, TARGET - budget, MOST - budget):
            cut.append((section.heading, first, last))
    contents = [text[first.start : last.end] for _, first, last in cut]
    tokens = count([told(cut[at][0], content) for at, content in enumerate(contents)])
    return [
        Passage(at, heading, contents[at], first.start, last.end, first.page, tokens[at] - MARKS)
        for at, (heading, first, last) in enumerate(cut)
    ]


def _weights(texts: Sequence[str], count: Count) -> list[int]:
    return [
        max(tokens - MARKS, -(-len(text) // TOKEN_CHARS))
        for text, tokens in zip(texts, count(texts), strict=True)
    ]


def _sections(
    title: str | None, blocks: Sequence[Block], starts: Sequence[int], weights: Sequence[int],
    count: Count,
) -> Iterator[_Section]:  # fmt: skip
    """What stands under each heading. One with nothing under it, not even another heading below
    it, is a section of its own, so that it is not lost."""
    path: list[Block] = []
    pieces: list[_Piece] = []
    for at, one in enumerate(blocks):
        piece = _Piece(starts[at], starts[at] + len(one.text), weights[at], one.page)
        if one.kind != "heading":
            pieces += _cut(one, piece, count)
            continue
        if pieces:
            yield _Section(_heading(title, path, count), pieces)
        pieces = []
        path = [*(above for above in path if above.level < one.level), one]
        after = blocks[at + 1] if at + 1 < len(blocks) else None
        if after is None or (after.kind == "heading" and after.level <= one.level):
            yield _Section(_heading(title, path[:-1], count), [piece])
    if pieces:
        yield _Section(_heading(title, path, count), pieces)


def _heading(title: str | None, path: Sequence[Block], count: Count) -> str:
    """The path of headings, the title first unless the first heading says the same; its beginning
    is left out where it is too long."""
    names = [one.text for one in path]
    if title and (not names or names[0].casefold() != title.casefold()):
        names.insert(0, title)
    while len(names) > 1 and sum(_weights([BETWEEN.join(names)], count)) > HEADING_TOKENS:
        names.pop(0)
    whole = BETWEEN.join(names)
    while whole and sum(_weights([whole], count)) > HEADING_TOKENS:
        whole = whole[: len(whole) * 2 // 3].rstrip()
    return whole


def _cut(block: Block, piece: _Piece, count: Count) -> list[_Piece]:
    """A block, in as many pieces as it takes for each to fit into a passage."""
    if piece.weight <= PIECE:
        return [piece]
    between = _LINE if block.kind in ("code", "row") else _SENTENCE
    spans = list(_between(block.text, between))
    found: list[_Piece] = []
    for part in _pieces(block.text, spans, piece, count):
        if part.weight <= PIECE:
            found.append(part)
            continue
        at = part.start - piece.start
        spans = list(_stretches(block.text, at, at + part.end - part.start))
        for stretch in _pieces(block.text, spans, piece, count):
            found += _letters(stretch)
    return found


def _between(text: str, gaps: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    at = 0
    for gap in gaps.finditer(text):
        if gap.start() > at:
            yield at, gap.start()
        at = gap.end()
    if at < len(text):
        yield at, len(text)


def _stretches(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Some words each, of at most STRETCH characters together; one that is longer is cut."""
    at = start
    while at < end:
        stop = min(at + STRETCH, end)
        if stop < end and not text[stop].isspace():
            space = max(text.rfind(" ", at, stop), text.rfind("\n", at, stop))
            stop = space if space > at else stop
        if text[at:stop].strip():
            yield at, stop
        at = stop
        while at < end and text[at].isspace():
            at += 1


def _pieces(
    text: str, spans: Sequence[tuple[int, int]], whole: _Piece, count: Count
) -> list[_Piece]:
    """Parts of the text of a block, which is `whole` in the document."""
    weights = _weights([text[start:end] for start, end in spans], count)
    return [
        _Piece(whole.start + start, whole.start + end, weight, whole.page)
        for (start, end), weight in zip(spans, weights, strict=True)
    ]


def _letters(piece: _Piece) -> Iterator[_Piece]:
    """A piece cut between letters as often as it takes."""
    parts = -(-piece.weight // PIECE)
    length = piece.end - piece.start
    step = -(-length // parts)
    for start in range(piece.start, piece.end, step):
        end = min(start + step, piece.end)
        yield _Piece(start, end, -(-piece.weight * (end - start) // length), piece.page)


def _packed(
    pieces: Sequence[_Piece], target: int, most: int
) -> Iterator[tuple[_Piece, _Piece]]:  # fmt: skip
    """The first and the last piece of each passage of a section."""
    rest = sum(piece.weight for piece in pieces)
    first = at = 0
    while at < len(pieces):
        held = sum(piece.weight for piece in pieces[first:at])
        while at < len(pieces) and (
            held == 0 or held + pieces[at].weight <= target or held + rest <= most
        ):
            held += pieces[at].weight
            rest -= pieces[at].weight
            at += 1
        yield pieces[first], pieces[at - 1]
        first = _repeated(pieces, first, at, target)


def _repeated(pieces: Sequence[_Piece], first: int, end: int, target: int) -> int:
    """Where the next passage begins: at the last pieces of this one as far as OVERLAP reaches, if
    there is room for them beside what is new."""
    if end == len(pieces):
        return end
    start, weight = end, 0
    while start - 1 > first and weight + pieces[start - 1].weight <= OVERLAP:
        start -= 1
        weight += pieces[start].weight
    return start if weight + pieces[end].weight <= target else end
