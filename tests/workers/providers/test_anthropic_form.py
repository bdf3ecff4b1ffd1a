"""A chat request in Anthropic's form: what the suite of all adapters (`test_adapters.py`) cannot
ask of everyone."""

from typing import Any

import pytest

from workers.providers.anthropic_form import JSON_TOOL, body_of
from workers.providers.base import Call, ProviderError

USER = {"role": "user", "content": "hi"}
PNG = "data:image/png;base64,iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}


def tool(name: str = "look", **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": SCHEMA, **more}}


def called(name: str = "look", told: str = "call_1", arguments: str = "{}") -> dict[str, Any]:
    return {"id": told, "type": "function", "function": {"name": name, "arguments": arguments}}


def asked(*messages: Any, parameters: dict[str, Any] | None = None, **fields: Any) -> Any:
    """The body that a request becomes."""
    return body_of(Call({"messages": [*messages] or [USER], **fields}, "claude", parameters or {}))


def turns(*messages: Any) -> Any:
    return asked(*messages)["messages"]


def refused(*messages: Any, **fields: Any) -> str | None:
    """The field that a refusal names."""
    with pytest.raises(ProviderError) as raised:
        asked(*messages, **fields)
    assert (raised.value.kind, raised.value.status) == ("invalid", 400)
    return raised.value.param


def test_the_answer_is_as_long_as_the_model_can_make_it_unless_the_client_says() -> None:
    call = Call({"messages": [USER]}, "claude", max_output=64_000)
    assert body_of(call)["max_tokens"] == 64_000
    assert asked(max_tokens=5)["max_tokens"] == 5
    assert asked(max_tokens=5, max_completion_tokens=7)["max_tokens"] == 7


def test_instructions_are_one_system_prompt_wherever_they_stand() -> None:
    told = asked(
        {"role": "system", "content": "one"},
        USER,
        {"role": "developer", "content": [{"type": "text", "text": "two"}]},
        {"role": "system", "content": ""},
    )
    assert [block["text"] for block in told["system"]] == ["one", "two"]
    assert told["messages"] == [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]


def test_messages_of_one_role_in_a_row_are_one_turn() -> None:
    told = turns(USER, USER, {"role": "assistant", "content": "a"}, {"role": "assistant",
                 "content": "b"}, USER)  # fmt: skip
    assert [(turn["role"], len(turn["content"])) for turn in told] == [
        ("user", 2), ("assistant", 2), ("user", 1),
    ]  # fmt: skip


def test_nothing_empty_is_sent() -> None:
    empty = {"role": "assistant", "content": ""}
    assert turns(USER, empty, USER) == turns(USER, USER)
    assert refused({"role": "user", "content": ""}) == "messages.0.content"
    assert refused({"role": "system", "content": "alone"}) == "messages"


def test_a_role_that_the_api_has_not_is_refused() -> None:
    assert refused(USER, {"role": "function", "name": "f", "content": "1"}) == "messages.1.role"


def test_images_are_sent_as_data_or_by_address() -> None:
    urls = [PNG, "https://moon.test/a.jpg", "DATA:image/webp,%01%02"]
    parts = [{"type": "image_url", "image_url": {"url": url, "detail": "low"}} for url in urls]
    [turn] = turns({"role": "user", "content": parts})
    assert [block["source"] for block in turn["content"]] == [
        {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
        {"type": "url", "url": "https://moon.test/a.jpg"},
        {"type": "base64", "media_type": "image/webp", "data": "AQI="},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"type": "image_url", "image_url": {"url": "http://moon.test/a.png"}}, ".image_url"),
        ({"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AA=="}}, ".image_url"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}, ".image_url"),
        ({"type": "image_url", "image_url": {}}, ".image_url.url"),
        ({"type": "image_url"}, ".image_url"),
        ({"type": "file", "file": {"file_id": "file_1"}}, ".file.file_id"),
        ({"type": "file", "file": {}}, ".file.file_data"),
        ({"type": "file", "file": {"file_data": "data:application/zip;base64,AA=="}},
         ".file.file_data"),
        ({"type": "file", "file": {"file_data": "data:text/plain;base64,/w=="}}, ".file.file_data"),
        ({"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}, ".type"),
        ({"type": "video_url"}, ""),
        ({"type": "text", "text": None}, ""),
    ],
)  # fmt: skip
def test_a_part_that_the_api_cannot_read_is_refused_by_its_place(
    part: dict[str, Any], param: str
) -> None:
    text = {"type": "text", "text": "see"}
    assert (
        refused(USER, {"role": "user", "content": [text, part]}) == f"messages.1.content.1{param}"
    )


