"""Images as OpenAI's API shows them."""

from collections.abc import Mapping
from typing import Any


def with_image_usage(stored: Mapping[str, Any]) -> dict[str, Any]:
    """An answer with images, its usage also under the names that OpenAI gives it there."""
    usage = stored.get("usage") or {}
    tokens = {
        "input_tokens": usage.get("prompt_tokens", 0),
        "output_tokens": usage.get("completion_tokens", 0),
    }
    return {**stored, "usage": {**tokens, **usage}}
