"""A request to `/v1/responses` as a chat completion request.

What a response is shown with and a chat request has no place for stands under `asked`: `own`, the
place of the first message that came with this request itself, `instructions`, whether the first
message of all is such, and the fields of `_KEPT`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from app.dialects.reading import known_keys, text_at, unmarked, wrong
from app.dialects.responses.items import chat_messages

SAME = (
    "model", "temperature", "top_p", "parallel_tool_calls", "metadata", "user", "store",
    "service_tier", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "background",
    "cancel_on_disconnect", "provider", "fallbacks", "models", "cost_weight", "session_id",
)  # fmt: skip
"""Fields that a chat request has by the same name."""

NAMES = {
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "verbosity": "text.verbosity",
    "reasoning_effort": "reasoning.effort",
    "logprobs": "include",
    "messages": "input",
}
"""What a chat request's fields are called here, where they are called otherwise."""

LOGPROBS = "message.output_text.logprobs"
SEALED = "reasoning.encrypted_content"
_KEPT = ("previous_response_id", "truncation", "include")
_TOOL = frozenset({"type", "name", "description", "parameters", "strict"})
_FORMATS: Mapping[str, frozenset[str]] = {
    "text": frozenset({"type"}),
    "json_object": frozenset({"type"}),
    "json_schema": frozenset({"type", "name", "schema", "strict", "description"}),
}


def chat_request(
    wanted: Mapping[str, Any], before: Sequence[Mapping[str, Any]] = (), marks: bool = False
) -> dict[str, Any]:
    """The chat request for a response's fields, its conversation after the messages `before`.
    `marks`: whether all who may answer take back what `unmarked` leaves out. Raises
    InvalidRequest, naming the field as the client knows it."""
    chat = {name: wanted[name] for name in SAME if wanted.get(name) is not None}
    instructions = wanted.get("instructions")
    head = [{"role": "system", "content": instructions}] if instructions is not None else []
    own = chat_messages(wanted["input"])
    if not marks:
        before, own = unmarked(before), unmarked(own)
    if not own:
        raise wrong("input", "at least one message must stand here.")
    chat["messages"] = [*head, *before, *own]
    if wanted.get("max_output_tokens") is not None:
        chat["max_completion_tokens"] = wanted["max_output_tokens"]
    if effort := (wanted.get("reasoning") or {}).get("effort"):
        chat["reasoning_effort"] = effort
    if LOGPROBS in (wanted.get("include") or ()) or wanted.get("top_logprobs"):
        chat["logprobs"] = True
        chat["top_logprobs"] = wanted.get("top_logprobs") or 0
    _text(chat, wanted.get("text") or {})
    _tools(chat, wanted)
    kept = {name: wanted[name] for name in _KEPT if wanted.get(name) is not None}
    chat["asked"] = {**kept, "own": len(head) + len(before), "instructions": bool(head)}
    if wanted.get("reasoning"):
        chat["asked"]["reasoning"] = wanted["reasoning"]
    return chat


def _text(chat: dict[str, Any], text: Mapping[str, Any]) -> None:
    if text.get("verbosity") is not None:
        chat["verbosity"] = text["verbosity"]
    given = text.get("format")
    if given is None:
        return
    kind = given.get("type")
    if not isinstance(kind, str) or kind not in _FORMATS:
        raise wrong("text.format.type", f"must be one of {', '.join(_FORMATS)}.")
    known_keys(given, _FORMATS[kind], "text.format")
    if kind == "json_object":
        chat["response_format"] = {"type": kind}
    if kind == "json_schema":
        text_at(given, "name", "text.format")
        if not isinstance(given.get("schema"), dict):
            raise wrong("text.format.schema", "a JSON schema must stand here.")
        schema = {k: v for k, v in given.items() if k != "type" and v is not None}
        chat["response_format"] = {"type": kind, "json_schema": schema}


def _tools(chat: dict[str, Any], wanted: Mapping[str, Any]) -> None:
    tools = wanted.get("tools")
    if tools:
        chat["tools"] = [_tool(tool, f"tools.{index}") for index, tool in enumerate(tools)]
    choice = wanted.get("tool_choice")
    if isinstance(choice, dict):
        if choice.get("type") != "function":
            raise wrong("tool_choice.type", f"{choice.get('type')!r} is not supported.")
        known_keys(choice, frozenset({"type", "name"}), "tool_choice")
        name = text_at(choice, "name", "tool_choice")
        chat["tool_choice"] = {"type": "function", "function": {"name": name}}
    elif choice is not None:
        if choice not in ("none", "auto", "required"):
            raise wrong("tool_choice", "must be none, auto, required or an object.")
        chat["tool_choice"] = choice


def _tool(tool: Mapping[str, Any], at: str) -> dict[str, Any]:
    if tool.get("type") != "function":
        raise wrong(
            f"{at}.type",
            f"{tool.get('type')!r} is not available here: a tool is a function of your own.",
        )
    known_keys(tool, _TOOL, at)
    text_at(tool, "name", at)
    function = {k: v for k, v in tool.items() if k != "type" and v is not None}
    return {"type": "function", "function": function}
