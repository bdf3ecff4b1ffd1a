"""What the answer to a conversation says, piece by piece, for doors that do not show it as chunks.

A job tells its answer in choices of completion chunks, and in snapshots of all so far. `Said` takes
both and gives the pieces that are new. The first choice alone counts: these doors have no others.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

PieceKind = Literal["reasoning", "block", "text", "refusal", "call", "arguments"]
TEXTS: Mapping[str, PieceKind] = {
    "reasoning_content": "reasoning", "content": "text", "refusal": "refusal",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Piece:
    """One thing that was said.

    `text`: what is added to the reasoning, the text, the refusal, or the arguments of the tool call
    at place `call`. `told`: of a `call`, which begins, its `id` and `name`; of a `block`, an
    Anthropic thinking block with its signature. `logprobs`: those of this text.
    """

    kind: PieceKind
    text: str = ""
    call: int = 0
    told: dict[str, Any] = field(default_factory=dict)
    logprobs: Sequence[dict[str, Any]] = ()


class _Call:
    """A tool call under way; it begins once its name is known."""

    __slots__ = ("id", "name", "parts", "waiting")

    def __init__(self) -> None:
        self.id, self.name = "", ""
        self.parts: list[str] = []
        self.waiting: list[str] = []


class Said:
    """One attempt's answer so far. `finish_reason` and `stop_sequence`: why it ended, once told."""

    def __init__(self) -> None:
        self.finish_reason: str | None = None
        self.stop_sequence: str | None = None
        self.blocks: list[dict[str, Any]] = []
        self._texts: dict[str, list[str]] = {name: [] for name in TEXTS}
        self._calls: dict[int, _Call] = {}
        self._logprobs = 0

    @property
    def spoke(self) -> bool:
        """Whether anything was said that a client may have seen."""
        return bool(self.blocks or self._calls or any(self._texts.values()))

    def text(self, name: str = "content") -> str:
        """One of the texts so far, by its name in a message (`TEXTS`)."""
        return "".join(self._texts[name])

    def delta(self, data: bytes) -> list[Piece]:
        """The pieces in the data of a `delta` event: choices as JSON, one a line."""
        pieces: list[Piece] = []
        for line in data.split(b"\n"):
            choice = orjson.loads(line)
            if not choice.get("index"):
                pieces += self._choice(choice, choice.get("delta") or {})
        return pieces

    def snapshot(self, data: bytes) -> list[Piece] | None:
        """What the data of a `snapshot` event has beyond what was said; None if it contradicts
        that, as the answer of another attempt does."""
        for choice in orjson.loads(data)["choices"]:
            if not choice.get("index"):
                rest = self._rest(choice.get("message") or {})
                if rest is None:
                    return None
                told = (choice.get("logprobs") or {}).get("content") or []
                logprobs = {"content": told[self._logprobs :]}
                return list(self._choice({**choice, "logprobs": logprobs}, rest))
        return None if self.spoke else []

    def _rest(self, message: Mapping[str, Any]) -> dict[str, Any] | None:
        """A delta with what `message` has beyond what was said."""
        rest: dict[str, Any] = {"stop_sequence": message.get("stop_sequence")}
        for name in TEXTS:
            more = _beyond(message.get(name) or "", self.text(name))
            if more is None:
                return None
            rest[name] = more
        blocks, calls = message.get("thinking_blocks") or [], message.get("tool_calls") or []
        if len(blocks) < len(self.blocks) or len(calls) < len(self._calls):
            return None
        rest["thinking_blocks"] = blocks[len(self.blocks) :]
        rest["tool_calls"] = []
        for index, call in enumerate(calls):
            function, known = call.get("function") or {}, self._calls.get(index)
            said = "".join(known.parts + known.waiting) if known is not None else ""
            more = _beyond(function.get("arguments") or "", said)
            if more is None or (known is not None and known.name not in ("", function["name"])):
                return None
            function = {**function, "arguments": more}
            rest["tool_calls"].append({**call, "index": index, "function": function})
        return rest

    def _choice(self, choice: Mapping[str, Any], delta: Mapping[str, Any]) -> Iterator[Piece]:
        logprobs = (choice.get("logprobs") or {}).get("content") or ()
        self._logprobs += len(logprobs)
        for name, kind in TEXTS.items():
            text = delta.get(name)
            if text:
                self._texts[name].append(text)
                yield Piece(kind, text, logprobs=logprobs if kind == "text" else ())
            if kind == "reasoning":
                for block in delta.get("thinking_blocks") or ():
                    self.blocks.append(block)
                    yield Piece("block", told=block)
        for told in delta.get("tool_calls") or ():
            yield from self._call(told)
        self.stop_sequence = delta.get("stop_sequence") or self.stop_sequence
        self.finish_reason = choice.get("finish_reason") or self.finish_reason

    def _call(self, told: Mapping[str, Any]) -> Iterator[Piece]:
        place = self._place(told)
        call, function = self._calls.setdefault(place, _Call()), told.get("function") or {}
        call.id = told.get("id") or call.id
        begins = not call.name
        call.name = call.name or function.get("name") or ""
        if text := function.get("arguments"):
            call.waiting.append(text)
        if not call.name:
            return
        if begins:
            yield Piece("call", call=place, told={"id": call.id, "name": call.name})
        if call.waiting:
            yield Piece("arguments", "".join(call.waiting), call=place)
            call.parts += call.waiting
            call.waiting = []

    def _place(self, told: Mapping[str, Any]) -> int:
        """The place of the call that a delta belongs to. Without an index, an id not seen before
        opens a call."""
        index = told.get("index")
        if index is not None:
            return int(index)
        last = max(self._calls, default=-1)
        places = {call.id: place for place, call in self._calls.items()}
        return places.get(told["id"], last + 1) if told.get("id") else max(last, 0)


def _beyond(whole: str, said: str) -> str | None:
    return whole[len(said) :] if whole.startswith(said) else None
