"""A response whose worker or web dies in mid-stream, as its client lives through it."""

from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.chaos.work import ONCE, transfers
from tests.stacks import Stack

pytestmark = [pytest.mark.chaos, pytest.mark.xdist_group("drills")]

SLOW = {"sim_tokens": "60", "sim_tokens_per_second": "10"}


def client_of(stack: Stack) -> OpenAI:
    return OpenAI(base_url=stack.base_url, api_key=stack.key, max_retries=0, timeout=60)


def begin(client: OpenAI) -> Any:
    """A background response as a stream."""
    return client.responses.create(
        model="builtin/sim", input="count", metadata=SLOW, background=True, stream=True
    )


def read(stream: Any, count: int) -> list[Any]:
    """The first events of a stream, which is left open."""
    seen = []
    for event in stream:
        seen.append(event)
        if len(seen) == count:
            break
    return seen


def text_of(events: list[Any]) -> str:
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


def numbers(events: list[Any]) -> list[int]:
    return [event.sequence_number for event in events]


def test_a_worker_that_is_killed_ends_the_stream_and_the_rest_is_a_whole_answer(
    stack: Stack,
) -> None:
    with client_of(stack) as client:
        stream = begin(client)
        seen = read(stream, 12)
        stack.kill("worker_background")
        seen += list(stream)
        assert (seen[-1].type, seen[-1].code) == ("error", "stream_interrupted")
        name = seen[0].response.id
        rest: list[Any] = list(
            client.responses.retrieve(name, stream=True, starting_after=seen[-1].sequence_number)
        )
        assert rest[0].type == "response.created"
        assert rest[-1].type == "response.completed"
        assert numbers(seen + rest) == list(range(len(seen) + len(rest)))
        assert len(text_of(rest).split()) == 60
        assert text_of(rest) == client.responses.retrieve(name).output_text
    job_id = name.replace("resp_", "job_")
    assert transfers(stack, [job_id]) == {job_id: ONCE}


def test_a_web_that_is_killed_costs_no_event(stack: Stack) -> None:
    with client_of(stack) as client:
        stream = begin(client)
        seen = read(stream, 12)
        old = stack.kill("web")
        with pytest.raises(openai.APIError):
            seen.extend(stream)
        stack.await_restart("web", old)
        stack.await_ready()
        rest: list[Any] = list(
            client.responses.retrieve(
                seen[0].response.id, stream=True, starting_after=seen[-1].sequence_number
            )
        )
        assert numbers(seen + rest) == list(range(len(seen) + len(rest)))
        assert rest[-1].response.output_text == text_of(seen + rest)
        assert len(text_of(seen + rest).split()) == 60
