"""Files of tenants: written whole or not at all, read by the piece, deleted for good.

The row comes before the bytes and goes after them. So a crash leaves a row that says what is to be
removed, and never bytes that nobody knows of.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial

from app.db.connect import Connection
from app.db.reads import Reads
from app.errors import MoonpoolError, TooLarge, Unavailable
from app.files import store
from app.files.model import LINE_MAX, UNBOUNDED, FileRow, LineTooLong, Purpose
from app.files.storage.base import PIECE_BYTES, Storage, Writer
from app.files.storage.chosen import storage_of
from app.files.store import Description, Order
from app.ids import new_id
from app.settings import Settings
from app.telemetry import log

Along = Callable[[Connection, FileRow], None]
"""Called in the transaction that makes a file visible: it commits with the file, and what it raises
undoes the file."""

GROW_BYTES = 8_388_608
GROW_S = 60.0
"""After how much and how long a file that arrives is counted anew."""

SWEEP = 100
SWEEP_FAILURES = 3
DELETE = 100


class Files:
    """The files of all tenants. One for a process; nothing connects before it is used."""

    def __init__(self, database: Reads, settings: Settings, storage: Storage | None = None) -> None:
        self.database, self.settings = database, settings
        self.storage = storage or storage_of(settings)

    def create(
        self,
        tenant_id: str,
        purpose: Purpose,
        filename: str,
        chunks: Iterable[bytes],
        *,
        expires_s: int | None = None,
        media_type: str = "application/octet-stream",
        app_id: str | None = None,
        along: Along | None = None,
    ) -> FileRow:
        """Writes `chunks`, whatever their sizes, into a new file, and returns it once its bytes are
        whole and synced and its row is committed.

        `expires_s`: after how many seconds it expires; None: with the prompts and answers of its
        tenant if it holds such, else never. Raises TooLarge over the tenant's quota (never for
        `batch_output`), Unavailable if the database or the storage is away, and what `chunks` and
        `along` raise; nothing is left then. After an Unavailable whose commit is in doubt the file
        may be there, together with what `along` did.
        """
        bounded = purpose not in UNBOUNDED
        with closing(self.upload(tenant_id, app_id=app_id, bounded=bounded)) as upload:
            for chunk in chunks:
                upload.write(chunk)
            return upload.finish(purpose, filename, media_type, expires_s=expires_s, along=along)

    def upload(
        self, tenant_id: str, *, app_id: str | None = None, bounded: bool = True, announced: int = 0
    ) -> "Upload":
        """A new file that is written step by step; close it, finished or not. `bounded`: by the
        quota; `announced`: bytes that it will have at least. Raises TooLarge and Unavailable."""
        return Upload(self, tenant_id, app_id, bounded, announced)

    def find(self, tenant_id: str, file_id: str) -> FileRow | None:
        """The tenant's file by this id, or None: not there, deleted, or expired."""
        return self.database.run(lambda c: store.find(c, tenant_id, file_id))

    def page(
        self, tenant_id: str, purpose: str | None, order: Order, after: str | None, limit: int
    ) -> list[FileRow]:
        """Up to `limit` of a tenant's files, those after the id `after`."""
        return self.database.run(lambda c: store.page(c, tenant_id, purpose, order, after, limit))

    def read(self, row: FileRow, start: int = 0) -> Iterator[bytes]:
        """The bytes of a file from `start` on, in pieces of at most 256 kB. Raises NotFound if it
        was deleted meanwhile, and Unavailable."""
        return self.storage.read(row.id, start) if start < row.bytes else iter(())

    def lines(self, row: FileRow) -> Iterator[bytes]:
        """The lines of a file, without their newlines; the last one may lack its own. Raises
        LineTooLong, and what `read` does."""
        rest, number = bytearray(), 0
        for piece in self.read(row):
            *ended, begun = piece.split(b"\n")
            for line in ended:
                number += 1
                if len(rest) + len(line) > LINE_MAX:
                    raise LineTooLong(number)
                yield bytes(rest) + line
                rest.clear()
            rest += begun
            if len(rest) > LINE_MAX:
                raise LineTooLong(number + 1)
        if rest:
            yield bytes(rest)

    def delete(self, tenant_id: str, file_id: str) -> bool:
        """Deletes a file: it is gone for its tenant at once, and its bytes now or with the next
        sweep. False if it is not there."""
        if not self.database.change(lambda c: store.delete(c, tenant_id, file_id)):
            return False
        self._try_to_remove(file_id)
        return True

    def delete_before(self, tenant_id: str, app_id: str | None, before_s: float) -> int:
        """Deletes a tenant's files that were there before `before_s` (unix seconds), of one app
        where `app_id` is given, bytes and all; how many. Raises Unavailable."""
        count = 0
        while True:
            ids = self.database.change(
                lambda c: store.delete_before(c, tenant_id, app_id, before_s, DELETE)
            )
            for file_id in ids:
                self.remove(file_id)
            count += len(ids)
            if len(ids) < DELETE:
                return count

    def sweep(self) -> int:
        """Removes what has expired and what writers and removers that are gone have left; how
        many. Raises Unavailable where the storage is away; what is left comes with a later
        sweep, and does not keep others from theirs."""
        count = failures = 0
        days = self.settings.retention_days
        while True:
            ids = self.database.change(partial(store.claim_due, retention_days=days, limit=SWEEP))
            for file_id in ids:
                if self._try_to_remove(file_id):
                    count += 1
                    continue
                failures += 1
                if failures == SWEEP_FAILURES:
                    raise Unavailable("The storage of files refuses to remove them.")
            if len(ids) < SWEEP:
                return count

    def remove(self, file_id: str) -> None:
        """Removes the bytes of a file that leaves, and then its row. Raises Unavailable."""
        self.storage.delete(file_id)
        self.database.change(lambda c: store.forget(c, file_id))

    def _try_to_remove(self, file_id: str) -> bool:
        try:
            self.remove(file_id)
        except MoonpoolError as error:
            log("files").warning("a file is left to the sweep", error=error.message, name=file_id)
            return False
        return True


