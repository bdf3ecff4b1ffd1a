"""`batch.files`: writes what a batch's lines were answered into its output and its error file, in
the order of the lines, and ends the batch.

Each file becomes visible in the transaction that notes it with the batch, so an attempt that comes
after a crash writes what is missing and nothing twice.
"""

import heapq
from collections.abc import Iterator
from contextlib import closing
from operator import itemgetter
from typing import Any, Literal

import gevent
import orjson

from app.batches import store
from app.batches.lines import ID_PREFIX, told, unanswered
from app.batches.model import Batch, Superseded
from app.db.connect import Connection, connect
from app.files.model import FileRow
from app.files.service import Files
from workers.chores.base import Chore

PAGE = 100
"""Lines in memory at most, of small ones."""

Kind = Literal["output", "error"]


class WriteFiles(Chore):
    """Writes with memory for a page of lines."""

    def work(self) -> dict[str, Any]:
        batch_id = orjson.loads(self.job.request)["batch_id"]
        with closing(connect(self.parts.settings.postgres, "batch")) as connection:
            try:
                batch = store.take(connection, batch_id, self.job.id, self.job.attempt)
                if batch.completed > 0 and batch.output_file_id is None:
                    self._write(connection, batch, "output")
                if batch.completed < batch.total and batch.error_file_id is None:
                    self._write(connection, batch, "error")
                store.end(connection, batch)
            except Superseded:
                # Another attempt does it: nothing is left to do.
                pass
        return {"object": "batch.files", "batch_id": batch_id}

    def _write(self, connection: Connection, batch: Batch, kind: Kind) -> None:
        assert self.parts.reads is not None, "every desk has connections for reads"

        def along(change: Connection, row: FileRow) -> None:
            store.keep_file(change, batch, kind, row.id)

        Files(self.parts.reads, self.parts.settings).create(
            batch.tenant_id, "batch_output", f"{batch.id}_{kind}.jsonl",
            _chunks(connection, batch, kind), expires_s=batch.ttl_s,
            media_type="application/jsonl", app_id=batch.app_id, along=along,
        )  # fmt: skip


def _chunks(connection: Connection, batch: Batch, kind: Kind) -> Iterator[bytes]:
    ended = _ended(connection, batch.id, kind)
    lines = ended if kind == "output" else heapq.merge(ended, _left(connection, batch), key=_NUMBER)
    for _, line in lines:
        yield line


_NUMBER = itemgetter(0)


def _ended(connection: Connection, batch_id: str, kind: Kind) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that have ended, each with its number."""
    after = 0
    while page := store.results(connection, batch_id, after, PAGE, completed=kind == "output"):
        for one in page:
            yield one.line, orjson.dumps(told(one)) + b"\n"
        after = page[-1].line
        gevent.sleep(0)


def _left(connection: Connection, batch: Batch) -> Iterator[tuple[int, bytes]]:
    """The lines that never became jobs, each with its number."""
    after = 0
    state = "expired" if batch.ends_as == "expired" else "cancelled"
    while page := store.waiting(connection, batch.id, after, PAGE):
        for number, custom_id in page:
            line_id = f"{ID_PREFIX}{batch.id.removeprefix('batch_')}_{number}"
            yield number, orjson.dumps(unanswered(line_id, custom_id, state)) + b"\n"
        after = page[-1][0]
        gevent.sleep(0)
