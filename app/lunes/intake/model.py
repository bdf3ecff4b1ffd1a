"""A document on its way into a lune."""

from dataclasses import dataclass
from typing import Any

from app.lunes.model import Origin


@dataclass(frozen=True, slots=True)
class Wanted:
    """A document that is sent or named. What is None is not told, and stays as it is in one that is
    there already. `name` is a file's."""

    origin: Origin
    identity: bytes
    external_id: str | None = None
    url: str | None = None
    title: str | None = None
    media_type: str | None = None
    name: str = ""
    metadata: dict[str, Any] | None = None
    content: bytes | None = None

    @property
    def about(self) -> dict[str, Any]:
        """What waits beside the content until it is taken in."""
        return {
            "origin": self.origin,
            "external_id": self.external_id,
            "url": self.url,
            "title": self.title,
            "media_type": self.media_type,
            "name": self.name,
            "metadata": self.metadata,
        }


@dataclass(frozen=True, slots=True)
class Source:
    """What an ingest begins with: the document as it stands, and what was sent of it. `done`: this
    job has taken it in already."""

    lune: int
    lune_id: str
    known_url: str | None
    given_title: str | None
    digest: bytes | None
    etag: str | None
    last_modified: str | None
    done: bool
    about: dict[str, Any]
    content: bytes | None

    @property
    def url(self) -> str | None:
        """Where it is to be fetched from now."""
        return self.about.get("url") or self.known_url

    @property
    def title(self) -> str | None:
        """What its tenant calls it from now on."""
        return self.about.get("title") or self.given_title

    @property
    def field(self) -> str:
        """The field of the request that its content came in: only a file has a name."""
        if self.content is None:
            return "url"
        return "file" if self.about.get("name") else "text"


@dataclass(frozen=True, slots=True)
class Made:
    """What a version was made of. `title` is the document's own, for one whose tenant gave none."""

    digest: bytes
    bytes: int
    title: str | None
    media_type: str
    pages: int | None
    etag: str | None = None
    last_modified: str | None = None
