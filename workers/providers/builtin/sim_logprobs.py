"""Made-up log probabilities in OpenAI's form."""

import math
from typing import Any

from workers.providers.builtin.request import invalid

TOP_MAX = 20


def parts(tokens: list[str], request: dict[str, Any], digest: bytes) -> list[dict[str, Any]]:
    """Tokens as parts of a choice, with the log probability of each where `logprobs` asks for it,
    and with as many alternatives as `top_logprobs` says. Raises ProviderError `invalid`."""
    top = request.get("top_logprobs") or 0
    if top and not request.get("logprobs"):
        raise invalid("top_logprobs", "needs logprobs to be true")
    if not isinstance(top, int) or not 0 <= top <= TOP_MAX:
        raise invalid("top_logprobs", f"must be a whole number from 0 to {TOP_MAX}")
    said: list[dict[str, Any]] = [{"delta": {"content": token}} for token in tokens]
    if request.get("logprobs"):
        for place, token in enumerate(tokens):
            entry = _entry(token, digest[place % len(digest)], top)
            said[place]["logprobs"] = {"content": [entry], "refusal": None}
    return said


def _entry(token: str, byte: int, top: int) -> dict[str, Any]:
    """A token that takes from half to nearly all of the probability; each alternative has half of
    what is left."""
    likely = 0.5 + byte / 520
    entry = _one(token, likely)
    left, others = 1 - likely, []
    for number in range(1, top):
        left /= 2
        others.append(_one(f"{token}{number}", left))
    return {**entry, "top_logprobs": [entry, *others] if top else []}


def _one(token: str, probability: float) -> dict[str, Any]:
    return {
        "token": token,
        "logprob": round(math.log(probability), 6),
        "bytes": list(token.encode()),
    }
