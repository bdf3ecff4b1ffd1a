"""A job's events as the stream of a door: waits, keeps alive, notices a client that left. What the
frames look like is the business of the door's `Form`."""

import time
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import orjson

from app.errors import from_job_error
from app.events.log import TERMINAL, Event
from app.jobs.model import Draft
from app.jobs.tail import Tail
from app.web.delivery import Forget, when_sent
from app.web.head import LAST
from app.web.sse import PING_S, TICK_S, client_gone


class Form(Protocol):
    """How a door shows the events of a job. `over` is true once the last frame has been made."""

    over: bool
    ping: bytes

    def begins(self, event: Event) -> bool:
        """Whether `event` only opens an answer of which nothing was shown; keeps what it tells."""
        ...

    def frame(self, event: Event) -> bytes:
        """The frames of an event; empty where it shows nothing."""
        ...


class JobStream:
    """The frames of one job. `leave`: cancel the job if the client goes before the end. `forget` is
    called once the end has been sent."""

    def __init__(
        self, tail: Tail, draft: Draft, form: Form, leave: bool, environ: dict[str, Any],
        forget: Forget | None = None,
    ) -> None:  # fmt: skip
        self._tail, self._draft, self._form = tail, draft, form
        self._leave, self._environ = leave, environ
        self._forget, self._delivers = forget, False

    def started(self, told: Sequence[Event] = ()) -> Iterator[bytes]:
        """The frames, those of the events in `told` first, once one of them or ten seconds of
        silence are there. A job that fails before its first token raises here, so that the client
        gets a status and not a stream."""
        first: list[Event] = []
        self._hold(first, told)
        try:
            until = time.monotonic() + PING_S
            while not self._over_or_spoken(first) and time.monotonic() < until:
                self._hold(first, self._tail.wait(TICK_S))
                if not first and self._left():
                    break
            if first and first[0].name != "delta" and first[-1].name in ("failed", "expired"):
                when_sent(self._forget)
                raise from_job_error(error_in(first[-1].data))
        except BaseException:
            self._tail.close()
            raise
        return self._frames(first)

    def _hold(self, first: list[Event], events: Sequence[Event]) -> None:
        """Adds events to those that are not sent yet: what they discard is not sent at all."""
        for event in events:
            if event.name in ("restarted", "snapshot"):
                first.clear()
            if not self._form.begins(event):
                first.append(event)

    def _over_or_spoken(self, first: list[Event]) -> bool:
        return self._tail.ended or any(event.name != "usage" for event in first)

    def _frames(self, events: list[Event]) -> Iterator[bytes]:
        try:
            yield from self._all(events)
            if self._forget is not None and self._delivers:
                self._forget()
        except GeneratorExit:
            # The server closes the generator when a write has failed: the client has left.
            self._cancel()
            raise
        finally:
            self._tail.close()

    def _all(self, events: list[Event]) -> Iterator[bytes]:
        form, silent_since = self._form, time.monotonic()
        while True:
            out = b"".join([self._frame(event) for event in events])
            if out:
                if form.over:
                    self._environ[LAST] = True
                yield out
                silent_since = time.monotonic()
            elif time.monotonic() - silent_since >= PING_S:
                yield form.ping
                silent_since = time.monotonic()
            if form.over:
                return
            events = self._tail.wait(TICK_S)
            if not events and self._left():
                return

    def _frame(self, event: Event) -> bytes:
        if self._form.over:
            return b""
        if self._forget is not None and event.name in TERMINAL:
            self._delivers = not client_gone(self._environ)
        return self._form.frame(event)

    def _left(self) -> bool:
        if not client_gone(self._environ):
            return False
        self._cancel()
        return True

    def _cancel(self) -> None:
        if self._leave and not self._tail.ended:
            self._tail.cancel()


def error_in(data: bytes) -> Any:
    """The error object in a terminal event's data."""
    return orjson.loads(data).get("error")
