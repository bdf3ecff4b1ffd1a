"""Whatever a request holds, the simulator answers it or refuses it."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from workers.providers.base import Call, ProviderError
from workers.providers.builtin.sim import Sim

KEYS = st.sampled_from((
    "type", "function", "name", "parameters", "properties", "required", "items", "$ref", "anyOf",
    "allOf", "enum", "const", "minItems", "maxItems", "minLength", "pattern", "format", "minimum",
    "multipleOf", "uniqueItems", "additionalProperties", "json_schema", "schema", "tools", "mode",
    "allowed_tools", "role", "content", "tool_calls", "id", "tool_call_id", "text", "image_url",
    "url", "input_audio", "file", "description", "prefixItems", "minProperties", "oneOf",
))  # fmt: skip
VALUES = st.sampled_from((
    "", "object", "array", "string", "integer", "function", "json_schema", "json_object", "#",
    "#/properties/a", "user", "tool", "assistant", "get_weather", "auto", "required", "(", "[a-z]+",
    "date", "image_url", "input_audio", "file", "allowed_tools", 0, -1, 3, 2.5, 10**12, True, False,
    None,
))  # fmt: skip
JSON: st.SearchStrategy[Any] = st.recursive(
    VALUES,
    lambda part: st.lists(part, max_size=4) | st.dictionaries(KEYS, part, max_size=5),
    max_leaves=20,
)
FIELDS = st.sampled_from((
    "tools", "tool_choice", "response_format", "logprobs", "top_logprobs", "reasoning_effort",
    "parallel_tool_calls", "n", "stop", "max_tokens", "metadata",
))  # fmt: skip
OBJECTS = st.dictionaries(KEYS, JSON, max_size=6)
TOOLS = st.fixed_dictionaries({
    "type": st.just("function"),
    "function": st.fixed_dictionaries({"name": st.just("get_weather"), "parameters": OBJECTS}),
})  # fmt: skip
FORMS = st.fixed_dictionaries({
    "type": st.just("json_schema"), "json_schema": st.fixed_dictionaries({"schema": JSON}),
})  # fmt: skip


def ended(request: dict[str, Any]) -> object:
    """The last finish reason, or what the request was refused with."""
    try:
        chunks = list(Sim().stream(Call(request, "sim", {"tokens": 3})))
    except ProviderError as error:
        return error.kind, error.status
    return chunks[-1].choices[-1]["finish_reason"]


def holds(request: dict[str, Any]) -> None:
    assert ended(request) in ("stop", "length", "tool_calls", ("invalid", 400))


@given(st.lists(OBJECTS, max_size=4), st.dictionaries(FIELDS, JSON, max_size=5))
def test_any_request(messages: list[Any], fields: dict[str, Any]) -> None:
    holds({"messages": messages, **fields})


@given(TOOLS, FORMS)
def test_any_schema(tool: dict[str, Any], form: dict[str, Any]) -> None:
    said = [{"role": "user", "content": "get_weather(3) in 'Paris'"}]
    holds({"messages": said, "tools": [tool]})
    holds({"messages": said, "response_format": form})
