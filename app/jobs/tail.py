"""A job's events from any point to its end, whatever happens to Redis or the worker meanwhile.

The log is followed live; when it is silent or has a hole, Postgres says how the job stands, and a
`snapshot` stands for what the log no longer holds.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any

import orjson

from app.errors import MoonpoolError, Unavailable
from app.events.follow import Follower, LogReader
from app.events.hub import Hub
from app.events.log import TERMINAL, Event, EventId
from app.jobs.model import CONTEXT, END_STATES, JobRow
from app.jobs.service import Jobs

FIRST_LOOK_S = 2.0
LONGEST_LOOK_S = 10.0
NOTHING: Mapping[str, Any] = MappingProxyType({})


class Tail:
    """One reader's way through one job's events. Create it before the job is admitted, or call
    `catch_up` first. `ended` is true once the terminal event has been given."""

    def __init__(
        self, jobs: Jobs, hub: Hub, reader: LogReader, job_id: str, tenant_id: str, last: EventId
    ) -> None:
        self.job_id, self.tenant_id, self.ended = job_id, tenant_id, False
        self._jobs = jobs
        self._follower = Follower(hub, reader, job_id, last)
        self._look_s = FIRST_LOOK_S
        self._look_at = time.monotonic() + FIRST_LOOK_S

    @property
    def result(self) -> bytes | None:
        """The whole completion, where it came with the terminal event."""
        return self._follower.result

    def cancel(self) -> None:
        """Cancels the job for a reader that has gone; tells nobody if it cannot."""
        with suppress(MoonpoolError):
            self._jobs.cancel(self._jobs.find(self.job_id, self.tenant_id))

    def close(self) -> None:
        self._follower.close()

    def catch_up(self) -> list[Event]:
        """What the log holds already."""
        return self._passed(self._follower.catch_up())

    def stored(self) -> list[Event]:
        """How the job ended, as Postgres tells it; empty if it has not."""
        job = self._jobs.find(self.job_id, self.tenant_id)
        return self._passed(list(self._told(job))) if job.state in END_STATES else []

    def wait(self, timeout_s: float) -> list[Event]:
        """The next events; empty if none came in time."""
        events = self._passed(self._follower.wait(timeout_s))
        if events:
            self._look_s = FIRST_LOOK_S
            self._look_at = time.monotonic() + self._look_s
        elif not self.ended and (self._follower.hole or time.monotonic() >= self._look_at):
            events = self._look()
        return events

    def _passed(self, events: list[Event]) -> list[Event]:
        self.ended = self.ended or any(event.name in TERMINAL for event in events)
        return events

    def _look(self) -> list[Event]:
        """Asks Postgres how the job stands."""
        self._look_s = min(self._look_s * 1.5, LONGEST_LOOK_S)
        self._look_at = time.monotonic() + self._look_s
        try:
            job = self._jobs.find(self.job_id, self.tenant_id)
        except Unavailable:
            return []
        if job.state in END_STATES:
            events = self.catch_up()
            return events if self.ended else events + self._passed(list(self._told(job)))
        if self._follower.hole and job.owner is not None:
            self._jobs.tell_worker(job.owner, f"snapshot {job.id}")
        return []

    def _told(self, job: JobRow) -> Iterator[Event]:
        """The end of a job as Postgres tells it."""
        end = EventId(job.attempt, job.last_seq) if job.last_seq else EventId(job.attempt + 1, 1)
        snapshot_at = EventId(end.attempt, end.seq - 2)
        if job.body is not None and self._follower.last < snapshot_at:
            body = orjson.loads(job.body)
            yield Event(snapshot_at, "snapshot", snapshot(body.get("choices", []), body))
        usage_at = EventId(end.attempt, end.seq - 1)
        if job.usage is not None and self._follower.last < usage_at:
            yield Event(usage_at, "usage", orjson.dumps(job.usage))
        data = {"job_id": job.id, "status": job.state, "error": job.error}
        yield Event(end, job.state, orjson.dumps(data))


def snapshot(choices: list[dict[str, object]], body: Mapping[str, Any] = NOTHING) -> bytes:
    """The data of a `snapshot` event: the answer so far, the text of its first choice, and what
    `body` tells of its context."""
    message = choices[0].get("message") if choices else None
    text = message.get("content") if isinstance(message, dict) else None
    told = {name: body[name] for name in CONTEXT if name in body}
    return orjson.dumps({"text": text or "", "choices": choices, **told})
