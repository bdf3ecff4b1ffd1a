"""Markdown tables, and the places in a page that hold them."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

from bench.running import BenchError


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> str:
    """A Markdown table whose columns are aligned to the right, but for the first `texts`."""
    rule = ["---"] * texts + ["---:"] * (len(heads) - texts)
    return "\n".join("| " + " | ".join(row) + " |" for row in (heads, rule, *rows))


def middle(values: Sequence[float], digits: int = 0, *, spread: bool = False) -> str:
    """The median; with `spread` followed by the lowest and the highest. A dash if there is none."""
    if not values:
        return "–"
    text = number(median(values), digits)
    if not spread or len(values) < 2:
        return text
    return f"{text} ({number(min(values), digits)}–{number(max(values), digits)})"


def number(value: float, digits: int = 0) -> str:
    """A number with thousands set apart, and no minus before a zero."""
    return f"{round(value, digits) + 0.0:,.{digits}f}"


def mebibytes(count: float) -> str:
    return number(count / (1 << 20), 1)


def place(page: str, name: str, text: str) -> str:
    """The page with `text` between its markers `<!-- begin NAME -->` and `<!-- end NAME -->`.
    Raises BenchError if it does not have them exactly once."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    pattern = re.compile(f"{re.escape(begin)}\n.*?{re.escape(end)}", re.DOTALL)
    filled, count = pattern.subn(lambda _: f"{begin}\n{text.strip()}\n{end}", page)
    if count != 1:
        raise BenchError(f"the page needs one place for {name}: the lines {begin} and {end}")
    return filled


def write_places(path: Path, texts: dict[str, str]) -> None:
    """Fills several places of a page in one step. Raises BenchError if one is missing."""
    page = path.read_text()
    for name, text in texts.items():
        page = place(page, name, text)
    path.write_text(page)
