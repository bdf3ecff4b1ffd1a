"""A wrong field's path, whatever forms the field may have."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from app.web.problems import invalid
from app.web.schemas.chat import ChatRequest
from app.web.schemas.messages import MessageRequest
from app.web.schemas.responses import ResponseRequest

USER = {"role": "user", "content": "hi"}


@pytest.mark.parametrize(
    ("schema", "body", "param"),
    [
        (ChatRequest, {"messages": [USER], "stop": 5}, "stop"),
        (ChatRequest, {"messages": [USER], "stop": ["a", None]}, "stop.1"),
        (ChatRequest, {"messages": [USER], "stop": ["a"] * 17}, "stop"),
        (ChatRequest, {"messages": [USER], "stop": 5, "seed": "x"}, "stop"),
        (ChatRequest, {"messages": [USER], "tool_choice": 5}, "tool_choice"),
        (ChatRequest, {"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
        (ChatRequest, {"messages": [{"role": "user", "content": ["x"]}]}, "messages.0.content.0"),
        (ChatRequest, {"messages": [USER], "metadata": {"str": 5}}, "metadata.str"),
        (ChatRequest, {"messages": [USER], "metadata": {"constraint": 5}}, "metadata.constraint"),
        (ResponseRequest, {"input": None}, "input"),
        (ResponseRequest, {"input": ["hi", 5]}, "input.0"),
        (ResponseRequest, {"input": "hi", "tool_choice": 5}, "tool_choice"),
        (MessageRequest, {"messages": [USER], "max_tokens": 1, "system": 5}, "system"),
        (MessageRequest, {"messages": [USER], "max_tokens": 1, "system": [{}, 5]}, "system.1"),
    ],
)
def test_a_wrong_field_is_named_without_the_forms_that_it_may_have(
    schema: type[BaseModel], body: dict[str, Any], param: str
) -> None:
    with pytest.raises(ValidationError) as raised:
        schema.model_validate(body)
    error = invalid(raised.value)
    assert error.param == param
    assert error.message.startswith(f"{param}: ")


def test_a_list_that_is_too_long_is_told_so() -> None:
    with pytest.raises(ValidationError) as raised:
        ChatRequest.model_validate({"messages": [USER], "stop": ["a"] * 17})
    assert "at most 16" in invalid(raised.value).message
