"""What the models of a profile cost, whether they can be called here or not."""

from datetime import UTC, datetime

from app.catalogue.model import Catalogue
from app.catalogue.prices import KnownPrice, vendor_of
from app.money import NANOS

BLENDED_TOKENS = 4
"""How many tokens `Price.blended` is the price of; a profile has that of one."""


def per_million(blended: float) -> float:
    """Dollars per million tokens, as a profile has them, of a price as `Price.blended` has it."""
    return blended / (BLENDED_TOKENS * NANOS)


class Prices:
    """Prices that decisions take, and vendors, by the names of models."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._vendors: dict[str, tuple[str | None, KnownPrice | None]] = {}

    def of(self, name: str, usd: float) -> float:
        """What a model costs, as `Price.blended` has it: by the catalogue, by genai-prices, or else
        `usd`, which the profile has for a million tokens."""
        model = self._catalogue.models.get(name)
        price = model.price_of() if model is not None else self._vendor(name)[1]
        return float(price.blended) if price is not None else usd * BLENDED_TOKENS * NANOS

    def provider(self, name: str) -> str | None:
        """Who has a model: by the catalogue, or its vendor; None if that is not known."""
        model = self._catalogue.models.get(name)
        if model is not None:
            return model.first_choices()[0].provider
        return self._vendor(name)[0]

    def _vendor(self, name: str) -> tuple[str | None, KnownPrice | None]:
        if name not in self._vendors:
            self._vendors[name] = vendor_of(name, datetime.now(UTC).date())
        return self._vendors[name]
