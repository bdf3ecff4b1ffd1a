"""Prices of a profile's models, wherever they can be called."""

import pytest

from app.catalogue.load import catalogue
from app.settings import Settings
from app.uniroute.prices import Prices, per_million


def test_a_price_is_the_catalogues_or_the_vendors_or_else_the_profiles() -> None:
    known = catalogue(Settings(ollama_url=""))
    prices = Prices(known)
    own = known.models["lunaby-pro"]
    assert prices.of("lunaby-pro", 7.0) == own.price_of().blended
    assert prices.provider("lunaby-pro") == own.first_choices()[0].provider
    assert "gpt-4o" not in known.models
    assert per_million(prices.of("gpt-4o", 7.0)) == pytest.approx((3 * 2.5 + 10) / 4)
    assert prices.provider("gpt-4o") == "openai"
    assert per_million(prices.of("a-model-of-nobody", 7.0)) == pytest.approx(7.0)
    assert prices.provider("a-model-of-nobody") is None
