"""The providers of a worker process, made from the catalogue when first called."""

from collections.abc import Callable, Mapping
from typing import cast

from app.catalogue.model import Catalogue
from app.embedding.minilm import embedder
from app.settings import Settings, secret
from workers.providers.anthropic import Anthropic
from workers.providers.base import Provider
from workers.providers.builtin.eliza import Eliza
from workers.providers.builtin.image import Painter
from workers.providers.builtin.minilm import MiniLM
from workers.providers.builtin.sim import Sim
from workers.providers.gemini import Gemini
from workers.providers.openai import OpenAI
from workers.providers.transport import GeventTransport

ADAPTERS: Mapping[str, Callable[[GeventTransport, str, str], Provider]] = {
    "anthropic": Anthropic, "gemini": Gemini,
}  # fmt: skip
"""The adapters of HTTP APIs of one vendor each, by kind of provider."""


class Providers:
    """Gives the provider of a name in the catalogue."""

    def __init__(self, catalogue: Catalogue, settings: Settings) -> None:
        self._catalogue, self._settings = catalogue, settings
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
        if spec.kind == "image":
            # It is asked for images alone.
            return cast(Provider, Painter())
        if spec.kind == "minilm":
            # And it for embeddings.
            return cast(Provider, MiniLM(embedder(self._settings)))
        if key is None:
            key = secret(spec.api_key_env) if spec.api_key_env else ""
        if spec.kind == "openai":
            return OpenAI(self._transport, spec.base_url, key, spec.without)
        return ADAPTERS[spec.kind](self._transport, spec.base_url, key)


class _WithKeys(Providers):
    """The providers of a tenant that brought keys. Adapters are cheap: one a job is made."""

    def __init__(self, shared: Providers, keys: Mapping[str, str]) -> None:
        self._shared, self._keys = shared, keys

    def get(self, name: str) -> Provider:
        key = self._keys.get(name)
        return self._shared.get(name) if key is None else self._shared.make(name, key)
