"""Anthropic's SDK against a whole stack."""

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic
from pydantic import BaseModel

from tests.stacks import Stack

pytestmark = pytest.mark.xdist_group("stack")

SIM = "builtin/sim"
HELLO: list[Any] = [{"role": "user", "content": "I am unhappy."}]
WEATHER: Any = {
    "name": "weather",
    "description": "The weather of a city.",
    "input_schema": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
    },
}  # fmt: skip


class Place(BaseModel):
    name: str
    visitors: int


@pytest.fixture
def claude(stack: Stack) -> Iterator[Anthropic]:
    """The SDK with nothing but two settings; it adds /v1 itself."""
    base_url = stack.base_url.removesuffix("/v1")
    with Anthropic(base_url=base_url, api_key=stack.key, max_retries=0, timeout=30) as client:
        yield client


def test_a_message(claude: Anthropic) -> None:
    message = claude.messages.create(
        model="lunaby-pro", max_tokens=100, system="Be kind.", messages=HELLO
    )
    assert message.role == "assistant"
    assert message.content[0].type == "text"
    assert message.content[0].text
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens > 0
    assert (message.usage.model_extra or {})["total_cost_usd"] > 0
    assert message._request_id


def test_a_stream_says_the_same(claude: Anthropic) -> None:
    whole = claude.messages.create(model="lunaby-pro", max_tokens=100, messages=HELLO)
    with claude.messages.stream(model="lunaby-pro", max_tokens=100, messages=HELLO) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    assert whole.content[0].type == message.content[0].type == "text"
    assert whole.content[0].text == message.content[0].text == text
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens == whole.usage.output_tokens
    assert message.usage.input_tokens == whole.usage.input_tokens


def test_a_long_silence_is_bridged_by_pings(claude: Anthropic) -> None:
    metadata: Any = {"sim_ttft_ms": "11000", "sim_tokens": "3"}
    with claude.messages.stream(
        model=SIM, max_tokens=100, messages=HELLO, metadata=metadata
    ) as stream:
        assert len("".join(stream.text_stream).split()) == 3


def test_a_tool_is_called_and_its_result_read(claude: Anthropic) -> None:
    asked: list[Any] = [{"role": "user", "content": "What is the weather in 'Rome'?"}]
    message = claude.messages.create(
        model=SIM, max_tokens=500, messages=asked, tools=[WEATHER], tool_choice={"type": "any"}
    )
    assert message.stop_reason == "tool_use"
    [call] = [block for block in message.content if block.type == "tool_use"]
    assert call.name == "weather"
    assert "city" in call.input
    result: Any = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
    following = claude.messages.create(
        model=SIM, max_tokens=500, tools=[WEATHER],
        messages=[*asked, {"role": "assistant", "content": message.content},
                  {"role": "user", "content": [result]}],
    )  # fmt: skip
    assert following.stop_reason == "end_turn"
    assert following.content[0].type == "text"


def test_a_tool_call_is_streamed(claude: Anthropic) -> None:
    with claude.messages.stream(
        model=SIM, max_tokens=500, messages=HELLO, tools=[WEATHER],
        tool_choice={"type": "tool", "name": "weather"},
    ) as stream:  # fmt: skip
        message = stream.get_final_message()
    block = message.content[-1]
    assert block.type == "tool_use"
    assert "city" in block.input


def test_thinking(claude: Anthropic) -> None:
    with claude.messages.stream(
        model=SIM, max_tokens=2000, messages=HELLO,
        thinking={"type": "enabled", "budget_tokens": 1024},
    ) as stream:  # fmt: skip
        message = stream.get_final_message()
    assert [block.type for block in message.content] == ["thinking", "text"]
    again = claude.messages.create(
        model=SIM, max_tokens=100,
        messages=[*HELLO, {"role": "assistant", "content": message.content},
                  {"role": "user", "content": "And?"}],
    )  # fmt: skip
    assert again.stop_reason == "end_turn"


def test_structured_output(claude: Anthropic) -> None:
    message = claude.messages.parse(model=SIM, max_tokens=500, messages=HELLO, output_format=Place)
    assert isinstance(message.parsed_output, Place)


def test_max_tokens(claude: Anthropic) -> None:
    message = claude.messages.create(model=SIM, max_tokens=2, messages=HELLO)
    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens == 2


def test_tokens_are_counted(claude: Anthropic) -> None:
    count = claude.messages.count_tokens(model=SIM, messages=HELLO, system="Be kind.")
    assert count.input_tokens > 0


def test_a_cut_stream_is_an_error(claude: Anthropic) -> None:
    metadata: Any = {"sim_cut_after": "3", "sim_tokens": "9"}
    stream = claude.messages.create(
        model=SIM, max_tokens=100, messages=HELLO, metadata=metadata, stream=True
    )
    with pytest.raises(anthropic.APIStatusError, match="interrupted"):
        list(stream)


def test_errors_are_those_of_the_sdk(stack: Stack, claude: Anthropic) -> None:
    def create(**fields: Any) -> None:
        claude.messages.create(**{"model": SIM, "max_tokens": 9, "messages": HELLO, **fields})

    with pytest.raises(anthropic.NotFoundError) as missing:
        create(model="no-such-model")
    assert missing.value.request_id
    with pytest.raises(anthropic.BadRequestError, match=r"tools\.0\.type"):
        create(tools=[{"type": "web_search_20250305", "name": "web_search"}])
    with pytest.raises(anthropic.RateLimitError) as limited:
        create(metadata={"sim_status": "429", "sim_retry_after": "30"})
    body: Any = limited.value.body
    assert body["error"]["type"] == "rate_limit_error"
    claude.api_key = "wrong"
    with pytest.raises(anthropic.AuthenticationError):
        create()
