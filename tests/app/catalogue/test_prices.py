"""Prices of genai-prices: found by provider, converted exactly, by date, hour and tier."""

from datetime import date, time
from decimal import Decimal
from fractions import Fraction

import pytest
from genai_prices.data_snapshot import DataSnapshot, get_snapshot, set_custom_snapshot
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)
from hypothesis import given
from hypothesis import strategies as st

from app.catalogue.prices import KnownPrice, known_price, vendor_of

TODAY = date(2026, 11, 21)
ADDRESS = "https://api.seller.example/v1"
Prices = ModelPrice | list[ConditionalPrice]


def told(prices: Prices, today: date = TODAY) -> KnownPrice | None:
    """What is known of a model that has these prices in genai-prices."""
    info = ModelInfo(id="m", match=ClauseEquals("m"), prices=prices)
    seller = Provider(id="seller", name="", api_pattern="https://api.seller", models=[info])
    set_custom_snapshot(DataSnapshot([seller], False))
    try:
        return known_price("ours", ADDRESS, "m", today)
    finally:
        set_custom_snapshot(None)


def flat(dollars_in: str, dollars_out: str) -> ModelPrice:
    return ModelPrice(input_mtok=Decimal(dollars_in), output_mtok=Decimal(dollars_out))


@pytest.mark.parametrize(
    ("provider", "address", "model", "known"),
    [
        ("openai", "https://api.openai.com/v1", "gpt-4o", True),
        ("ours", "https://api.openai.com/v1", "gpt-4o", True),
        ("openai", "http://10.0.0.5/v1", "gpt-4o", True),
        ("my-openai", "http://10.0.0.5/v1", "gpt-4o", False),
        ("openai", "https://api.groq.com/openai/v1", "gpt-4o", False),
        ("openai", "https://api.openai.com/v1", "gpt-of-nobody", False),
        ("ours", "", "gpt-4o", False),
    ],
)
def test_a_provider_is_known_by_its_address_or_else_by_its_exact_name(
    provider: str, address: str, model: str, known: bool
) -> None:
    assert (known_price(provider, address, model, TODAY) is not None) == known


NANOS = st.integers(0, 10**15)


@given(NANOS, NANOS, st.none() | NANOS)
def test_dollars_become_nano_dollars_exactly(
    prompt: int, completion: int, read: int | None
) -> None:
    given_prices = ModelPrice(
        input_mtok=Decimal(prompt).scaleb(-9),
        output_mtok=Decimal(completion).scaleb(-9),
        cache_read_mtok=None if read is None else Decimal(read).scaleb(-9),
    )
    known = told(given_prices)
    assert known is not None
    assert (known.input, known.output, known.cached_input) == (prompt, completion, read)
    assert known.most == (max(prompt, read or 0), completion)
    assert not known.tiered


def test_each_price_of_the_bundled_data_is_exact_or_refused() -> None:
    refused = 0
    for seller in get_snapshot().providers:
        for info in seller.models:
            if not isinstance(info.prices, ModelPrice):
                continue
            dollars = info.prices.input_mtok
            try:
                known = told(info.prices)
            except ValueError:
                refused += 1
                continue
            if dollars is None:
                assert known is None
            else:
                base = dollars if isinstance(dollars, Decimal) else dollars.base
                assert known is not None
                assert known.input == Fraction(base) * 10**9
    assert refused < 20


@pytest.mark.parametrize("dollars", ["1.0399999999999998", "0.18000000000000002", "NaN"])
def test_what_is_not_whole_nano_dollars_is_refused(dollars: str) -> None:
    with pytest.raises(ValueError, match="nine decimals"):
        told(flat(dollars, "1"))


def test_of_tiers_the_base_is_the_price_and_the_dearest_is_known() -> None:
    prices = ModelPrice(
        input_mtok=TieredPrices(Decimal(1), [Tier(10, Decimal(4)), Tier(20, Decimal(3))]),
        output_mtok=TieredPrices(Decimal(2), [Tier(10, Decimal(5))]),
        cache_read_mtok=Decimal("0.5"),
    )
    known = told(prices)
    assert known is not None
    assert (known.input, known.output, known.cached_input) == (10**9, 2 * 10**9, 5 * 10**8)
    assert known.most == (4 * 10**9, 5 * 10**9)
    assert known.tiered


def test_a_price_begins_on_its_day() -> None:
    prices = [
        ConditionalPrice(prices=flat("1", "1")),
        ConditionalPrice(StartDateConstraint(TODAY), prices=flat("2", "2")),
        ConditionalPrice(StartDateConstraint(date(2027, 1, 1)), prices=flat("9", "9")),
    ]
    days = [date(2026, 11, 20), TODAY, date(2027, 1, 1)]
    found = [told(prices, day) for day in days]
    assert [known and known.input for known in found] == [10**9, 2 * 10**9, 9 * 10**9]
    assert not any(known and known.tiered for known in found)


@pytest.mark.parametrize("hours", [(0, 1), (0, 23), (23, 22)])
def test_the_price_of_some_hours_counts_as_a_tier_at_any_hour(hours: tuple[int, int]) -> None:
    peak = TimeOfDateConstraint(time(hours[0]), time(hours[1]))
    known = told([
        ConditionalPrice(prices=flat("1", "2")),
        ConditionalPrice(peak, prices=flat("3", "4")),
    ])  # fmt: skip
    assert known is not None
    assert (known.input, known.output) == (10**9, 2 * 10**9)
    assert known.most == (3 * 10**9, 4 * 10**9)


def test_a_model_without_a_price_for_its_prompt_is_not_known() -> None:
    assert told(ModelPrice()) is None
    assert told(ModelPrice(output_mtok=Decimal(1))) is None


def test_a_model_that_gives_no_tokens_costs_its_prompt() -> None:
    known = told(ModelPrice(input_mtok=Decimal("0.02")))
    assert known is not None
    assert (known.input, known.output, known.source) == (20_000_000, 0, "genai-prices")


def test_a_vendor_is_known_by_the_name_of_its_model() -> None:
    vendor, price = vendor_of("gpt-4-turbo", TODAY)
    assert (vendor, price) == ("openai", known_price("openai", "", "gpt-4-turbo", TODAY))
    assert price is not None
    assert vendor_of("mistral-of-nobody", TODAY) == ("mistral", None)
    assert vendor_of("a-model-of-nobody", TODAY) == (None, None)
