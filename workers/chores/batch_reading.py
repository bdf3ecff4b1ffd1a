"""`batch.reading`: checks a batch's lines one after another, so that memory stays flat, and admits
the batch with the hold of all of them, or fails it with the errors of those that are refused."""

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any

import gevent
import orjson

from app.batches import store
from app.batches.model import BATCH_LINES_MAX, ERRORS_MAX, Batch, Line, LineError, Superseded
from app.db.connect import Connection, connect
from app.errors import Gone, NotFound
from app.files.model import LineTooLong
from app.files.service import Files
from app.ledger.budgets import spendable
from app.lunes.finding.service import Finder
from app.money import usd_text
from app.uniroute.shelf import Names
from workers.chores.base import Chore
from workers.chores.batch_lines import Knows, LineReader

GROUP_LINES = 500
GROUP_BYTES = 1_000_000
"""Lines and bytes of requests that are kept in memory, and added in one transaction, at most."""

BREATH = 10
"""After so many lines other greenlets have their turn: leases must be renewed meanwhile."""


class ReadBatch(Chore):
    """An attempt that comes after a crash begins with the first line again."""

    def work(self) -> dict[str, Any]:
        request = orjson.loads(self.job.request)
        with closing(connect(self.parts.settings.postgres, "batch")) as connection:
            try:
                batch = store.take(connection, request["batch_id"], self.job.id, self.job.attempt)
                return self._read(connection, batch)
            except Superseded:
                # Cancelled meanwhile, or another attempt's: either way nothing is left to do.
                return {"object": "batch.reading", "batch_id": request["batch_id"]}

    def _read(self, connection: Connection, batch: Batch) -> dict[str, Any]:
        store.drop_lines(connection, batch)
        assert self.parts.reads is not None, "every desk has connections for reads"
        reads, settings = self.parts.reads, self.parts.settings
        shelves = partial(Finder(reads, settings).shelves, batch.tenant_id)
        spend = partial(
            spendable, tenant_id=batch.tenant_id, app_id=batch.app_id, key_id=batch.key_id
        )
        knows = Knows(self.parts.catalogue.in_batches, Names(reads))
        left = partial(reads.run, spend)
        reader = LineReader(knows, batch.endpoint, settings, shelves, left, test=batch.test)
        errors = self._add_lines(connection, batch, reader)
        if not errors:
            errors = _refusal(connection, batch, store.start(connection, batch, str(reader.model)))
        if errors:
            store.fail(connection, batch, errors)
        return {"object": "batch.reading", "batch_id": batch.id, "errors": len(errors)}

    def _add_lines(
        self, connection: Connection, batch: Batch, reader: LineReader
    ) -> list[LineError]:
        """Adds all lines that may run; the errors of those that may not."""
        errors: list[LineError] = []
        group: list[Line] = []
        size = count = 0
        try:
            for number, raw in self._lines(connection, batch):
                count += 1
                if count > BATCH_LINES_MAX:
                    told_all = f"A batch has {BATCH_LINES_MAX} lines at most."
                    return [LineError("too_many_tasks", told_all)]
                told = reader.read(number, raw)
                if isinstance(told, LineError):
                    errors.append(told)
                    if len(errors) == ERRORS_MAX:
                        return errors
                else:
                    group.append(told)
                    size += len(told.request)
                if len(group) == GROUP_LINES or size >= GROUP_BYTES:
                    store.add_lines(connection, batch, group)
                    group, size = [], 0
                if count % BREATH == 0:
                    gevent.sleep(0)
        except LineTooLong as long:
            return [*errors, LineError("line_too_long", f"{long}.", long.line)]
        except (Gone, NotFound):
            told_gone = "The batch's input was deleted before it had been read."
            return [LineError("input_deleted", told_gone)]
        store.add_lines(connection, batch, group)
        if count == 0:
            return [LineError("empty_file", "There are no requests in the input.")]
        return errors

    def _lines(self, connection: Connection, batch: Batch) -> Iterator[tuple[int, bytes]]:
        """The lines of the input that are to run, each with its number. Those of a retry are all
        that have not completed in the batches before it."""
        done = set() if batch.retry_of is None else store.completed_ids(connection, batch.retry_of)
        for number, raw in enumerate(self._input(connection, batch), 1):
            if raw.strip() and not (done and _custom_id(raw) in done):
                yield number, raw

    def _input(self, connection: Connection, batch: Batch) -> Iterator[bytes]:
        """All lines of the input. Raises Gone and NotFound for one that is deleted."""
        if batch.input_file_id is None:
            yield from self._inline(connection, batch)
            return
        assert self.parts.reads is not None, "every desk has connections for reads"
        files = Files(self.parts.reads, self.parts.settings)
        row = files.find(batch.tenant_id, batch.input_file_id)
        if row is None:
            raise Gone("The file was deleted, or has expired.")
        yield from files.lines(row)

    def _inline(self, connection: Connection, batch: Batch) -> Iterator[bytes]:
        """Requests that came with the batch, as lines."""
        text: str | None = self.job.request
        if batch.input_job_id != self.job.id:
            text = store.input_request(connection, batch)
        if not text:
            raise Gone("The requests were deleted.")
        for one in orjson.loads(text).get("requests", ()):
            line = {"method": "POST", "url": batch.endpoint}
            yield orjson.dumps({**line, "custom_id": one["custom_id"], "body": one["params"]})


def _custom_id(raw: bytes) -> str | None:
    try:
        told = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return told.get("custom_id") if isinstance(told, dict) else None


def _refusal(connection: Connection, batch: Batch, verdict: str) -> list[LineError]:
    """Why a batch is not admitted; nothing if it is."""
    word, _, budget = verdict.partition(" ")
    if word == "started":
        return []
    at_most = f"This batch may cost up to {usd_text(store.waiting_hold(connection, batch))}"
    if word == "no_credit":
        return [LineError(
            "insufficient_quota",
            f"{at_most}, which your credit does not cover. Add credit, or lower max_tokens.",
        )]  # fmt: skip
    return [
        LineError("budget_exceeded", f"{at_most}, which is more than the budget {budget} leaves.")
    ]
