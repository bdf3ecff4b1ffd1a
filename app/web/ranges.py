"""Which bytes of a content a request asks for (RFC 9110, section 14)."""

import re
from dataclasses import dataclass

from flask import request

from app.errors import RangeUnmet

_ONE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes from `start` up to `stop`, which is none of them; answered with `status`."""

    start: int
    stop: int
    status: int


def asked_range(size: int, tag: str) -> Span:
    """What of `size` bytes, whose entity tag is `tag`, the request asks for: all, or one range.
    Several ranges, other units and a range of other bytes (If-Range) are answered with all, as
    section 14.2 allows. Raises RangeUnmet."""
    found = _ONE.fullmatch(request.headers.get("Range", ""))
    if found is None or not any(found.groups()) or request.headers.get("If-Range", tag) != tag:
        return Span(0, size, 200)
    first, last = found.groups()
    if first and last and int(last) < int(first):
        return Span(0, size, 200)
    start = int(first) if first else max(0, size - int(last))
    stop = min(size, int(last) + 1) if first and last else size
    if start >= size:
        raise RangeUnmet(f"The file has {size} bytes.", param="Range")
    return Span(start, stop, 206)
