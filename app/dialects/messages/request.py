"""A request to `/v1/messages` as a chat completion request.

What a message is shown with and a chat request has no place for stands under `asked`:
`stop_sequences`, to tell whether one of them has ended the answer.
"""

from collections.abc import Mapping
from typing import Any

from app.dialects.messages.blocks import assistant_message, texts, user_messages
from app.dialects.reading import known_keys, text_at, unmarked, wrong

SAME = (
    "model", "max_tokens", "temperature", "top_p", "top_k", "background", "cancel_on_disconnect",
    "provider", "fallbacks", "models", "cost_weight", "session_id", "store",
)  # fmt: skip
"""Fields that a chat request has by the same name."""

NAMES = {
    "stop": "stop_sequences",
    "reasoning_effort": "thinking",
    "response_format": "output_config.format",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
    "messages": "messages",
}
"""What a chat request's fields are called here, where they are called otherwise."""

EFFORTS = ((4_096, "low"), (16_384, "medium"))
"""The effort that a budget of thinking tokens up to so many stands for; a greater one is high."""

DEFAULT_EFFORT = "high"
"""Anthropic's, of a model that chooses itself how long to think
(https://platform.claude.com/docs/en/build-with-claude/effort)."""

_TOOL = frozenset({
    "type", "name", "description", "input_schema", "strict", "cache_control",
    "eager_input_streaming",
})  # fmt: skip
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_TIERS = {"standard_only": "default"}


def chat_request(wanted: Mapping[str, Any], marks: bool = False) -> dict[str, Any]:
    """The chat request for a message's fields. `marks`: whether all who may answer take back what
    `unmarked` leaves out. Raises InvalidRequest, naming the field as the client knows it."""
    chat = {name: wanted[name] for name in SAME if wanted.get(name) is not None}
    messages = _messages(wanted)
    chat["messages"] = messages if marks else unmarked(messages)
    stops = wanted.get("stop_sequences")
    if stops:
        chat["stop"] = stops
    if tier := _TIERS.get(wanted.get("service_tier") or ""):
        chat["service_tier"] = tier
    metadata = {k: v for k, v in (wanted.get("metadata") or {}).items() if v is not None}
    if user := metadata.pop("user_id", None):
        chat["safety_identifier" if marks else "user"] = user
    if metadata:
        chat["metadata"] = metadata
    _thinking(chat, wanted.get("thinking") or {}, wanted.get("output_config") or {})
    if marks and (wanted.get("thinking") or {}).get("type") == "disabled":
        chat["reasoning_effort"] = "none"
    _tools(chat, wanted)
    chat["asked"] = {"stop_sequences": stops or []}
    return chat


def _messages(wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if wanted.get("system"):
        found.append({"role": "system", "content": texts(wanted["system"], "system")})
    for index, message in enumerate(wanted["messages"]):
        at = f"messages.{index}"
        known_keys(message, frozenset({"role", "content"}), at)
        role, content = message.get("role"), message.get("content")
        if role == "user":
            found += user_messages(content, f"{at}.content")
        elif role == "assistant":
            found.append(assistant_message(content, f"{at}.content"))
        elif role == "system":
            found.append({"role": "system", "content": texts(content, f"{at}.content")})
        else:
            raise wrong(f"{at}.role", "must be one of user, assistant, system.")
    return found


def _thinking(chat: dict[str, Any], thinking: Mapping[str, Any], output: Mapping[str, Any]) -> None:
    budget = thinking.get("budget_tokens")
    if thinking.get("type") == "enabled":
        if budget is None:
            raise wrong("thinking.budget_tokens", "a number of tokens must stand here.")
        if budget >= chat.get("max_tokens", budget + 1):
            raise wrong("thinking.budget_tokens", "must be less than max_tokens.")
        efforts = [effort for most, effort in EFFORTS if budget <= most]
        chat["reasoning_effort"] = [*efforts, "high"][0]
    elif budget is not None:
        raise wrong("thinking.budget_tokens", "goes with the type enabled alone.")
    if thinking.get("type") == "adaptive":
        chat["reasoning_effort"] = DEFAULT_EFFORT
    if output.get("effort") is not None:
        chat["reasoning_effort"] = output["effort"]
    if output.get("format") is not None:
        given = output["format"]
        known_keys(given, frozenset({"type", "schema"}), "output_config.format")
        if given.get("type") != "json_schema" or not isinstance(given.get("schema"), dict):
            raise wrong("output_config.format", "must be a json_schema with its schema.")
        schema = {"name": "answer", "schema": given["schema"], "strict": True}
        chat["response_format"] = {"type": "json_schema", "json_schema": schema}


def _tools(chat: dict[str, Any], wanted: Mapping[str, Any]) -> None:
    tools = wanted.get("tools")
    if tools:
        chat["tools"] = [_tool(tool, f"tools.{index}") for index, tool in enumerate(tools)]
    choice = wanted.get("tool_choice")
    if choice is None:
        return
    kind = choice.get("type")
    known_keys(choice, frozenset({"type", "name", "disable_parallel_tool_use"}), "tool_choice")
    if kind == "tool":
        name = text_at(choice, "name", "tool_choice")
        chat["tool_choice"] = {"type": "function", "function": {"name": name}}
    elif isinstance(kind, str) and kind in _CHOICES:
        chat["tool_choice"] = _CHOICES[kind]
    else:
        raise wrong("tool_choice.type", "must be one of auto, any, tool, none.")
    if choice.get("disable_parallel_tool_use"):
        chat["parallel_tool_calls"] = False


def _tool(tool: Mapping[str, Any], at: str) -> dict[str, Any]:
    if tool.get("type") not in (None, "custom"):
        raise wrong(
            f"{at}.type",
            f"{tool['type']!r} is not available here: a tool is a custom one, of your own.",
        )
    known_keys(tool, _TOOL, at)
    if not isinstance(tool.get("input_schema"), dict):
        raise wrong(f"{at}.input_schema", "a JSON schema must stand here.")
    function = {"name": text_at(tool, "name", at), "parameters": tool["input_schema"]}
    for name in ("description", "strict"):
        if tool.get(name) is not None:
            function[name] = tool[name]
    return {"type": "function", "function": function}
