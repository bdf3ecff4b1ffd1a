"""What form a document has, and how its bytes spell letters."""

import codecs
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from app.lunes.extraction.blocks import Unreadable

Form = Literal["text", "markdown", "html", "pdf"]

FORMS: dict[str, Form] = {
    "text/html": "html",
    "application/xhtml+xml": "html",
    "text/markdown": "markdown",
    "text/x-markdown": "markdown",
    "application/pdf": "pdf",
    "application/x-pdf": "pdf",
    "application/json": "text",
    "application/x-ndjson": "text",
    "application/xml": "text",
    "application/yaml": "text",
}
"""Every other `text/…` is read as text; what is neither is refused."""

ENDINGS: dict[str, Form] = {
    ".htm": "html", ".html": "html", ".xhtml": "html", ".md": "markdown", ".markdown": "markdown",
    ".pdf": "pdf", ".txt": "text", ".text": "text", ".rst": "text", ".csv": "text",
    ".json": "text", ".log": "text",
}  # fmt: skip
UNSAID = frozenset(("", "application/octet-stream", "binary/octet-stream"))
"""Media types that say nothing of the form; the name's ending does then."""

HTML_MAX = 8_000_000
"""Bytes of a page: what is longer was not made to be read."""

ENCODINGS = frozenset((
    "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1250", "cp1251",
    "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "iso8859-2",
    "iso8859-5", "iso8859-7", "iso8859-9", "iso8859-15", "koi8-r", "koi8-u", "mac-roman", "gbk",
    "gb2312", "gb18030", "big5", "shift_jis", "cp932", "euc_jp", "euc_kr", "iso2022_jp",
))  # fmt: skip
"""Python's names of those that the web uses (WHATWG, Encoding Standard); of its others some take
long, or give no text."""

PDF_HEAD_BYTES = 1_024
"""Where in a file its `%PDF` may stand (Adobe, PDF Reference 1.7, appendix H, note 13)."""

_META = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
META_BYTES = 2_048
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"),
          (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Media:
    """The form of a document, its media type, and the Python codec of its letters."""

    form: Form
    name: str
    encoding: str


def media_of(told: str | None, name: str, content: bytes) -> Media:
    """The form of a document that came as `told`, a Content-Type with or without a charset, under
    `name`, a file's or the path of a URL. Raises Unreadable for what cannot be read."""
    media_type, _, rest = (told or "").partition(";")
    media_type = media_type.strip().lower()
    form = form_of(media_type, name, content)
    if form is None:
        raise Unreadable(
            "media_type", f"Documents are text, Markdown, HTML or PDF, not {media_type or name!r}."
        )
    if form == "pdf" and not _is_pdf(content):
        raise Unreadable("unreadable", "It is called a PDF and is none.")
    if form == "html" and len(content) > HTML_MAX:
        raise Unreadable("too_large", f"The page is over {HTML_MAX} bytes.")
    shown = media_type if media_type not in UNSAID else _NAMES[form]
    encoding = "" if form == "pdf" else _encoding(rest, content, form)
    return Media(form, shown, encoding)


_NAMES: dict[Form, str] = {
    "text": "text/plain", "markdown": "text/markdown", "html": "text/html",
    "pdf": "application/pdf",
}  # fmt: skip


def form_of(media_type: str, name: str, content: bytes) -> Form | None:
    """The form that a media type stands for, or with one that says nothing, or only text, the end
    of the name; None for one that is not read."""
    by_name = ENDINGS.get(PurePosixPath(name).suffix.lower())
    if media_type in UNSAID:
        return by_name or ("pdf" if _is_pdf(content) else None)
    if media_type == "text/plain":
        return "markdown" if by_name == "markdown" else "text"
    return FORMS.get(media_type) or ("text" if media_type.startswith("text/") else None)


def _is_pdf(content: bytes) -> bool:
    return b"%PDF" in content[:PDF_HEAD_BYTES]


def _encoding(parameters: str, content: bytes, form: Form) -> str:
    """By its mark, by the header's charset, by what the page says, or else UTF-8 if it is that and
    Windows-1252 if not (WHATWG, HTML Standard, section 13.2.3.2), which also stands for ASCII and
    Latin-1."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding
    said = re.search(r"charset\s*=\s*\"?([\w.:-]+)", parameters, re.IGNORECASE)
    named = [said[1]] if said else []
    if form == "html" and (meta := _META.search(content[:META_BYTES])):
        label = meta[1].decode()
        # It was read as ASCII, so it cannot be true (WHATWG, HTML Standard, section 13.2.3.2, step
        # 15 of the prescan).
        named.append("utf-8" if label.lower().startswith("utf-16") else label)
    for label in named:
        try:
            encoding = codecs.lookup(label).name
        except LookupError:
            continue
        if encoding in ("ascii", "iso8859-1"):
            return "cp1252"
        if encoding in ENCODINGS:
            return encoding
    try:
        content.decode()
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"
