"""Strings that a JSON Schema allows."""

from typing import Any

from workers.providers.builtin.sim_pattern import TEXT_MAX, matching
from workers.providers.builtin.sim_refs import Endless

_FORMATS = {
    "date": "2026-01-{day:02}",
    "date-time": "2026-01-{day:02}T00:00:00Z",
    "time": "{hour:02}:00:00Z",
    "duration": "P{number}D",
    "email": "user{number}@example.com",
    "idn-email": "user{number}@example.com",
    "hostname": "host{number}.example.com",
    "ipv4": "192.0.2.{number}",
    "ipv6": "2001:db8::{number}",
    "uri": "https://example.com/{number}",
    "uri-reference": "https://example.com/{number}",
    "url": "https://example.com/{number}",
    "uuid": "00000000-0000-4000-8000-{number:012}",
    "byte": "MDAw",
}
"""A value of each format (JSON Schema 2020-12, Validation, section 7.3); names and addresses are
those kept for examples (RFC 2606, RFC 5737, RFC 3849)."""

_LARGEST = 99


def fits_string(schema: dict[str, Any], text: str) -> bool:
    """Whether a text that was found is within the lengths of `schema`. A pattern fits no text: it
    is not run over what a client sent."""
    most = schema.get("maxLength", TEXT_MAX)
    return "pattern" not in schema and bool(schema.get("minLength", 0) <= len(text) <= most)


def as_string(schema: dict[str, Any], name: str, turn: int) -> str:
    """The string of a property called `name`, another one for each `turn`. Raises Endless where
    none is found."""
    least, most = schema.get("minLength", 0), schema.get("maxLength", TEXT_MAX)
    if least > min(most, TEXT_MAX) or turn > _LARGEST:
        raise Endless
    if "pattern" in schema:
        text = matching(schema["pattern"], least + turn)
    elif form := _FORMATS.get(schema.get("format", "")):
        text = form.format(number=turn + 1, day=turn % 28 + 1, hour=turn % 24)
    else:
        ending = str(turn + 1) if turn else ""
        text = (name or "text").ljust(least - len(ending), "x")[: most - len(ending)] + ending
    if text is None or not least <= len(text) <= most:
        raise Endless
    return text
