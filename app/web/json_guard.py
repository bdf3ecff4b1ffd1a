"""JSON that is refused before anything is made of it (RFC 8259, I-JSON of RFC 7493).

orjson refuses what is not JSON: NaN and Infinity, numbers beyond a double, lone surrogates, wrong
UTF-8, a byte order mark, control characters in strings, and what follows the document. What it
takes and nobody should is found here: nesting, names that come twice, integers that it reads as
doubles, and zero characters, which Postgres cannot keep.
"""

import json
import re
from typing import Any

import orjson

from app.errors import InvalidRequest

DEPTH_MAX = 64
WRITER_DEPTH_MAX = 254
"""How deep orjson writes; it reads 1024 levels."""

INTEGERS = range(-(2**63), 2**64)
"""Those that orjson reads and writes as such."""

_DIGITS = b"0" * len(str(INTEGERS[0])[1:])
_DIGITS_ALIKE = bytes(ord("0") if chr(byte).isdigit() else ord(" ") for byte in range(256))
_ESCAPED = re.compile(rb"\\u00(?:00|22)")
_ZERO = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_QUOTE = re.compile(rb"(?<!\\)(?:\\\\)*\\u0022")


def check_json(body: bytes) -> None:
    """Raises InvalidRequest for a body that is not JSON, is nested deeper than DEPTH_MAX, names a
    member twice, has an integer beyond 64 bits, or a zero character in a string."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if error.msg.startswith("depth limit"):
            raise _too_deep() from None
        raise InvalidRequest(f"The body is not JSON we can read: {error}.") from None
    if body.count(b"{") + body.count(b"[") > DEPTH_MAX:
        # So wrapped, it is beyond what orjson writes if it is deeper than it may be.
        for _ in range(WRITER_DEPTH_MAX - DEPTH_MAX):
            value = [value]
    try:
        written = orjson.dumps(value)
    except orjson.JSONEncodeError:
        raise _too_deep() from None
    if _DIGITS in body.translate(_DIGITS_ALIKE):
        json.loads(body, parse_int=_integer)
    quotes = body.count(b'"')
    if _ESCAPED.search(body):
        if _ZERO.search(body):
            raise InvalidRequest(r"The body has a zero character (\u0000) in a string.")
        quotes += len(_QUOTE.findall(body))
    # Of two members by one name the later is kept: the quotes of the earlier are missing.
    if written.count(b'"') != quotes:
        name = _named_twice(body)
        raise InvalidRequest(f"The body names {name!r} twice in one object.", param=name)


def _too_deep() -> InvalidRequest:
    return InvalidRequest(f"The body is nested deeper than {DEPTH_MAX} levels.")


def _integer(text: str) -> int:
    value = int(text) if len(text) <= 20 else INTEGERS.stop
    if value not in INTEGERS:
        raise InvalidRequest(f"The body has an integer beyond 64 bits: {text[:40]}.")
    return value


def _named_twice(body: bytes) -> str:
    """The first name that comes twice in one object, innermost objects first."""
    found: list[str] = []

    def look(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                found.append(name)
            seen.add(name)

    json.loads(body, object_pairs_hook=look, parse_int=str)
    return found[0]
