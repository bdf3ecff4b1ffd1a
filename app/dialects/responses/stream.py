"""The events of a response's stream, made of its job's events alone: whoever reads the same log
gets the same events with the same numbers, so a client may go on after any of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from app.dialects.responses.answer import INCOMPLETE, Origin, call_id, item_id, response_object
from app.dialects.responses.open_items import Content, FunctionCall, Told, item_event
from app.dialects.said import Piece, Said

ENDS = frozenset({"completed", "failed", "cancelled", "expired"})
LAST = frozenset({"response.completed", "response.incomplete", "response.failed", "error"})
"""The events that a connection ends with. After `error` the answer begins anew."""

INTERRUPTED = "stream_interrupted"


class Events:
    """Makes a stream's events of a job's. `spoke`: whether the attempt in hand has said a word."""

    def __init__(self, origin: Origin) -> None:
        self._asked = self._origin = origin
        self._number = 0
        self._opened = self._running = False
        self._usage: Mapping[str, Any] | None = None
        self._begin_answer()

    def _begin_answer(self) -> None:
        self._said = Said()
        self._items: list[Content | FunctionCall] = []
        self._content: Content | None = None
        self._calls: dict[int, FunctionCall] = {}

    @property
    def spoke(self) -> bool:
        return self._said.spoke

    def feed(self, name: str, data: bytes = b"") -> list[Told]:
        """The events that a job's event, or `queued`, stands for."""
        made = self._feed(name, data)
        for event in made:
            event["sequence_number"] = self._number
            self._number += 1
        return made

    def _feed(self, name: str, data: bytes) -> list[Told]:
        made = self._open()
        if name not in ("queued", "failed", "cancelled", "expired"):
            made += self._run()
        if name == "delta":
            return made + self._add(self._said.delta(data))
        if name == "snapshot":
            pieces = self._said.snapshot(data)
            if pieces is None:
                made += self._again()
                pieces = self._said.snapshot(data) or []
            self._chosen(data)
            return made + self._add(pieces)
        if name == "restarted" and self.spoke:
            return made + self._again()
        if name == "usage":
            self._usage = orjson.loads(data)
        if name == "context":
            self._chosen(data)
        return made + (self._end(name, orjson.loads(data)) if name in ENDS else [])

    def _open(self) -> list[Told]:
        if self._opened:
            return []
        self._opened = True
        if not self._origin.background:
            return [self._response("created", "in_progress"), *self._run()]
        return [self._response("created", "queued"), self._response("queued", "queued")]

    def _run(self) -> list[Told]:
        if self._running:
            return []
        self._running = True
        return [self._response("in_progress", "in_progress")]

    def _again(self) -> list[Told]:
        """The answer begins anew: what was said no longer holds."""
        self._begin_answer()
        self._origin = self._asked
        return [
            {
                "type": "error",
                "code": INTERRUPTED,
                "message": "The stream was interrupted and its answer begins anew: what came so "
                "far no longer holds. Resume with starting_after this event's sequence_number.",
                "param": None,
            },
            self._response("created", "in_progress"),
            self._response("in_progress", "in_progress"),
        ]

    def _chosen(self, data: bytes) -> None:
        """Takes which model answers, where the router chose it."""
        if self._asked.routed:
            self._origin = self._asked.answered(orjson.loads(data))

    def _response(self, name: str, status: str) -> Told:
        response = response_object(self._origin, status)
        return {"type": f"response.{name}", "response": response}

    def _add(self, pieces: Sequence[Piece]) -> list[Told]:
        return [event for piece in pieces for event in self._add_one(piece)]

    def _add_one(self, piece: Piece) -> list[Told]:
        if piece.kind == "call":
            return self._begin_call(piece)
        if piece.kind == "arguments":
            return self._calls[piece.call].add(piece)
        made: list[Told] = []
        reasons = piece.kind in ("reasoning", "block")
        content = self._content
        if content is None or content.reasons != reasons:
            made = self._end_content("completed")
            content = self._begin_content(reasons)
            made.append(item_event("added", content.place, content.item("in_progress")))
        if piece.kind == "block":
            content.blocks.append(piece.told)
            return made
        return made + content.add(piece)

    def _begin_content(self, reasons: bool) -> Content:
        prefix = "rs" if reasons else "msg"
        like = sum(isinstance(i, Content) and i.reasons == reasons for i in self._items)
        name = item_id(prefix, self._origin, like)
        self._content = Content(name, len(self._items), self._origin, reasons)
        self._items.append(self._content)
        return self._content

    def _end_content(self, status: str) -> list[Told]:
        content, self._content = self._content, None
        return [] if content is None else content.close(status)

    def _begin_call(self, piece: Piece) -> list[Told]:
        made = self._end_content("completed")
        index = len(self._calls)
        call = FunctionCall(
            item_id("fc", self._origin, index), len(self._items),
            call_id(piece.told["id"], self._origin, index), piece.told["name"],
        )  # fmt: skip
        self._calls[piece.call] = call
        self._items.append(call)
        return [*made, item_event("added", call.place, call.item("in_progress"))]

    def _end(self, state: str, data: Mapping[str, Any]) -> list[Told]:
        reason = self._said.finish_reason
        whole = state == "completed" and reason not in INCOMPLETE
        status = "completed" if whole else "incomplete"
        made = [e for item in self._items if item.done is None for e in item.close(status)]
        response = response_object(
            self._origin, "failed" if state == "expired" else state,
            [item.done for item in self._items if item.done is not None],
            self._usage or data.get("usage"), data.get("error"), reason,
        )  # fmt: skip
        name = response["status"] if state == "completed" else "failed"
        return [*made, {"type": f"response.{name}", "response": response}]
