"""Merges the chunks of a stream into the completion that they spell out."""

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from workers.providers.base import Chunk, Completion, ProviderError


class _ToolCall:
    """One tool call under way: strings that come in pieces as lists, the rest as last told."""

    __slots__ = ("fields", "payloads")

    PIECEWISE = ("arguments", "input")

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.payloads: dict[str, dict[str, Any]] = {}

    def add(self, delta: dict[str, Any]) -> None:
        for key, value in delta.items():
            if key == "index" or value is None or value == "":
                continue
            if key in ("function", "custom"):
                self._add_payload(self.payloads.setdefault(key, {}), value)
            else:
                self.fields[key] = value

    def _add_payload(self, payload: dict[str, Any], delta: dict[str, Any]) -> None:
        for key, value in delta.items():
            if value is None:
                continue
            if key in self.PIECEWISE:
                payload.setdefault(key, []).append(_text(value, key))
            elif value != "":
                payload[key] = value

    def whole(self) -> dict[str, Any]:
        call = dict(self.fields)
        for name, payload in self.payloads.items():
            call[name] = {
                key: "".join(value) if key in self.PIECEWISE else value
                for key, value in payload.items()
            }
        return call


class _Choice:
    """One choice under way."""

    __slots__ = ("content", "extra", "finish_reason", "logprobs", "role", "texts", "tool_calls")

    def __init__(self) -> None:
        self.role = "assistant"
        self.content: list[str] | None = None
        self.texts: dict[str, list[str]] = {}
        self.extra: dict[str, Any] = {}
        self.tool_calls: dict[int, _ToolCall] = {}
        self.logprobs: dict[str, list[Any] | None] | None = None
        self.finish_reason: str | None = None

    def add_delta(self, delta: dict[str, Any]) -> None:
        for key, value in delta.items():
            if value is None:
                continue
            if key == "content":
                if self.content is None:
                    self.content = []
                self.content.append(_text(value, key))
            elif key == "role":
                self.role = _text(value, key) or self.role
            elif key == "tool_calls":
                for call in value:
                    self._tool_call(call).add(call)
            elif type(value) is str:
                self.texts.setdefault(key, []).append(value)
            elif type(value) is list:
                self.extra.setdefault(key, []).extend(value)
            elif type(value) is dict:
                self._add_object(self.extra.setdefault(key, {}), value)
            else:
                self.extra[key] = value

    @staticmethod
    def _add_object(known: dict[str, Any], delta: dict[str, Any]) -> None:
        for key, value in delta.items():
            if type(value) is str and type(known.get(key)) is str:
                known[key] += value
            elif value is not None:
                known[key] = value

    def _tool_call(self, delta: dict[str, Any]) -> _ToolCall:
        """The call `delta` belongs to. Without an index, an id not seen before opens a call."""
        index = delta.get("index")
        if index is None:
            last = max(self.tool_calls, default=-1)
            ids = {call.fields.get("id"): at for at, call in self.tool_calls.items()}
            index = ids.get(delta["id"], last + 1) if delta.get("id") else max(last, 0)
        return self.tool_calls.setdefault(index, _ToolCall())

    def add_logprobs(self, logprobs: dict[str, Any]) -> None:
        if self.logprobs is None:
            self.logprobs = {}
        for key, entries in logprobs.items():
            known = self.logprobs.setdefault(key, None)
            if known is not None:
                known.extend(entries or ())
            elif entries is not None:
                self.logprobs[key] = list(entries)

    def whole(self, index: int) -> dict[str, Any]:
        message: dict[str, Any] = {
            "role": self.role,
            "content": None if self.content is None else "".join(self.content),
        }
        message.update((key, "".join(parts)) for key, parts in self.texts.items())
        message.update(deepcopy(self.extra))
        if self.tool_calls:
            message["tool_calls"] = [self.tool_calls[at].whole() for at in sorted(self.tool_calls)]
        return {
            "index": index,
            "message": message,
            "logprobs": deepcopy(self.logprobs),
            "finish_reason": self.finish_reason,
        }


class Collector:
    """Builds whole choices out of chunk choices.

    The rules are those of OpenAI's streaming reference: strings of a delta (`content`, `refusal`,
    `reasoning_content`, …) and of its objects (`function_call`, `audio`) are concatenated, `role`
    is set, `tool_calls` are merged by `index` with `function.arguments` concatenated and the rest
    set, lists (`annotations`, and those of `logprobs`) are concatenated, and the last
    `finish_reason` that is not null stands. `add` is called for each chunk of each job: it only
    appends parts, which are joined when somebody asks.
    """

    __slots__ = ("_choices",)

    def __init__(self) -> None:
        self._choices: dict[int, _Choice] = {}

    def add(self, choices: list[dict[str, Any]]) -> None:
        """Takes the choices of one chunk; raises ProviderError `protocol` if malformed."""
        try:
            for choice in choices:
                index = choice.get("index") or 0
                merged = self._choices.get(index)
                if merged is None:
                    merged = self._choices[index] = _Choice()
                if delta := choice.get("delta"):
                    merged.add_delta(delta)
                if reason := choice.get("finish_reason"):
                    merged.finish_reason = reason
                if logprobs := choice.get("logprobs"):
                    merged.add_logprobs(logprobs)
        except (AttributeError, TypeError) as error:
            raise ProviderError("protocol", f"The stream has a malformed choice: {error}") from None

    def choices(self) -> list[dict[str, Any]]:
        """The choices so far, by index, with `message`, `logprobs` and `finish_reason`."""
        return [self._choices[index].whole(index) for index in sorted(self._choices)]

    def text(self, index: int = 0) -> str:
        """The content of one choice so far; empty where there is none."""
        choice = self._choices.get(index)
        return "".join(choice.content or ()) if choice else ""

    def finished(self) -> bool:
        """Whether at least one choice was seen and each seen one has its finish reason."""
        return bool(self._choices) and all(c.finish_reason for c in self._choices.values())


def collect(chunks: Iterable[Chunk]) -> Completion:
    """The completion a whole stream amounts to; the last usage told stands.

    Raises whatever the stream raises, and ProviderError `incomplete` if it ends before each
    choice has a finish reason.
    """
    collector = Collector()
    usage: dict[str, Any] | None = None
    for chunk in chunks:
        collector.add(chunk.choices)
        usage = chunk.usage or usage
    if not collector.finished():
        raise ProviderError("incomplete", "The stream ended without a finish reason.")
    return Completion(choices=collector.choices(), usage=usage)


def _text(value: Any, field: str) -> str:
    if type(value) is not str:
        raise TypeError(f"{field} is {type(value).__name__}, not a string")
    return value
