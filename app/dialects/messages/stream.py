"""The events of Anthropic's stream, made of a job's events.

Blocks come one after the other, so a call is closed where the next begins. A delta for a closed one
is told as an error: the message would be wrong.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from app.dialects.messages.answer import message_object, message_usage, stop_of, tool_id
from app.dialects.said import Piece, Said

Told = dict[str, Any]


class Interleaved(Exception):
    """Pieces of a tool call came after another block had begun."""


class Events:
    """Makes a stream's events of a job's, but for those that tell an error. `spoke`: whether
    anything was said."""

    def __init__(self, job_id: str, model: str) -> None:
        self._job_id, self._model = job_id, model
        self._said = Said()
        self._usage: Mapping[str, Any] = {}
        self._routing: Mapping[str, Any] | None = None
        self._place = -1
        # What the open block is: a kind of piece, with the place of a call.
        self._open: tuple[str, int] | None = None
        self._calls = 0
        self._started = False

    @property
    def spoke(self) -> bool:
        return self._said.spoke

    def snapshot(self, data: bytes) -> list[Told] | None:
        """The events for what a snapshot has beyond what was said; None if it contradicts that."""
        pieces = self._said.snapshot(data)
        return None if pieces is None else [*self.start(), *self._all(pieces)]

    def delta(self, data: bytes) -> list[Told]:
        """The events of a delta. Raises Interleaved."""
        return [*self.start(), *self._all(self._said.delta(data))]

    def usage(self, data: bytes) -> None:
        self._usage = orjson.loads(data)

    def chosen(self, data: bytes) -> None:
        """Takes which model answers from the data of a `context` or `snapshot` event."""
        if routing := orjson.loads(data).get("routing"):
            self._model, self._routing = routing["answered_model"], routing

    def start(self) -> Iterator[Told]:
        """The event that begins the message, once. What was used is not known before its end."""
        if not self._started:
            self._started = True
            message = message_object(self._job_id, self._model, routing=self._routing)
            yield {"type": "message_start", "message": message}

    def completed(self) -> list[Told]:
        """The events that end a message which is whole."""
        stop = stop_of(self._said.finish_reason or "stop", self._said.stop_sequence)
        return [
            *self.start(),
            *self._close(),
            {"type": "message_delta", "delta": stop, "usage": message_usage(self._usage)},
            {"type": "message_stop"},
        ]

    def _all(self, pieces: list[Piece]) -> list[Told]:
        return [event for piece in pieces for event in self._one(piece)]

    def _one(self, piece: Piece) -> Iterator[Told]:
        if piece.kind == "block":
            yield from self._block(piece.told)
        elif piece.kind == "call":
            self._calls += 1
            name = tool_id(piece.told["id"], self._job_id, self._calls - 1)
            block = {"type": "tool_use", "id": name, "name": piece.told["name"], "input": {}}
            yield from self._begin("call", piece.call, block)
        elif piece.kind == "arguments":
            if self._open != ("call", piece.call):
                raise Interleaved
            yield self._delta({"type": "input_json_delta", "partial_json": piece.text})
        elif piece.kind == "reasoning":
            yield from self._begin("reasoning", 0, {"type": "thinking", "thinking": ""})
            yield self._delta({"type": "thinking_delta", "thinking": piece.text})
        else:
            yield from self._begin("text", 0, {"type": "text", "text": "", "citations": None})
            yield self._delta({"type": "text_delta", "text": piece.text})

    def _block(self, block: Mapping[str, Any]) -> Iterator[Told]:
        """A thinking block that is whole. Its text was streamed before, unless nothing was."""
        if block["type"] == "thinking":
            thinks = self._open == ("reasoning", 0)
            yield from self._begin("reasoning", 0, {"type": "thinking", "thinking": ""})
            if not thinks:
                yield self._delta({"type": "thinking_delta", "thinking": block["thinking"]})
            yield self._delta({"type": "signature_delta", "signature": block["signature"]})
        else:
            yield from self._begin("redacted", 0, dict(block))
        yield from self._close()

    def _begin(self, kind: str, call: int, block: Told) -> Iterator[Told]:
        if self._open == (kind, call):
            return
        yield from self._close()
        self._open, self._place = (kind, call), self._place + 1
        if kind == "reasoning":
            block["signature"] = ""
        yield {"type": "content_block_start", "index": self._place, "content_block": block}

    def _close(self) -> Iterator[Told]:
        if self._open is not None:
            self._open = None
            yield {"type": "content_block_stop", "index": self._place}

    def _delta(self, delta: Told) -> Told:
        return {"type": "content_block_delta", "index": self._place, "delta": delta}
