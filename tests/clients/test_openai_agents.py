"""OpenAI's agents run against a stack: a tool, a handoff, an answer in a form."""

from typing import Any, Literal

import pytest
from agents import (
    Agent,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from pydantic import BaseModel

set_tracing_disabled(True)


class Report(BaseModel):
    """A report on the weather."""

    place: Literal["Rome", "Paris"]
    degrees: int


@function_tool
def get_weather(location: str) -> str:
    """The weather at a location."""
    return f"In '{location}' it is 21 degrees."


@pytest.fixture(params=[OpenAIChatCompletionsModel, OpenAIResponsesModel])
def model(request: pytest.FixtureRequest) -> Any:
    """The simulator, over each of the two APIs."""
    return request.param("builtin/sim", AsyncOpenAI(max_retries=0))


async def test_an_agent_calls_a_tool_and_tells_its_result(model: Any) -> None:
    weather = Agent(name="weather", model=model, tools=[get_weather])
    done = await Runner.run(weather, "How is the weather in Paris?")
    assert done.final_output == "get_weather says: In 'Paris' it is 21 degrees."


async def test_an_agent_hands_over_and_answers_in_a_form(model: Any) -> None:
    writer = Agent(name="writer", model=model, output_type=Report)
    desk = Agent(name="desk", model=model, handoffs=[writer])
    run = Runner.run_streamed(desk, "The writer shall report on 'Paris' with 21 degrees")
    async for _ in run.stream_events():
        pass
    assert run.last_agent is writer
    assert run.final_output == Report(place="Paris", degrees=21)
