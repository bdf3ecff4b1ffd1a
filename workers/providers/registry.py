"""The providers of a worker process, made from the catalogue when first called."""

from app.catalogue.model import Catalogue
from app.settings import secret
from workers.providers.base import Provider
from workers.providers.builtin.eliza import Eliza
from workers.providers.builtin.sim import Sim
from workers.providers.openai import OpenAI
from workers.providers.transport import GeventTransport


class Providers:
    """Gives the provider of a name in the catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._transport = GeventTransport()
        self._made: dict[str, Provider] = {}

    def get(self, name: str) -> Provider:
        """The provider named `name`. Raises KeyError if the catalogue has none."""
        provider = self._made.get(name)
        if provider is None:
            provider = self._made[name] = self._make(name)
        return provider

    def _make(self, name: str) -> Provider:
        spec = self._catalogue.providers[name]
        if spec.kind == "eliza":
            return Eliza()
        if spec.kind == "sim":
            return Sim()
        key = secret(spec.api_key_env) if spec.api_key_env else ""
        return OpenAI(self._transport, spec.base_url, key)
