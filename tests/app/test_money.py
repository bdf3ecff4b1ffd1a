"""Money: exact in, exact out, and never a fraction of a nano-dollar lost to the tenant's favour."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.money import MILLION, NANOS, cost_nanos, nanos_from_usd, usd, usd_text

AMOUNTS = st.integers(-(2**63) + 1, 2**63 - 1)


def plain(nanos: int) -> str:
    """Nano-dollars written out as dollars, by other means than the code under test."""
    return f"{'-' if nanos < 0 else ''}{abs(nanos) // NANOS}.{abs(nanos) % NANOS:09d}"


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("12.50", 12_500_000_000),
        ("0.000000001", 1),
        ("-0.3", -300_000_000),
        ("1e-9", 1),
        ("9223372036.854775807", 2**63 - 1),
        ("0.0375", 37_500_000),
    ],
)
def test_reads_dollars(text: str, nanos: int) -> None:
    assert nanos_from_usd(text) == nanos


@pytest.mark.parametrize(
    "text",
    [
        "1e-10",
        "0.0000000001",
        "1.0000000000000000000000000000001",
        "NaN",
        "sNaN",
        "Infinity",
        "-inf",
        "9223372036.854775808",
        "1e400",
        "1e999999999",
        "",
        "ten",
        "$5",
        "1,5",
    ],
)
def test_refuses_what_is_no_exact_amount(text: str) -> None:
    with pytest.raises(ValueError, match="not an amount in dollars"):
        nanos_from_usd(text)


@given(AMOUNTS)
def test_reads_back_every_amount(nanos: int) -> None:
    assert nanos_from_usd(plain(nanos)) == nanos


@given(st.decimals(allow_nan=False, allow_infinity=False, places=20))
def test_never_rounds(amount: Decimal) -> None:
    exact = Fraction(amount) * NANOS
    if exact.denominator == 1 and abs(exact) < 2**63:
        assert nanos_from_usd(str(amount)) == exact
    else:
        with pytest.raises(ValueError, match="not an amount in dollars"):
            nanos_from_usd(str(amount))


@pytest.mark.parametrize(
    ("nanos", "text"),
    [
        (0, "$0.00"),
        (1, "$0.000000001"),
        (12_500_000_000, "$12.50"),
        (-1_500_000_000, "-$1.50"),
        (1_234_567_000_000_000, "$1,234,567.00"),
        (100_000, "$0.0001"),
    ],
)
def test_writes_dollars(nanos: int, text: str) -> None:
    assert usd_text(nanos) == text


@given(AMOUNTS)
def test_what_is_written_reads_back(nanos: int) -> None:
    text = usd_text(nanos)
    assert nanos_from_usd(text.replace("$", "").replace(",", "")) == nanos
    assert "e" not in text.lower()


def test_usd_is_dollars() -> None:
    assert usd(37_500_000) == 0.0375


@given(st.integers(0, 10**9), st.integers(0, 10**12))
def test_a_cost_is_rounded_up_to_a_nano_dollar(tokens: int, price: int) -> None:
    cost = cost_nanos(tokens, price)
    exact = Fraction(tokens * price, MILLION)
    assert exact <= cost < exact + 1


@given(st.lists(st.integers(0, 10**6), max_size=8), st.integers(0, 10**12))
def test_tokens_in_parts_never_cost_less_than_together(parts: list[int], price: int) -> None:
    assert sum(cost_nanos(part, price) for part in parts) >= cost_nanos(sum(parts), price)
