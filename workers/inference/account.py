"""What an answer used and costs, in the form of the API's `usage`."""

from dataclasses import dataclass
from typing import Any

import orjson

from app.catalogue.model import Cost, Model, Route
from app.catalogue.tokens import estimate_prompt, estimate_tokens
from app.money import MILLION, usd

NOTHING = Cost(0, 0, 0)
NO_TOKENS: dict[str, Any] = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
UNREAD = frozenset({"connect", "rate_limited", "auth", "invalid"})
"""Outcomes of calls that a provider did not take on, while they had not spoken."""


@dataclass(frozen=True, slots=True)
class Bill:
    """`usage` as the client sees it; `cost` in nano-dollars, never above the hold.

    `prompt_tokens` includes `cached_tokens`. `price_version` names the price that was charged; None
    where nothing is owed. `billed` is as in Outcome.
    """

    usage: dict[str, Any]
    cost: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    price_version: str | None
    billed: str | None = None


def is_told(usage: dict[str, Any] | None) -> bool:
    """Whether a provider's usage can be believed, so that nothing need be counted here."""
    return (
        usage is not None
        and _is_count(usage.get("prompt_tokens"))
        and _is_count(usage.get("completion_tokens", 0))
    )


def told_or_estimated(told: dict[str, Any] | None, request: str, text: str) -> dict[str, Any]:
    """The provider's usage, or our own count of it, marked `estimated`; `text` is read for that
    alone."""
    if told is not None and is_told(told):
        prompt, completion = told["prompt_tokens"], told.get("completion_tokens", 0)
        return {**told, "completion_tokens": completion, "total_tokens": prompt + completion}
    prompt, completion = estimate_prompt(request), estimate_tokens(text)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "estimated": True,
    }


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**31


def _tokens(usage: dict[str, Any]) -> tuple[int, int, int]:
    """Prompt tokens, those of them that were cached, and completion tokens."""
    prompt, details = usage["prompt_tokens"], usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else 0
    return prompt, min(cached, prompt) if _is_count(cached) else 0, usage["completion_tokens"]


def units(usage: dict[str, Any]) -> tuple[int, float]:
    """Images and seconds of audio that an answer used."""
    images, seconds = usage.get("images", 0), usage.get("seconds", 0)
    heard = type(seconds) in (int, float) and 0 <= seconds < 2**31
    return images if _is_count(images) else 0, seconds if heard else 0


def bill(
    usage: dict[str, Any],
    model: Model | None,
    hold: int,
    latency_ms: float,
    ttft_ms: float | None,
    route: Route | None = None,
    share: int = MILLION,
) -> Bill:
    """Prices `usage` as `model` costs where `route` answered (without one: its first route);
    without a model, or where the platform is at fault, nothing is owed. `share`: the part of the
    price that is charged, in millionths.

    What would go over the hold is the platform's loss: a client is never charged more than was
    set aside at admission. The costs by part always sum to the total.
    """
    prompt, cached, completion = _tokens(usage)
    images, seconds = units(usage)
    cost, version = NOTHING, None
    if model is not None:
        route = route or (model.routes[0] if model.routes else None)
        cost = model.cost(prompt, cached, completion, route, images, seconds)
        cost = (cost if share == MILLION else cost.part(share)).within(hold)
        version = model.price_version(route) if route is not None else None
    full = {
        **usage,
        "input_cost_usd": usd(cost.input),
        "output_cost_usd": usd(cost.output),
        "cache_input_cost_usd": usd(cost.cached_input),
        "total_cost_usd": usd(cost.total),
        "latency_ms": round(latency_ms, 1),
        "ttft_ms": None if ttft_ms is None else round(ttft_ms, 1),
    }
    beside = {"images": images, "seconds": seconds}
    told = {name: count for name, count in beside.items() if count}
    if share != MILLION:
        told["share"] = share
    billed = orjson.dumps(told).decode() if told and version is not None else None
    return Bill(full, cost.total, prompt, cached, completion, version, billed)


def call_costs(call: dict[str, Any], model: Model, route: Route, request: str, text: str) -> int:
    """What the platform owes the provider of `route` for one call, in nano-dollars.

    `call` is what `Calls.made` notes of it, `request` the job's request, `text` what the attempt
    said. Without the provider's own count the prompt is estimated and, of the call that spoke,
    the text. A call that never connected or was answered with an HTTP error costs nothing.
    """
    if _unread(call):
        return 0
    said = text if "ttft_ms" in call else ""
    usage = told_or_estimated(call.get("usage"), request, said)
    prompt, cached, completion = _tokens(usage)
    return model.cost_of(route).cost(prompt, cached, completion, *units(usage)).total


def _unread(call: dict[str, Any]) -> bool:
    """Whether a call ended before the provider began to work on its prompt. One without an
    outcome was cut while it was under way."""
    if "ttft_ms" in call or call.get("usage"):
        return False
    return call.get("outcome") in UNREAD or (call.get("status") or 0) >= 400
