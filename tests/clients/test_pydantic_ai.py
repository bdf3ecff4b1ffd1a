"""An agent of Pydantic AI calls a tool, hears its result, and answers in a form."""

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel


class Report(BaseModel):
    """A report on the weather."""

    place: str
    degrees: int


@pytest.fixture(params=[OpenAIChatModel, OpenAIResponsesModel])
def agent(request: pytest.FixtureRequest) -> Agent[None, Report]:
    """An agent with a tool, over each of the two APIs."""
    made = Agent(request.param("builtin/sim"), output_type=Report)

    @made.tool_plain
    def get_weather(location: str) -> str:
        """The weather at a location."""
        return f"In '{location}' it is 21 degrees"

    return made


def test_an_agent_answers_in_a_form(agent: Agent[None, Report]) -> None:
    done = agent.run_sync("How is the weather in Paris?")
    assert done.output == Report(place="Paris", degrees=21)
    assert done.usage.requests == 2


async def test_an_agent_streams(agent: Agent[None, Report]) -> None:
    async with agent.run_stream("How is the weather in Paris?") as run:
        assert await run.get_output() == Report(place="Paris", degrees=21)
