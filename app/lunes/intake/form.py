"""From what came of a document to its passages, still without vectors."""

import hashlib
from dataclasses import dataclass

from app.embedding.minilm import Embedder
from app.errors import InvalidRequest
from app.lunes.chunking import chunk
from app.lunes.extraction.blocks import Extracted, Unreadable
from app.lunes.extraction.media import Media
from app.lunes.intake.model import Made, Source
from app.lunes.model import Passage

UNREADABLE = "document_unreadable"
"""The code of the error of a document that cannot be taken in; `reason` says why in a word."""

FORM = b"2"
"""Raised when passages are made otherwise, so that a document that comes again is made anew."""

PASSAGES_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a document and their form; what their source said of them."""

    media: Media
    content: bytes
    etag: str | None = None
    last_modified: str | None = None


def digest_of(source: Source, content: Content) -> bytes:
    """The same for what would give the same passages. It begins with the form that they have."""
    title = source.title or ""
    head = [content.media.form.encode(), content.media.encoding.encode(), title.encode()]
    return FORM + hashlib.sha256(b"\0".join([*head, content.content])).digest()


def stands(source: Source) -> bool:
    """Whether what was made of a document would be made again, if its source gives what it gave."""
    made = (source.digest or b"")[: -hashlib.sha256().digest_size]
    return made == FORM and source.url == source.known_url and source.title == source.given_title


def made_of(content: Content, digest: bytes, extracted: Extracted) -> Made:
    """What is told of a version of this content."""
    return Made(
        digest, len(content.content), extracted.title, content.media.name, extracted.pages,
        content.etag, content.last_modified,
    )  # fmt: skip


def passages_of(source: Source, extracted: Extracted, embedder: Embedder) -> list[Passage]:
    """The passages of a document. Raises Unreadable for more than PASSAGES_MAX."""
    title = source.title or extracted.title
    found = chunk(title, extracted.blocks, embedder.count_tokens)
    if len(found) > PASSAGES_MAX:
        raise Unreadable("too_long", f"The document has over {PASSAGES_MAX} passages.")
    return found


def unless_full(length: int, room: int) -> None:
    """Raises Unreadable for a document of more bytes than there is room for."""
    if length > room:
        raise Unreadable("no_room", f"There is room for {max(0, room)} bytes, not for {length}.")


def refusal(error: Unreadable, source: Source) -> InvalidRequest:
    """How a document that cannot be taken in is told of."""
    return InvalidRequest(
        error.message, param=source.field, code=UNREADABLE, extra={"reason": error.reason}
    )
