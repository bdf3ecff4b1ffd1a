"""A provider that plays what it is given, and the catalogue around it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from app.catalogue.model import Catalogue, Model, ModelSpec, Price, ProviderSpec, Route
from app.settings import Settings
from workers.providers.base import Call, Chunk, Completion, ErrorKind, ProviderError
from workers.providers.registry import Providers

USAGE = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}
PRICE = {"input": "1", "output": "2"}
"""At it, USAGE costs 1000 * 1000 + 500 * 2000 nano-dollars."""

COST = 2_000_000

Part = Chunk | Completion | Exception | Callable[[], object]
"""Something to give, an error to raise, or something to do before the next part."""


def role() -> Chunk:
    return Chunk([{"index": 0, "delta": {"role": "assistant"}, "finish_reason": None}])


def say(text: str, finish: str | None = None, usage: dict[str, Any] | None = None) -> Chunk:
    return Chunk([{"index": 0, "delta": {"content": text}, "finish_reason": finish}], usage)


def error(kind: ErrorKind = "unavailable", after: float | None = None) -> ProviderError:
    return ProviderError(kind, f"it is {kind}", retry_after=after, status=503)


def whole(text: str) -> list[Part]:
    """A stream that ends well."""
    return [role(), say(text), say("", "stop", dict(USAGE))]


def completion(text: str = "hello") -> Completion:
    message = {"role": "assistant", "content": text}
    return Completion([{"index": 0, "message": message, "finish_reason": "stop"}], dict(USAGE))


@dataclass
class Scripted:
    """Answers each call with the next script, the last one for ever. `closed` counts the calls
    that are over, whoever ended them."""

    scripts: list[list[Part]]
    calls: list[Call] = field(default_factory=list)
    closed: int = 0

    def complete(self, call: Call) -> Completion:
        [whole] = [part for part in self._play(call) if isinstance(part, Completion)]
        return whole

    def stream(self, call: Call) -> Iterator[Chunk]:
        for part in self._play(call):
            assert isinstance(part, Chunk)
            yield part

    def _play(self, call: Call) -> Iterator[Chunk | Completion]:
        self.calls.append(call)
        try:
            for part in self.scripts[min(len(self.calls), len(self.scripts)) - 1]:
                if isinstance(part, Exception):
                    raise part
                if isinstance(part, Chunk | Completion):
                    yield part
                else:
                    part()
        finally:
            self.closed += 1


def model(name: str, *providers: str, persona: str = "") -> Model:
    """A model with a route over each of `providers`."""
    price = Price.model_validate(PRICE)
    routes = tuple(Route(provider=provider, model=f"their-{name}") for provider in providers)
    return Model(name, ModelSpec(price=price, persona=persona), routes, price)


def catalogue_of(*models: Model) -> Catalogue:
    names = {route.provider for one in models for route in one.routes}
    specs = {name: ProviderSpec(kind="openai") for name in names}
    return Catalogue(models[0].id, specs, {one.id: one for one in models}, {})


def providers_of(catalogue: Catalogue, **made: Scripted) -> Providers:
    """The registry, with scripted providers already made."""
    registry = Providers(catalogue, Settings())
    registry._made.update(made)
    return registry
