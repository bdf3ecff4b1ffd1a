"""What the builtin providers read from a chat completion request."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

from workers.providers.base import ProviderError

MOST_CHOICES = 128  # OpenAI's bound of `n`

Token = TypeVar("Token")

_WORD = re.compile(r"\s*\S+(?:\s+$)?")


def invalid(field: str, problem: str) -> ProviderError:
    """The error for a field of the request or the catalogue that is not as it should be."""
    ours = field.startswith("parameters.")
    return ProviderError(
        "invalid", f"{field}: {problem}", retryable=False, status=400, param=None if ours else field
    )


def messages(request: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages; raises ProviderError `invalid` if they are not a list of objects."""
    found = request.get("messages")
    if not isinstance(found, list) or not all(isinstance(message, dict) for message in found):
        raise invalid("messages", "must be a list of objects")
    return found


def text_of(content: Any) -> str:
    """The text of a message: a string, or the text parts of a list, a line each."""
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def words(text: str) -> list[str]:
    """The words of `text` with the blanks before them, so that they join to it again."""
    return _WORD.findall(text)


def choice_count(request: dict[str, Any]) -> int:
    """`n`, 1 if absent."""
    count = request.get("n")
    if count is None:
        return 1
    return _whole("n", count, 1, MOST_CHOICES)


def bounded(tokens: list[str], request: dict[str, Any]) -> tuple[list[str], str]:
    """The words up to a stop sequence or the token limit, and the finish reason."""
    tokens, cut = limited(stopped(tokens, request, words), request)
    return tokens, "length" if cut else "stop"


def stopped(
    tokens: list[str], request: dict[str, Any], split: Callable[[str], list[str]]
) -> list[str]:
    """The tokens up to the first stop sequence; `split` makes a text into tokens."""
    if stops := _stops(request):
        text = "".join(tokens)
        ends = [end for stop in stops if (end := text.find(stop)) >= 0]
        if ends:
            return split(text[: min(ends)])
    return tokens


def limited(tokens: list[Token], request: dict[str, Any]) -> tuple[list[Token], bool]:
    """The tokens up to the token limit, and whether that cut any off. `max_completion_tokens`
    stands before `max_tokens`."""
    for field in ("max_completion_tokens", "max_tokens"):
        if request.get(field) is not None:
            most = _whole(field, request[field], 0)
            return tokens[:most], len(tokens) > most
    return tokens, False


def usage(request: dict[str, Any], tokens: int) -> dict[str, int]:
    """OpenAI usage, counted in words divided by white space.

    The prompt is the text of all messages, whatever their role; `tokens` are those of all choices.
    """
    prompt = sum(len(text_of(message.get("content")).split()) for message in messages(request))
    return {
        "prompt_tokens": prompt,
        "completion_tokens": tokens,
        "total_tokens": prompt + tokens,
    }


def _stops(request: dict[str, Any]) -> list[str]:
    stop = request.get("stop")
    stops = [stop] if isinstance(stop, str) else stop or []
    if not isinstance(stops, list) or not all(isinstance(item, str) for item in stops):
        raise invalid("stop", "must be a string or a list of strings")
    return [item for item in stops if item]


def _whole(field: str, value: Any, least: int, most: int | None = None) -> int:
    if (
        not isinstance(value, int)
        or isinstance(value, bool)
        or value < least
        or (most is not None and value > most)
    ):
        bound = f"at least {least}" if most is None else f"from {least} to {most}"
        raise invalid(field, f"must be a whole number, {bound}")
    return value
