"""The process in which a document is read that may be made to harm its reader.

`python -m app.lunes.extraction.child FORM ENCODING` reads the document on standard input and prints
JSON: `title`, `pages` and `blocks`, each `[kind, text, level, page]`; or `reason` and `message` of
what stands against it. Parsers of such forms have been crashed, and kept busy for hours, by what
they read; here that ends this process alone.
"""

import resource
import sys

import orjson

from app.lunes.extraction.blocks import Extracted, Unreadable

CPU_S = 60
MEMORY_BYTES = 2 * 2**30
TEXT_MAX = 20_000_000
"""Characters of text in a document, whatever it was packed in."""


def extracted(form: str, encoding: str, content: bytes) -> Extracted:
    """A document of a `form`: html, markdown or pdf. Raises Unreadable."""
    if form == "pdf":
        from app.lunes.extraction.pdf import read_pdf

        return read_pdf(content)
    text = content.decode(encoding, "replace")
    if form == "html":
        from app.lunes.extraction.html import read_html

        return read_html(text)
    from app.lunes.extraction.markdown import read_markdown

    return read_markdown(text)


def bounded(found: Extracted) -> Extracted:
    """The same. Raises Unreadable if there is nothing in it, or too much."""
    length = sum(len(one.text) for one in found.blocks)
    if not length:
        raise Unreadable("no_text", "There is no text in the document.")
    if length > TEXT_MAX:
        raise Unreadable("too_long", f"The document has over {TEXT_MAX} characters of text.")
    return found


def _main() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        found = bounded(extracted(sys.argv[1], sys.argv[2], sys.stdin.buffer.read()))
        told = {
            "title": found.title,
            "pages": found.pages,
            "blocks": [[one.kind, one.text, one.level, one.page] for one in found.blocks],
        }
    except Unreadable as error:
        told = {"reason": error.reason, "message": error.message}
    except (MemoryError, RecursionError):
        told = {"reason": "unreadable", "message": "The document takes too much to be read."}
    sys.stdout.buffer.write(orjson.dumps(told))


if __name__ == "__main__":
    _main()
