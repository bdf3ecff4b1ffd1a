"""A stored chat completion as a response object."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.dialects.responses.items import input_items, sealed
from app.dialects.responses.request import SEALED
from app.ids import unix_s

ID_PREFIX = "resp_"
INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Why a response is incomplete, by the finish reason of the chat completion."""

ERRORS = {
    "rate_limit_exceeded": "rate_limit_exceeded",
    "provider_refused": "invalid_prompt",
    "model_not_found": "invalid_prompt",
}
"""OpenAI's codes, of which there is a fixed list, by those of a job's error; the job's own stands
beside as `reason`."""

_GOES_BACK = ("refusal", "tool_calls", "thinking_blocks")
"""What of an answer a provider takes back beside its text."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a response is shown with beside its answer: the job's id and model, and the chat request
    that `chat_request` made of what the client asked. `routing`: how the model was chosen, where
    the router did."""

    job_id: str
    model: str
    request: Mapping[str, Any]
    routing: Mapping[str, Any] | None = None

    def answered(self, told: Mapping[str, Any]) -> "Origin":
        """The same with the model that answers, if `told`, a completion or the data of an event,
        says which one was chosen."""
        routing = told.get("routing")
        if routing is None:
            return self
        return replace(self, model=routing["answered_model"], routing=routing)

    @property
    def suffix(self) -> str:
        """What the ids of the response and its items end with."""
        return self.job_id.removeprefix("job_")

    @property
    def background(self) -> bool:
        return self.request.get("background") is True

    @property
    def routed(self) -> bool:
        """Whether the router chooses the model."""
        return "router" in self.request["asked"]

    @property
    def includes_sealed(self) -> bool:
        """Whether the client wants what it needs to send reasoning back."""
        return SEALED in (self.request["asked"].get("include") or ())


def response_object(
    origin: Origin,
    status: str,
    output: Sequence[Mapping[str, Any]] = (),
    usage: Mapping[str, Any] | None = None,
    error: Mapping[str, Any] | None = None,
    finish_reason: str | None = None,
) -> dict[str, Any]:
    """The response object. `status` completed becomes incomplete where the `finish_reason` says
    so; `usage` is that of a chat completion."""
    reason = INCOMPLETE.get(finish_reason or "") if status == "completed" else None
    return {
        "id": ID_PREFIX + origin.suffix,
        "object": "response",
        "created_at": int(unix_s(origin.job_id)),
        "status": "incomplete" if reason else status,
        "error": _error(error),
        "incomplete_details": {"reason": reason} if reason else None,
        "model": origin.model,
        "output": list(output),
        **_echo(origin),
        "usage": None if usage is None else response_usage(usage),
        **({} if origin.routing is None else {"routing": origin.routing}),
    }


