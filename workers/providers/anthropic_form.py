"""A chat request in the form of Anthropic's Messages API.

Sources: https://platform.claude.com/docs/en/api/messages, and of the pages beside it "Structured
outputs", "Tool use", "Thinking" and "Effort"; the types of anthropic-sdk-python 2.12.
"""

import re
from typing import Any

from workers.providers.base import Call
from workers.providers.conversation import (
    Function,
    Part,
    calls_of,
    decoded,
    file_of,
    format_of,
    functions_of,
    image_of,
    max_tokens_of,
    objects_at,
    parts_of,
    refused,
    stops_of,
    text_of,
    tool_choice_of,
)

JSON_TOOL = "answer_in_json"
"""The tool that stands for `response_format` `json_object`: the API has structured output for a
schema alone, and the input of a tool that must be called is a JSON object of any form."""

IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
EFFORTS = {
    "minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh",
    "max": "max",
}  # fmt: skip
BUDGETS = {"minimal": 0.1, "low": 0.2, "medium": 0.5, "high": 0.8, "xhigh": 0.95, "max": 0.95}
"""The share of an answer's tokens that may be thoughts, for models that take a budget of tokens and
no effort. OpenRouter's rule: https://openrouter.ai/docs/use-cases/reasoning-tokens."""

BUDGET_MIN = 1024
"""Anthropic's least budget; it must be below `max_tokens`."""

Block = dict[str, Any]


def body_of(call: Call) -> dict[str, Any]:
    """The body of a request, without `stream`. Raises ProviderError for what the API cannot do.

    `call.parameters["thinking"]` says how the model thinks: `adaptive` (the default; it takes an
    effort), `always` (adaptive, and it cannot be told not to, nor to call a tool), or `budget` (it
    takes a number of tokens).
    """
    request = call.request
    system, messages = _conversation(request)
    limit = max_tokens_of(request) or call.max_output
    body: dict[str, Any] = {"model": call.model, "max_tokens": limit, "messages": messages}
    if system:
        body["system"] = system
    if stops := stops_of(request):
        body["stop_sequences"] = stops
    if identifier := request.get("safety_identifier"):
        body["metadata"] = {"user_id": identifier}
    _add_sampling(body, request)
    _add_tools(body, request)
    _add_format(body, request)
    _add_thinking(body, request, str(call.parameters.get("thinking", "adaptive")))
    return body


def _add_sampling(body: dict[str, Any], request: dict[str, Any]) -> None:
    for name in ("temperature", "top_p"):
        # 1 is what the API does anyway, and newer models refuse these fields whatever their value.
        if request.get(name) not in (None, 1):
            body[name] = request[name]
    if request.get("top_k") is not None:
        body["top_k"] = request["top_k"]
    if body.get("temperature", 0) > 1:
        raise refused("this provider's temperature ends at 1", "temperature")


def _add_tools(body: dict[str, Any], request: dict[str, Any]) -> None:
    functions = functions_of(request)
    choice, named = tool_choice_of(request, functions)
    if not functions:
        # Calls in a conversation are refused where no tool is declared.
        known = {block["name"]: None for block in _blocks(body["messages"], "tool_use")}
        body |= {"tools": [_tool(name) for name in known]} if known else {}
        choice = "none"
    else:
        body["tools"] = [_declared(function) for function in functions]
    if "tools" not in body:
        return
    kinds = {"auto": "auto", "none": "none", "required": "any", "named": "tool"}
    told: dict[str, Any] = {"type": kinds[choice]}
    if named:
        told["name"] = named
    if request.get("parallel_tool_calls") is False and choice != "none":
        told["disable_parallel_tool_use"] = True
    if told != {"type": "auto"}:
        body["tool_choice"] = told


def _tool(name: str) -> dict[str, Any]:
    return {"name": name, "input_schema": {"type": "object"}}


def _declared(function: Function) -> dict[str, Any]:
    tool: dict[str, Any] = {"name": function.name, "input_schema": function.parameters}
    if function.description:
        tool["description"] = function.description
    if function.strict:
        tool["strict"] = True
    return _cached(tool, function.body)


def _add_format(body: dict[str, Any], request: dict[str, Any]) -> None:
    wanted, schema = format_of(request)
    if wanted == "json_schema":
        body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    if wanted != "json_object":
        return
    tools = body.get("tools", [])
    if body.get("tool_choice", {}).get("type") in ("none", "tool"):
        tools, body["tool_choice"] = [], {"type": "tool", "name": JSON_TOOL}
    else:
        body["tool_choice"] = {**body.get("tool_choice", {}), "type": "any"}
    about = "Give the answer. Its input, a JSON object, is the whole answer."
    body["tools"] = [*tools, {**_tool(JSON_TOOL), "description": about}]


