"""LiteLLM's SDK as a client: whole and streamed answers, tools, embeddings, its errors."""

import json
from typing import Any

import litellm
import pytest

HELLO = [{"role": "user", "content": "I am unhappy."}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"location": {"type": "string"}},
            "required": ["location"],
        },
    },
}
ASKED = [{"role": "user", "content": "What is the weather in Paris?"}]


@pytest.fixture
def moonpool(base_url: str, key: str) -> dict[str, str]:
    """What points LiteLLM at the stack."""
    return {"model": "openai/builtin/sim", "api_base": base_url, "api_key": key}


def test_a_whole_answer(moonpool: dict[str, str]) -> None:
    answer = litellm.completion(messages=HELLO, **moonpool)
    assert len(answer.choices[0].message.content.split()) == 32
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 32


async def test_an_answer_without_waiting(moonpool: dict[str, str]) -> None:
    answer = await litellm.acompletion(messages=HELLO, **moonpool)
    assert answer.choices[0].message.content


def test_a_stream_says_the_same(moonpool: dict[str, str]) -> None:
    whole = litellm.completion(messages=HELLO, **moonpool)
    chunks = list(
        litellm.completion(
            messages=HELLO, stream=True, stream_options={"include_usage": True}, **moonpool
        )
    )
    built = litellm.stream_chunk_builder(chunks, messages=HELLO)
    assert built.choices[0].message.content == whole.choices[0].message.content
    assert built.usage.completion_tokens == whole.usage.completion_tokens


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_and_its_result_told(moonpool: dict[str, str], stream: bool) -> None:
    answer: Any = litellm.completion(messages=ASKED, tools=[WEATHER], stream=stream, **moonpool)
    if stream:
        answer = litellm.stream_chunk_builder(list(answer), messages=ASKED)
    assert answer.choices[0].finish_reason == "tool_calls"
    message = answer.choices[0].message
    [call] = message.tool_calls
    assert json.loads(call.function.arguments) == {"location": "Paris"}
    result = {"role": "tool", "tool_call_id": call.id, "content": "It rains."}
    told = litellm.completion(
        messages=[*ASKED, message.model_dump(), result], tools=[WEATHER], **moonpool
    )
    assert told.choices[0].message.content == "get_weather says: It rains."


def test_reasoning_is_told(moonpool: dict[str, str]) -> None:
    answer = litellm.completion(
        messages=HELLO, reasoning_effort="low", allowed_openai_params=["reasoning_effort"],
        **moonpool,
    )  # fmt: skip
    assert answer.choices[0].message.reasoning_content
    assert answer.usage.completion_tokens_details.reasoning_tokens == 8


def test_embeddings(base_url: str, key: str) -> None:
    answer = litellm.embedding(
        model="openai/all-MiniLM-L6-v2", input=["a moon", "a pool"], api_base=base_url, api_key=key
    )
    assert [len(row["embedding"]) for row in answer.data] == [384, 384]
    assert answer.usage.prompt_tokens > 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_response(moonpool: dict[str, str], stream: bool) -> None:
    answer: Any = litellm.responses(input="I am unhappy.", stream=stream, **moonpool)
    if stream:
        *_, last = answer
        answer = last.response
    assert len(answer.output[0].content[0].text.split()) == 32


async def test_a_message(base_url: str, key: str) -> None:
    answer: Any = await litellm.anthropic_messages(
        model="anthropic/builtin/sim", messages=HELLO, max_tokens=99,
        api_base=base_url.removesuffix("/v1"), api_key=key,
    )  # fmt: skip
    assert len(answer["content"][0]["text"].split()) == 32
    assert answer["stop_reason"] == "end_turn"


def test_errors_are_those_of_its_table(moonpool: dict[str, str]) -> None:
    with pytest.raises(litellm.AuthenticationError):
        litellm.completion(messages=HELLO, **(moonpool | {"api_key": "wrong"}))
    with pytest.raises(litellm.NotFoundError):
        litellm.completion(messages=HELLO, **(moonpool | {"model": "openai/no-such-model"}))
    with pytest.raises(litellm.BadRequestError):
        litellm.completion(messages=HELLO, extra_body={"strange": True}, **moonpool)
    with pytest.raises(litellm.RateLimitError):
        litellm.completion(
            messages=HELLO, max_retries=0, **moonpool,
            extra_body={"metadata": {"sim_status": "429", "sim_retry_after": "30"}},
        )  # fmt: skip
