"""A response's events over SSE: as they come, and from any of them on."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
from flask import Response, request

from app.dialects.responses.open_items import Told
from app.dialects.responses.stream import ENDS, INTERRUPTED, LAST, Events
from app.events.log import QUEUED, Event, EventId
from app.jobs.forget import WRITTEN_S
from app.jobs.model import Draft, JobRow
from app.jobs.tail import Tail, snapshot
from app.web.delivery import Forget, forgetting
from app.web.front import Front
from app.web.present import answer_headers
from app.web.results import origin_of
from app.web.sse import PING_S, TICK_S, client_gone, stream_response

PING = b": ping\n"


def frame_of(event: Told) -> bytes:
    """One event of a response as its frame."""
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps(event))


def _interrupts(event: Told) -> bool:
    return bool(event["type"] == "error" and event["code"] == INTERRUPTED)


def _since_anew(made: list[Told]) -> list[Told]:
    """Of events that nobody has seen, those of the answer that still holds."""
    last = max((place for place, event in enumerate(made) if _interrupts(event)), default=-1)
    return made[last + 1 :]


def _until_last(made: list[Told]) -> tuple[list[Told], bool]:
    """The events up to one that ends a connection, and whether there is one."""
    for place, event in enumerate(made):
        if event["type"] in LAST:
            return made[: place + 1], True
    return made, False


class ResponseFrames:
    """The form of the door. Events are numbered as they come, shown or not, so that the numbers
    are those that the log gives again."""

    ping = PING

    def __init__(self, draft: Draft) -> None:
        self.over = False
        self._events = Events(origin_of(draft))
        self._opening: list[Told] = []
        self._taken: set[EventId] = set()

    def begins(self, event: Event) -> bool:
        """Takes every event that comes before anything is sent."""
        self._opening = _since_anew(self._opening + self._events.feed(event.name, event.data))
        self._taken.add(event.id)
        return event.name in ("started", "restarted", "context")

    def frame(self, event: Event) -> bytes:
        """The frames of an event, after those that were held back."""
        made, self._opening = self._opening, []
        if event.id not in self._taken:
            made += self._events.feed(event.name, event.data)
        made, self.over = _until_last(made)
        return b"".join([frame_of(told) for told in made])


def follow(front: Front, job: JobRow, after: int | None) -> Response:
    """A stream of a response's events: those after number `after`, else from its start, or from
    where it last began anew."""
    tail = front.tail(job.id, job.tenant_id, QUEUED)
    follower = _Follower(front, tail, job, after, request.environ, forgetting(front, job))
    return stream_response(follower.frames(), answer_headers(job.id))


class _Follower:
    """One reader of a response, which may have ended."""

    def __init__(
        self, front: Front, tail: Tail, job: JobRow, after: int | None, environ: dict[str, Any],
        forget: Forget | None,
    ) -> None:  # fmt: skip
        self._front, self._tail, self._job, self._after = front, tail, job, after
        self._environ, self._forget = environ, forget
        self._events = Events(origin_of(job))
        self._opening = self._events.feed("queued")
        self._offset = 0
        self._begun = False

    def frames(self) -> Iterator[bytes]:
        """The frames until the answer ends or begins anew, or the client is gone."""
        try:
            yield from self._frames()
        finally:
            self._tail.close()

    def _frames(self) -> Iterator[bytes]:
        kept = self._tail.catch_up()
        made = self._made(kept or self._stored(), whole=bool(kept))
        if self._after is None:
            made = _since_anew(self._opened() + made)
        silent_since = time.monotonic()
        while True:
            made, last = _until_last([e for e in made if self._is_new(e)])
            there = not client_gone(self._environ)
            if made:
                yield b"".join([frame_of(event) for event in made])
                silent_since = time.monotonic()
            elif time.monotonic() - silent_since >= PING_S:
                yield PING
                silent_since = time.monotonic()
            if last or self._tail.ended or not there:
                if self._tail.ended and there and self._forget is not None:
                    self._forget()
                return
            made = self._made(self._tail.wait(TICK_S))

    def _stored(self) -> Sequence[Event]:
        """How the job ended, where its log is gone. That of one that has just ended may still come,
        and numbers its events otherwise."""
        ended_s = self._job.finished_s
        over = ended_s is not None and time.time() - ended_s > WRITTEN_S
        return self._tail.stored() if over else ()

    def _is_new(self, event: Told) -> bool:
        return self._after is None or event["sequence_number"] > self._after

    def _made(self, told: Sequence[Event], whole: bool = True) -> list[Told]:
        """The events that a job's events stand for. `whole`: they come from the log."""
        if not told:
            return []
        made: list[Told] = []
        if not self._begun:
            self._begun = True
            if self._after is not None and not (whole and told[0].id.seq == 1):
                # What the client has seen was numbered by a log that is gone: all comes anew.
                self._offset = self._after + 1
            made = self._opened()
        for event in told:
            if event.name in ENDS and not self._events.spoke:
                made += self._unheard()
            made += self._events.feed(event.name, event.data)
        for one in made:
            one["sequence_number"] += self._offset
        return made

    def _opened(self) -> list[Told]:
        """The events that open the stream, once."""
        opening, self._opening = self._opening, []
        return opening

    def _unheard(self) -> list[Told]:
        """What a job has said that wrote no deltas, since its client waited for the whole."""
        job = self._front.jobs.find(self._job.id, self._job.tenant_id)
        if job.body is None:
            return []
        body = orjson.loads(job.body)
        return self._events.feed("snapshot", snapshot(body["choices"], body))