def test_files_are_pdf_or_text() -> None:
    files = [{"file_data": "JVBERi0=", "filename": "a.pdf"},
             {"file_data": "data:text/csv;base64,w6ksMQ=="}]  # fmt: skip
    parts = [{"type": "file", "file": file} for file in files]
    pdf, text = turns({"role": "user", "content": parts})[0]["content"]
    assert pdf == {
        "type": "document", "title": "a.pdf",
        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
    }  # fmt: skip
    assert text == {
        "type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "é,1"},
    }  # fmt: skip


def test_marks_of_the_cache_are_kept() -> None:
    mark = {"type": "ephemeral"}
    told = asked(
        {"role": "system", "content": [{"type": "text", "text": "s", "cache_control": mark}]},
        {"role": "user", "content": [{"type": "text", "text": "u", "cache_control": mark}]},
        {"role": "assistant", "content": None, "tool_calls": [called()]},
        {"role": "tool", "tool_call_id": "call_1", "content": "r", "cache_control": mark},
        tools=[{**tool(), "cache_control": mark}],
    )
    blocks = [told["system"][0], told["tools"][0], told["messages"][0]["content"][0],
              told["messages"][2]["content"][0]]  # fmt: skip
    assert [block["cache_control"] for block in blocks] == [mark] * 4


def test_results_of_tools_come_first_in_their_turn_and_keep_images() -> None:
    picture = [{"type": "image_url", "image_url": {"url": PNG}}]
    told = turns(
        USER,
        {"role": "assistant", "content": "on it", "tool_calls": [called(), called(told="a:1.x")]},
        {"role": "tool", "tool_call_id": "call_1", "content": ""},
        {"role": "tool", "tool_call_id": "a:1.x", "content": picture},
        USER,
    )
    said, result = told[1]["content"], told[2]["content"]
    assert [block["type"] for block in said] == ["text", "tool_use", "tool_use"]
    assert result[0] == {"type": "tool_result", "tool_use_id": "call_1"}
    assert (result[1]["tool_use_id"], said[2]["id"]) == ("a_1_x", "a_1_x")
    assert result[1]["content"][0]["type"] == "image"
    assert result[2] == {"type": "text", "text": "hi"}


@pytest.mark.parametrize("arguments", ["{", "[]", "1", '"a"'])
def test_arguments_that_are_no_object_are_refused(arguments: str) -> None:
    message = {"role": "assistant", "content": None, "tool_calls": [called(arguments=arguments)]}
    assert refused(USER, message) == "messages.1.tool_calls.0.function.arguments"


