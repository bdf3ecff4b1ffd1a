"""Lunes and documents on a plain connection, with vectors that mean nothing."""

from collections.abc import Sequence
from itertools import count

from app.db.connect import Connection
from app.lunes.intake import store
from app.lunes.intake.model import Made, Wanted
from app.lunes.model import Lune, Passage
from app.lunes.store import create

_numbers = count()
VECTOR = str([0.1] * 384)


def lune_of(connection: Connection, tenant_id: str, name: str = "docs") -> Lune:
    """A new lune."""
    return create(connection, tenant_id, name, None, {}, None)


def passages_of(texts: Sequence[str]) -> list[Passage]:
    """Passages that say these texts."""
    return [Passage(n, "", text, 0, len(text), None, 5) for n, text in enumerate(texts)]


class Intake:
    """One ingest, step by step: `take`, `begin`, `stage`, `put`."""

    def __init__(self, connection: Connection, lune: Lune, name: str) -> None:
        self.connection, self.lune = connection, lune
        # In the order of their making, also within a millisecond.
        self.job_id = f"job_{next(_numbers):026}"
        self.wanted = Wanted("sent", name.encode(), title=name, content=b"x")
        with connection.transaction():
            self.document_id = store.take(connection, lune, self.wanted, self.job_id)
        self.version = 0

    def begin(self) -> bool:
        """Begins; whether this job was done already."""
        given = (self.lune.tenant_id, self.document_id, self.job_id)
        return store.begin(self.connection, *given).done

    def stage(self, *texts: str) -> list[int]:
        """Writes a version; the versions that earlier attempts left."""
        self.version, left = store.open_version(self.connection, self.document_id, self.job_id)
        vectors = [VECTOR] * len(texts)
        store.stage(
            self.connection, self.document_id, self.lune.seq, self.version, passages_of(texts),
            vectors,
        )  # fmt: skip
        return left

    def put(self, limit: int = 10**9) -> int | None:
        """Has the version found, of 10 bytes; the number of one that is to go."""
        made = Made(b"digest", 10, None, "text/plain", None)
        given = (self.document_id, self.version, self.job_id, self.wanted.about, made)
        return store.put(self.connection, *given, limit)


def taken_in(connection: Connection, lune: Lune, name: str, *texts: str) -> Intake:
    """A whole ingest; what was there before is still to be erased."""
    one = Intake(connection, lune, name)
    one.begin()
    one.stage(*texts)
    one.put()
    return one
