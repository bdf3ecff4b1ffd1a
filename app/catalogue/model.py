"""What the catalogue holds: providers, models with their routes and prices. Checked at start."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from app.catalogue.abilities import Operation, unable
from app.catalogue.tiers import Limits
from app.money import MILLION, cost_nanos, nanos_from_usd

Source = Literal["catalogue", "genai-prices"]
"""Where a price was read: in a catalogue file, or in the data of genai-prices."""

FREE_TIER = "free"
BUILTIN_KINDS = frozenset({"eliza", "sim", "minilm", "image"})
"""Kinds of provider that answer without any key, at no cost to the platform."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _nanos(value: Any) -> int:
    return nanos_from_usd(str(value))


UsdPerMillion = Annotated[int, BeforeValidator(_nanos), Field(ge=0)]
"""Written as dollars per million tokens, kept as nano-dollars per million tokens."""

UsdEach = UsdPerMillion
"""Written as dollars, kept as nano-dollars."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What an answer costs, in nano-dollars, by part. `input` leaves out what was cached."""

    input: int
    cached_input: int
    output: int

    @property
    def total(self) -> int:
        return self.input + self.cached_input + self.output

    def part(self, share: int) -> "Cost":
        """This share (millionths) of each part, rounded down."""
        parts = (self.input, self.cached_input, self.output)
        return Cost(*(nanos * share // MILLION for nanos in parts))

    def within(self, limit: int) -> "Cost":
        """The parts cut to a total of `limit` nano-dollars: output first, then input, then the
        cached input."""
        cached = min(self.cached_input, limit)
        fresh = min(self.input, limit - cached)
        return Cost(fresh, cached, min(self.output, limit - cached - fresh))


class Price(_Part):
    """What tokens cost, an `image`, and a `minute` of audio. `cached_input` defaults to `input`."""

    source: ClassVar[Source] = "catalogue"

    input: UsdPerMillion = 0
    output: UsdPerMillion = 0
    cached_input: UsdPerMillion | None = None
    image: UsdEach = 0
    minute: UsdEach = 0

    @property
    def cached(self) -> int:
        """Nano-dollars per million cached prompt tokens."""
        return self.input if self.cached_input is None else self.cached_input

    @property
    def blended(self) -> int:
        """One number to compare prices by: as for three prompt tokens to each of the answer."""
        return 3 * self.input + self.output + self.image + self.minute

    @property
    def most(self) -> tuple[int, int]:
        """The most a million prompt tokens and a million completion tokens can cost."""
        return max(self.input, self.cached), self.output

    def cost(
        self, prompt: int, cached: int, completion: int, images: int = 0, seconds: float = 0
    ) -> Cost:
        """The cost of tokens, images and seconds of audio: `prompt` includes the `cached` ones."""
        output = cost_nanos(completion, self.output)
        if images or seconds:
            output += self.units(images, seconds)
        return Cost(
            cost_nanos(max(prompt - cached, 0), self.input),
            cost_nanos(cached, self.cached),
            output,
        )

    def times(self, factor: Decimal) -> "Price":
        """This price multiplied, each part rounded up to a nano-dollar."""
        parts = {name: getattr(self, name) for name in type(self).model_fields}
        return self.model_copy(
            update={name: math.ceil(each * factor) for name, each in parts.items() if each}
        )

    def units(self, images: int, seconds: float) -> int:
        """The cost of images and seconds of audio alone, rounded up, in nano-dollars."""
        return images * self.image + math.ceil(seconds * self.minute / 60)


class ProviderSpec(_Part):
    """A provider: `kind` names the adapter; `api_key_env` the variable that holds its key;
    `without` lists fields of a chat request that it does not take though its kind does."""

    kind: Literal["openai", "anthropic", "gemini", "eliza", "sim", "minilm", "image"]
    base_url: str = ""
    api_key_env: str = ""
    enabled_by_key: bool = False
    without: tuple[str, ...] = ()


class Route(_Part):
    """One way to a model: a provider and its own name for the model.

    `price` is what the customer pays when this route answers, over the model's price; `cost` is
    what the provider charges the platform. Both are filled in when the catalogue is loaded.

    Of a model's routes those of the lowest `priority` come first; among these the draw goes by
    `weight`, which is 1 where another of them has one, or without any weight the cheapest is first.
    `max_concurrent`: calls at once from one worker process. `hedge_after_ms`: how long a stream's
    first token is waited for before another route is asked as well.
    """

    provider: str
    model: str
    parameters: dict[str, Any] = {}
    price: Price | None = None
    cost: Price | None = None
    weight: float | None = Field(None, ge=0, allow_inf_nan=False)
    priority: int = 0
    max_concurrent: int | None = Field(None, gt=0)
    hedge_after_ms: float | None = Field(None, gt=0, allow_inf_nan=False)


class ModelSpec(_Part):
    """A model as it is offered. `over: chat` is a persona over the best configured chat model;
    `does` is the operation that it is for; `without` lists fields of a chat request that it does
    not take; `hedge_after_ms` is that of its routes which have none; `batch_factor` is the part of
    the price that a line of a batch costs."""

    description: str = ""
    does: Operation = "chat"
    without: tuple[str, ...] = ()
    owned_by: str = "moonpool"
    context: int = Field(128_000, gt=0)
    max_output: int = Field(16_384, gt=0)
    price: Price | None = None
    routes: tuple[Route, ...] = ()
    batch_factor: Decimal = Field(Decimal("0.5"), ge=0, le=1, max_digits=6)
    persona: str = ""
    over: Literal["chat"] | None = None
    hedge_after_ms: float | None = Field(None, gt=0, allow_inf_nan=False)
    created: int = 1_700_000_000


class CatalogueFile(_Part):
    """A catalogue file. `default` is the chat model and `defaults` the models of other operations
    for requests that name none; `chat` orders the models that a persona may stand on; `tiers`
    bounds what a tenant may ask for, by the name of its tier; `personality` is the baseline of
    named traits, 0 to 1, that sessions with emotions begin from."""

    default: str | None = None
    defaults: dict[Operation, str] = {}
    providers: dict[str, ProviderSpec] = {}
    models: dict[str, ModelSpec] = {}
    aliases: dict[str, str] = {}
    chat: tuple[str, ...] = ()
    tiers: dict[str, Limits] = {}
    default_tier: str | None = None
    personality: dict[str, Annotated[float, Field(ge=0, le=1)]] = {}


@dataclass(frozen=True, slots=True)
class PriceEntry:
    """What a price version stands for: nano-dollars per million tokens, and where they are from."""

    version: str
    model: str
    provider: str
    input: int
    cached_input: int
    output: int
    source: Source
    image: int = 0
    minute: int = 0


def price_entry(model: str, provider: str, price: Price) -> PriceEntry:
    """The entry of a model's price at a provider. Its version is a hash of these names and
    numbers, so that it changes when one of them does and never else."""
    charged: dict[str, Any] = {
        "model": model,
        "provider": provider,
        "input": price.input,
        "cached_input": price.cached,
        "output": price.output,
    }
    # Left out where there are none, so that the versions of token prices stay what they were.
    charged |= {unit: each for unit in ("image", "minute") if (each := getattr(price, unit))}
    told = json.dumps(charged, sort_keys=True, separators=(",", ":"))
    version = "price_" + hashlib.sha256(told.encode()).hexdigest()[:16]
    return PriceEntry(version, **charged, source=price.source)


@dataclass(frozen=True, slots=True)
class Model:
    """A model that can be called here and now. `builtin`: it needs no key on any of its routes."""

    id: str
    spec: ModelSpec
    routes: tuple[Route, ...]
    price: Price
    stands_on: str | None = None
    builtin: bool = False
    entries: dict[tuple[str, Price], PriceEntry] = field(init=False, repr=False, compare=False)
    _persona_bytes: int = field(init=False, repr=False, compare=False)
    _most_input: int = field(init=False, repr=False, compare=False)
    _most_output: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Works out once what every request needs: its hold and its price version."""
        charged = [(route.provider, self.price_of(route)) for route in self.routes]
        entries = {key: price_entry(self.id, *key) for key in charged}
        most = [self.price_of(route).most for route in self.routes] or [self.price.most]
        for name, value in (
            ("entries", entries),
            ("_persona_bytes", len(self.spec.persona.encode())),
            ("_most_input", _a_token(max(prompt for prompt, _ in most))),
            ("_most_output", _a_token(max(completion for _, completion in most))),
        ):
            object.__setattr__(self, name, value)

    def price_of(self, route: Route | None = None) -> Price:
        """What the customer pays when `route` answers; without one, on the route tried first."""
        if route is None:
            route = self.routes[0] if self.routes else None
        return self.price if route is None or route.price is None else route.price

    def cost_of(self, route: Route) -> Price:
        """What the provider of `route` charges the platform."""
        return self.price_of(route) if route.cost is None else route.cost

    def first_choices(self) -> tuple[Route, ...]:
        """The routes of which one is called first while all are well: those of the lowest priority
        that have a weight, 1 where others have one; without any weight the cheapest."""
        if not self.routes:
            return ()
        lowest = min(route.priority for route in self.routes)
        same = [route for route in self.routes if route.priority == lowest]
        if any(route.weight is not None for route in same):
            return tuple(route for route in same if route.weight != 0) or (same[0],)
        return (min(same, key=lambda route: self.cost_of(route).blended),)

    def cost(
        self, prompt: int, cached: int, completion: int, route: Route | None = None,
        images: int = 0, seconds: float = 0,
    ) -> Cost:  # fmt: skip
        """The cost to the customer where `route` answered: `prompt` includes the `cached` ones."""
        return self.price_of(route).cost(prompt, cached, completion, images, seconds)

    def price_version(self, route: Route) -> str:
        """The name of the price that is charged when `route` answers: `price_` and 16 hex digits,
        the same on every machine."""
        price = self.price_of(route)
        entry = self.entries.get((route.provider, price))
        return (entry or price_entry(self.id, route.provider, price)).version

    def in_batches(self) -> "Model":
        """The model as lines of batches pay for it; what its providers charge stays as it is."""
        factor = self.spec.batch_factor
        if factor == 1:
            return self
        routes = tuple(
            route.model_copy(
                update={"price": self.price_of(route).times(factor), "cost": self.cost_of(route)}
            )
            for route in self.routes
        )
        return replace(self, routes=routes, price=self.price.times(factor))

    def hold(self, request_bytes: int, max_tokens: int | None, choices: int) -> int:
        """The most a request can cost on any route, in nano-dollars.

        A token of a byte-level vocabulary covers at least one byte (Radford et al. 2019, Language
        Models are Unsupervised Multitask Learners, section 2.2), so its bytes bound the prompt.
        """
        prompt = request_bytes + self._persona_bytes
        output = (max_tokens or self.spec.max_output) * choices
        return prompt * self._most_input + output * self._most_output

    def tokens_within(self, nanos: int, request_bytes: int, choices: int) -> int | None:
        """The most tokens that an answer may have for `hold` to be `nanos` at most, below 1 where
        the prompt alone costs more; None where tokens of answers cost nothing."""
        each = self._most_output * choices
        if each == 0:
            return None
        return (nanos - (request_bytes + self._persona_bytes) * self._most_input) // each

    def hold_units(self, images: int, seconds: float) -> int:
        """The most that images and seconds of audio can cost on any route, in nano-dollars."""
        return max(self.price_of(route).units(images, seconds) for route in self.routes)


def _a_token(price: int) -> int:
    """Nano-dollars for one token, rounded up, so that no rounding of parts goes over the hold."""
    return cost_nanos(1, price)


def is_builtin(routes: tuple[Route, ...], providers: dict[str, ProviderSpec]) -> bool:
    """Whether all `routes` lead to providers that need no key."""
    specs = [providers.get(route.provider) for route in routes]
    return all(spec is not None and spec.kind in BUILTIN_KINDS for spec in specs)


@dataclass(frozen=True)
class Catalogue:
    """All that can be called. `found` says, for a person, what joined by itself; `unconfigured`
    are names, aliases and `provider/model` of what it knows, but has no key for."""

    default: str
    providers: dict[str, ProviderSpec]
    models: dict[str, Model]
    aliases: dict[str, str]
    found: list[str] = field(default_factory=list)
    tiers: dict[str, Limits] = field(default_factory=dict)
    default_tier: str = FREE_TIER
    defaults: dict[Operation, str] = field(default_factory=dict)
    personality: dict[str, float] = field(default_factory=dict)
    unconfigured: frozenset[str] = frozenset()
    _on: dict[tuple[str, str], Model] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Works out each model on the routes of each provider that a request may force."""
        on = {
            (model.id, provider): self._narrowed(model, provider)
            for model in self.models.values()
            for provider in {route.provider for route in model.routes}
        }
        object.__setattr__(self, "_on", on)

    def _narrowed(self, model: Model, provider: str) -> Model:
        routes = tuple(route for route in model.routes if route.provider == provider)
        if routes == model.routes:
            return model
        return replace(model, routes=routes, builtin=is_builtin(routes, self.providers))

    def find(self, name: str | None, provider: str | None = None) -> Model | None:
        """The model of this name or alias, on the routes of `provider` if one is forced, by the
        argument or as `provider/model`. None if there is no such model or route."""
        name = name or self.default
        model = self.models.get(self.aliases.get(name, name))
        if model is None and "/" in name:
            forced, _, rest = name.partition("/")
            if provider in (None, forced):
                model, provider = self.models.get(self.aliases.get(rest, rest)), forced
        if model is None or provider is None:
            return model
        return self._on.get((model.id, provider))

    def unable(self, model: Model, route: Route, request: Mapping[str, Any]) -> str | None:
        """The path of the first field of a chat request that `route` cannot honour, or None."""
        provider = self.providers[route.provider]
        return unable(provider.kind, request, provider.without + model.spec.without)

    @cached_property
    def in_batches(self) -> "Catalogue":
        """The catalogue with the prices of batches."""
        return replace(self, models={name: m.in_batches() for name, m in self.models.items()})

    @property
    def test_models(self) -> list[str]:
        """The models that a test key may run: those that need no key of a provider."""
        return [name for name, model in self.models.items() if model.builtin]

    def price_list(self) -> list[PriceEntry]:
        """All that can be charged, in batches too, each price version once."""
        models = (*self.models.values(), *self.in_batches.models.values())
        entries = [entry for model in models for entry in model.entries.values()]
        return list({entry.version: entry for entry in entries}.values())

    def limits_of(self, tier: str) -> Limits:
        """The limits of a tier; a name that no tier has (any more) gets those of `free`."""
        return self.tiers.get(tier) or self.tiers[FREE_TIER]
