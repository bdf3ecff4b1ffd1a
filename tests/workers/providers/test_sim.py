"""The simulator does what it is told, and says so where it was told nonsense."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.providers.base import Call, Chunk, ProviderError
from workers.providers.builtin.sim import BATCH, Sim
from workers.providers.builtin.sim_settings import PREFIX, SimSettings


def call(text: str = "Hello there", /, metadata: Any = None, n: Any = 1, **parameters: Any) -> Call:
    request = {"messages": [{"role": "user", "content": text}], "n": n, "metadata": metadata}
    return Call(request, "sim", parameters, first_token_timeout=0, idle_timeout=0)


def text_of(chunks: list[Chunk], index: int = 0) -> str:
    choices = [choice for chunk in chunks for choice in chunk.choices]
    return "".join(c["delta"].get("content", "") for c in choices if c["index"] == index)


def answer(asked: Call) -> str:
    content = Sim().complete(asked).choices[0]["message"]["content"]
    assert isinstance(content, str)
    return content


def failure(asked: Call) -> tuple[ProviderError, list[Chunk]]:
    """The error the stream ends with, and what came before it."""
    chunks: list[Chunk] = []
    try:
        for chunk in Sim().stream(asked):
            chunks.append(chunk)
    except ProviderError as error:
        return error, chunks
    pytest.fail("the stream ended well")


@given(st.text(max_size=20), st.integers(1, 400), st.integers() | st.none())
def test_no_token_comes_twice_and_each_is_numbered(text: str, length: int, seed: int) -> None:
    tokens = answer(call(text, tokens=length, seed=seed)).split(" ")
    assert len(set(tokens)) == length
    assert [int("".join(filter(str.isdigit, token))) for token in tokens] == [*range(1, length + 1)]


def test_the_text_follows_from_the_messages_and_the_seed_alone() -> None:
    base = answer(call(seed=1))
    assert base == answer(call(seed="1", usage=False, attempt=3))
    assert base != answer(call(seed=2))
    assert base != answer(call("Goodbye", seed=1))
    assert answer(call(tokens=50)).startswith(answer(call(tokens=49)))


def test_unpaced_chunks_are_few_and_the_stream_gives_what_complete_gives() -> None:
    asked = call(tokens=100)
    chunks = list(Sim().stream(asked))
    assert [len(chunk.choices) for chunk in chunks] == [BATCH, BATCH, BATCH, 100 - 3 * BATCH + 1]
    first, second = chunks[0].choices[:2]
    assert first["delta"].keys() == {"role", "content"}
    assert second["delta"].keys() == {"content"}
    assert chunks[-1].choices[-1] == {"index": 0, "delta": {}, "finish_reason": "stop"}
    done = Sim().complete(asked)
    assert done.choices[0]["message"] == {"role": "assistant", "content": text_of(chunks)}
    assert done.usage == chunks[-1].usage
    assert done.usage == {"prompt_tokens": 2, "completion_tokens": 100, "total_tokens": 102}


def test_an_answer_without_a_token_is_still_an_answer() -> None:
    done = Sim().complete(call(tokens=0))
    assert done.choices[0]["message"] == {"role": "assistant", "content": ""}
    assert done.choices[0]["finish_reason"] == "stop"


def test_usage_is_untold_when_told_so() -> None:
    assert Sim().complete(call(usage=False)).usage is None
    assert Sim().complete(call(metadata={"sim_usage": "false"})).usage is None


def test_a_request_overrides_the_catalogue_with_strings_or_numbers() -> None:
    assert len(answer(call(tokens=9, metadata={"sim_tokens": "3", "other": "x"})).split()) == 3
    assert len(answer(call(tokens=9, metadata={"sim_tokens": 4})).split()) == 4


def test_limit_stop_and_n_are_honoured() -> None:
    asked = call(tokens=9, n=2)
    second = answer(call(tokens=9)).split(" ")[1]
    asked.request["max_tokens"] = 5
    done = Sim().complete(asked)
    assert [len(choice["message"]["content"].split()) for choice in done.choices] == [5, 5]
    assert [choice["finish_reason"] for choice in done.choices] == ["length", "length"]
    assert done.usage == {"prompt_tokens": 2, "completion_tokens": 10, "total_tokens": 12}
    asked.request["stop"] = second
    done = Sim().complete(asked)
    assert done.choices[1]["finish_reason"] == "stop"
    assert done.choices[1]["message"]["content"] == answer(call(tokens=1)) + " "


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, "invalid", False),
        (404, "invalid", False),
        (401, "auth", False),
        (403, "auth", False),
        (429, "rate_limited", True),
        (500, "unavailable", True),
        (503, "unavailable", True),
    ],
)
def test_a_status_is_failed_with(status: int, kind: str, retryable: bool) -> None:
    error, chunks = failure(call(status=status, retry_after=2.5))
    assert (error.kind, error.status, error.retryable, error.retry_after) == (
        kind,
        status,
        retryable,
        2.5,
    )
    assert chunks == []


def test_the_first_attempts_of_a_job_fail() -> None:
    for attempt in (1, 2):
        assert failure(call(fail_attempts=2, attempt=attempt))[0].status == 503
    assert failure(call(fail_attempts=2, attempt=2, status=429))[0].kind == "rate_limited"
    assert answer(call(fail_attempts=2, attempt=3, status=429))


def failing(**parameters: Any) -> list[bool]:
    """Which of 200 different requests fail."""
    outcomes: list[bool] = []
    for number in range(200):
        try:
            Sim().complete(call(f"Request {number}", tokens=1, **parameters))
            outcomes.append(False)
        except ProviderError as error:
            outcomes.append(error.kind == "unavailable")
    return outcomes


def test_a_share_of_calls_fails_the_same_ones_with_the_same_seed() -> None:
    outcomes = failing(failure_rate=0.3, seed=7, attempt=1)
    assert 30 < sum(outcomes) < 90
    assert outcomes == failing(failure_rate=0.3, seed=7, attempt=1)
    assert outcomes != failing(failure_rate=0.3, seed=7, attempt=2)
    assert outcomes != failing(failure_rate=0.3, seed=8, attempt=1)


def test_a_failure_rate_without_a_seed_is_drawn_anew() -> None:
    assert failing(failure_rate=0.5) != failing(failure_rate=0.5)
    assert not any(failing(failure_rate=0))
    assert all(failing(failure_rate=1))


@pytest.mark.parametrize("cut", [0, 1, 32, 33, 64])
def test_a_cut_stream_has_told_so_many_tokens_and_no_reason(cut: int) -> None:
    error, chunks = failure(call(tokens=64, cut_after=cut))
    assert error.kind == "incomplete"
    assert error.retryable
    assert len(text_of(chunks).split()) == cut
    assert answer(call(tokens=64)).startswith(text_of(chunks))
    assert not any(c["finish_reason"] for chunk in chunks for c in chunk.choices)


@pytest.mark.parametrize(("stall", "cut", "kind"), [(3, 5, "timeout"), (5, 3, "incomplete")])
def test_the_earlier_of_stall_and_cut_comes(stall: int, cut: int, kind: str) -> None:
    error, chunks = failure(call(stall_after=stall, cut_after=cut))
    assert error.kind == kind
    assert len(text_of(chunks).split()) == 3


def test_an_answer_that_ends_before_its_break_ends_well() -> None:
    assert len(answer(call(tokens=4, stall_after=5, cut_after=6)).split()) == 4


@pytest.mark.parametrize(
    ("parameters", "metadata", "field"),
    [
        ({"tokens": "many"}, {}, "parameters.tokens"),
        ({"tokens": 1}, {"sim_tokens": "many"}, "metadata.sim_tokens"),
        ({}, {"sim_tokens": -1}, "metadata.sim_tokens"),
        ({}, {"sim_tokens": 2.5}, "metadata.sim_tokens"),
        ({}, {"sim_ttft_ms": "nan"}, "metadata.sim_ttft_ms"),
        ({}, {"sim_tokens_per_second": "-1"}, "metadata.sim_tokens_per_second"),
        ({}, {"sim_failure_rate": "1.1"}, "metadata.sim_failure_rate"),
        ({}, {"sim_status": 200}, "metadata.sim_status"),
        ({}, {"sim_usage": "perhaps"}, "metadata.sim_usage"),
        ({}, {"sim_seed": {}}, "metadata.sim_seed"),
        ({}, {"sim_speed": 1}, "metadata.sim_speed"),
        ({}, {"sim_attempt": 1}, "metadata.sim_attempt"),
        ({"fail_attempts": 1}, {}, "parameters.attempt"),
        ({"attempt": 0}, {}, "parameters.attempt"),
        ({}, ["sim_tokens"], "metadata"),
    ],
)
def test_a_wrong_value_is_refused_by_name(
    parameters: dict[str, Any], metadata: Any, field: str
) -> None:
    error, chunks = failure(call(metadata=metadata, **parameters))
    assert (error.kind, error.retryable, chunks) == ("invalid", False, [])
    assert error.message.startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("request_fields", "field"),
    [
        ({"messages": [], "tool_choice": "required"}, "tool_choice"),
        ({"messages": [], "tool_choice": {"type": "function"}}, "tool_choice"),
        ({}, "messages"),
        ({"messages": [{"content": {1, 2}}]}, "messages"),
        ({"messages": [], "n": 0}, "n"),
    ],
)
def test_a_malformed_request_is_refused_by_name(request_fields: dict[str, Any], field: str) -> None:
    error, chunks = failure(Call(request_fields, "sim"))
    assert (error.kind, error.retryable, chunks) == ("invalid", False, [])
    assert error.message.startswith(f"{field}: ")


def test_every_parameter_is_described() -> None:
    for name in SimSettings.model_fields:
        assert f"`{name}`" in (SimSettings.__doc__ or ""), PREFIX + name
