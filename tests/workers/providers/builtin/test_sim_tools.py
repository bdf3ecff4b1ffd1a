"""The simulator calls tools by the rule that its page states."""

import json
from typing import Any

import pytest

from workers.providers.base import ProviderError
from workers.providers.builtin.sim_tools import CALLS_MAX, tool_calls, tool_results


def tool(name: str, description: str = "", **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": [*properties]}
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


WEATHER = tool("get_weather", "Tells how warm it is.", location={"type": "string"})
CLOCK = tool("getLocalTimes", "The hour at a place.", city={"type": "string"})
DOUBLE = tool("double", "Twice a number.", x={"type": "number"})
TOOLS = [WEATHER, CLOCK, DOUBLE]


def said(*conversation: dict[str, Any], **request: Any) -> list[tuple[str, Any]]:
    asked = {"messages": [*conversation], "tools": TOOLS, **request}
    return [(call.name, json.loads(call.arguments)) for call in tool_calls(asked)]


def asks(text: str, **request: Any) -> list[tuple[str, Any]]:
    return said({"role": "user", "content": text}, **request)


def turn(*ids: str) -> list[dict[str, Any]]:
    """A question, calls of get_weather with these ids, and their results."""
    calls = [{"id": name, "type": "function", "function": {"name": "get_weather"}} for name in ids]
    return [
        {"role": "user", "content": "How is the weather?"},
        {"role": "assistant", "content": None, "tool_calls": calls},
        *({"role": "tool", "tool_call_id": name, "content": f"{name}: 21 C"} for name in ids),
    ]


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("Hello, how are you?", []),
        ("What is the weather in Paris?", [("get_weather", {"location": "Paris"})]),
        ("Tell me the local time in Rome", [("getLocalTimes", {"city": "Rome"})]),
        ("How warm is it in New York?", [("get_weather", {"location": "New York"})]),
        ("double(3)", [("double", {"x": 3})]),
        ("double(3), double(x=4.5), get_weather(Oslo)",
         [("double", {"x": 3}), ("double", {"x": 4.5}), ("get_weather", {"location": "Oslo"})]),
        ("Use double on 7", [("double", {"x": 7})]),
        ("The weather and the time in Rome, please",
         [("get_weather", {"location": "Rome"}), ("getLocalTimes", {"city": "Rome"})]),
        ("redouble the effort", []),
    ],
)  # fmt: skip
def test_a_tool_is_called_where_the_user_asks_for_it(text: str, calls: Any) -> None:
    assert asks(text) == calls


def test_the_choice_is_followed() -> None:
    weather = "What is the weather in Paris?"
    assert asks(weather, tool_choice="none") == []
    assert asks("Hello!", tool_choice="auto") == []
    assert asks("Hello!", tool_choice="required") == [("get_weather", {"location": "location"})]
    assert asks(weather, tool_choice="required") == [("get_weather", {"location": "Paris"})]
    named = {"type": "function", "function": {"name": "double"}}
    assert asks(weather, tool_choice=named) == [("double", {"x": 0})]
    for mode, calls in (("auto", []), ("required", [("double", {"x": 0})])):
        choice = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [named]}}
        assert asks(weather, tool_choice=choice) == calls


def test_one_call_at_a_time_where_that_is_asked() -> None:
    assert len(asks("double(1) double(2)", parallel_tool_calls=False)) == 1
    assert len(asks("double(1) " * (CALLS_MAX + 1))) == CALLS_MAX


def test_a_result_is_answered_in_text_unless_a_call_is_required() -> None:
    assert said(*turn("a")) == []
    assert said(*turn("a"), tool_choice="required") == [("getLocalTimes", {"city": "C"})]
    assert said(*turn("a"), {"role": "user", "content": "double(2)"}) == [("double", {"x": 2})]


def test_results_are_those_since_the_user_spoke() -> None:
    conversation = [*turn("a"), {"role": "user", "content": "And now?"}, *turn("b", "c")[1:]]
    assert tool_results(conversation) == [("get_weather", "b: 21 C"), ("get_weather", "c: 21 C")]


@pytest.mark.parametrize(
    ("request_fields", "field"),
    [
        ({"tools": [WEATHER, {"type": "custom", "custom": {"name": "x"}}]}, "tools.1.type"),
        ({"tools": [{"type": "function"}]}, "tools.0.function.name"),
        ({"tools": ["x"]}, "tools.0.type"),
        ({"tool_choice": "perhaps"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice"),
        ({"tool_choice": {"type": "custom", "custom": {"name": "x"}}}, "tool_choice"),
        ({"tools": [], "tool_choice": "required"}, "tool_choice"),
        ({"tools": None, "tool_choice": "required"}, "tool_choice"),
        ({"tools": [tool("double", x={"not": {}})]}, "tools.0.function.parameters"),
    ],
)
def test_what_it_cannot_call_is_refused_by_name(request_fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ProviderError) as caught:
        asks("double(2)", **request_fields)
    assert (caught.value.kind, caught.value.param) == ("invalid", field)


def test_a_tool_without_parameters_is_called_with_none() -> None:
    bare = {"type": "function", "function": {"name": "ping"}}
    assert asks("ping", tools=[bare]) == [("ping", {})]
