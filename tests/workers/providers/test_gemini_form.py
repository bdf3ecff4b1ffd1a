"""A chat request in Gemini's form: what the suite of all adapters (`test_adapters.py`) cannot ask
of everyone."""

from typing import Any

import pytest

from workers.providers.base import Call, ProviderError
from workers.providers.gemini_form import UNSIGNED, body_of

USER = {"role": "user", "content": "hi"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "minProperties": 1}
BUDGET = {"thinking": "budget"}


def tool(name: str = "look", **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": SCHEMA, **more}}


def called(name: str = "look", told: str = "call_1", **more: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": '{"a": "b"}'}
    return {"id": told, "type": "function", "function": function, **more}


def said(*calls: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(calls)}


def asked(*messages: Any, parameters: dict[str, Any] | None = None, **fields: Any) -> Any:
    """The body that a request becomes."""
    return body_of(Call({"messages": [*messages] or [USER], **fields}, "gemini", parameters or {}))


def config(parameters: dict[str, Any] | None = None, **fields: Any) -> Any:
    return asked(parameters=parameters, **fields).get("generationConfig")


def refused(*messages: Any, **fields: Any) -> str | None:
    """The field that a refusal names."""
    with pytest.raises(ProviderError) as raised:
        asked(*messages, **fields)
    assert (raised.value.kind, raised.value.status) == ("invalid", 400)
    return raised.value.param


def test_a_bare_request_is_contents_alone() -> None:
    idle: dict[str, Any] = {
        "n": 1,
        "presence_penalty": 0,
        "frequency_penalty": 0.0,
        "stop": [],
        "tools": [],
    }
    assert asked(**idle) == {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


def test_instructions_are_one_wherever_they_stand_and_roles_in_a_row_are_one_turn() -> None:
    told = asked(
        {"role": "system", "content": "one"},
        USER,
        {"role": "developer", "content": "two"},
        USER,
        {"role": "assistant", "content": "a"},
        {"role": "assistant", "content": ""},
    )
    assert told["systemInstruction"] == {"parts": [{"text": "one"}, {"text": "two"}]}
    assert [(turn["role"], len(turn["parts"])) for turn in told["contents"]] == [
        ("user", 2), ("model", 1),
    ]  # fmt: skip


def test_what_has_no_place_in_a_conversation_is_refused() -> None:
    assert refused({"role": "user", "content": ""}) == "messages.0.content"
    assert refused({"role": "system", "content": "alone"}) == "messages"
    assert refused(USER, {"role": "function", "content": "1"}) == "messages.1.role"
    result: dict[str, Any] = {"role": "tool", "tool_call_id": "call_9", "content": "r"}
    assert refused(USER, said(called()), result) == "messages.2.tool_call_id"
    picture = [{"type": "image_url", "image_url": {"url": "https://moon.test/a.png"}}]
    result = {"role": "tool", "tool_call_id": "call_1", "content": picture}
    assert refused(USER, said(called()), result) == "messages.2.content.0"


def test_media_are_sent_as_data_or_by_address() -> None:
    parts: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        {"type": "image_url", "image_url": {"url": "https://moon.test/a.jpg?size=1"}},
        {"type": "image_url", "image_url": {"url": "https://moon.test/picture"}},
        {"type": "file", "file": {"file_data": "AA=="}},
        {"type": "file", "file": {"file_data": "data:text/csv;base64,AA=="}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}},
    ]
    [turn] = asked({"role": "user", "content": parts})["contents"]
    assert turn["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
        {"fileData": {"fileUri": "https://moon.test/a.jpg?size=1", "mimeType": "image/jpeg"}},
        {"fileData": {"fileUri": "https://moon.test/picture"}},
        {"inlineData": {"mimeType": "application/pdf", "data": "AA=="}},
        {"inlineData": {"mimeType": "text/csv", "data": "AA=="}},
        {"inlineData": {"mimeType": "audio/mp3", "data": "AA=="}},
    ]


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"type": "input_audio", "input_audio": {"data": "AA=="}}, ".input_audio"),
        ({"type": "input_audio"}, ".input_audio"),
        ({"type": "file", "file": {"file_id": "file_1"}}, ".file.file_id"),
        ({"type": "image_url", "image_url": {"url": "ftp://moon.test/a"}}, ".image_url"),
        ({"type": "video_url"}, ""),
    ],
)
def test_a_part_that_the_api_cannot_read_is_refused_by_its_place(
    part: dict[str, Any], param: str
) -> None:
    assert refused({"role": "user", "content": [part]}) == f"messages.0.content.0{param}"


