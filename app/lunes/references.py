"""Which sources an answer cites, and where, in the form of OpenAI's annotations.

Indices count code points of the answer's text, as OpenAI's do: `content[start:end]` in Python.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.lunes.finding.model import Found

_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`", re.DOTALL)
"""What Markdown shows as code, where brackets are no marks."""

_MARK = re.compile(
    r"(?<![A-Za-z0-9_])\[([0-9]{1,3}(?: ?, ?[0-9]{1,3}){0,15})\](?:\(([^()\s]{1,2048})\))?"
)
"""`[1]`, `[1, 2]`, and `[1](address)`; not `args[1]`. Letters of other scripts may stand before it,
since many write without spaces."""

_URL_GOES_ON = r"(?![\w/?&=%#~+@:-]|[.,;!][\w/])"


@dataclass(frozen=True, slots=True)
class Source:
    """What an answer may cite: a passage's place in the prompt is its number, from 1."""

    url: str
    title: str


def source_of(found: Found, base: str = "") -> Source:
    """The source that a passage is from. `base`: the address of this server, for documents that
    have no URL of their own."""
    url = found.source_url
    return Source(f"{base}{url}" if found.url is None else url, found.heading or found.title or url)


@dataclass(frozen=True, slots=True)
class Citation:
    """A place of a text, and the number of the source that it cites."""

    start: int
    end: int
    number: int


def citations(text: str, sources: Sequence[Source]) -> list[Citation]:
    """The places where a text cites sources, in their order: marks such as `[1]` or `[1, 2]`, a
    link of a mark to its source, and a source's bare URL. Marks of numbers that there are none of
    are nothing, and so is all that stands in code."""
    if not sources:
        return []
    text = _CODE.sub(_blank, text)
    cited = []
    for found in _MARK.finditer(text):
        numbers = [int(number) for number in found[1].split(",")]
        some = [number for number in dict.fromkeys(numbers) if 1 <= number <= len(sources)]
        end = found.end()
        if found[2] is not None and not any(sources[n - 1].url == found[2] for n in some):
            end = found.end(1) + 1
        cited += [Citation(found.start(), end, number) for number in some]
    cited += _bare(_MARK.sub(_blank, text), sources)
    return sorted(cited, key=lambda one: one.start)


def _bare(text: str, sources: Sequence[Source]) -> Iterator[Citation]:
    numbers = {source.url: number for number, source in reversed([*enumerate(sources, 1)])}
    pattern = "|".join(re.escape(url) for url in sorted(numbers, key=len, reverse=True))
    for found in re.finditer(rf"(?<![\w/])(?:{pattern}){_URL_GOES_ON}", text):
        yield Citation(*found.span(), numbers[found[0]])


def _blank(found: re.Match[str]) -> str:
    return " " * len(found[0])


@dataclass(slots=True)
class References:
    """The references of one answer, all its choices. `given`: the sources in its prompt."""

    given: Sequence[Source]
    _cited: dict[int, list[int]] = field(default_factory=dict)

    def annotations(
        self, choice: int, text: str, message: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """The annotations of the whole text of a choice that its `message` does not have yet, as
        one from the cache does."""
        found = citations(text, self.given)
        self._cited[choice] = [one.number for one in found]
        notes = [
            {
                "type": "url_citation",
                "url_citation": {
                    "start_index": one.start,
                    "end_index": one.end,
                    "url": self.given[one.number - 1].url,
                    "title": self.given[one.number - 1].title,
                },
            }
            for one in found
        ]
        known = message.get("annotations") or ()
        return [note for note in notes if note not in known]

    def urls(self) -> list[str]:
        """What the answer refers to: the URLs of what its choices cite, in the order of the first
        citation; if they cite nothing, of all that was given."""
        numbers = [number for choice in sorted(self._cited) for number in self._cited[choice]]
        cited = [self.given[number - 1] for number in numbers]
        return list(dict.fromkeys(source.url for source in cited or self.given))
