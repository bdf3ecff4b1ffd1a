"""Anthropic's request as a chat request: what is said arrives, what cannot be done has a name."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dialects.messages.request import chat_request
from app.errors import InvalidRequest

PNG = {"type": "base64", "media_type": "image/png", "data": "iVBO"}
MARK = {"type": "ephemeral"}


def messages(content: Any, role: str = "user", marks: bool = False) -> list[dict[str, Any]]:
    wanted = {"messages": [{"role": role, "content": content}], "max_tokens": 9}
    found: list[dict[str, Any]] = chat_request(wanted, marks)["messages"]
    return found


@given(st.text(min_size=1), st.text())
def test_text_arrives_as_it_was_sent(system: str, text: str) -> None:
    wanted = {"system": system, "messages": [{"role": "user", "content": text}], "max_tokens": 1}
    assert chat_request(wanted)["messages"] == [
        {"role": "system", "content": system}, {"role": "user", "content": text},
    ]  # fmt: skip


@given(st.lists(st.text(), min_size=1))
def test_blocks_of_text_are_one_text(texts: list[str]) -> None:
    [message] = messages([{"type": "text", "text": text} for text in texts])
    assert message["content"] == "".join(texts)


def test_images_and_documents_become_parts() -> None:
    [message] = messages([
        {"type": "image", "source": PNG},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": "document", "title": "a.pdf",
         "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}},
        {"type": "document", "title": "Notes",
         "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
    ])  # fmt: skip
    assert message["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "file", "file": {
            "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
        {"type": "text", "text": "Notes\nwords"},
    ]  # fmt: skip


def test_results_of_tools_come_before_what_the_user_says() -> None:
    found = messages([
        {"type": "tool_result", "tool_use_id": "a", "content": "4"},
        {"type": "tool_result", "tool_use_id": "b", "is_error": True,
         "content": [{"type": "text", "text": "no such city"}]},
        {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "image", "source": PNG}]},
        {"type": "text", "text": "And now?"},
    ])  # fmt: skip
    assert [(m["role"], m.get("tool_call_id")) for m in found] == [
        ("tool", "a"), ("tool", "b"), ("tool", "c"), ("user", None),
    ]  # fmt: skip
    assert found[0]["content"] == "4"
    assert found[1]["content"] == "Error: no such city"
    assert found[2]["content"][0]["type"] == "image_url"


def test_a_turn_of_the_model_is_one_message() -> None:
    thought = {"type": "thinking", "thinking": "why", "signature": "s"}
    blocks = [
        thought, {"type": "text", "text": "Let me see."},
        {"type": "tool_use", "id": "a", "name": "weather", "input": {"city": "Rome"}},
    ]  # fmt: skip
    call = {"name": "weather", "arguments": '{"city":"Rome"}'}
    plain = {
        "role": "assistant", "content": "Let me see.",
        "tool_calls": [{"id": "a", "type": "function", "function": call}],
    }  # fmt: skip
    assert messages(blocks, "assistant") == [plain]
    assert messages(blocks, "assistant", marks=True) == [{**plain, "thinking_blocks": [thought]}]


def test_marks_go_along_only_where_they_are_taken() -> None:
    block = {"type": "text", "text": "Hello", "cache_control": MARK}
    assert messages([block], marks=True)[0]["content"] == [block]
    assert messages([block])[0]["content"] == [{"type": "text", "text": "Hello"}]


@pytest.mark.parametrize(
    ("fields", "chat"),
    [
        ({"stop_sequences": ["END"]}, {"stop": ["END"]}),
        ({"metadata": {"user_id": "u", "sim_tokens": "3"}},
         {"user": "u", "metadata": {"sim_tokens": "3"}}),
        ({"thinking": {"type": "enabled", "budget_tokens": 4096}}, {"reasoning_effort": "low"}),
        ({"thinking": {"type": "enabled", "budget_tokens": 9000}}, {"reasoning_effort": "medium"}),
        ({"thinking": {"type": "enabled", "budget_tokens": 20_000}}, {"reasoning_effort": "high"}),
        ({"thinking": {"type": "disabled"}}, {}),
        ({"thinking": {"type": "adaptive"}}, {"reasoning_effort": "high"}),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
         {"reasoning_effort": "low"}),
        ({"service_tier": "standard_only"}, {"service_tier": "default"}),
        ({"service_tier": "auto"}, {}),
        ({"tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
         {"tool_choice": "required", "parallel_tool_calls": False}),
        ({"tool_choice": {"type": "tool", "name": "f"}},
         {"tool_choice": {"type": "function", "function": {"name": "f"}}}),
        ({"tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}]},
         {"tools": [{"type": "function", "function": {
             "name": "f", "parameters": {"type": "object"}, "description": "d"}}]}),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_a_field_becomes_that_of_a_chat_request(
    fields: dict[str, Any], chat: dict[str, Any]
) -> None:
    bare = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 30_000}
    made = chat_request({**bare, **fields})
    for name in ("messages", "max_tokens", "asked"):
        del made[name]
    assert made == chat


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": []}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"type": "search_result"}]}]},
         "messages.0.content.0.type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]},
         "messages.0.content.0.text"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "", "x": 1}]}]},
         "messages.0.content.0.x"),
        ({"messages": [{"role": "user", "content": [
            {"type": "image", "source": {"type": "file", "file_id": "f"}}]}]},
         "messages.0.content.0.source.type"),
        ({"messages": [{"role": "assistant", "content": [{"type": "image", "source": PNG}]}]},
         "messages.0.content.0.type"),
        ({"messages": [{"role": "assistant", "content": [
            {"type": "tool_use", "id": "a", "name": "f", "input": []}]}]},
         "messages.0.content.0.input"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools.0.type"),
        ({"tools": [{"name": "f"}]}, "tools.0.input_schema"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "thinking.budget_tokens"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format"),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_by_its_path(fields: dict[str, Any], param: str) -> None:
    bare = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1500}
    with pytest.raises(InvalidRequest) as refused:
        chat_request({**bare, **fields})
    assert refused.value.param == param
