"""Markdown (CommonMark, with the tables of GitHub)."""

import re
from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from app.lunes.extraction.blocks import (
    Block,
    Extracted,
    Kind,
    Unreadable,
    block,
    clean,
    title_of,
)
from app.lunes.extraction.html import fragment_blocks

NESTING = 100
"""How deep lists and quotes may stand in each other: a list takes two, a quote one. The parser
leaves out what is deeper."""

_PARSER = MarkdownIt("commonmark", {"maxNesting": NESTING}).enable("table")
_HOLDERS = ("list_item_open", "blockquote_open")
_BR = re.compile(r"<br\b", re.IGNORECASE)
_FRONT = re.compile(r"---[^\S\n]*\n(.*?\n)(?:---|\.\.\.)[^\S\n]*(?:\n|\Z)", re.DOTALL)
_TITLE = re.compile(r"^title:[^\S\n]*(.+)$", re.MULTILINE)


def read_markdown(text: str) -> Extracted:
    """The headings, paragraphs, lists, tables and code of a text. Of YAML in front of it only the
    title is taken. Raises Unreadable for lists and quotes that are nested too deep."""
    text = clean(text)
    told = None
    front = _FRONT.match(text)
    if front is not None:
        named = _TITLE.search(front[1])
        told = named[1].strip().strip("\"'") if named else None
        text = text[front.end() :]
    reading, tokens = _Reading(), _PARSER.parse(text)
    if any(one.type in _HOLDERS and one.level >= NESTING - 1 for one in tokens):
        raise Unreadable("unreadable", "Its lists and quotes are nested too deep to be read.")
    blocks = [one for token in tokens for one in reading.of(token)]
    first = next((one.text for one in blocks if one.kind == "heading" and one.level == 1), None)
    return Extracted(title_of(told, first), blocks)


class _Reading:
    """Where in a text the reader stands, token by token."""

    def __init__(self) -> None:
        self._lists: list[int | None] = []
        self._cells: list[str] = []
        self._in_cell = False
        self._mark, self._level = "", 0

    def of(self, token: Token) -> Iterator[Block]:
        if token.type == "inline":
            yield from self._inline(_said(token.children or ()))
        elif token.type in ("fence", "code_block"):
            yield from block("code", token.content)
        elif token.type == "html_block":
            yield from fragment_blocks(token.content)
        elif token.type == "tr_close":
            yield from block("row", " | ".join(self._cells))
        else:
            self._pass(token)

    def _inline(self, said: str) -> Iterator[Block]:
        if self._in_cell:
            self._cells.append(" ".join(said.split()))
            return
        kind: Kind = "heading" if self._level else "item" if self._mark else "text"
        yield from block(kind, self._mark + said, self._level)
        self._mark = ""

    def _pass(self, token: Token) -> None:
        if token.type in ("heading_open", "heading_close"):
            self._level = int(token.tag[1:]) if token.nesting > 0 else 0
        elif token.type == "ordered_list_open":
            self._lists.append(int(token.attrs.get("start", 1)) - 1)
        elif token.type == "bullet_list_open":
            self._lists.append(None)
        elif token.type in ("bullet_list_close", "ordered_list_close"):
            self._lists.pop()
        elif token.type == "list_item_open":
            self._mark, self._lists[-1] = _mark(self._lists[-1])
        elif token.type == "tr_open":
            self._cells = []
        elif token.tag in ("td", "th"):
            self._in_cell = token.nesting > 0


def _mark(number: int | None) -> tuple[str, int | None]:
    return ("- ", None) if number is None else (f"{number + 1}. ", number + 1)


def _said(parts: Sequence[Token]) -> str:
    """The text of a line, without marks of emphasis and addresses of links."""
    said = []
    for part in parts:
        if part.type in ("softbreak", "hardbreak") or _breaks(part):
            said.append("\n")
        elif part.type == "image":
            said.append(_said(part.children or ()))
        elif part.type in ("text", "code_inline"):
            said.append(part.content)
    return "".join(said)


def _breaks(part: Token) -> bool:
    """Whether it is the `<br>` by which the lines of a table's cell are parted."""
    return part.type == "html_inline" and _BR.match(part.content) is not None
