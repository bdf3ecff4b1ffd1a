"""PDF: the text of its pages, as far as there is text and not only pictures of it."""

import io
import re
from collections.abc import Iterator

from pypdf import PdfReader
from pypdf.errors import PyPdfError

from app.lunes.extraction.blocks import Block, Extracted, Unreadable, block, clean, title_of

PAGES_MAX = 2_000

_HYPHEN = re.compile(r"(?<=[a-zà-ÿ])-\n(?=[a-zà-ÿ])")
_PARAGRAPH = re.compile(r"\n\s*\n")
_SENTENCE_END = re.compile(r"(?<=[.!?:])\n(?=[A-Z0-9•–-])")


def read_pdf(content: bytes) -> Extracted:
    """The paragraphs of a file, each with its page. Raises Unreadable."""
    try:
        reader = PdfReader(io.BytesIO(content), strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("encrypted", "The PDF is encrypted and needs a password.")
        pages = len(reader.pages)
        if pages > PAGES_MAX:
            raise Unreadable(
                "too_long", f"The PDF has {pages} pages; {PAGES_MAX} are read at most."
            )
        blocks = [
            one
            for number, page in enumerate(reader.pages, 1)
            for one in _paragraphs(page.extract_text(), number)
        ]
        told = reader.metadata.title if reader.metadata else None
    except Unreadable:
        raise
    except (PyPdfError, ArithmeticError, AttributeError, LookupError, OSError, RuntimeError,
            TypeError, ValueError, AssertionError) as error:  # fmt: skip
        # What a broken file makes of the library is as manifold as files can be broken.
        raise Unreadable("unreadable", f"The PDF cannot be read: {_told(error)}.") from error
    if not blocks:
        raise Unreadable("no_text", "The PDF has no text; pictures of text are not read.")
    return Extracted(title_of(told), blocks, pages)


def _paragraphs(text: str, page: int) -> Iterator[Block]:
    """A page's text, whose lines end where the page's did, in paragraphs of one line."""
    plain = _HYPHEN.sub("", clean(text))
    for part in _PARAGRAPH.split(plain):
        for piece in _SENTENCE_END.split(part):
            yield from block("text", " ".join(piece.split()), page=page)


def _told(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:200].rstrip(".")
