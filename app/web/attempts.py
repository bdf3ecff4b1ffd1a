"""`/v1/jobs/{id}/attempts`: who answered, and why."""

from typing import Any

from app.money import NANOS, usd

TOKENS = ("prompt_tokens", "completion_tokens", "total_tokens")


def attempt_object(attempt: dict[str, Any]) -> dict[str, Any]:
    """An attempt with its calls and their sums: tokens as providers told them, and what the
    platform owes. `latency_ms` is from its claim to its end, null while it runs."""
    calls, end = attempt["calls"], attempt["finished_at"]
    told = [call["usage"] for call in calls if call.get("usage")]
    owed = sum(round(call.get("platform_cost_usd", 0) * NANOS) for call in calls)
    return {
        **attempt,
        "usage": {name: sum(usage.get(name) or 0 for usage in told) for name in TOKENS},
        "platform_cost_usd": usd(owed),
        "latency_ms": None if end is None else round((end - attempt["started_at"]) * 1000, 1),
    }
