"""TREC's own form of documents and topics, marked up as SGML.

A document is `<DOC>` with `<DOCNO>`, a title (`<TITLE>`, `<TTL>`, `<HEADLINE>` or `<HL>`) and its
text: what `<TEXT>` holds, or, where there is none, all that is neither number, title, author nor
source. A topic is `<top>` with `<num>` and `<title>`, which most collections leave open; its title
asks, or, where there is none, its description. Judgements count topics without leading zeros, so
`Number: 051` is 51.
"""

import re
from collections.abc import Iterator
from html import unescape

_DOCUMENT = re.compile(r"<doc>(.*?)</doc>", re.IGNORECASE | re.DOTALL)
_TOPIC = re.compile(r"<top>(.*?)</top>", re.IGNORECASE | re.DOTALL)
_TITLES = ("title", "ttl", "headline", "hl")
_ABOUT = ("docno", "docid", "author", "bib", *_TITLES)
_TAG = re.compile(r"<!--.*?-->|</?[A-Za-z][^<>]*>", re.DOTALL)
_NAMED = re.compile(r"\s*(?:number|topic|description):", re.IGNORECASE)


def is_sgml(start: str) -> bool:
    """Whether a file that starts so is of this form."""
    return (
        re.match(r"\s*(?:<\?xml.*?\?>\s*)?<(?:xml|root|doc|top)\b", start, re.I | re.S) is not None
    )


def entries(text: str) -> Iterator[tuple[str, str, str]]:
    """Id, title and text of each document; of each topic id, nothing and what it asks."""
    for found in _DOCUMENT.finditer(text):
        inside = found[1]
        title = next((told for name in _TITLES if (told := _said(name, inside))), "")
        yield _said("docno", inside), title, _said("text", inside) or _plain(_without(inside))
    for found in _TOPIC.finditer(text):
        number = _opened("num", found[1])
        asked = _opened("title", found[1]) or _opened("desc", found[1])
        yield number.lstrip("0") if number.isdigit() else number, "", asked


def _said(name: str, text: str) -> str:
    """What all elements of a name say."""
    held = re.findall(rf"<{name}\b[^>]*>(.*?)</{name}>", text, re.I | re.S)
    return " ".join(told for part in held if (told := _plain(part)))


def _without(text: str) -> str:
    names = "|".join(_ABOUT)
    return re.sub(rf"<({names})\b[^>]*>.*?</\1>", " ", text, flags=re.I | re.S)


def _opened(name: str, text: str) -> str:
    """What follows a mark as far as the next one, without the word that names it."""
    held = re.search(rf"<{name}\b[^>]*>([^<]*)", text, re.I)
    return _plain(_NAMED.sub("", held[1], count=1)) if held else ""


def _plain(text: str) -> str:
    return " ".join(unescape(_TAG.sub(" ", text)).split())
