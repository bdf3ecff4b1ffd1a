"""`lune.ingest` takes a document into its lune; `lune.delete` deletes one for good, or a lune."""

from contextlib import AbstractContextManager
from typing import Any

import gevent
import orjson

from app.db.connect import Connection, connect
from app.embedding.minilm import embedder
from app.embedding.vector import as_text
from app.errors import Cancelled as CancelledJob
from app.errors import DeadlinePassed, MoonpoolError
from app.jobs.model import MAX_STRIKES
from app.lunes.erasing.steps import erase_document, erase_lune, erase_version, sweep
from app.lunes.erasing.store import mark_document, mark_lune
from app.lunes.extraction.blocks import Unreadable
from app.lunes.extraction.media import media_of
from app.lunes.extraction.reader import read
from app.lunes.intake import store
from app.lunes.intake.fetch import Fetcher
from app.lunes.intake.form import (
    Content,
    digest_of,
    made_of,
    passages_of,
    refusal,
    stands,
    unless_full,
)
from app.lunes.intake.model import Source
from app.lunes.model import Passage
from app.lunes.store import find_document
from app.telemetry import log
from workers.chores.base import Chore
from workers.chores.places import Places
from workers.inference.run import Cancelled, Lost, Released

AT_ONCE = 4
"""Documents that a worker process takes in at once: each may hold tens of megabytes."""

WAITING = 16
"""Documents of one tenant that wait for that in the process, so that it has always something to do;
of all tenants as many as take a quarter of its slots."""

STEP = 64
"""Passages that get their vectors, and are written, at once."""

_places = Places(AT_ONCE, WAITING)


class Ingest(Chore):
    """Fetches a document or takes what was sent, reads it, cuts it into passages, gives these their
    vectors, and has them found in place of the document's earlier ones, all at once.

    An attempt that comes after a crash begins anew; one that comes after the end changes nothing.
    """

    def place(self) -> AbstractContextManager[None]:
        slots = self.parts.settings.slots("background")
        return _places.place(self.job.tenant_id, slots // 4 - AT_ONCE)

    def work(self) -> dict[str, Any]:
        document_id: str = orjson.loads(self.job.request)["document"]
        with connect(self.parts.settings.postgres, "ingest") as connection:
            sweep(connection)
            job = self.job
            source = store.begin(connection, job.tenant_id, document_id, job.id)
            try:
                if not source.done:
                    self._ingest(connection, document_id, source)
            except (Lost, Released):
                raise
            except Unreadable as error:
                told = refusal(error, source)
                self._fail(document_id, told, last=True)
                raise told from None
            except BaseException as error:
                ends = isinstance(error, MoonpoolError | gevent.Timeout | Cancelled)
                self._fail(document_id, error, ends or job.strikes + 1 >= MAX_STRIKES)
                raise
            return self._result(connection, document_id)

    def _fail(self, document_id: str, error: BaseException, last: bool) -> None:
        """Writes down that the document failed, on another connection: the first may be cut in
        the midst of a statement. What ends the job must not be hidden by what fails here."""
        try:
            with connect(self.parts.settings.postgres, "ingest") as connection:
                store.fail(connection, document_id, self.job.id, _told(error).body(), last)
        except Exception as broken:
            log("lunes").error("failure not recorded", job_id=self.job.id, error=repr(broken))

    def _ingest(self, connection: Connection, document_id: str, source: Source) -> None:
        content = self._content(source)
        if content is None:
            # As it was, says its source.
            store.keep(connection, document_id, self.job.id, source.about, None, None)
            return
        self.relay.progress(bytes=len(content.content))
        digest = digest_of(source, content)
        if digest == source.digest:
            store.keep(
                connection, document_id, self.job.id, source.about, content.etag,
                content.last_modified,
            )  # fmt: skip
            return
        limit = self.parts.settings.lune_bytes
        # Before the work as well, of which there may be hours.
        unless_full(len(content.content), store.room_for(connection, document_id, limit))
        extracted = read(content.media, content.content)
        passages = passages_of(source, extracted, embedder(self.parts.settings))
        self.relay.progress(bytes=len(content.content), passages=len(passages))
        version = self._staged(connection, document_id, source, passages)
        try:
            old = store.put(
                connection, document_id, version, self.job.id, source.about,
                made_of(content, digest, extracted), limit,
            )  # fmt: skip
        except Unreadable:
            erase_version(connection, version)
            raise
        if old is not None:
            erase_version(connection, old)

    def _content(self, source: Source) -> Content | None:
        """What is to be read; None if its source says that it is as it was. Raises Unreadable."""
        if source.content is not None:
            name = source.about["name"] or ""
            media = media_of(source.about["media_type"], name, source.content)
            return Content(media, source.content)
        assert source.url is not None
        known = (source.etag, source.last_modified) if stands(source) else (None, None)
        fetched = Fetcher(self.parts.settings).fetch(source.url, *known)
        if not fetched.changed:
            return None
        media = media_of(fetched.content_type, fetched.path, fetched.content)
        return Content(media, fetched.content, fetched.etag, fetched.last_modified)

    def _staged(
        self, connection: Connection, document_id: str, source: Source, passages: list[Passage]
    ) -> int:
        """Writes a version of these passages, step by step; its number."""
        version, left = store.open_version(connection, document_id, self.job.id)
        for earlier in left:
            erase_version(connection, earlier)
        for start in range(0, len(passages), STEP):
            some = passages[start : start + STEP]
            vectors = embedder(self.parts.settings).encode([one.told for one in some])
            store.stage(
                connection, document_id, source.lune, version, some,
                [as_text(vector) for vector in vectors],
            )  # fmt: skip
            self.relay.progress(passages=len(passages), embedded=start + len(some))
        return version

    def _result(self, connection: Connection, document_id: str) -> dict[str, Any]:
        """What the job tells: counts, and nothing that the document says, since a job is kept
        beside it."""
        found = find_document(connection, self.job.tenant_id, document_id)
        if found is None:
            return {"id": document_id, "object": "lune.document", "status": "deleted"}
        return {
            "id": document_id,
            "object": "lune.document",
            "lune_id": found.lune_id,
            "status": found.state,
            "bytes": found.bytes,
            "passages": found.passages,
            "tokens": found.tokens,
        }


def _told(error: BaseException) -> MoonpoolError:
    if isinstance(error, MoonpoolError):
        return error
    if isinstance(error, gevent.Timeout):
        return DeadlinePassed("The document was not taken in in time.")
    if isinstance(error, Cancelled):
        return CancelledJob("The job was cancelled.")
    return MoonpoolError("The job failed unexpectedly.")


class DeleteFromLune(Chore):
    """Deletes a document, or a lune with all of its documents: found no more from the first step
    on, then a bounded step after another."""

    def work(self) -> dict[str, Any]:
        request = orjson.loads(self.job.request)
        self._deleted = 0
        with connect(self.parts.settings.postgres, "erase") as connection:
            sweep(connection)
            if request["document"] is not None:
                with connection.transaction():
                    mark_document(connection, request["document"])
                erase_document(connection, request["document"], self._count)
            else:
                mark_lune(connection, request["lune"])
                erase_lune(connection, request["lune"], self._count)
        whole = "lune.document" if request["document"] is not None else "lune"
        return {"id": request["id"], "object": whole, "deleted": True,
                "passages_deleted": self._deleted}  # fmt: skip

    def _count(self, passages: int) -> None:
        self._deleted += passages
        self.relay.progress(passages_deleted=self._deleted)
