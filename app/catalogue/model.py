"""What the catalogue holds: providers, models with their routes and prices. Checked at start."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from app.money import cost_nanos, nanos_from_usd


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _nanos(value: Any) -> int:
    return nanos_from_usd(str(value))


UsdPerMillion = Annotated[int, BeforeValidator(_nanos), Field(ge=0)]
"""Written as dollars per million tokens, kept as nano-dollars per million tokens."""


class Price(_Part):
    """What a model costs. `cached_input` defaults to `input`."""

    input: UsdPerMillion = 0
    output: UsdPerMillion = 0
    cached_input: UsdPerMillion | None = None


class ProviderSpec(_Part):
    """A provider: `kind` names the adapter; `api_key_env` the variable that holds its key."""

    kind: Literal["openai", "eliza", "sim"]
    base_url: str = ""
    api_key_env: str = ""
    enabled_by_key: bool = False


class Route(_Part):
    """One way to a model: a provider and its own name for the model."""

    provider: str
    model: str
    parameters: dict[str, Any] = {}


class ModelSpec(_Part):
    """A model as it is offered. `over: chat` is a persona over the best configured chat model."""

    description: str = ""
    owned_by: str = "moonpool"
    context: int = Field(128_000, gt=0)
    max_output: int = Field(16_384, gt=0)
    price: Price = Price()
    routes: tuple[Route, ...] = ()
    persona: str = ""
    over: Literal["chat"] | None = None
    created: int = 1_700_000_000


class CatalogueFile(_Part):
    """A catalogue file. `chat` orders the models that a persona may stand on."""

    default: str | None = None
    providers: dict[str, ProviderSpec] = {}
    models: dict[str, ModelSpec] = {}
    aliases: dict[str, str] = {}
    chat: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cost:
    """What an answer costs, in nano-dollars, by part."""

    input: int
    cached_input: int
    output: int

    @property
    def total(self) -> int:
        return self.input + self.cached_input + self.output


@dataclass(frozen=True, slots=True)
class Model:
    """A model that can be called here and now."""

    id: str
    spec: ModelSpec
    routes: tuple[Route, ...]
    price: Price
    stands_on: str | None = None

    def cost(self, prompt: int, cached: int, completion: int) -> Cost:
        """The cost of tokens: `prompt` includes the `cached` ones."""
        price = self.price
        cached_price = price.input if price.cached_input is None else price.cached_input
        return Cost(
            cost_nanos(max(prompt - cached, 0), price.input),
            cost_nanos(cached, cached_price),
            cost_nanos(completion, price.output),
        )

    def hold(self, request_bytes: int, max_tokens: int | None, choices: int) -> int:
        """The most a request can cost, in nano-dollars.

        A token of a byte-level vocabulary covers at least one byte (Radford et al. 2019, Language
        Models are Unsupervised Multitask Learners, section 2.2), so its bytes bound the prompt.
        """
        prompt = request_bytes + len(self.spec.persona.encode())
        output = (max_tokens or self.spec.max_output) * choices
        return self.cost(prompt, 0, output).total


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All that can be called. `found` says, for a person, what joined by itself."""

    default: str
    providers: dict[str, ProviderSpec]
    models: dict[str, Model]
    aliases: dict[str, str]
    found: list[str] = field(default_factory=list)

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
        routes = tuple(route for route in model.routes if route.provider == provider)
        return Model(model.id, model.spec, routes, model.price, model.stands_on) if routes else None
