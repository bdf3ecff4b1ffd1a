"""Numbers within the bounds of a JSON Schema."""

import math
from fractions import Fraction
from typing import Any

EXACT = 2**53


class Bounds:
    """The bounds of a number: `minimum`, `exclusiveMinimum`, `maximum`, `exclusiveMaximum`,
    `multipleOf` (JSON Schema 2020-12, Validation, section 6.2). Raises ValueError where one is no
    number."""

    def __init__(self, schema: dict[str, Any], *, whole: bool) -> None:
        self._whole = whole
        self._low, self._above = _edge(schema, "minimum", "exclusiveMinimum", max)
        self._high, self._below = _edge(schema, "maximum", "exclusiveMaximum", min)
        self._step = _fraction(schema.get("multipleOf"))
        if self._step is not None and self._step <= 0:
            raise ValueError("multipleOf must be above 0")
        if whole:
            self._step = Fraction(self._step.numerator if self._step else 1)

    def fits(self, value: Fraction) -> bool:
        """Whether `value` is within the bounds."""
        low, high = self._low, self._high
        if low is not None and (value < low or (self._above and value == low)):
            return False
        if high is not None and (value > high or (self._below and value == high)):
            return False
        return self._step is None or value % self._step == 0

    def least(self, turn: int = 0) -> int | float | None:
        """The value that is nearest to 0, or one `turn` steps on; None if there is none."""
        low, high, step = self._low, self._high, self._step
        start = Fraction(0)
        if low is not None and low >= 0:
            start = low
        elif high is not None and high < 0:
            start = high
        if step is not None:
            start = (math.ceil(start / step) if start >= 0 else math.floor(start / step)) * step
        middle = (low + high) / 2 if low is not None and high is not None else start
        jump = step or Fraction(1)
        sign = -1 if start < 0 or (high is not None and start + jump > high) else 1
        for value in (start + sign * jump * turn, start + sign * jump * (turn + 1), middle):
            if self.fits(value):
                return plain(value)
        return None


def plain(value: Fraction) -> int | float:
    """A number as JSON writes it; whole numbers that a double does not hold exactly as doubles."""
    return int(value) if value.denominator == 1 and abs(value) < EXACT else float(value)


def _edge(schema: dict[str, Any], closed: str, opened: str, pick: Any) -> tuple[Any, bool]:
    """The stricter of two bounds, and whether it is itself outside. In draft 4 the exclusive one is
    true or false."""
    edge, beyond = _fraction(schema.get(closed)), schema.get(opened)
    if beyond is True or beyond is False or beyond is None:
        return edge, beyond is True
    open_edge = _fraction(beyond)
    if edge is None or pick(edge, open_edge) == open_edge:
        return open_edge, True
    return edge, False


def _fraction(value: Any) -> Fraction | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("a bound must be a number")
    return Fraction(str(value))
