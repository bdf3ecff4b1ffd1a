"""A response's input as a chat request and back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dialects.responses.answer import Origin, asked_items, conversation, whole_response
from app.dialects.responses.request import chat_request
from app.errors import InvalidRequest

JOB = "job_01jd3x0000000000000000000a"
IMAGE = {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low"}


def messages(given_input: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = chat_request({"input": given_input})["messages"]
    return found


@given(st.text(), st.text(max_size=9) | st.none())
def test_a_text_is_what_the_user_says(text: str, instructions: str | None) -> None:
    made = chat_request({"input": text, "instructions": instructions})
    head = [] if instructions is None else [{"role": "system", "content": instructions}]
    assert made["messages"] == [*head, {"role": "user", "content": text}]


PARTS = st.sampled_from([
    {"type": "input_text", "text": "words"}, IMAGE,
    {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,J"},
    {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
])  # fmt: skip
SAID = st.fixed_dictionaries({
    "type": st.just("message"), "role": st.sampled_from(["user", "system", "developer"]),
    "content": st.lists(PARTS, min_size=1, max_size=3),
})  # fmt: skip
ANSWERED = st.fixed_dictionaries({
    "type": st.just("message"), "role": st.just("assistant"),
    "content": st.lists(
        st.sampled_from([{"type": "output_text", "text": "so", "annotations": []},
                         {"type": "refusal", "refusal": "no"}]),
        min_size=1, max_size=2),
})  # fmt: skip
CALL = st.builds(
    lambda name: {"type": "function_call", "call_id": name, "name": "f", "arguments": "{}"},
    st.sampled_from("abc"),
)
RESULT = st.builds(
    lambda name, output: {"type": "function_call_output", "call_id": name, "output": output},
    st.sampled_from("abc"),
    st.text() | st.just([IMAGE]),
)
ITEMS = st.lists(SAID | ANSWERED | CALL | RESULT, min_size=1, max_size=6)


@given(ITEMS)
def test_items_come_back_as_they_went_in(items: list[dict[str, Any]]) -> None:
    origin = Origin(JOB, "m", chat_request({"input": items, "instructions": "Be brief."}))
    back = asked_items(origin)
    assert len({item["id"] for item in back}) == len(back)
    keys = ("type", "role", "content", "call_id", "name", "arguments", "output")
    assert [{k: item[k] for k in keys if k in item} for item in back] == items


def test_a_turn_of_the_model_is_one_message() -> None:
    found = messages([
        {"role": "user", "content": "Weather?"},
        {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed",
         "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}]},
        {"type": "function_call", "id": "fc_1", "call_id": "a", "name": "f", "arguments": "{}",
         "status": "completed", "namespace": None},
        {"type": "function_call", "call_id": "b", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "sun"},
    ])  # fmt: skip
    assert [m["role"] for m in found] == ["user", "assistant", "tool"]
    assert found[1]["content"] == "Let me see."
    assert [call["id"] for call in found[1]["tool_calls"]] == ["a", "b"]


def test_a_conversation_goes_on_without_its_instructions() -> None:
    request = chat_request({"input": "One?", "instructions": "Be brief."})
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    said = {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "why"}
    completion = {"choices": [{"index": 0, "message": said, "finish_reason": "tool_calls"}]}
    before = conversation(request, completion)
    result = {"type": "function_call_output", "call_id": "a", "output": "1"}
    following = chat_request({"input": [result], "instructions": "Be kind."}, before)
    assert following["messages"] == [
        {"role": "system", "content": "Be kind."}, {"role": "user", "content": "One?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
    ]  # fmt: skip
    [item] = asked_items(Origin(JOB, "m", following))
    assert item["type"] == "function_call_output"


def test_a_response_echoes_what_was_asked() -> None:
    schema = {"type": "object", "properties": {}}
    wanted: dict[str, Any] = {
        "input": "x", "temperature": 0.0, "top_p": 0.5, "parallel_tool_calls": False,
        "tools": [{"type": "function", "name": "f", "parameters": schema, "strict": True}],
        "tool_choice": {"type": "function", "name": "f"}, "metadata": {"a": "b"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": schema}},
        "reasoning": {"effort": "low", "summary": "auto"}, "top_logprobs": 3,
        "service_tier": "auto", "safety_identifier": "s", "prompt_cache_key": "p",
        "prompt_cache_retention": "24h",
        "previous_response_id": "resp_x", "max_output_tokens": 7, "user": "u",
    }  # fmt: skip
    choice = {"index": 0, "message": {"content": "y"}, "finish_reason": "stop"}
    response = whole_response({"choices": [choice]}, Origin(JOB, "m", chat_request(wanted)))
    del wanted["input"]
    wanted["text"] = {**wanted["text"], "verbosity": None}
    assert {name: response[name] for name in wanted} == wanted


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": [{"role": "robot", "content": "x"}]}, "input.0.role"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]},
         "input.0.content.0.text"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
         "input.0.content.0.file_id"),
        ({"input": [{"role": "user", "content": "x", "colour": "red"}]}, "input.0.colour"),
        ({"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]},
         "input.0.call_id"),
        ({"input": [{"type": "web_search_call"}]}, "input.0.type"),
        ({"tools": [{"type": "function"}]}, "tools.0.name"),
        ({"tools": [{"type": "mcp"}]}, "tools.0.type"),
        ({"tools": [{"type": "function", "name": "f", "defer_loading": True}]},
         "tools.0.defer_loading"),
        ({"tool_choice": "some"}, "tool_choice"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_by_its_path(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        chat_request({"input": "x", **fields})
    assert refused.value.param == param
