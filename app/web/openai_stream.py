"""A job's events as OpenAI's stream of completion chunks.

Only `data:` frames, no ids: openai-python parses a comment that follows an `id:` as an empty event
and fails. A keep-alive is a comment line without the blank line. A stream that is cut looks whole
to the SDK, so each abnormal end says so in an error frame.
"""

import time
from typing import Any

import orjson

from app.errors import Cancelled, MoonpoolError, from_job_error
from app.events.log import Event
from app.jobs.model import CONTEXT, Draft
from app.uniroute.model import AUTO
from app.web.job_stream import error_in

DONE = b"data: [DONE]\n\n"
GOES_ON = b'"finish_reason":null'
"""In a choice that is not its last: as bare as this it stands in no text, whose quotes are
escaped."""


class Chunks:
    """The form of the chat door; `usage`: whether a last chunk tells the usage."""

    ping = b": ping\n"
    prefix, kind = "chatcmpl-", "chat.completion.chunk"

    def __init__(self, draft: Draft, usage: bool) -> None:
        self.over = False
        self._draft, self._usage = draft, usage
        self._head = self._rest = self._context = b""
        self._sent_text = False
        self._model, self._created = draft.model, 0

    def begins(self, event: Event) -> bool:
        """Takes what the chunks share from an attempt's first event, and what the last chunk of a
        choice tells beside it from `context`; neither is sent itself."""
        if event.name == "context":
            self._tell(event.data)
            return True
        if event.name not in ("started", "restarted"):
            return False
        if event.name == "restarted" and self._sent_text:
            return False
        self._begin(orjson.loads(event.data))
        return True

    def _tell(self, context: bytes) -> None:
        """Takes what the last chunk of a choice is to tell; of a routed job also its model."""
        self._context = b"," + context[1:-1]
        if self._draft.model == AUTO and not self._sent_text:
            routing = orjson.loads(context).get("routing") or {}
            self._model = routing.get("answered_model", self._model)
            self._begin({"created": self._created or int(time.time())})

    def _begin(self, told: dict[str, Any]) -> None:
        self._created = told.get("created", 0)
        head = {
            "id": self.prefix + self._draft.id.removeprefix("job_"),
            "object": self.kind,
            "created": self._created,
            "model": self._model,
            "system_fingerprint": None,
        }
        self._head = b"data: " + orjson.dumps(head)[:-1] + b',"choices":['
        self._rest = b'],"usage":null}\n\n' if self._usage else b"]}\n\n"

    def frame(self, event: Event) -> bytes:
        """The chunks of an event, or the error frame of one that a stream cannot go on after."""
        name, data = event.name, event.data
        if name == "delta":
            self._sent_text = True
            if not self._head:
                self._begin({"created": int(time.time())})
            if self._context:
                return b"".join([self._with_context(choice) for choice in data.split(b"\n")])
            between = self._rest + self._head
            return self._head + data.replace(b"\n", between) + self._rest
        if name == "snapshot" and not self._sent_text:
            told = orjson.loads(data)
            if context := {name: told[name] for name in CONTEXT if name in told}:
                self._tell(orjson.dumps(context))
            self._sent_text = True
            return self._as_chunks(told["choices"])
        if name == "usage":
            if not self._usage:
                return b""
            return self._head + b'],"usage":' + data + b"}\n\n"
        if name == "completed":
            self.over = True
            return DONE
        if name in ("started", "restarted", "context") and self.begins(event):
            return b""
        self.over = True
        return b"data: " + orjson.dumps({"error": abnormal(event, self._draft).body()}) + b"\n\n"

    def _with_context(self, choice: bytes) -> bytes:
        if GOES_ON in choice or b'"finish_reason"' not in choice:
            return self._head + choice + self._rest
        return self._head + choice + b"]" + self._context + self._rest[1:]

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
            frames.append(self._with_context(orjson.dumps(chunk)))
        return b"".join(frames)


def abnormal(event: Event, draft: Draft) -> MoonpoolError:
    """Why a stream cannot go on after `event`: a terminal one but `completed`, or `restarted` or
    `snapshot` after text that a client of this door cannot take back."""
    if event.name in ("restarted", "snapshot"):
        return from_job_error({
            "message": "The stream was interrupted and its answer begins anew; "
            f"the job goes on at /v1/jobs/{draft.id}/events.",
            "code": "stream_interrupted",
        })  # fmt: skip
    if event.name == "cancelled":
        return Cancelled("The job was cancelled.")
    return from_job_error(error_in(event.data))
