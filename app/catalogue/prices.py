"""Prices of real models, from genai-prices (https://github.com/pydantic/genai-prices).

Only the data that its wheel brings are read, nothing is fetched. It is imported when a model needs
it, since that takes a fifth of a second.
"""

from contextlib import suppress
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar

from app.catalogue.model import (
    BUILTIN_KINDS,
    Price,
    ProviderSpec,
    Route,
    Source,
    UsdPerMillion,
)

OLLAMA = "ollama"
"""The provider of that name runs on the operator's own machines, which send no bill."""


class KnownPrice(Price):
    """A price of genai-prices at its base tier, and the dearest that the provider may charge: for
    long prompts, or at some hours of the day."""

    source: ClassVar[Source] = "genai-prices"

    dearest_input: UsdPerMillion
    dearest_output: UsdPerMillion

    @property
    def most(self) -> tuple[int, int]:
        return self.dearest_input, self.dearest_output

    @property
    def tiered(self) -> bool:
        return self.most != super().most


def priced(
    own: Price | None,
    routes: tuple[Route, ...],
    providers: dict[str, ProviderSpec],
    today: date,
) -> tuple[Price, tuple[Route, ...]]:
    """The price that a model is shown with, and its routes with price and cost filled in.

    `own` is the price that the catalogue gives to the model. A route costs the customer its own
    price, else `own`, else what genai-prices says of it, else as the first route that has a price,
    else nothing. Raises ValueError where genai-prices has no whole nano-dollars.
    """
    known = [_known(own, route, providers[route.provider], today) for route in routes]
    pairs = list(zip(routes, known, strict=True))
    told = (route.price or price for route, price in pairs)
    shown = own or next((price for price in told if price is not None), Price())
    filled = []
    for route, price in pairs:
        pays = route.price or own or price or shown
        free = _is_free(route, providers[route.provider])
        cost = route.cost or (Price() if free else price or pays)
        filled.append(route.model_copy(update={"price": pays, "cost": cost}))
    return shown, tuple(filled)


def _is_free(route: Route, provider: ProviderSpec) -> bool:
    return provider.kind in BUILTIN_KINDS or route.provider == OLLAMA


def _known(
    own: Price | None, route: Route, provider: ProviderSpec, today: date
) -> KnownPrice | None:
    if _is_free(route, provider) or (route.cost and (route.price or own)):
        return None
    return known_price(route.provider, provider.base_url, route.model, today)


def known_price(provider: str, base_url: str, model: str, today: date) -> KnownPrice | None:
    """What genai-prices says of a model as it is on the day `today`, or None.

    The provider is known by its address, else by its name if that is exactly the name which
    genai-prices uses. Raises ValueError if a price is not whole nano-dollars per million tokens.
    """
    from genai_prices.data_snapshot import get_snapshot

    snapshot = get_snapshot()
    named = [one for one in snapshot.providers if one.id == provider]
    with suppress(LookupError):
        named = [snapshot.find_provider(None, None, base_url)]
    found = named[0].find_model(model, all_providers=snapshot.providers) if named else None
    return None if found is None else _exact(*_by_time(found.prices, today))


def vendor_of(model: str, today: date) -> tuple[str | None, KnownPrice | None]:
    """Whose model goes by this name, as genai-prices names the vendor, and what it costs there on
    the day `today`; None for what genai-prices does not know, or not in whole nano-dollars."""
    from genai_prices.data_snapshot import get_snapshot

    snapshot = get_snapshot()
    try:
        vendor = snapshot.find_provider(model, None, None)
    except LookupError:
        return None, None
    found = vendor.find_model(model, all_providers=snapshot.providers)
    try:
        return vendor.id, None if found is None else _exact(*_by_time(found.prices, today))
    except ValueError:
        return vendor.id, None


def _by_time(prices: Any, today: date) -> tuple[Any, list[Any]]:
    """The prices that hold all day, which are the last that have begun by `today`, and those that
    hold for some hours of a day."""
    from genai_prices.types import StartDateConstraint, TimeOfDateConstraint

    if not isinstance(prices, list):
        return prices, []
    standard, hours = prices[0].prices, []
    for one in prices:
        when = one.constraint
        if isinstance(when, TimeOfDateConstraint):
            hours.append(one.prices)
        elif not isinstance(when, StartDateConstraint) or when.start_date <= today:
            standard = one.prices
    return standard, hours


def _exact(base: Any, others: list[Any]) -> KnownPrice | None:
    """Prices of genai-prices in nano-dollars, or None if it has none for prompt tokens."""
    if base.input_mtok is None:
        return None
    every = [base, *others]
    prompt = [told for one in every for told in (one.input_mtok, one.cache_read_mtok)]
    return KnownPrice.model_validate({
        "input": _tiers(base.input_mtok)[0],
        "cached_input": next(iter(_tiers(base.cache_read_mtok)), None),
        "output": next(iter(_tiers(base.output_mtok)), 0),
        "dearest_input": _dearest(prompt),
        "dearest_output": _dearest([one.output_mtok for one in every]),
    })  # fmt: skip


def _dearest(prices: list[Any]) -> Decimal:
    return max((tier for price in prices for tier in _tiers(price)), default=Decimal(0))


def _tiers(price: Any) -> list[Decimal]:
    """Dollars per million tokens, the base tier first; none if there is no price."""
    if price is None:
        return []
    if isinstance(price, Decimal):
        return [price]
    return [price.base, *(tier.price for tier in price.tiers)]
