"""HTML: what a reader came for, without what every page of a site has around it."""

import re
from typing import Any

from selectolax.lexbor import LexborHTMLParser, LexborNode

from app.lunes.extraction.blocks import Block, Extracted, Kind, block, clean, title_of

DROPPED = frozenset((
    "script", "style", "noscript", "template", "nav", "aside", "button", "svg", "math", "canvas",
    "iframe", "object", "select", "textarea", "dialog", "head", "audio", "video",
))  # fmt: skip
DROPPED_ROLES = frozenset(
    ("navigation", "banner", "contentinfo", "complementary", "search", "menu", "dialog")
)
SECTIONS = frozenset(("article", "main", "section"))
"""Inside these a header or footer is theirs; elsewhere it is the page's, and dropped (W3C, HTML
Accessibility API Mappings, `header` and `footer`)."""

BREAKS = frozenset((
    "address", "article", "blockquote", "body", "caption", "center", "dd", "details", "div", "dl",
    "dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "hr", "main", "ol", "p",
    "section", "summary", "table", "tbody", "tfoot", "thead", "ul",
))  # fmt: skip
HEADINGS = {f"h{level}": level for level in range(1, 7)}
MAIN_CHARS_MIN = 200
"""A page's one `main` is read alone if it has so much text."""

_SPACES = re.compile(r"\s+")
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)


def read_html(text: str) -> Extracted:
    """The headings, paragraphs, lists, tables and code of a page. Its canonical URL and all else
    that it says of itself, but for its title, is not believed."""
    tree = LexborHTMLParser(clean(text))
    told = tree.css_first("head > title")
    blocks = html_blocks(_root(tree))
    first = next((one.text for one in blocks if one.kind == "heading" and one.level == 1), None)
    return Extracted(title_of(told.text() if told else None, first), blocks)


def fragment_blocks(text: str) -> list[Block]:
    """The blocks of HTML that stands inside another text."""
    body = LexborHTMLParser(clean(text)).body
    return [] if body is None else html_blocks(body)


def _root(tree: LexborHTMLParser) -> LexborNode | None:
    mains = tree.css("main, [role=main]")
    if len(mains) == 1 and len(mains[0].text()) >= MAIN_CHARS_MIN:
        return mains[0]
    return tree.body


def html_blocks(root: LexborNode | None) -> list[Block]:
    """The blocks of a node."""
    walk = _Walk()
    if root is not None:
        walk.through(root)
    return walk.blocks


class _Walk:
    """One way through a tree, without recursion: a page may nest as deep as it likes."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._said: list[str] = []
        self._cells: list[str] | None = None
        self._lists: list[int | None] = []
        self._mark = ""
        self._heading = self._code = self._sections = 0
        self._layouts: list[bool] = []

    def through(self, root: LexborNode) -> None:
        left: list[tuple[LexborNode, bool]] = [(root, False)]
        while left:
            node, leaving = left.pop()
            if leaving:
                self._leave(node.tag or "")
            elif node.is_text_node:
                self._say(node.text_content or "")
            elif node.is_element_node and not self._dropped(node):
                self._enter(node)
                left.append((node, True))
                child = node.last_child
                while child is not None:
                    left.append((child, False))
                    child = child.prev
        self._flush()

    def _say(self, text: str) -> None:
        # Only in code, and by `br`, does a line end where the source's does.
        self._said.append(text if self._code else _SPACES.sub(" ", text))

    def _dropped(self, node: LexborNode) -> bool:
        tag = node.tag or ""
        if tag in DROPPED or (tag in ("header", "footer") and not self._sections):
            return True
        told: dict[str, Any] = node.attributes
        return bool(
            "hidden" in told
            or told.get("aria-hidden") == "true"
            or (told.get("role") or "").lower() in DROPPED_ROLES
            or _HIDDEN.search(told.get("style") or "")
        )

    def _enter(self, node: LexborNode) -> None:
        tag = node.tag or ""
        if tag == "br":
            self._said.append("\n")
        elif tag == "table":
            self._break()
            self._layouts.append(_lays_out(node))
        elif tag == "tr" and self._layouts and not self._layouts[-1]:
            self._flush()
            self._cells = []
        elif self._cells is None:
            self._begin(tag)
        else:
            self._break(tag)
        self._sections += tag in SECTIONS

    def _begin(self, tag: str) -> None:
        if tag in HEADINGS:
            self._flush()
            self._heading = HEADINGS[tag]
        elif tag == "pre":
            self._flush()
            self._code += 1
        elif tag in ("ul", "ol"):
            self._flush()
            self._lists.append(0 if tag == "ol" else None)
        elif tag == "li":
            self._flush()
            self._mark = self._next_mark()
        else:
            self._break(tag)

    def _leave(self, tag: str) -> None:
        self._sections -= tag in SECTIONS
        if tag == "table" and self._layouts:
            self._break()
            self._layouts.pop()
        elif self._cells is not None:
            self._leave_in_row(tag)
        elif tag in HEADINGS:
            self._flush()
            self._heading = 0
        elif tag == "pre":
            self._flush()
            self._code -= 1
        elif tag in ("ul", "ol"):
            self._flush()
            self._lists.pop()
        elif tag in BREAKS or tag in ("li", "tr", "td", "th"):
            self._flush()
            self._mark = "" if tag == "li" else self._mark

    def _leave_in_row(self, tag: str) -> None:
        assert self._cells is not None
        if tag in ("td", "th"):
            self._cells.append(" ".join("".join(self._said).split()))
            self._said = []
        elif tag == "tr":
            self._said = []
            if any(self._cells):
                self.blocks += block("row", " | ".join(self._cells))
            self._cells = None
        else:
            self._break(tag)

    def _break(self, tag: str = "div") -> None:
        """A block begins or ends here; inside a table's row its text only stands apart."""
        if tag not in BREAKS and tag not in HEADINGS and tag not in ("li", "tr", "td", "pre"):
            return
        if self._cells is not None:
            self._said.append(" ")
        else:
            self._flush()

    def _next_mark(self) -> str:
        if not self._lists or self._lists[-1] is None:
            return "- "
        self._lists[-1] += 1
        return f"{self._lists[-1]}. "

    def _flush(self) -> None:
        said, self._said = "".join(self._said), []
        if not said.strip():
            return
        if self._code:
            self.blocks += block("code", said)
            return
        kind: Kind = "heading" if self._heading else "item" if self._mark else "text"
        self.blocks += block(kind, self._mark + said, self._heading)
        self._mark = ""


def _lays_out(table: LexborNode) -> bool:
    """Whether a table only places things on the page."""
    role = (table.attributes.get("role") or "").lower()
    inside = "table, h1, h2, h3, ul, ol, pre"
    return role in ("presentation", "none") or any(
        found.mem_id != table.mem_id for found in table.css(inside)
    )
