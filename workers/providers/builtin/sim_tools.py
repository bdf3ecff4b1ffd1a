"""Which tools the simulator calls, and with what arguments.

It goes by the last message of the user. A tool is asked for by its name, as written; or else by a
word of its name; or else the one is that shares the most words with its description and its
parameters. `name(…)` is a call of its own with what stands between the brackets. A result is
answered in text, unless a call is required.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from workers.providers.builtin.request import invalid, messages, text_of
from workers.providers.builtin.sim_findings import TEXT_MAX, Findings
from workers.providers.builtin.sim_schema import instance

CALLS_MAX = 8
_MENTION = re.compile(r"([\w-]+(?:\.[\w-]+)*)(?:\(([^()]*)\))?")
_WORD = re.compile(r"[^\W_]{3,}")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_COMMON = frozenset(_WORD.findall(
    "the and for with from this that what which who how are was will would can could you your "
    "get set use using tool function please value given return returns call input output not "
    "have has does did its any all about into out"
))  # fmt: skip
"""Words that say nothing of what a tool is for."""

_EMPTY = {"type": "object", "properties": {}}


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that may be called. `at` is its place among the tools of the request."""

    at: int
    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call: the name of a tool, and its arguments as JSON text."""

    name: str
    arguments: str


def tool_calls(request: dict[str, Any]) -> list[ToolCall]:
    """The calls that a request is answered with, none for an answer in text. Raises ProviderError
    `invalid` for tools or a choice that it cannot follow."""
    tools = _tools(request)
    tools, must = _chosen(tools, request.get("tool_choice") or "auto")
    conversation = messages(request)
    asked_last = bool(conversation) and conversation[-1].get("role") == "user"
    if not tools or not (must or asked_last):
        return []
    text = said_last(conversation, "user")
    asks = list(_asked(tools, text))
    if not asked_last:
        text = f"{results(conversation)}\n{text}"
        called = {name for name, _ in tool_results(conversation)}
        asks = [(tool, text) for tool in tools if tool.name not in called][:1]
    if must and not asks:
        asks = [(tools[0], text)]
    if request.get("parallel_tool_calls") is False:
        asks = asks[:1]
    return [_call(tool, part, bare=part is not text) for tool, part in asks[:CALLS_MAX]]


def said_last(conversation: list[dict[str, Any]], role: str) -> str:
    """The text of the last message of a role, cut short; empty if there is none."""
    for message in reversed(conversation):
        if message.get("role") == role:
            return text_of(message.get("content"))[:TEXT_MAX]
    return ""


def tool_results(conversation: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """The tools called since the user last spoke, by name, each with what it answered."""
    names: dict[str, str] = {}
    found: list[tuple[str, str]] = []
    for message in conversation:
        if message.get("role") == "user":
            found.clear()
        for call in _objects(message.get("tool_calls")):
            [function] = _objects([call.get("function")]) or [{}]
            names[str(call.get("id"))] = str(function.get("name", ""))
        if message.get("role") == "tool":
            name = names.get(str(message.get("tool_call_id"))) or str(message.get("name") or "tool")
            found.append((name, text_of(message.get("content"))[:TEXT_MAX]))
    return found


def results(conversation: list[dict[str, Any]]) -> str:
    """What the tools answered since the user last spoke, a line each."""
    return "\n".join(text for _, text in tool_results(conversation))


def _objects(told: Any) -> list[dict[str, Any]]:
    """The objects of a list; of anything else none."""
    return [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []


def _tools(request: dict[str, Any]) -> list[Tool]:
    given, tools = request.get("tools") or [], []
    if not isinstance(given, list):
        raise invalid("tools", "must be a list")
    for at, told in enumerate(given):
        if not isinstance(told, dict) or told.get("type", "function") != "function":
            raise invalid(f"tools.{at}.type", "the simulator calls functions only")
        function = told.get("function")
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise invalid(f"tools.{at}.function.name", "must be a string")
        parameters = function.get("parameters") or _EMPTY
        if not isinstance(parameters, dict):
            raise invalid(f"tools.{at}.function.parameters", "must be an object")
        description = str(function.get("description") or "")
        tools.append(Tool(at, function["name"], description, parameters))
    return tools


def _chosen(tools: list[Tool], choice: Any) -> tuple[list[Tool], bool]:
    """The tools that may be called, and whether one must be."""
    if choice == "required" and not tools:
        raise invalid("tool_choice", "needs tools to choose from")
    if choice in ("auto", "none", "required"):
        return ([] if choice == "none" else tools), choice == "required"
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        [allowed] = _objects([choice.get("allowed_tools")]) or [{}]
        named = [_named(tools, tool) for tool in _objects(allowed.get("tools"))]
        return named, allowed.get("mode") == "required"
    if isinstance(choice, dict) and choice.get("type") == "function":
        return [_named(tools, choice)], True
    raise invalid("tool_choice", "must be none, auto, required, or name a function")


def _named(tools: list[Tool], choice: dict[str, Any]) -> Tool:
    [function] = _objects([choice.get("function")]) or [{}]
    name = function.get("name")
    for tool in tools:
        if tool.name == name:
            return tool
    raise invalid("tool_choice", f"names {name!r}, which is none of the tools")


def _asked(tools: list[Tool], text: str) -> Iterator[tuple[Tool, str]]:
    """The tools that a text asks for, each with the text that its arguments stand in."""
    if literal := _written(tools, text):
        yield from literal
        return
    words = _words(text)
    by_name = [tool for tool in tools if words & _words(tool.name)]
    if not by_name:
        shared = [len(words & _words(f"{t.description} {_property_names(t)}")) for t in tools]
        best = max(shared, default=0)
        by_name = [tools[shared.index(best)]] if best else []
    yield from ((tool, text) for tool in by_name)


def _written(tools: list[Tool], text: str) -> list[tuple[Tool, str]]:
    """The tools whose names a text has, each with the text that its arguments are read from. One
    that never has brackets behind it counts once."""
    named = {tool.name: tool for tool in tools}
    found = [(named[m[1]], m[2]) for m in _MENTION.finditer(text) if m[1] in named]
    called = {tool.name for tool, part in found if part is not None}
    mentioned = dict.fromkeys(tool.name for tool, _ in found)
    calls = [(tool, part) for tool, part in found if part is not None]
    return calls + [(named[name], text) for name in mentioned if name not in called]


def _property_names(tool: Tool) -> str:
    properties = tool.parameters.get("properties")
    return " ".join(properties) if isinstance(properties, dict) else ""


def _words(text: str) -> set[str]:
    """The words that matter, in lower case and without a plural's s."""
    parts = _WORD.findall(_HUMP.sub(" ", text[:TEXT_MAX]).casefold().replace("_", " "))
    return {part.rstrip("s") if len(part) > 3 else part for part in parts} - _COMMON


def _call(tool: Tool, text: str, *, bare: bool) -> ToolCall:
    findings = Findings(text, bare=bare)
    field = f"tools.{tool.at}.function.parameters"
    arguments = instance({"type": "object", **tool.parameters}, findings, field)
    return ToolCall(tool.name, json.dumps(arguments, ensure_ascii=False))
