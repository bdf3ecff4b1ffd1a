"""openai-python with tools, structured answers, log probabilities and reasoning."""

import json
from typing import Any, Literal

import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel

from tests.stacks import Stack
from tests.waiting import wait_for

pytestmark = pytest.mark.xdist_group("stack")

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells how warm it is.",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {
                "location": {"type": "string"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["location", "unit"],
            "additionalProperties": False,
        },
    },
}
ASKED: Any = [{"role": "user", "content": "What is the weather in Paris, in Fahrenheit?"}]
ARGUMENTS = {"location": "Paris", "unit": "fahrenheit"}


class Order(BaseModel):
    """An order."""

    colour: Literal["red", "blue"]
    count: int


def sim(messages: Any = ASKED, **more: Any) -> dict[str, Any]:
    return {"model": "builtin/sim", "messages": messages, **more}


def test_a_tool_is_called_and_its_result_told(client: OpenAI) -> None:
    answer = client.chat.completions.create(**sim(tools=[WEATHER]))
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    [call] = choice.message.tool_calls or []
    assert call.type == "function"
    assert json.loads(call.function.arguments) == ARGUMENTS
    result = {"role": "tool", "tool_call_id": call.id, "content": "70 degrees"}
    told = client.chat.completions.create(**sim([*ASKED, choice.message, result], tools=[WEATHER]))
    assert told.choices[0].message.content == "get_weather says: 70 degrees"


def test_a_streamed_tool_call_is_the_whole_one_in_pieces(client: OpenAI) -> None:
    whole = client.chat.completions.create(**sim(tools=[WEATHER])).choices[0].message
    with client.chat.completions.stream(**sim(tools=[WEATHER])) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion().choices[0].message
    assert kinds.count("tool_calls.function.arguments.delta") > 3
    assert final.tool_calls is not None
    assert whole.tool_calls is not None
    assert final.tool_calls[0].id == whole.tool_calls[0].id
    assert final.tool_calls[0].function.arguments == whole.tool_calls[0].function.arguments


def test_a_background_job_has_its_tool_calls(stack: Stack) -> None:
    with stack.client() as plain:
        job = plain.post("/chat/completions", json=sim(tools=[WEATHER], background=True)).json()

        def done() -> Any:
            now = plain.get(f"/jobs/{job['id']}").json()
            return now if now["status"] == "completed" else None

        message = wait_for(done, 10, "the job completed")["result"]["choices"][0]["message"]
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == ARGUMENTS


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "b"}}])
def test_a_choice_is_followed(client: OpenAI, choice: Any) -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in "ab"]
    hello = [{"role": "user", "content": "Hello!"}]
    answer = client.chat.completions.create(**sim(hello, tools=tools, tool_choice=choice))
    [call] = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == ("a" if choice == "required" else "b")
    answer = client.chat.completions.create(**sim(hello, tools=tools, tool_choice="none"))
    assert answer.choices[0].message.content


def test_an_answer_is_parsed(client: OpenAI) -> None:
    text = [{"role": "user", "content": "Send 5 blue ones."}]
    parsed = client.chat.completions.parse(**sim(text), response_format=Order)
    assert parsed.choices[0].message.parsed == Order(colour="blue", count=5)


def test_log_probabilities_come_with_each_token(client: OpenAI) -> None:
    chunks = list(client.chat.completions.create(**sim(logprobs=True, top_logprobs=2), stream=True))
    told = [c.choices[0] for c in chunks if c.choices[0].logprobs is not None]
    assert len(told) == 32
    for choice in told:
        assert choice.logprobs is not None
        [entry] = choice.logprobs.content or []
        assert entry.token == choice.delta.content
        assert len(entry.top_logprobs) == 2


def test_reasoning_and_cached_tokens_are_told_and_billed(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        **sim(reasoning_effort="low", metadata={"sim_cached_tokens": "3"})
    )
    assert len((answer.choices[0].message.model_extra or {})["reasoning_content"].split()) == 8
    used = answer.usage
    assert used is not None
    assert used.completion_tokens_details is not None
    assert used.prompt_tokens_details is not None
    assert used.completion_tokens_details.reasoning_tokens == 8
    assert used.prompt_tokens_details.cached_tokens == 3
    assert used.completion_tokens == 40
    assert (used.model_extra or {})["cache_input_cost_usd"] > 0


@pytest.mark.parametrize(
    ("model", "more", "param"),
    [
        ("builtin/eliza", {"tools": [WEATHER]}, "tools"),
        ("builtin/eliza", {"response_format": {"type": "json_object"}}, "response_format"),
        ("builtin/sim", {"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools.0.type"),
        ("builtin/sim", {"reasoning_effort": "heroic"}, "reasoning_effort"),
        ("builtin/sim", {"metadata": {"sim_tokens": "many"}}, "metadata.sim_tokens"),
    ],
)
def test_what_a_model_cannot_do_is_refused_by_name(
    client: OpenAI, model: str, more: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=model, messages=ASKED, **more)
    assert caught.value.param == param
