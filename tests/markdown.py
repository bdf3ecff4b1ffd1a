"""Reads the pages of the documentation: fences, links, headings, tables."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]


@dataclass(frozen=True, slots=True)
class Fence:
    """A fenced block: its language, its text, and the line that it starts at."""

    language: str
    text: str
    line: int


def page(name: str) -> str:
    """The text of a page by its path from the root."""
    return (ROOT / name).read_text()


def fences(text: str, *languages: str) -> list[Fence]:
    """The fenced blocks of these languages, or all of them."""
    found = []
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S):
        if not languages or match[1] in languages:
            found.append(Fence(match[1], match[2], text[: match.start()].count("\n") + 2))
    return found


def prose(text: str) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^```\w*\n.*?^```$", "", text, flags=re.M | re.S)


def code(text: str) -> list[str]:
    """What stands between backticks in the prose."""
    return re.findall(r"`([^`]+)`", prose(text).replace("\n", " "))


def links(text: str) -> list[str]:
    """Where the links of the prose lead."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(text))


def anchors(text: str) -> set[str]:
    """The anchors that GitHub makes of the headings."""
    heads = re.findall(r"^#+ (.+)$", prose(text), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def table(text: str, first_head: str) -> list[list[str]]:
    """The rows of the table whose first column is headed so, as cells."""
    lines = text.split("\n")
    [start] = [i for i, line in enumerate(lines) if line.startswith(f"| {first_head} |")]
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows
