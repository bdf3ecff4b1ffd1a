"""A call for each of several prompts, seen as one."""

from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from tests.app.events.parts import until
from tests.workers.inference.scripted import Scripted, completion, error, model, say
from workers.inference.request import provider_request
from workers.inference.several import Several, together
from workers.providers.base import Call, Chunk, Completion, Provider, ProviderError
from workers.providers.collect import collect
from workers.providers.registry import Providers

REQUEST = {
    "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "one"}],
    "prompts": ["one", "two", "three"],
    "n": 2,
}


class One(Providers):
    """A registry that gives one provider whatever the name."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def get(self, name: str) -> Provider:
        return self._provider


class Echo:
    """Answers each choice with the last message, and counts its letters."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def complete(self, call: Call) -> Completion:
        return collect(self.stream(call))

    def stream(self, call: Call) -> Iterator[Chunk]:
        self.asked.append(call.request)
        text = call.request["messages"][-1]["content"]
        for index in range(call.request.get("n") or 1):
            yield Chunk([{"index": index, "delta": {"content": text}, "finish_reason": "stop"}])
        yield Chunk([], {"prompt_tokens": len(text), "completion_tokens": 2, "total_tokens": 0})


def several(provider: Provider) -> Provider:
    return Several(One(provider)).get("any")


def texts(answer: Completion) -> list[tuple[int, str]]:
    return [(choice["index"], choice["message"]["content"]) for choice in answer.choices]


ALL = [(0, "one"), (1, "one"), (2, "two"), (3, "two"), (4, "three"), (5, "three")]


def test_whole_and_streamed_answers_number_the_choices_by_prompt() -> None:
    echo = Echo()
    whole = several(echo).complete(Call(REQUEST, "m"))
    streamed = collect(several(echo).stream(Call(REQUEST, "m")))
    assert texts(whole) == texts(streamed) == ALL
    assert whole.usage == streamed.usage
    assert whole.usage == {"prompt_tokens": 11, "completion_tokens": 6, "total_tokens": 0}
    assert all("prompts" not in asked for asked in echo.asked)
    assert all(asked["messages"][0]["content"] == "Be kind." for asked in echo.asked)


@pytest.mark.parametrize("stream", [False, True])
def test_one_prompt_that_fails_fails_the_call(stream: bool) -> None:
    part = say("hi", "stop") if stream else completion()
    provider = Scripted([[part], [error("timeout")], [part]])
    asked, call = several(provider), Call(REQUEST, "m")
    with pytest.raises(ProviderError, match="it is timeout"):
        collect(asked.stream(call)) if stream else asked.complete(call)


def test_a_stream_that_is_closed_closes_the_call_under_way() -> None:
    provider = Scripted([[say("hi"), say("", "stop")]])
    stream = several(provider).stream(Call(REQUEST, "m"))
    next(stream)
    assert provider.closed == 0
    stream.close()  # type: ignore[attr-defined]
    assert (provider.closed, len(provider.calls)) == (1, 1)


def test_a_job_that_is_cut_ends_its_calls() -> None:
    provider = Scripted([[lambda: gevent.sleep(30), completion()]])
    greenlet = gevent.spawn(several(provider).complete, Call(REQUEST, "m"))
    until(lambda: len(provider.calls) > 1)
    greenlet.kill()
    assert provider.closed == len(provider.calls)


def test_usages_are_summed_and_one_that_is_missing_makes_none() -> None:
    cached = {
        "prompt_tokens": 5,
        "completion_tokens": 1,
        "prompt_tokens_details": {"cached_tokens": 4},
    }
    plain = {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
    assert together([cached, plain]) == {
        "prompt_tokens": 7,
        "completion_tokens": 4,
        "total_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 4},
    }
    assert together([cached, None]) is None


def test_the_prompts_are_in_the_request_that_the_cache_knows_an_answer_by() -> None:
    asked = {"messages": [{"role": "user", "content": "a"}], "asked": {"prompts": ["a", "b"]}}
    assert provider_request(asked, model("m", "p"))["prompts"] == ["a", "b"]
    assert "prompts" not in provider_request({**asked, "asked": {"n": 1}}, model("m", "p"))
