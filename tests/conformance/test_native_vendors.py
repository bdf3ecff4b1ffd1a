"""Providers whose API is not OpenAI's, behind a whole stack: the client speaks OpenAI's form, the
vendor, played here, its own."""

from typing import Any

import openai
import pytest

from tests.conformance.house import KEY, SAID, VENDORS, Played
from tests.stacks import Stack
from tests.workers.providers.vendors.base import Said, ToolSaid

pytestmark = pytest.mark.xdist_group("house")

COST_USD = 600 * 2e-6 + 400 * 0.2e-6 + 50 * 10e-6
CALL = Said(texts=(), tools=(ToolSaid("toolu_1", "phase", ('{"at"', ':"now"}')),))


@pytest.fixture
def stack(house: Stack) -> Stack:
    return house


HELLO: list[Any] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Moon?"},
]
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "phase",
        "description": "The moon's.",
        "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
    },
}
each = pytest.mark.parametrize("name", VENDORS)


@each
def test_an_answer_comes_with_thoughts_and_costs_what_it_should(
    client: openai.OpenAI, played: dict[str, Played], name: str
) -> None:
    played[name].said = SAID
    told: Any = client.chat.completions.create(model=name, messages=HELLO)
    assert told.choices[0].message.content == SAID.text
    assert told.choices[0].message.reasoning_content == "Hm."
    assert told.choices[0].finish_reason == "stop"
    assert (told.usage.prompt_tokens, told.usage.completion_tokens) == (1000, 50)
    assert told.usage.total_cost_usd == pytest.approx(COST_USD)
    heard = VENDORS[name].heard(played[name].requests[-1])
    assert (heard.key, heard.messages) == (KEY, HELLO)
    assert heard.fields == ({"max_tokens": 777} if name == "claude" else {})


@each
def test_a_stream_says_and_costs_the_same(
    client: openai.OpenAI, played: dict[str, Played], name: str
) -> None:
    played[name].said = SAID
    chunks = client.chat.completions.create(
        model=name, messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    told: list[Any] = [*chunks]
    deltas = [choice.delta for chunk in told for choice in chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == SAID.text
    thoughts = [getattr(delta, "reasoning_content", None) or "" for delta in deltas]
    assert "".join(thoughts) == "Hm."
    assert told[-1].usage.total_cost_usd == pytest.approx(COST_USD)


@each
def test_a_tool_is_called_and_its_result_goes_back_with_what_the_vendor_signed(
    client: openai.OpenAI, played: dict[str, Played], name: str
) -> None:
    played[name].said = CALL
    told = client.chat.completions.create(model=name, messages=HELLO, tools=[TOOL])
    message = told.choices[0].message
    assert told.choices[0].finish_reason == "tool_calls"
    assert message.tool_calls is not None
    [call] = message.tool_calls
    played[name].said = SAID
    result: Any = {"role": "tool", "tool_call_id": call.id, "content": "full"}
    turns: list[Any] = [*HELLO, message.model_dump(exclude_none=True), result]
    client.chat.completions.create(model=name, messages=turns, tools=[TOOL])
    request = played[name].requests[-1]
    heard = VENDORS[name].heard(request)
    assert [one["role"] for one in heard.messages] == ["system", "user", "assistant", "tool"]
    assert heard.messages[3] == {"role": "tool", "tool_call_id": call.id, "content": "full"}
    assert (b'"thoughtSignature":"c2ln"' in request.body) is (name == "gemini")


@pytest.mark.parametrize(
    ("name", "fields", "param"),
    [
        ("claude", {"seed": 1}, "seed"),
        ("claude", {"extra_body": {"top_k": 3}}, "top_k"),
        ("claude", {"temperature": 1.5}, "temperature"),
        ("gemini", {"logit_bias": {"1": 1}}, "logit_bias"),
        ("gemini", {"reasoning_effort": "none"}, "reasoning_effort"),
    ],
)
def test_what_a_vendor_cannot_do_is_refused_by_name(
    client: openai.OpenAI, name: str, fields: Any, param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model=name, messages=HELLO, **fields)
    assert raised.value.param == param
