"""The built-in catalogue with a key for every provider: prices, fields, aliases."""

import pytest

from app.catalogue.load import catalogue
from app.catalogue.model import BUILTIN_KINDS, Catalogue
from app.catalogue.prices import KnownPrice
from app.settings import Settings
from app.web.schemas.chat import ChatRequest, ExtraBody

KEYS = (
    "OPENAI_API_KEY", "GROQ_API_KEY", "MISTRAL_API_KEY", "DEEPSEEK_API_KEY", "XAI_API_KEY",
    "TOGETHER_API_KEY", "FIREWORKS_API_KEY", "CEREBRAS_API_KEY", "OPENROUTER_API_KEY",
    "ANTHROPIC_API_KEY", "GEMINI_API_KEY",
)  # fmt: skip

DOLLARS = {
    ("gpt-6.1-sol", "openai"): (2, 10),
    ("gpt-6-luna", "openai"): (0.1, 0.5),
    ("gpt-4o-mini", "openai"): (0.15, 0.6),
    ("gpt-4.1", "openai"): (2, 8),
    ("gpt-oss-120b", "groq"): (0.15, 0.6),
    ("gpt-oss-120b", "cerebras"): (0.35, 0.75),
    ("gpt-oss-120b", "fireworks"): (0.15, 0.6),
    ("gpt-oss-120b", "together"): (0.15, 0.6),
    ("gpt-oss-120b", "openrouter"): (0.1, 0.5),
    ("kimi-k3", "together"): (3, 15),
    ("mistral-small-latest", "mistral"): (0.15, 0.6),
    ("deepseek-flash", "deepseek"): (0.15, 0.6),
    ("grok-4.7", "xai"): (2, 6),
}
"""Per million tokens; the data of another genai-prices may differ within a factor of 5."""


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    for name in KEYS:
        monkeypatch.setenv(name, "k")
    return catalogue(Settings())


def test_every_provider_with_a_key_joins(known: Catalogue) -> None:
    named = {spec.api_key_env for spec in known.providers.values() if spec.enabled_by_key}
    assert named == set(KEYS)
    asked = {route.provider for model in known.models.values() for route in model.routes}
    assert asked == set(known.providers), "each is good for something"


def test_every_model_of_a_vendor_is_paid_for(known: Catalogue) -> None:
    for model in known.models.values():
        for route in model.routes:
            if known.providers[route.provider].kind in BUILTIN_KINDS:
                continue
            price, where = model.price_of(route), (model.id, route.provider)
            assert price == model.cost_of(route), where
            if model.spec.does == "transcription":
                assert price.minute > 0, where
            elif model.spec.does == "image" and not isinstance(price, KnownPrice):
                assert price.image > 0, where
            else:
                assert isinstance(price, KnownPrice), where
                assert price.input > 0, where
                assert price.output > 0 or model.spec.does == "embedding", where


def test_known_prices_are_about_what_the_vendors_say(known: Catalogue) -> None:
    for (name, provider), (dollars_in, dollars_out) in DOLLARS.items():
        model = known.models[name]
        [route] = [one for one in model.routes if one.provider == provider]
        price = model.price_of(route)
        assert 0.2 <= price.input / (dollars_in * 10**9) <= 5, (name, provider)
        assert 0.2 <= price.output / (dollars_out * 10**9) <= 5, (name, provider)
        assert price.cached <= price.input < price.output, (name, provider)


@pytest.mark.parametrize(
    ("name", "dollars"),
    [("whisper-1", 0.006), ("gpt-transcribe", 0.0045), ("whisper-large-v3-turbo", 0.04 / 60)],
)
def test_an_hour_of_audio_costs_sixty_minutes(known: Catalogue, name: str, dollars: float) -> None:
    model = known.models[name]
    assert model.hold_units(0, 3600) == pytest.approx(dollars * 60 * 10**9, rel=1e-5)


def test_the_fields_that_are_left_out_are_fields_of_a_request(known: Catalogue) -> None:
    fields = ChatRequest.model_fields.keys() | ExtraBody.model_fields.keys()
    for spec in known.providers.values():
        assert set(spec.without) <= fields, spec
    for model in known.models.values():
        assert set(model.spec.without) <= fields, model.id


@pytest.mark.parametrize(
    ("name", "field", "hosts"),
    [
        ("gpt-oss-120b", {"logprobs": True}, {"cerebras", "fireworks", "openrouter"}),
        ("gpt-oss-120b", {"parallel_tool_calls": False}, {"groq", "fireworks", "openrouter"}),
        ("gpt-oss-120b", {"n": 2}, {"fireworks", "together"}),
        ("gpt-oss-120b", {"n": 1, "logit_bias": {}}, {"groq", "cerebras", "fireworks", "together",
                                                      "openrouter"}),
        ("gpt-6-luna", {"temperature": 0.5}, set()),
        ("gpt-4o-mini", {"temperature": 0.5, "metadata": {"a": "b"}}, {"openai"}),
        ("mistral-small-latest", {"seed": 1}, set()),
    ],
)  # fmt: skip
def test_a_field_goes_to_the_hosts_that_take_it(
    known: Catalogue, name: str, field: dict[str, object], hosts: set[str]
) -> None:
    model = known.models[name]
    able = {r.provider for r in model.routes if known.unable(model, r, field) is None}
    assert able == hosts


def test_every_alias_and_every_ground_of_a_persona_is_a_model(known: Catalogue) -> None:
    assert set(known.aliases.values()) <= set(known.models)
    assert {"llama-3.1-8b", "gpt-image-1", "claude-3-haiku"} <= set(known.aliases)
    assert {model.stands_on for model in known.models.values() if model.stands_on} == {
        "gpt-4o-mini"
    }
