"""Reads the catalogue: the built-in file, the operator's over it, and what is found by itself."""

from datetime import UTC, date, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import yaml
from pydantic import ValidationError

from app.catalogue.model import (
    Catalogue,
    CatalogueFile,
    Model,
    ModelSpec,
    ProviderSpec,
    Route,
    is_builtin,
)
from app.catalogue.prices import KnownPrice, priced
from app.settings import Settings, secret

OLLAMA_PROBE_S = 0.3
OLLAMA_WITHOUT = (
    "n", "logit_bias", "logprobs", "top_logprobs", "tool_choice", "parallel_tool_calls", "top_k",
    "min_p", "repetition_penalty", "functions", "function_call", "modalities", "audio",
    "prediction", "web_search_options", "max_completion_tokens",
)  # fmt: skip
"""What Ollama leaves out of OpenAI's chat API (https://docs.ollama.com/api/openai-compatibility):
it would drop them without a word."""

EMBEDDING_FAMILIES = frozenset({"bert", "nomic-bert", "nomic-bert-moe"})
"""Ollama's families of models that are for embeddings alone."""


class CatalogueError(Exception):
    """The catalogue cannot be used; the message says where and why."""


def catalogue(settings: Settings) -> Catalogue:
    """The catalogue as it stands on this machine. Raises CatalogueError."""
    own = settings.catalogue
    parts = [_read(files("app.catalogue") / "builtin.yaml", "the built-in catalogue")]
    if own is not None:
        parts.append(_read(Path(own), str(own)))
    merged = _merge(parts)
    found: list[str] = []
    providers = _usable_providers(merged, found)
    specs = dict(merged.models)
    specs |= _ollama_models(settings.ollama_url, providers, found)
    return _resolve(merged, specs, providers, found)


def _read(source: Any, name: str) -> CatalogueFile:
    try:
        # libyaml's loader: a seventh of the time, which each process that starts waits for.
        told = yaml.load(source.read_text(), Loader=yaml.CSafeLoader)
        return CatalogueFile.model_validate(told or {})
    except OSError as error:
        raise CatalogueError(f"{name} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise CatalogueError(f"{name} is not YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise CatalogueError(f"{name}: {place}: {first['msg']}") from error


def _merge(parts: list[CatalogueFile]) -> CatalogueFile:
    merged = parts[0]
    for part in parts[1:]:
        merged = CatalogueFile(
            default=part.default or merged.default,
            defaults={**merged.defaults, **part.defaults},
            personality={**merged.personality, **part.personality},
            providers={**merged.providers, **part.providers},
            models={**merged.models, **part.models},
            aliases={**merged.aliases, **part.aliases},
            chat=part.chat + merged.chat,
            tiers={**merged.tiers, **part.tiers},
            default_tier=part.default_tier or merged.default_tier,
        )
    return merged


def _usable_providers(merged: CatalogueFile, found: list[str]) -> dict[str, ProviderSpec]:
    usable = {}
    for name, spec in merged.providers.items():
        if spec.enabled_by_key and not secret(spec.api_key_env):
            continue
        if spec.enabled_by_key:
            found.append(f"{spec.api_key_env} is set: models of {name} joined")
        usable[name] = spec
    return usable


def _ollama_models(
    url: str, providers: dict[str, ProviderSpec], found: list[str]
) -> dict[str, ModelSpec]:
    if not url or "ollama" in providers:
        return {}
    try:
        answer = httpx.get(f"{url}/api/tags", timeout=OLLAMA_PROBE_S, trust_env=False).json()
        specs = {str(told["name"]): _ollama_model(told) for told in answer["models"]}
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError, AttributeError):
        return {}
    providers["ollama"] = ProviderSpec(kind="openai", base_url=f"{url}/v1", without=OLLAMA_WITHOUT)
    found.append(f"Ollama answers at {url}: {len(specs)} models joined")
    return specs


def _ollama_model(told: dict[str, Any]) -> ModelSpec:
    """A model as Ollama lists it. Older ones tell no capabilities, only the family."""
    embeds = "embedding" in (told.get("capabilities") or ()) or (
        (told.get("details") or {}).get("family") in EMBEDDING_FAMILIES
    )
    return ModelSpec(
        description="served by the local Ollama",
        does="embedding" if embeds else "chat",
        owned_by="ollama",
        routes=(Route(provider="ollama", model=str(told["name"])),),
    )