def _add_thinking(body: dict[str, Any], request: dict[str, Any], way: str) -> None:
    effort = request.get("reasoning_effort")
    forced = body.get("tool_choice", {}).get("type") in ("any", "tool")
    as_json = any(tool["name"] == JSON_TOOL for tool in body.get("tools", ()))
    field = "response_format" if as_json else "tool_choice"
    if effort not in (None, "none", *EFFORTS):
        raise refused(f"effort is none, {', '.join(EFFORTS)}", "reasoning_effort")
    if way == "always" and effort == "none":
        raise refused("this model cannot answer without thinking", "reasoning_effort")
    if forced and (way == "always" or effort not in (None, "none")):
        raise refused("a model of this provider that thinks cannot be made to call a tool", field)
    if way == "budget":
        _add_budget(body, effort)
    elif forced or effort == "none":
        body["thinking"] = {"type": "disabled"}
    elif effort is not None:
        body["thinking"] = {"type": "adaptive", "display": "summarized"}
        body["output_config"] = {**body.get("output_config", {}), "effort": EFFORTS[effort]}
    if effort in EFFORTS:
        _unless_sampled(body)


def _add_budget(body: dict[str, Any], effort: str | None) -> None:
    if effort in (None, "none"):
        return
    limit = body["max_tokens"]
    if limit <= BUDGET_MIN:
        raise refused(f"thinking needs more than {BUDGET_MIN} max_tokens", "reasoning_effort")
    budget = max(int(limit * BUDGETS[str(effort)]), BUDGET_MIN)
    body["thinking"] = {"type": "enabled", "budget_tokens": budget}


def _unless_sampled(body: dict[str, Any]) -> None:
    for name in ("temperature", "top_k"):
        if name in body:
            raise refused("a model of this provider that thinks has no such field", name)


def _blocks(messages: list[dict[str, Any]], kind: str) -> list[Block]:
    return [block for one in messages for block in one["content"] if block["type"] == kind]


def _conversation(request: dict[str, Any]) -> tuple[list[Block], list[dict[str, Any]]]:
    """The system prompt and the turns. All instructions go to the one, wherever they stand: only
    the newest models take them in between. Messages of one role in a row are one turn, as results
    of tools must be."""
    system: list[Block] = []
    turns: list[dict[str, Any]] = []
    for at, message in enumerate(request["messages"]):
        path, role = f"messages.{at}", message["role"]
        if role in ("system", "developer"):
            system += [_text(part) for part in parts_of(message, path) if part.text]
            continue
        if role == "assistant":
            blocks = _assistant(message, path)
        elif role == "tool":
            role, blocks = "user", [_result(message, path)]
        elif role == "user":
            blocks = _content(message, path)
            if not blocks:
                raise refused("this provider takes no empty message", f"{path}.content")
        else:
            raise refused("this provider has no such role", f"{path}.role")
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    if not turns:
        raise refused("this provider needs a message of the user", "messages")
    return system, turns


def _assistant(message: dict[str, Any], path: str) -> list[Block]:
    blocks = [
        block
        for block in objects_at(message.get("thinking_blocks"), f"{path}.thinking_blocks")
        # The API takes back its own thoughts alone, which it knows by their signature.
        if block.get("signature") or block.get("type") == "redacted_thinking"
    ]
    blocks += _content(message, path)
    for called in calls_of(message, path):
        block = {"type": "tool_use", "id": _id(called.id), "name": called.name}
        blocks.append(_cached({**block, "input": called.arguments}, called.body))
    return blocks


def _result(message: dict[str, Any], path: str) -> Block:
    told = str(message.get("tool_call_id") or "")
    block: Block = {"type": "tool_result", "tool_use_id": _id(told)}
    if content := _content(message, path):
        plain = all(part.keys() == {"type", "text"} for part in content)
        block["content"] = text_of(message, path) if plain else content
    return _cached(block, message)


def _id(told: str) -> str:
    """An id of a call as the API takes it: letters, digits, `_` and `-`."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", told) or "call"


def _content(message: dict[str, Any], path: str) -> list[Block]:
    blocks = [_block(part) for part in parts_of(message, path)]
    return [block for block in blocks if block.get("text") != ""]


def _block(part: Part) -> Block:
    if part.kind == "image_url":
        return _cached({"type": "image", "source": _image(part)}, part.body)
    if part.kind == "file":
        return _cached(_document(part), part.body)
    if part.kind == "input_audio":
        raise refused("this provider does not hear", f"{part.path}.type")
    return _text(part)


def _text(part: Part) -> Block:
    return _cached({"type": "text", "text": part.text}, part.body)


def _image(part: Part) -> dict[str, Any]:
    found = image_of(part)
    if isinstance(found, str):
        return {"type": "url", "url": found}
    if found.media_type not in IMAGES:
        raise refused("an image is JPEG, PNG, GIF or WebP", f"{part.path}.image_url")
    return {"type": "base64", "media_type": found.media_type, "data": found.data}


def _document(part: Part) -> Block:
    found, name = file_of(part)
    source = {"type": "base64", "media_type": found.media_type, "data": found.data}
    if found.media_type.startswith("text/"):
        text = decoded(found, f"{part.path}.file.file_data")
        source = {"type": "text", "media_type": "text/plain", "data": text}
    elif found.media_type != "application/pdf":
        raise refused("a file is PDF or text", f"{part.path}.file.file_data")
    return {"type": "document", "source": source, **({"title": name} if name else {})}


def _cached(block: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    """With the mark of a cache that the client set, by the name that the API has for it."""
    mark = told.get("cache_control")
    return {**block, "cache_control": mark} if type(mark) is dict else block
