"""Output items of a response while they are streamed, and the events that they make."""

from collections.abc import Mapping
from typing import Any

from app.dialects.responses.answer import (
    Origin,
    function_call_item,
    message_item,
    output_text,
    reasoning_item,
    text_logprob,
)
from app.dialects.said import Piece

Told = dict[str, Any]


class Content:
    """A message, or an item of reasoning if it `reasons`, under way. `place`: its `output_index`;
    `done`: the whole item once it is closed."""

    # By kind of piece: what a part is called, the key of its text, the name of its events.
    KINDS: Mapping[str, tuple[str, str, str]] = {
        "reasoning": ("reasoning_text", "text", "response.reasoning_text"),
        "text": ("output_text", "text", "response.output_text"),
        "refusal": ("refusal", "refusal", "response.refusal"),
    }

    def __init__(self, name: str, place: int, origin: Origin, reasons: bool) -> None:
        self.name, self.place, self.reasons = name, place, reasons
        self.blocks: list[Told] = []
        self.done: Told | None = None
        self._origin = origin
        self._parts: list[Told] = []
        self._kind = ""
        self._texts: list[str] = []
        self._logprobs: list[Told] = []

    def item(self, status: str) -> Told:
        if self.reasons:
            return reasoning_item(self.name, self._parts, self.blocks, self._origin, status)
        return message_item(self.name, self._parts, status)

    def add(self, piece: Piece) -> list[Told]:
        """Adds text; begins a part where it is of another kind than the last."""
        made = [] if piece.kind == self._kind else [*self._end_part(), self._begin_part(piece)]
        self._texts.append(piece.text)
        delta = self._told(".delta") | {"delta": piece.text}
        if self._kind == "text":
            self._logprobs += piece.logprobs
            delta["logprobs"] = [text_logprob(entry) for entry in piece.logprobs]
        return [*made, delta]

    def close(self, status: str) -> list[Told]:
        made = self._end_part()
        self.done = self.item(status)
        return [*made, item_event("done", self.place, self.done)]

    def _begin_part(self, piece: Piece) -> Told:
        self._kind, self._texts, self._logprobs = piece.kind, [], []
        self._parts.append(self._part(""))
        return self._told(None) | {"type": "response.content_part.added", "part": self._part("")}

    def _end_part(self) -> list[Told]:
        if not self._kind:
            return []
        text, (_, key, _) = "".join(self._texts), self.KINDS[self._kind]
        self._parts[-1] = part = self._part(text)
        done = self._told(".done") | {key: text}
        if self._kind == "text":
            done["logprobs"] = part["logprobs"]
        ended = self._told(None) | {"type": "response.content_part.done", "part": part}
        self._kind = ""
        return [done, ended]

    def _part(self, text: str) -> Told:
        if self._kind == "text":
            return output_text(text, self._logprobs)
        kind, key, _ = self.KINDS[self._kind]
        return {"type": kind, key: text}

    def _told(self, suffix: str | None) -> Told:
        kind = None if suffix is None else self.KINDS[self._kind][2] + suffix
        return {
            "type": kind, "item_id": self.name, "output_index": self.place,
            "content_index": len(self._parts) - 1,
        }  # fmt: skip


class FunctionCall:
    """A function call under way; it stays open until the end, since calls may come interleaved."""

    def __init__(self, name: str, place: int, call: str, function: str) -> None:
        self.name, self.place = name, place
        self.done: Told | None = None
        self._call, self._function = call, function
        self._arguments: list[str] = []

    def item(self, status: str) -> Told:
        arguments = "".join(self._arguments)
        return function_call_item(self.name, self._call, self._function, arguments, status)

    def add(self, piece: Piece) -> list[Told]:
        self._arguments.append(piece.text)
        return [self._told("delta") | {"delta": piece.text}]

    def close(self, status: str) -> list[Told]:
        arguments = {"arguments": "".join(self._arguments), "name": self._function}
        self.done = self.item(status)
        return [self._told("done") | arguments, item_event("done", self.place, self.done)]

    def _told(self, what: str) -> Told:
        return {
            "type": f"response.function_call_arguments.{what}", "item_id": self.name,
            "output_index": self.place,
        }  # fmt: skip


def item_event(what: str, place: int, item: Told) -> Told:
    """The event that an item was `added` or is `done`."""
    return {"type": f"response.output_item.{what}", "output_index": place, "item": item}