def test_calls_and_results_have_the_same_id_and_name() -> None:
    first, second = called(), called("tell", "call_2")
    results = [
        {"role": "tool", "tool_call_id": one["id"], "content": "r"} for one in (second, first)
    ]
    _, calls, told = asked(USER, said(first, second), *results)["contents"]
    assert [part["functionCall"] for part in calls["parts"]] == [
        {"id": "call_1", "name": "look", "args": {"a": "b"}},
        {"id": "call_2", "name": "tell", "args": {"a": "b"}},
    ]
    assert told["role"] == "user"
    assert [part["functionResponse"] for part in told["parts"]] == [
        {"id": "call_2", "name": "tell", "response": {"output": "r"}},
        {"id": "call_1", "name": "look", "response": {"output": "r"}},
    ]


def test_an_id_that_comes_again_is_that_of_the_latest_call() -> None:
    result = {"role": "tool", "tool_call_id": "call_1", "content": "r"}
    told = asked(USER, said(called()), result, said(called("tell")), result)["contents"]
    names = [turn["parts"][0].get("functionResponse", {}).get("name") for turn in told]
    assert names == [None, None, "look", None, "tell"]


def test_a_call_goes_back_with_the_signature_of_its_thoughts() -> None:
    signed = called(extra_content={"google": {"thought_signature": "c2ln"}})
    parts = asked(USER, said(signed, called(told="call_2")))["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == ["c2ln", None]
    parts = asked(USER, said(called(), called(told="call_2")))["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == [UNSIGNED, None]
    parts = asked(USER, said(called()), parameters=BUDGET)["contents"][1]["parts"]
    assert "thoughtSignature" not in parts[0]


@pytest.mark.parametrize(
    ("choice", "strict", "expected"),
    [
        ("auto", False, None),
        ("auto", True, {"mode": "VALIDATED"}),
        ("none", True, {"mode": "NONE"}),
        ("required", False, {"mode": "ANY"}),
        ({"type": "function", "function": {"name": "look"}}, False,
         {"mode": "ANY", "allowedFunctionNames": ["look"]}),
    ],
)  # fmt: skip
def test_the_choice_of_tools(choice: Any, strict: bool, expected: Any) -> None:
    told = asked(tools=[tool(strict=strict), tool("tell")], tool_choice=choice)
    assert told.get("toolConfig") == (expected and {"functionCallingConfig": expected})
    [declared] = told["tools"]
    assert [one["name"] for one in declared["functionDeclarations"]] == ["look", "tell"]
    assert declared["functionDeclarations"][0]["parametersJsonSchema"] == SCHEMA


def test_a_function_without_parameters_has_no_schema() -> None:
    told = asked(tools=[{"type": "function", "function": {"name": "f", "description": "F."}}])
    assert told["tools"] == [{"functionDeclarations": [{"name": "f", "description": "F."}]}]


def test_the_answers_form() -> None:
    assert config(response_format={"type": "text"}) is None
    assert config(response_format={"type": "json_object"}) == {
        "responseMimeType": "application/json"
    }
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    assert config(response_format=form) == {
        "responseMimeType": "application/json", "responseJsonSchema": SCHEMA,
    }  # fmt: skip


def test_log_probabilities_are_asked_for() -> None:
    assert config(logprobs=True, top_logprobs=3) == {"responseLogprobs": True, "logprobs": 3}
    assert config(logprobs=True, top_logprobs=0) == {"responseLogprobs": True}
    assert config(logprobs=False, top_logprobs=0) is None


@pytest.mark.parametrize(
    ("parameters", "effort", "expected"),
    [
        ({}, "minimal", {"thinkingLevel": "MINIMAL", "includeThoughts": True}),
        ({}, "high", {"thinkingLevel": "HIGH", "includeThoughts": True}),
        (BUDGET, "none", {"thinkingBudget": 0, "includeThoughts": False}),
        (BUDGET, "low", {"thinkingBudget": 1024, "includeThoughts": True}),
        (BUDGET, "high", {"thinkingBudget": 24_576, "includeThoughts": True}),
    ],
)
def test_effort_is_a_level_or_a_budget(
    parameters: dict[str, Any], effort: str, expected: dict[str, Any]
) -> None:
    assert config(parameters, reasoning_effort=effort) == {"thinkingConfig": expected}


@pytest.mark.parametrize(("parameters", "effort"), [({}, "none"), ({}, "most"), (BUDGET, "xhigh")])
def test_an_effort_that_the_model_has_not_is_refused(
    parameters: dict[str, Any], effort: str
) -> None:
    assert refused(parameters=parameters, reasoning_effort=effort) == "reasoning_effort"
