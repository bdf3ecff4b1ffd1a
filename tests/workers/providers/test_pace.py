"""Pacing and timeouts of the builtin providers, on a clock that only sleeping moves."""

from typing import Any

import gevent
import gevent.event
import pytest

from workers.providers.base import Call, Chunk, Provider, ProviderError
from workers.providers.builtin import pace
from workers.providers.builtin.eliza import Eliza
from workers.providers.builtin.sim import Sim


class Clock:
    """Seconds that pass when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(gevent, "sleep", clock.sleep)
    monkeypatch.setattr(pace, "monotonic", lambda: clock.now)
    return clock


def call(first_token_timeout: float = 60, idle_timeout: float = 30, **parameters: Any) -> Call:
    request = {"messages": [{"role": "user", "content": "Men are all alike."}]}
    return Call(
        request,
        "builtin",
        parameters,
        first_token_timeout=first_token_timeout,
        idle_timeout=idle_timeout,
    )


def timed(
    provider: Provider, asked: Call, clock: Clock, busy: float = 0
) -> tuple[list[tuple[float, int]], ProviderError | None]:
    """When each chunk came and how many choices it had, and how it ended."""
    came: list[tuple[float, int]] = []
    stream = provider.stream(asked)
    begun = clock.now
    try:
        for chunk in stream:
            came.append((round(clock.now - begun, 6), len(chunk.choices)))
            clock.now += busy
    except ProviderError as error:
        return came, error
    return came, None


def test_eliza_speaks_at_its_pace(clock: Clock) -> None:
    came, _ = timed(Eliza(), call(tokens_per_second=4), clock)
    assert came == [(0, 1), (0.25, 1), (0.5, 1), (0.5, 1), (0.5, 0)]


@pytest.mark.parametrize("provider", [Eliza(), Sim()])
def test_without_a_pace_nobody_sleeps(provider: Provider, clock: Clock) -> None:
    came, _ = timed(provider, call(), clock)
    assert came
    assert clock.slept == []


def test_sim_waits_for_the_first_token_and_then_paces_one_to_a_chunk(clock: Clock) -> None:
    came, _ = timed(Sim(), call(ttft_ms=300, tokens_per_second=10, tokens=4), clock)
    assert came == [(0.3, 1), (0.4, 1), (0.5, 1), (0.6, 1), (0.6, 1)]


def test_sim_waits_for_the_first_token_only_when_not_paced(clock: Clock) -> None:
    came, _ = timed(Sim(), call(ttft_ms=300, tokens=40), clock)
    assert came == [(0.3, 32), (0.3, 9)]
    assert clock.slept == [0.3]


def test_complete_takes_the_time_of_the_stream(clock: Clock) -> None:
    Sim().complete(call(ttft_ms=300, tokens_per_second=10, tokens=4))
    assert clock.now == pytest.approx(0.6)


def test_a_slow_reader_does_not_slow_the_schedule(clock: Clock) -> None:
    came, _ = timed(Sim(), call(tokens_per_second=10, tokens=4), clock, busy=0.08)
    assert [at for at, _ in came] == [0, 0.1, 0.2, 0.3, 0.38]


@pytest.mark.parametrize(
    ("parameters", "tokens", "ended_at", "what"),
    [
        ({"ttft_ms": 5001}, 0, 5, "first token"),
        ({"ttft_ms": 5001, "tokens": 0}, 0, 5, "first token"),
        ({"ttft_ms": 5001, "stall_after": 0}, 0, 5, "first token"),
        ({"stall_after": 0}, 0, 5, "first token"),
        ({"ttft_ms": 1000, "stall_after": 7}, 7, 3, "further token"),
        ({"stall_after": 32}, 32, 2, "further token"),
        ({"tokens_per_second": 2, "stall_after": 3}, 3, 3, "further token"),
        ({"tokens_per_second": 0.1}, 1, 2, "further token"),
    ],
)
def test_what_comes_too_late_times_out_when_the_time_is_over(
    parameters: dict[str, Any], tokens: int, ended_at: float, what: str, clock: Clock
) -> None:
    asked = call(first_token_timeout=5, idle_timeout=2, **parameters)
    came, error = timed(Sim(), asked, clock)
    assert error is not None
    assert error.kind == "timeout"
    assert error.retryable
    assert what in error.message
    assert sum(size for _, size in came) == tokens
    assert clock.now == pytest.approx(ended_at)


def test_the_longest_allowed_wait_is_no_timeout(clock: Clock) -> None:
    asked = call(
        first_token_timeout=5, idle_timeout=2, ttft_ms=5000, tokens_per_second=0.5, tokens=3
    )
    came, error = timed(Sim(), asked, clock)
    assert error is None
    assert [at for at, _ in came] == [5, 7, 9, 9]


@pytest.mark.parametrize("provider", [Eliza(), Sim()])
def test_closing_the_stream_ends_it(provider: Provider, clock: Clock) -> None:
    stream = provider.stream(call(tokens_per_second=1))
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert next(stream, None) is None
    assert clock.slept == []


def test_a_stalled_call_ends_when_its_greenlet_is_killed() -> None:
    hub: Any = gevent
    begun = hub.event.Event()

    def read(chunks: list[Chunk]) -> None:
        for chunk in Sim().stream(call(idle_timeout=3600, stall_after=3)):
            chunks.append(chunk)
            begun.set()

    chunks: list[Chunk] = []
    reader = hub.spawn(read, chunks)
    assert begun.wait(10)
    reader.kill(timeout=10)
    assert reader.dead
    assert isinstance(reader.value, gevent.GreenletExit)
    assert len(chunks) == 1
