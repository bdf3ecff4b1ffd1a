"""The providers of a worker process, made from the catalogue when first called."""

from collections.abc import Mapping

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
            provider = self._made[name] = self.make(name)
        return provider

    def with_keys(self, keys: Mapping[str, str]) -> "Providers":
        """These providers, those that `keys` names called with that key."""
        return _WithKeys(self, keys) if keys else self

    def make(self, name: str, key: str | None = None) -> Provider:
        """The provider named `name`, called with `key` if one is given."""
        spec = self._catalogue.providers[name]
        if spec.kind == "eliza":
            return Eliza()
        if spec.kind == "sim":
            return Sim()
        if key is None:
            key = secret(spec.api_key_env) if spec.api_key_env else ""
        return OpenAI(self._transport, spec.base_url, key)


class _WithKeys(Providers):
    """The providers of a tenant that brought keys. Adapters are cheap: one a job is made."""

    def __init__(self, shared: Providers, keys: Mapping[str, str]) -> None:
        self._shared, self._keys = shared, keys

    def get(self, name: str) -> Provider:
        key = self._keys.get(name)
        return self._shared.get(name) if key is None else self._shared.make(name, key)
