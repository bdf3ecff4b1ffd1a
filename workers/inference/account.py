"""What an answer used and costs, in the form of the API's `usage`."""

from dataclasses import dataclass
from typing import Any

from app.catalogue.model import Model
from app.catalogue.tokens import estimate_tokens
from app.money import usd

NO_TOKENS: dict[str, Any] = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


@dataclass(frozen=True, slots=True)
class Bill:
    """`usage` as the client sees it; `cost` in nano-dollars, never above the hold."""

    usage: dict[str, Any]
    cost: int


def told_or_estimated(told: dict[str, Any] | None, request: str, text: str) -> dict[str, Any]:
    """The provider's usage, or our own count of it, marked `estimated`."""
    prompt = (told or {}).get("prompt_tokens")
    completion = (told or {}).get("completion_tokens", 0)
    if told is not None and _is_count(prompt) and _is_count(completion):
        return {**told, "completion_tokens": completion, "total_tokens": prompt + completion}
    prompt, completion = estimate_tokens(request), estimate_tokens(text)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "estimated": True,
    }


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**31


def bill(
    usage: dict[str, Any], model: Model | None, hold: int, latency_ms: float, ttft_ms: float | None
) -> Bill:
    """Prices `usage`; without a model, or where the platform is at fault, nothing is owed.

    What would go over the hold is the platform's loss: a client is never charged more than was
    set aside at admission.
    """
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else 0
    cached = min(cached, usage["prompt_tokens"]) if _is_count(cached) else 0
    priced = usage if model is not None else NO_TOKENS
    cost = None
    if model is not None:
        cost = model.cost(priced["prompt_tokens"], cached, priced["completion_tokens"])
    total = min(cost.total, hold) if cost else 0
    full = {
        **usage,
        "input_cost_usd": usd(cost.input + cost.cached_input) if cost else 0.0,
        "output_cost_usd": usd(cost.output) if cost else 0.0,
        "cache_input_cost_usd": usd(cost.cached_input) if cost else 0.0,
        "total_cost_usd": usd(total),
        "latency_ms": round(latency_ms, 1),
        "ttft_ms": None if ttft_ms is None else round(ttft_ms, 1),
    }
    return Bill(full, total)
