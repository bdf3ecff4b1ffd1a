"""The writing side of the event log: one publisher a worker process, which gathers what all jobs
write while its last write is in flight."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gevent
from gevent.event import Event as Signal

from app.events.log import (
    ENDED_TTL_S,
    MAX_EVENTS,
    RUNNING_TTL_S,
    TERMINAL,
    Event,
    EventId,
    encode,
    stream_key,
)
from app.limits.release import Release, release_commands
from app.redis import RedisGone, ReplyError, Wire, pack
from app.telemetry import log

PENDING_BYTES_MAX = 1_000_000
"""How much of a job waits for a Redis that is away; past it the deltas give way to a snapshot."""

RETRY_S = (0.05, 0.2, 0.5, 1.0)

_PASSING = ("LOADING", "READONLY", "NOREPLICAS", "MASTERDOWN", "MISCONF")
"""Errors of a Redis that is starting, failing over or out of disk: it takes the write later."""


@dataclass(slots=True)
class JobLog:
    """What one attempt has still to write. `snapshot` gives the answer so far as JSON.

    `gap`: too much waits, so a snapshot, taken when it is written, stands for all that was said.
    `gone`: the stream was lost, so the next delta goes into the log as a snapshot, `stand_in`;
    those who listen still get the delta, as they have all that came before it.
    `release`: what goes before the events, so that whoever sees the end finds the limits corrected.
    It may be sent twice when Redis goes away in between.
    """

    job_id: str
    attempt: int
    snapshot: Callable[[], bytes]
    seq: int = 0
    pending: list[tuple[str, Any]] = field(default_factory=list)
    pending_bytes: int = 0
    result: bytes | None = None
    release: Release | None = None
    gap: bool = False
    gone: bool = False
    stand_in: Event | None = None

    def delta(self, choices: list[bytes]) -> None:
        """Adds chunk choices, each as JSON; those that wait together become one event."""
        if self.gap:
            return
        if self.pending and self.pending[-1][0] == "delta":
            self.pending[-1][1].extend(choices)
        else:
            self.pending.append(("delta", choices))
        self.pending_bytes += sum(map(len, choices))
        if self.pending_bytes > PENDING_BYTES_MAX:
            self._drop_deltas()

    def _drop_deltas(self) -> None:
        first = [name for name, _ in self.pending].index("delta")
        rest = [e for e in self.pending[first:] if e[0] not in ("delta", "snapshot")]
        self.pending[first:] = [("snapshot", None), *rest]
        self.pending_bytes, self.gap = 0, True

    def event(self, name: str, data: bytes) -> None:
        if not (self.gap and name == "snapshot"):
            self.pending.append((name, data))

    def take(self) -> list[Event]:
        """The events that wait, numbered."""
        self.gap = False
        events = []
        for name, data in self.pending:
            self.seq += 1
            place = EventId(self.attempt, self.seq)
            if name == "delta" and self.gone:
                self.gone, self.stand_in = False, Event(place, "snapshot", self.snapshot())
            body: Any = self.snapshot() if data is None else data
            events.append(Event(place, name, b"\n".join(body) if name == "delta" else body))
        self.pending, self.pending_bytes = [], 0
        return events

    def last_seq_after(self, more: int) -> int:
        """The seq of the last event once all that waits, and `more` events, are written."""
        return self.seq + len(self.pending) + more


class Publisher:
    """Writes job logs to Redis. `on_fenced(job_log)` is called when Redis refuses a write because
    a later attempt has written: that attempt is no longer ours."""

    def __init__(self, url: str, on_fenced: Callable[[JobLog], None]) -> None:
        self._url, self._on_fenced = url, on_fenced
        self._dirty: dict[int, JobLog] = {}
        self._wake, self._idle = Signal(), Signal()
        self._idle.set()
        self._wire: Wire | None = None
        self._writer: Any = None

    def wrote(self, job_log: JobLog) -> None:
        """Says that `job_log` has something to write."""
        self._dirty[id(job_log)] = job_log
        if self._writer is None or self._writer.dead:
            self._writer = gevent.spawn(self._run)
        self._idle.clear()
        self._wake.set()

    def drain(self, timeout_s: float) -> None:
        """Waits until all is written, `timeout_s` at most."""
        self._idle.wait(timeout_s)

    def _run(self) -> None:
        while True:
            if not self._dirty:
                self._idle.set()
                self._wake.clear()
                self._wake.wait()
            dirty, self._dirty = self._dirty, {}
            batch = [(job_log, events) for job_log in dirty.values() if (events := job_log.take())]
            tries = 0
            while batch and not self._write(batch, again=tries > 0):
                gevent.sleep(RETRY_S[min(tries, len(RETRY_S) - 1)])
                tries += 1

    def _write(self, batch: list[tuple[JobLog, list[Event]]], *, again: bool) -> bool:
        """One pipeline for all jobs; False if Redis is away. `again`: part of it may be there."""
        packed = release_commands(one.release for one, _ in batch if one.release is not None)
        owners: list[tuple[JobLog, Event] | None] = [None] * len(packed)
        for job_log, events in batch:
            for event in events:
                first = event.id.seq == 1
                if job_log.stand_in is not None and job_log.stand_in.id == event.id:
                    packed.append(_xadd(job_log.job_id, job_log.stand_in, create=True))
                else:
                    packed.append(_xadd(job_log.job_id, event, create=first))
                owners.append((job_log, event))
            for command in _after(job_log, events):
                packed.append(command)
                owners.append(None)
        try:
            if self._wire is None:
                self._wire = Wire(self._url)
            replies = self._wire.replies(b"".join(packed), len(packed))
            for owner, reply in zip(owners, replies, strict=True):
                if owner is not None and (reply is None or isinstance(reply, ReplyError)):
                    self._refused(*owner, reply, again=again)
        except RedisGone as gone:
            log("events").warning("event log away", error=str(gone), count=len(batch))
            if self._wire is not None:
                self._wire.close()
            self._wire = None
            return False
        return True

    def _refused(self, job_log: JobLog, event: Event, reply: Any, *, again: bool) -> None:
        if reply is None:
            # The stream is gone with all that it held. It begins anew with the next delta, or
            # with the end, before which a reader finds the answer in Postgres.
            if event.name == "delta":
                job_log.gone = True
            elif self._wire is not None:
                packed = _xadd(job_log.job_id, event, create=True)
                self._wire.replies(packed + _expire(job_log.job_id, ENDED_TTL_S), 2)
        elif "equal or smaller" in str(reply):
            if not again:
                self._on_fenced(job_log)
        elif str(reply).startswith(_PASSING):
            raise RedisGone(str(reply))
        else:
            log("events").error("event refused", job_id=job_log.job_id, error=str(reply))


def _xadd(job_id: str, event: Event, *, create: bool) -> bytes:
    make = () if create else ("NOMKSTREAM",)
    where = ("XADD", stream_key(job_id), *make, "MAXLEN", "~", MAX_EVENTS, str(event.id))
    return pack(*where, "e", event.name, "d", event.data)


def _expire(job_id: str, seconds: int) -> bytes:
    return pack("EXPIRE", stream_key(job_id), seconds)


def _after(job_log: JobLog, events: list[Event]) -> list[bytes]:
    """What goes with a job's new events: its TTL where that changes, and the live message."""
    commands = []
    if events[-1].name in TERMINAL:
        commands.append(_expire(job_log.job_id, ENDED_TTL_S))
    elif events[0].id.seq == 1 or events[0].id.seq % 1000 == 0:
        commands.append(_expire(job_log.job_id, RUNNING_TTL_S))
    live = events
    if job_log.result is not None and events[-1].name in TERMINAL:
        # Before the terminal event, so that whoever sees that has it.
        live = [*events[:-1], Event(EventId(0, 0), "result", job_log.result), events[-1]]
    commands.append(pack("PUBLISH", stream_key(job_log.job_id), encode(live)))
    return commands