def test_calls_of_custom_tools_are_refused() -> None:
    call = {"id": "c", "type": "custom", "custom": {"name": "n", "input": "x"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    assert refused(USER, message) == "messages.1.tool_calls.0.type"


def test_a_conversation_with_calls_declares_their_tools_even_where_the_request_does_not() -> None:
    message = {"role": "assistant", "content": None, "tool_calls": [called("b"), called("b")]}
    told = asked(USER, message, {"role": "tool", "tool_call_id": "call_1", "content": "r"})
    assert told["tools"] == [{"name": "b", "input_schema": {"type": "object"}}]
    assert told["tool_choice"] == {"type": "none"}


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        ("auto", None, None),
        ("auto", False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("none", False, {"type": "none"}),
        ("required", None, {"type": "any"}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
        (
            {"type": "function", "function": {"name": "look"}},
            True,
            {"type": "tool", "name": "look"},
        ),
    ],
)
def test_the_choice_of_tools(choice: Any, parallel: bool | None, expected: Any) -> None:
    told = asked(tools=[tool()], tool_choice=choice, parallel_tool_calls=parallel)
    assert told.get("tool_choice") == expected


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "custom", "custom": {"name": "n"}}]}, "tools.0.type"),
        ({"tools": [{"type": "function"}]}, "tools.0.function.name"),
        ({"tools": [tool(parameters="x")]}, "tools.0.function.parameters"),
        ({"tools": [tool()], "tool_choice": "sometimes"}, "tool_choice"),
        ({"tools": [tool()], "tool_choice": {"type": "allowed_tools"}}, "tool_choice"),
        ({"tools": [tool()], "tool_choice": called("other") | {"id": None}}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"temperature": 1.5}, "temperature"),
        ({"response_format": {"type": "grammar"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
        ({"reasoning_effort": "utmost"}, "reasoning_effort"),
    ],
)
def test_a_value_that_the_api_has_not_is_refused_by_name(
    fields: dict[str, Any], param: str
) -> None:
    assert refused(**fields) == param


def test_a_tool_keeps_what_is_said_of_it() -> None:
    [told] = asked(tools=[tool(description="Looks.", strict=True)])["tools"]
    assert told == {"name": "look", "description": "Looks.", "strict": True, "input_schema": SCHEMA}
    [bare] = asked(tools=[{"type": "function", "function": {"name": "f"}}])["tools"]
    assert bare == {"name": "f", "input_schema": {"type": "object", "properties": {}}}


def test_sampling_that_is_the_apis_own_is_not_sent() -> None:
    told = asked(temperature=1, top_p=1.0)
    assert not {"temperature", "top_p"} & told.keys()
    assert asked(temperature=0, stop="x")["temperature"] == 0
    assert asked(stop="x")["stop_sequences"] == ["x"]
    assert asked(safety_identifier="u", user="a@b.test")["metadata"] == {"user_id": "u"}


def test_a_schema_is_the_apis_structured_output() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": SCHEMA}}
    assert asked(response_format=form)["output_config"] == {
        "format": {"type": "json_schema", "schema": SCHEMA}
    }
    both = asked(response_format=form, reasoning_effort="low")["output_config"]
    assert both.keys() == {"format", "effort"}


JSON = {"type": "json_object"}


def test_json_without_a_schema_is_the_input_of_a_tool_that_must_be_called() -> None:
    alone = asked(response_format=JSON)
    assert [one["name"] for one in alone["tools"]] == [JSON_TOOL]
    assert (alone["tool_choice"], alone["thinking"]) == ({"type": "any"}, {"type": "disabled"})
    beside = asked(response_format=JSON, tools=[tool()])
    assert [one["name"] for one in beside["tools"]] == ["look", JSON_TOOL]
    only = asked(response_format=JSON, tools=[tool()], tool_choice="none")
    assert only["tool_choice"] == {"type": "tool", "name": JSON_TOOL}
    assert [one["name"] for one in only["tools"]] == [JSON_TOOL]


@pytest.mark.parametrize(
    ("effort", "thinking", "told"),
    [
        (None, None, None),
        ("none", {"type": "disabled"}, None),
        ("minimal", {"type": "adaptive", "display": "summarized"}, "low"),
        ("high", {"type": "adaptive", "display": "summarized"}, "high"),
        ("xhigh", {"type": "adaptive", "display": "summarized"}, "xhigh"),
    ],
)
def test_effort_of_models_that_take_one(
    effort: str | None, thinking: Any, told: str | None
) -> None:
    body = asked(reasoning_effort=effort)
    assert body.get("thinking") == thinking
    assert body.get("output_config") == ({"effort": told} if told else None)


@pytest.mark.parametrize(
    ("effort", "limit", "budget"),
    [("minimal", 20_000, 2000), ("low", 2000, 1024), ("high", 20_000, 16_000),
     ("max", 1025, 1024), ("xhigh", 64_000, 60_800)],
)  # fmt: skip
def test_effort_of_models_that_take_a_budget(effort: str, limit: int, budget: int) -> None:
    way = {"thinking": "budget"}
    body = asked(parameters=way, reasoning_effort=effort, max_tokens=limit)
    assert body["thinking"] == {"type": "enabled", "budget_tokens": budget}
    assert "output_config" not in body
    assert 1024 <= budget < limit


def test_what_thinking_does_not_go_with_is_refused_by_name() -> None:
    budget, always = {"thinking": "budget"}, {"thinking": "always"}
    assert refused(parameters=budget, reasoning_effort="low", max_tokens=1024) == "reasoning_effort"
    assert refused(parameters=always, reasoning_effort="none") == "reasoning_effort"
    assert refused(parameters=always, tools=[tool()], tool_choice="required") == "tool_choice"
    assert refused(parameters=always, response_format=JSON) == "response_format"
    assert refused(reasoning_effort="low", tools=[tool()], tool_choice="required") == "tool_choice"
    assert refused(reasoning_effort="low", temperature=0.5) == "temperature"
    assert refused(reasoning_effort="low", top_k=3) == "top_k"
    assert "thinking" not in asked(parameters=budget, reasoning_effort="none")
    assert "thinking" not in asked(parameters=budget, tools=[tool()], tool_choice="required")
