"""A job's events as OpenAI's stream of completion chunks.

Only `data:` frames, no ids: openai-python parses a comment that follows an `id:` as an empty event
and fails. A keep-alive is a comment line without the blank line. A stream that is cut looks whole
to the SDK, so each abnormal end says so in an error frame.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from app.errors import Cancelled
from app.events.log import TERMINAL, Event
from app.jobs.model import Draft
from app.jobs.tail import Tail
from app.web.delivery import Forget, when_sent
from app.web.problems import from_job_error
from app.web.sse import PING_S, TICK_S, client_gone

DONE = b"data: [DONE]\n\n"
PING = b": ping\n"


class ChunkStream:
    """The chunks of one job. `leave`: cancel the job if the client goes before the end. `forget` is
    called once the end has been sent."""

    def __init__(
        self, tail: Tail, draft: Draft, usage: bool, leave: bool,
        environ: dict[str, Any], forget: Forget | None = None,
    ) -> None:  # fmt: skip
        self._tail, self._draft = tail, draft
        self._usage, self._leave, self._environ = usage, leave, environ
        self._head = self._rest = b""
        self._sent_text = False
        self._over = False
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
                raise from_job_error(_error_in(first[-1].data))
        except BaseException:
            self._tail.close()
            raise
        return self._frames(first)

    def _hold(self, first: list[Event], events: Sequence[Event]) -> None:
        """Adds events to those that are not sent yet: what they discard is not sent at all."""
        for event in events:
            if event.name in ("restarted", "snapshot"):
                first.clear()
            if not self._begins(event):
                first.append(event)

    def _over_or_spoken(self, first: list[Event]) -> bool:
        return self._tail.ended or any(event.name != "usage" for event in first)

    def _begins(self, event: Event) -> bool:
        """Takes what the chunks share from an attempt's first event, which itself is not sent."""
        if event.name not in ("started", "restarted"):
            return False
        if event.name == "restarted" and self._sent_text:
            return False
        self._begin(orjson.loads(event.data))
        return True

    def _begin(self, told: dict[str, Any]) -> None:
        head = {
            "id": "chatcmpl-" + self._draft.id.removeprefix("job_"),
            "object": "chat.completion.chunk",
            "created": told.get("created", 0),
            "model": self._draft.model,
            "system_fingerprint": None,
        }
        self._head = b"data: " + orjson.dumps(head)[:-1] + b',"choices":['
        self._rest = b'],"usage":null}\n\n' if self._usage else b"]}\n\n"

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
        silent_since = time.monotonic()
        while True:
            out = b"".join([self._frame(event) for event in events])
            if out:
                yield out
                silent_since = time.monotonic()
            elif time.monotonic() - silent_since >= PING_S:
                yield PING
                silent_since = time.monotonic()
            if self._over:
                return
            events = self._tail.wait(TICK_S)
            if not events and self._left():
                return

    def _frame(self, event: Event) -> bytes:
        name, data = event.name, event.data
        if self._over:
            return b""
        if self._forget is not None and name in TERMINAL:
            self._delivers = not client_gone(self._environ)
        if name == "delta":
            self._sent_text = True
            if not self._head:
                self._begin({"created": int(time.time())})
            between = self._rest + self._head
            return self._head + data.replace(b"\n", between) + self._rest
        if name == "snapshot" and not self._sent_text:
            self._sent_text = True
            return self._as_chunks(orjson.loads(data)["choices"])
        if name == "usage":
            if not self._usage:
                return b""
            return self._head + b'],"usage":' + data + b"}\n\n"
        if name == "completed":
            self._over = True
            return DONE
        if name == "started" or (name == "restarted" and self._begins(event)):
            return b""
        return self._abnormal(event)

    def _as_chunks(self, choices: list[dict[str, Any]]) -> bytes:
        """Whole choices, one chunk each: the job had spoken before this client came."""
        if not self._head:
            self._begin({"created": int(time.time())})
        frames = []
        for choice in choices:
            delta = {k: v for k, v in choice["message"].items() if v is not None}
            for index, call in enumerate(delta.get("tool_calls", ())):
                call.setdefault("index", index)
            chunk = {**choice, "delta": delta}
            del chunk["message"]
            frames.append(self._head + orjson.dumps(chunk) + self._rest)
        return b"".join(frames)

    def _abnormal(self, event: Event) -> bytes:
        """The error frame of a stream that cannot go on."""
        self._over = True
        if event.name in ("restarted", "snapshot"):
            place = f"/v1/jobs/{self._draft.id}/events"
            error = from_job_error({
                "message": "The stream was interrupted and its answer begins anew; "
                f"the job goes on at {place}.",
                "code": "stream_interrupted",
            })  # fmt: skip
        elif event.name == "cancelled":
            error = Cancelled("The job was cancelled.")
        else:
            error = from_job_error(_error_in(event.data))
        return b"data: " + orjson.dumps({"error": error.body()}) + b"\n\n"

    def _left(self) -> bool:
        if not client_gone(self._environ):
            return False
        self._cancel()
        return True

    def _cancel(self) -> None:
        if self._leave and not self._tail.ended:
            self._tail.cancel()


def _error_in(data: bytes) -> Any:
    """The error object in a terminal event's data."""
    return orjson.loads(data).get("error")
