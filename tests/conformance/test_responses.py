"""openai-python's Responses against a whole stack."""

from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.responses import Response, ResponseFunctionToolCall
from pydantic import BaseModel

from tests.stacks import Stack
from tests.waiting import wait_for

pytestmark = pytest.mark.xdist_group("stack")

SIM = "builtin/sim"
WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "description": "The weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


class Place(BaseModel):
    name: str
    visitors: int


def sim(**values: Any) -> dict[str, str]:
    return {f"sim_{name}": str(value) for name, value in values.items()}


def ended(client: OpenAI, response: Response) -> Response:
    """The response once it has ended, by polling as OpenAI's guide does."""

    def look() -> Response | None:
        found = client.responses.retrieve(response.id)
        return None if found.status in ("queued", "in_progress") else found

    found = wait_for(look, 30, "the response's end")
    assert found is not None
    return found


def test_a_response(client: OpenAI) -> None:
    response = client.responses.create(
        model="lunaby-pro", input="I am unhappy.", instructions="Be kind."
    )
    assert response.status == "completed"
    assert response.output_text
    assert response.instructions == "Be kind."
    assert response.usage is not None
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
    assert (response.usage.model_extra or {})["total_cost_usd"] > 0
    assert client.responses.retrieve(response.id).output_text == response.output_text
    [item] = client.responses.input_items.list(response.id).data
    assert item.to_dict()["content"] == [{"type": "input_text", "text": "I am unhappy."}]


def test_the_model_may_be_left_out(stack: Stack) -> None:
    with stack.client() as plain:
        answer = plain.post("/responses", json={"input": "Hello"}).json()
    assert answer["output"][0]["content"][0]["text"]


def test_a_stream_says_the_same(client: OpenAI) -> None:
    whole = client.responses.create(model="lunaby-pro", input="I am unhappy.")
    events = list(client.responses.create(model="lunaby-pro", input="I am unhappy.", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert text == whole.output_text
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.output_text == text


def test_the_stream_helper_puts_the_response_together(client: OpenAI) -> None:
    with client.responses.stream(
        model=SIM, input="Hello", metadata=sim(tokens=20), reasoning={"effort": "low"}
    ) as stream:
        kinds = {event.type for event in stream}
        response = stream.get_final_response()
    assert "response.reasoning_text.delta" in kinds
    assert [item.type for item in response.output] == ["reasoning", "message"]
    assert len(response.output_text.split()) == 20


def test_a_background_response_is_polled(client: OpenAI) -> None:
    response = client.responses.create(
        model=SIM, input="Hello", metadata=sim(tokens=5), background=True
    )
    # A quick worker has ended it before the door looks.
    assert response.status in ("queued", "in_progress", "completed")
    done = ended(client, response)
    assert done.status == "completed"
    assert len(done.output_text.split()) == 5


def test_a_dropped_background_stream_goes_on_where_it_was(client: OpenAI) -> None:
    stream = client.responses.create(
        model=SIM, input="Hello", metadata=sim(tokens=40, tokens_per_second=40),
        background=True, stream=True,
    )  # fmt: skip
    seen = []
    for event in stream:
        seen.append(event)
        if len(seen) == 10:
            break
    stream.close()
    first: Any = seen[0]
    rest = list(
        client.responses.retrieve(
            first.response.id, stream=True, starting_after=seen[-1].sequence_number
        )
    )
    events = [*seen, *rest]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    last: Any = events[-1]
    assert last.response.output_text == text
    assert len(text.split()) == 40


def test_cancel(client: OpenAI) -> None:
    response = client.responses.create(
        model=SIM, input="Hello", metadata=sim(tokens=5000, tokens_per_second=20), background=True
    )
    client.responses.cancel(response.id)
    assert ended(client, response).status == "cancelled"
    assert client.responses.cancel(response.id).status == "cancelled"


def test_delete(client: OpenAI) -> None:
    response = client.responses.create(model=SIM, input="Hello")
    client.responses.delete(response.id)
    for call in (client.responses.delete, client.responses.retrieve):
        with pytest.raises(openai.NotFoundError):
            call(response.id)


def test_a_tool_is_called_and_its_output_read(client: OpenAI) -> None:
    response = client.responses.create(
        model=SIM, input="What is the weather in 'Rome'?", tools=[WEATHER], tool_choice="required"
    )
    [call] = [i for i in response.output if isinstance(i, ResponseFunctionToolCall)]
    assert call.name == "weather"
    output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    again: list[Any] = [{"role": "user", "content": "Weather?"}, *response.output, output]
    whole = client.responses.create(model=SIM, input=again, tools=[WEATHER])
    following = client.responses.create(
        model=SIM, input=[output], previous_response_id=response.id, tools=[WEATHER]
    )
    assert whole.output_text
    assert following.output_text
    assert following.previous_response_id == response.id


def test_a_tool_call_is_streamed(client: OpenAI) -> None:
    with client.responses.stream(
        model=SIM, input="The weather in 'Rome'?", tools=[WEATHER], tool_choice="required"
    ) as stream:
        arguments = [e for e in stream if e.type == "response.function_call_arguments.done"]
        response = stream.get_final_response()
    call: Any = response.output[-1]
    assert call.type == "function_call"
    assert [event.arguments for event in arguments] == [call.arguments]


def test_structured_output(client: OpenAI) -> None:
    response = client.responses.parse(model=SIM, input="A place", text_format=Place)
    assert isinstance(response.output_parsed, Place)
    with client.responses.stream(model=SIM, input="A place", text_format=Place) as stream:
        streamed = stream.get_final_response()
    assert streamed.output_parsed == response.output_parsed


def test_log_probabilities_come_with_their_tokens(client: OpenAI) -> None:
    response = client.responses.create(
        model=SIM, input="Hello", metadata=sim(tokens=3), top_logprobs=2,
        include=["message.output_text.logprobs"],
    )  # fmt: skip
    message: Any = response.output[0]
    logprobs = message.content[0].logprobs
    assert "".join(entry.token for entry in logprobs) == response.output_text
    assert all(len(entry.top_logprobs) == 2 for entry in logprobs)
    again: Any = client.responses.retrieve(response.id, include=["message.output_text.logprobs"])
    assert again.output[0].content[0].logprobs == logprobs


def test_what_is_not_here_is_refused_by_name(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=SIM, input="x", tools=[{"type": "web_search"}])
    assert caught.value.param == "tools.0.type"
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=SIM, input="x", previous_response_id="resp_none")
    assert caught.value.code == "previous_response_not_found"


def test_a_response_is_billed_once(stack: Stack, client: OpenAI) -> None:
    response = client.responses.create(model="lunaby-pro", input="How much?")
    with stack.client() as plain:
        entries = plain.get("/billing/entries?limit=100").json()["data"]
    job_id = response.id.replace("resp_", "job_")
    told = {entry["kind"]: entry["amount_usd"] for entry in entries if entry["job_id"] == job_id}
    assert response.usage is not None
    assert abs(told["settle"]) == pytest.approx(
        (response.usage.model_extra or {})["total_cost_usd"]
    )
