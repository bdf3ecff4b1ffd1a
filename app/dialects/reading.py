"""Reading what a client put into the free-form parts of a body, with errors that name its path."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.errors import InvalidRequest


def wrong(at: str, message: str) -> InvalidRequest:
    """The error of a value at the path `at`."""
    return InvalidRequest(f"{at}: {message}", param=at)


def known_keys(found: Mapping[str, Any], keys: frozenset[str], at: str) -> None:
    """Refuses keys that are not among `keys`. Null stands for absent, since clients send back what
    they were given. Raises InvalidRequest."""
    for key, value in found.items():
        if key not in keys and value is not None:
            raise InvalidRequest(
                f"Unknown field: {at}.{key}.", param=f"{at}.{key}", code="unknown_parameter"
            )


def text_at(found: Mapping[str, Any], key: str, at: str) -> str:
    """The text under `key`. Raises InvalidRequest."""
    value = found.get(key)
    if not isinstance(value, str):
        raise wrong(f"{at}.{key}", "a text must stand here.")
    return value


def objects(found: Any, at: str) -> list[dict[str, Any]]:
    """A list of objects. Raises InvalidRequest."""
    if not isinstance(found, list):
        raise wrong(at, "a text or a list must stand here.")
    for index, one in enumerate(found):
        if not isinstance(one, dict):
            raise wrong(f"{at}.{index}", "an object must stand here.")
    return found


def unmarked(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Chat messages without what Anthropic's API alone takes back: signed thoughts, and marks of
    what to cache. A message of thoughts alone goes."""
    plain = []
    for message in messages:
        kept = {k: v for k, v in message.items() if k not in ("thinking_blocks", "cache_control")}
        content = kept.get("content")
        if isinstance(content, list):
            kept["content"] = [
                {k: v for k, v in p.items() if k != "cache_control"} for p in content
            ]
        if content is not None or len(kept) > 2:
            plain.append(kept)
    return plain