def _error(error: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if error is None:
        return None
    reason = error.get("code") or "internal_error"
    code = ERRORS.get(reason, "server_error")
    return {"message": "The response failed.", **error, "code": code, "reason": reason}


def _echo(origin: Origin) -> dict[str, Any]:
    """The request's own fields, with what holds where it left one out."""
    chat, asked = origin.request, origin.request["asked"]
    reasoning = {"effort": None, "summary": None, **asked.get("reasoning", {})}
    return {
        "background": origin.background,
        "instructions": chat["messages"][0]["content"] if asked["instructions"] else None,
        "max_output_tokens": chat.get("max_completion_tokens"),
        "max_tool_calls": None,
        "metadata": chat.get("metadata") or {},
        "parallel_tool_calls": chat.get("parallel_tool_calls", True),
        "previous_response_id": asked.get("previous_response_id"),
        "prompt_cache_key": chat.get("prompt_cache_key"),
        "prompt_cache_retention": chat.get("prompt_cache_retention"),
        "reasoning": reasoning,
        "safety_identifier": chat.get("safety_identifier"),
        "service_tier": chat.get("service_tier"),
        "store": chat.get("store", True),
        "temperature": chat.get("temperature"),
        "text": {"format": _format(chat), "verbosity": chat.get("verbosity")},
        "tool_choice": _tool_choice(chat.get("tool_choice", "auto")),
        "tools": [_tool(tool["function"]) for tool in chat.get("tools", ())],
        "top_logprobs": chat.get("top_logprobs", 0),
        "top_p": chat.get("top_p"),
        "truncation": asked.get("truncation", "disabled"),
        "user": chat.get("user"),
    }


def _tool(function: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "function", "parameters": None, "strict": None, **function}


def _format(chat: Mapping[str, Any]) -> dict[str, Any]:
    told = chat.get("response_format") or {"type": "text"}
    return {"type": told["type"], **told.get("json_schema", {})}


def _tool_choice(choice: Any) -> Any:
    if isinstance(choice, dict):
        return {"type": "function", "name": choice["function"]["name"]}
    return choice


def response_usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    """A chat completion's usage in the words of a response; costs and times stay as they are."""
    prompt = usage.get("prompt_tokens_details") or {}
    completion = usage.get("completion_tokens_details") or {}
    chats = (
        "prompt_tokens", "prompt_tokens_details", "completion_tokens", "total_tokens",
        "completion_tokens_details",
    )  # fmt: skip
    return {
        "input_tokens": usage.get("prompt_tokens", 0),
        "input_tokens_details": {
            "cached_tokens": prompt.get("cached_tokens") or 0,
            "cache_write_tokens": prompt.get("cache_write_tokens") or 0,
        },
        "output_tokens": usage.get("completion_tokens", 0),
        "output_tokens_details": {"reasoning_tokens": completion.get("reasoning_tokens") or 0},
        "total_tokens": usage.get("total_tokens", 0),
        **{name: value for name, value in usage.items() if name not in chats},
    }


def output_items(
    choice: Mapping[str, Any], origin: Origin, status: str = "completed"
) -> list[dict[str, Any]]:
    """What a whole chat choice says, as output items of this status."""
    message = choice["message"]
    return list(_output(message, choice.get("logprobs") or {}, origin, status))


def _output(
    message: Mapping[str, Any], logprobs: Mapping[str, Any], origin: Origin, status: str
) -> Iterator[dict[str, Any]]:
    reasoning, blocks = message.get("reasoning_content"), message.get("thinking_blocks")
    if reasoning or blocks:
        parts = [{"type": "reasoning_text", "text": reasoning}] if reasoning else []
        yield reasoning_item(item_id("rs", origin), parts, blocks or [], origin, status)
    content = []
    if message.get("content"):
        content.append(output_text(message["content"], logprobs.get("content") or []))
    if message.get("refusal"):
        content.append({"type": "refusal", "refusal": message["refusal"]})
    if content:
        yield message_item(item_id("msg", origin), content, status)
    for index, call in enumerate(message.get("tool_calls") or ()):
        function = call.get("function") or {}
        yield function_call_item(
            item_id("fc", origin, index), call_id(call.get("id"), origin, index),
            function.get("name") or "", function.get("arguments") or "", status,
        )  # fmt: skip


def item_id(prefix: str, origin: Origin, index: int = 0) -> str:
    """The id of a response's item, the first of its kind or a later one."""
    return f"{prefix}_{origin.suffix}" + (f"_{index}" if index else "")


def call_id(told: str | None, origin: Origin, index: int) -> str:
    """The id by which a tool's output names its call, where the provider gave none too."""
    return told or f"call_{origin.suffix}_{index}"


def output_text(text: str, logprobs: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """A part of a message."""
    told = [text_logprob(entry) for entry in logprobs]
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": told}


def text_logprob(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A token's log probability in a chat completion, with all that one of a response has."""
    tops = [text_logprob(other) for other in entry.get("top_logprobs") or ()]
    told = {"token": entry["token"], "logprob": entry["logprob"]}
    return {**told, "bytes": entry.get("bytes") or [], "top_logprobs": tops}


def message_item(name: str, content: Sequence[Mapping[str, Any]], status: str) -> dict[str, Any]:
    """A message as an output item."""
    return {
        "id": name, "type": "message", "role": "assistant", "status": status,
        "content": list(content),
    }  # fmt: skip


def function_call_item(
    name: str, call: str, function: str, arguments: str, status: str
) -> dict[str, Any]:
    """A function call as an output item; `call` is the id that its output names."""
    return {
        "id": name, "type": "function_call", "status": status, "call_id": call, "name": function,
        "arguments": arguments,
    }  # fmt: skip


def reasoning_item(
    name: str, parts: Sequence[Mapping[str, Any]], blocks: Sequence[Mapping[str, Any]],
    origin: Origin, status: str,
) -> dict[str, Any]:  # fmt: skip
    """Reasoning as an output item, sealed too where the client asked for that."""
    seal = sealed(blocks) if blocks and origin.includes_sealed else None
    return {
        "id": name, "type": "reasoning", "status": status, "summary": [], "content": list(parts),
        "encrypted_content": seal,
    }  # fmt: skip


def whole_response(completion: Mapping[str, Any], origin: Origin) -> dict[str, Any]:
    """The response object of a job that has answered with `completion`."""
    choice = completion["choices"][0]
    usage = completion.get("usage")
    return ended_response(origin.answered(completion), "completed", choice, usage, None)


def ended_response(
    origin: Origin,
    status: str,
    choice: Mapping[str, Any] | None,
    usage: Mapping[str, Any] | None,
    error: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The response object of a job that has ended, with what it said in `choice`, if anything."""
    reason = choice.get("finish_reason") if choice is not None else None
    whole = status == "completed" and reason not in INCOMPLETE
    said = "completed" if whole else "incomplete"
    output = output_items(choice, origin, said) if choice is not None else []
    return response_object(origin, status, output, usage, error, reason)


def conversation(
    request: Mapping[str, Any], completion: Mapping[str, Any]
) -> list[Mapping[str, Any]]:
    """The chat messages of a response for one that goes on from it: without its instructions."""
    messages = request["messages"][1 if request["asked"]["instructions"] else 0 :]
    said = completion["choices"][0]["message"]
    message = {"role": "assistant", "content": said.get("content")}
    return [*messages, message | {name: said[name] for name in _GOES_BACK if said.get(name)}]


def asked_items(origin: Origin) -> list[dict[str, Any]]:
    """The input items that came with the request itself."""
    messages = origin.request["messages"][origin.request["asked"]["own"] :]
    return input_items(messages, origin.suffix)