class Upload:
    """A file that arrives."""

    def __init__(
        self, files: Files, tenant_id: str, app_id: str | None, bounded: bool, announced: int
    ) -> None:
        self._files, self._tenant_id, self._bounded = files, tenant_id, bounded
        self._id = new_id("file")
        self._gathered, self._size, self._digest = bytearray(), 0, hashlib.sha256()
        self._counted, self._counted_at = 0, time.monotonic()
        self._writer: Writer | None = None

        def begin(connection: Connection) -> None:
            self._within_quota(connection, announced)
            store.begin(connection, self._id, tenant_id, app_id)

        files.database.change(begin)

    def write(self, piece: bytes) -> None:
        """Takes the next bytes. Raises TooLarge over the quota, and Unavailable."""
        self._gathered += piece
        if len(self._gathered) >= PIECE_BYTES:
            self._flush()

    def finish(
        self,
        purpose: Purpose,
        filename: str,
        media_type: str,
        *,
        expires_s: int | None = None,
        along: Along | None = None,
    ) -> FileRow:
        """Makes the file visible; see `Files.create`."""
        self._flush()
        assert self._writer is not None
        self._writer.finish()
        digest = self._digest.hexdigest()
        described = Description(purpose, filename, media_type, self._size, digest, expires_s)

        def keep(connection: Connection) -> FileRow:
            self._within_quota(connection, self._size)
            days = self._files.settings.retention_days
            row = store.keep(connection, self._id, described, days)
            if row is None:
                raise _taken_for_lost()
            if along is not None:
                along(connection, row)
            return row

        row = self._files.database.change(keep)
        self._id = ""
        return row

    def close(self) -> None:
        """Leaves nothing of a file that was not finished."""
        file_id, self._id = self._id, ""
        if not file_id:
            return
        if self._writer is not None:
            self._writer.abandon()
        try:
            # If its commit was only in doubt, the file is kept, and this finds none.
            if self._files.database.change(lambda c: store.drop(c, file_id)):
                self._files.remove(file_id)
        except MoonpoolError as error:
            log("files").warning("a file is left to the sweep", error=error.message, name=file_id)

    def _flush(self) -> None:
        if self._writer is None:
            self._writer = self._files.storage.writer(self._id)
        for start in range(0, len(self._gathered), PIECE_BYTES):
            piece = bytes(self._gathered[start : start + PIECE_BYTES])
            self._writer.write(piece)
            self._digest.update(piece)
            self._size += len(piece)
        self._gathered.clear()
        due = self._counted_at + GROW_S
        if self._size >= self._counted + GROW_BYTES or time.monotonic() >= due:
            self._files.database.change(self._count)

    def _count(self, connection: Connection) -> None:
        self._within_quota(connection, self._size)
        if not store.grow(connection, self._id, self._size):
            raise _taken_for_lost()
        self._counted, self._counted_at = self._size, time.monotonic()

    def _within_quota(self, connection: Connection, size: int) -> None:
        quota = self._files.settings.file_quota
        if not self._bounded:
            return
        left = quota - store.used(connection, self._tenant_id, self._id)
        if size > left:
            raise TooLarge(
                f"All files together may have {quota} bytes, of which {max(left, 0)} are left. "
                "Delete some.", param="file", code="file_quota_exceeded",
            )  # fmt: skip


def _taken_for_lost() -> Unavailable:
    return Unavailable("The file took too long to arrive; send it again.", retry_after=1)
