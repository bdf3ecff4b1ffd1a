"""Attempts as their job's owner reads them."""

from typing import Any

from app.web.attempts import attempt_object


def attempt(*calls: dict[str, Any], finished: float | None = 12.5) -> dict[str, Any]:
    return {"attempt": 1, "calls": list(calls), "started_at": 10.0, "finished_at": finished}


def test_the_sums_of_an_attempt_are_those_of_its_calls() -> None:
    used = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    told = attempt_object(attempt(
        {"outcome": "timeout", "usage": None, "platform_cost_usd": 0.1},
        {"outcome": "completed", "usage": used, "platform_cost_usd": 0.2},
        {"outcome": "outpaced", "usage": {"prompt_tokens": 1}, "platform_cost_usd": 0.000000001},
    ))  # fmt: skip
    assert told["usage"] == {"prompt_tokens": 8, "completion_tokens": 2, "total_tokens": 9}
    assert told["platform_cost_usd"] == 0.300000001
    assert told["latency_ms"] == 2500.0
    assert len(told["calls"]) == 3


def test_one_that_runs_or_called_nobody_has_sums_too() -> None:
    told = attempt_object(attempt(finished=None))
    assert (told["platform_cost_usd"], told["latency_ms"]) == (0.0, None)
    assert set(told["usage"].values()) == {0}