def _resolve(
    merged: CatalogueFile,
    specs: dict[str, ModelSpec],
    providers: dict[str, ProviderSpec],
    found: list[str],
) -> Catalogue:
    models: dict[str, Model] = {}
    today = datetime.now(UTC).date()
    for name, spec in specs.items():
        for route in spec.routes:
            if route.provider not in merged.providers and route.provider not in providers:
                raise CatalogueError(f"models.{name}: no provider is named {route.provider!r}")
        routes = tuple(route for route in spec.routes if route.provider in providers)
        if routes:
            models[name] = _model(name, spec, routes, providers, today)
            found += _tiered(models[name])
    real = [
        name for name, spec in specs.items()
        if name in models and spec.owned_by == "ollama" and spec.does == "chat"
    ]  # fmt: skip
    base = next((name for name in (*merged.chat, *real, "builtin/eliza") if name in models), None)
    for name, spec in specs.items():
        if spec.over == "chat" and base is not None:
            models[name] = _persona(name, spec, models[base])
    for alias, name in merged.aliases.items():
        if name not in specs:
            raise CatalogueError(f"aliases.{alias}: no model is named {name!r}")
    default = merged.default or ""
    if default not in models:
        raise CatalogueError(f"default: no callable model is named {default!r}")
    tier = merged.default_tier or ""
    if tier not in merged.tiers:
        raise CatalogueError(f"default_tier: no tier is named {tier!r}")
    aliases = {alias: name for alias, name in merged.aliases.items() if name in models}
    for operation, name in merged.defaults.items():
        if name not in specs or specs[name].does != operation:
            raise CatalogueError(f"defaults.{operation}: no model for it is named {name!r}")
    defaults = {operation: name for operation, name in merged.defaults.items() if name in models}
    unconfigured = _unconfigured(merged, specs, models, providers)
    return Catalogue(
        default, providers, models, aliases, found, merged.tiers, tier, defaults,
        merged.personality, unconfigured,
    )  # fmt: skip


def _unconfigured(
    merged: CatalogueFile,
    specs: dict[str, ModelSpec],
    models: dict[str, Model],
    providers: dict[str, ProviderSpec],
) -> frozenset[str]:
    """What lacks but a provider's key, as requests name it: `model`, an alias, `provider/model`."""
    names = {name: name for name in specs} | merged.aliases
    bare = {name for name, model in names.items() if model not in models}
    forced = {
        f"{route.provider}/{name}"
        for name, model in names.items()
        for route in specs[model].routes
        if route.provider not in providers
    }
    return frozenset(bare | forced)


def _model(
    name: str,
    spec: ModelSpec,
    routes: tuple[Route, ...],
    providers: dict[str, ProviderSpec],
    today: date,
) -> Model:
    try:
        price, routes = priced(spec.price, routes, providers, today)
    except ValueError as error:
        raise CatalogueError(
            f"models.{name}: genai-prices has a price for it that is not whole nano-dollars; "
            "write price, and cost with its routes"
        ) from error
    return Model(name, spec, routes, price, builtin=is_builtin(routes, providers))


def _persona(name: str, spec: ModelSpec, ground: Model) -> Model:
    """A persona's model: its own description over what its ground can take and give."""
    routes = ground.routes
    bounds = {name: getattr(ground.spec, name) for name in ("context", "max_output", "without")}
    unsaid = {n: v for n, v in bounds.items() if n not in spec.model_fields_set}
    spec = spec.model_copy(update=unsaid)
    if spec.price is not None:
        routes = tuple(route.model_copy(update={"price": spec.price}) for route in routes)
    price = spec.price or ground.price
    return Model(name, spec, routes, price, stands_on=ground.id, builtin=ground.builtin)


def _tiered(model: Model) -> list[str]:
    prices = [model.price_of(route) for route in model.routes]
    if not any(isinstance(price, KnownPrice) and price.tiered for price in prices):
        return []
    return [f"{model.id} has dearer tiers: its base price is charged, the dearest is held"]
