"""Money as integer nano-dollars: 1 USD is 1,000,000,000.

A price is nano-dollars per million tokens, so that 0.0375 USD per million is an exact integer.
"""

from decimal import ROUND_DOWN, Decimal, InvalidOperation

NANOS = 1_000_000_000
MILLION = 1_000_000


def nanos_from_usd(text: str) -> int:
    """Reads an amount in dollars, such as `"12.50"`. Raises ValueError if it is not one,
    is finer than a nano-dollar, or does not fit a 64-bit integer."""
    try:
        amount = Decimal(text) * NANOS
        exact = amount == amount.to_integral_value(ROUND_DOWN)
    except InvalidOperation:
        raise ValueError(f"not an amount in dollars: {text!r}") from None
    if not amount.is_finite() or not exact or abs(amount) >= 2**63:
        raise ValueError(f"not an amount in dollars with at most nine decimals: {text!r}")
    return int(amount)


def usd(nanos: int) -> float:
    """Nano-dollars as dollars, for JSON that promises a number of dollars."""
    return nanos / NANOS


def usd_text(nanos: int) -> str:
    """Nano-dollars as dollars for a person: no exponent, trailing zeros cut to two decimals."""
    whole, rest = divmod(abs(nanos), NANOS)
    cents = f"{rest:09d}".rstrip("0").ljust(2, "0")
    return f"{'-' if nanos < 0 else ''}${whole:,}.{cents}"


def cost_nanos(tokens: int, price: int) -> int:
    """What `tokens` cost at `price` nano-dollars per million, rounded up to a nano-dollar."""
    return -(-tokens * price // MILLION)
