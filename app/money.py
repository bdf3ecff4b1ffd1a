"""Money as integer nano-dollars: 1 USD is 1,000,000,000.

A price is nano-dollars per million tokens, so that 0.0375 USD per million is an exact integer.
"""

from decimal import Context, Decimal, Inexact, InvalidOperation

NANOS = 1_000_000_000
MILLION = 1_000_000
FUNDS_MAX = 2**62 - 1
"""Nano-dollars that a wallet holds at most, and that it may owe at most: both together fit the 64
bits in which admission adds them."""

_EXACT = Context(prec=40, traps=[Inexact, InvalidOperation])


def nanos_from_usd(text: str) -> int:
    """Reads an amount in dollars, such as `"12.50"`. Raises ValueError if it is not one,
    is finer than a nano-dollar, or does not fit a 64-bit integer."""
    try:
        amount = _EXACT.multiply(Decimal(text), NANOS)
        whole = _EXACT.to_integral_exact(amount)
    except (InvalidOperation, Inexact):
        whole = Decimal("NaN")
    if not whole.is_finite() or abs(whole) >= 2**63:
        raise ValueError(f"not an amount in dollars with at most nine decimals: {text!r}")
    return int(whole)


def usd(nanos: int) -> float:
    """Nano-dollars as dollars, for JSON that promises a number of dollars."""
    return nanos / NANOS


def usd_text(nanos: int) -> str:
    """Nano-dollars as dollars for a person: no exponent, trailing zeros cut to two decimals."""
    whole, rest = divmod(abs(nanos), NANOS)
    cents = f"{rest:09d}".rstrip("0").ljust(2, "0")
    return f"{'-' if nanos < 0 else ''}${whole:,}.{cents}"


def usd_digits(nanos: int) -> str:
    """Nano-dollars as dollars with all nine decimals and no exponent, for files."""
    whole, rest = divmod(abs(nanos), NANOS)
    return f"{'-' if nanos < 0 else ''}{whole}.{rest:09d}"


def cost_nanos(tokens: int, price: int) -> int:
    """What `tokens` cost at `price` nano-dollars per million, rounded up to a nano-dollar."""
    return -(-tokens * price // MILLION)
