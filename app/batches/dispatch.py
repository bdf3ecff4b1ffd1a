"""The dispatcher: keeps a window of each tenant's lines in flight and brings batches to their end.

It runs beside the re-ringer in `moonpool upkeep`, since its rounds are a few statements: a thread
with a connection of its own. Of those that run, one holds the lock and works.
"""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

import orjson

from app.batches import store
from app.batches.flight import store as flights
from app.batches.model import (
    CHORE_DEADLINE_S,
    FILES_KIND,
    LANE,
    READ_KIND,
    TURNS,
    Batch,
    ChoreKind,
    LineError,
)
from app.db.connect import Connection, line_connection
from app.errors import Unavailable
from app.jobs.model import Draft, chore_draft
from app.queue import Bell
from app.settings import Settings
from app.telemetry import log

DISPATCH_S = 0.2
IDLE_S = 1.0
PATIENCE_S = 600.0
"""How long the lines of a cancelled batch may go on that have begun, as OpenAI has it."""

CHORE_RETRY_S = 30.0
"""After this a chore is tried again that could not read a batch's lines or write its files."""

READINGS = 20
"""How often a batch's lines are read at most while their storage is away: for ten minutes."""


@dataclass(frozen=True, slots=True)
class Waits:
    """A batch with lines that wait."""

    batch_id: str
    priority: int
    waiting: int


def shares(free: int, batches: Iterable[Waits]) -> dict[str, int]:
    """How many lines of each of a tenant's batches are dispatched now, `free` at most: those of a
    higher priority first, among equals each as many as any other, as far as it has them."""
    found: dict[str, int] = {}
    ordered = sorted(batches, key=lambda one: (-one.priority, one.waiting))
    for _, group in groupby(ordered, key=lambda one: one.priority):
        same = list(group)
        for place, one in enumerate(same):
            share = min(one.waiting, -(-free // (len(same) - place)))
            if share > 0:
                found[one.batch_id] = share
            free -= share
    return found


def chore_of(kind: ChoreKind, batch: Batch, backlog: int) -> Draft:
    """The job that reads a batch's lines, or writes its files."""
    return chore_draft(
        kind, orjson.dumps({"batch_id": batch.id}).decode(), batch.tenant_id,
        key_id=batch.key_id, app_id=batch.app_id, lane=LANE, deadline_s=CHORE_DEADLINE_S,
        backlog=backlog,
    )  # fmt: skip


class Dispatcher:
    """One round after another over one connection."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._bell = Bell(settings.redis)

    def run(self, stop: threading.Event) -> None:
        """Runs rounds until `stop` is set."""
        connection, leads = None, False
        while not stop.is_set():
            began, busy = time.monotonic(), False
            try:
                if connection is None or connection.closed:
                    connection, leads = line_connection(self._settings.postgres, "batches"), False
                leads = leads or flights.lead(connection)
                busy = leads and self.round(connection)
            except Exception as error:
                # Whatever it is, the next round is due: batches end by nobody else.
                log("batches").error("round failed", error=repr(error), exc_info=True)
                if connection is not None:
                    connection.close()
            pause_s = DISPATCH_S if busy else IDLE_S
            stop.wait(max(0.0, pause_s - (time.monotonic() - began)))
        if connection is not None:
            connection.close()

    def round(self, connection: Connection) -> bool:
        """Counts, ends and dispatches lines of all batches; whether there is one whose time has
        come. A batch that cannot be worked on does not hold up the others."""
        batches = flights.live(connection)
        in_flight: dict[str, int] = {}
        open_ones: dict[str, list[Waits]] = {}
        for batch in batches:
            try:
                flight, is_open = self._look(connection, batch)
            except Exception as error:
                _unless_gone(connection, batch.id, error)
                continue
            in_flight[batch.tenant_id] = in_flight.get(batch.tenant_id, 0) + flight
            if is_open:
                waits = Waits(batch.id, batch.priority, batch.total - batch.dispatched)
                open_ones.setdefault(batch.tenant_id, []).append(waits)
        for tenant, waiting in open_ones.items():
            free = self._settings.batch_window - in_flight[tenant]
            for batch_id, wanted in shares(free, waiting).items():
                try:
                    self._dispatch(connection, batch_id, wanted)
                except Exception as error:
                    _unless_gone(connection, batch_id, error)
        return any(batch.due for batch in batches)

    def _look(self, connection: Connection, batch: Batch) -> tuple[int, bool]:
        """How many lines of a batch are in flight, and whether more of them may be."""
        flight = 0
        if batch.dispatched > batch.ended or (batch.rate > 0 and batch.finalizing_s is None):
            flight = flights.count(connection, batch.id)
        return flight, not self._moved(connection, batch, flight) and batch.due

    def _dispatch(self, connection: Connection, batch_id: str, wanted: int) -> None:
        while wanted > 0:
            made = flights.dispatch(connection, batch_id, wanted)
            if not made:
                return
            self._bell.ring_now(LANE, made)
            wanted -= len(made)

    def _moved(self, connection: Connection, batch: Batch, flight: int) -> bool:
        """Brings a batch on its way; False if its lines are to be dispatched."""
        if batch.ends_as is None and batch.status == "in_progress":
            if batch.expires_s <= batch.now_s:
                flights.ends_as(connection, batch, "expired")
            elif batch.dispatched == batch.total and flight == 0:
                flights.ends_as(connection, batch, "completed")
            else:
                return False
        elif batch.ends_as is None:
            self._watch_reading(connection, batch)
        elif batch.in_progress_s is None:
            store.end(connection, batch)
        elif batch.finalizing_s is not None:
            self._watch_files(connection, batch)
        elif flight > 0:
            self._call_off(connection, batch)
        else:
            self._give(connection, batch, FILES_KIND)
        return True

    def _watch_reading(self, connection: Connection, batch: Batch) -> None:
        """Has lines read again whose storage was away, and fails a batch whose lines nobody reads
        any more."""
        end = flights.chore_end(connection, batch)
        if end is None:
            return
        if end.code == Unavailable.code and batch.turn < READINGS * TURNS:
            if end.ago_s >= CHORE_RETRY_S:
                self._give(connection, batch, READ_KIND)
        else:
            told = LineError("server_error", "The batch's lines could not be checked. Try again.")
            store.fail(connection, batch, [told])

    def _watch_files(self, connection: Connection, batch: Batch) -> None:
        """Has files tried again that could not be written."""
        end = flights.chore_end(connection, batch)
        if end is not None and end.ago_s >= CHORE_RETRY_S:
            self._give(connection, batch, FILES_KIND)

    def _call_off(self, connection: Connection, batch: Batch) -> None:
        """Ends the lines in flight of a batch that has expired or was cancelled: those that wait
        at once, those that run when a cancelled batch's have had their time."""
        expired = batch.ends_as == "expired"
        since_s = batch.cancelling_s or batch.now_s
        states = ["queued"]
        if expired or batch.now_s - since_s >= PATIENCE_S:
            states.append("running")
        for state in states:
            end = "expired" if expired else "cancelled"
            while flights.void_lines(connection, batch, state, end):
                pass

    def _give(self, connection: Connection, batch: Batch, kind: ChoreKind) -> None:
        chore = chore_of(kind, batch, self._settings.backlog(LANE))
        if flights.give_chore(connection, batch, chore):
            self._bell.ring_now(LANE, [chore.id])


def _unless_gone(connection: Connection, batch_id: str, error: Exception) -> None:
    """Logs what befell a batch. Raises it if the connection is lost."""
    if connection.closed:
        raise error
    log("batches").error("batch not worked on", name=batch_id, error=repr(error), exc_info=True)
