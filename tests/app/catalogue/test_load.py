"""The catalogue as it is put together: the built-in file, the operator's, and what is found."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from app.catalogue.load import CatalogueError, catalogue
from app.catalogue.model import Catalogue, Price
from app.settings import Settings

PERSONAS = {
    "lunaby-pro",
    "lilly-emotional",
    "lilly-swift",
    "lilly-health",
    "lilly-education",
    "lilly-enterprise",
    "tycho",
}

WITHOUT_A_KEY = {"builtin/eliza", "builtin/sim", "builtin/image", "all-MiniLM-L6-v2"}

Load = Callable[[str], Catalogue]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads the catalogue with an operator's own YAML over it."""

    def with_own(yaml: str) -> Catalogue:
        own = tmp_path / "own.yaml"
        own.write_text(yaml)
        return catalogue(Settings(catalogue=own, ollama_url=""))

    return with_own


def test_without_any_key_personas_stand_on_eliza() -> None:
    known = catalogue(Settings())
    assert set(known.models) == PERSONAS | WITHOUT_A_KEY
    assert known.found == []
    for name in PERSONAS:
        model = known.models[name]
        assert model.stands_on == "builtin/eliza"
        assert model.routes == known.models["builtin/eliza"].routes
        assert model.price == known.models["builtin/eliza"].price
        assert model.spec.persona
    default = known.find(None)
    assert default is not None
    assert default.id == "lunaby-pro"


def test_a_key_in_the_environment_adds_its_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MISTRAL_API_KEY", "m")
    known = catalogue(Settings())
    assert {"mistral-small-latest", "mistral-large-latest"} <= set(known.models)
    assert "gpt-4o-mini" not in known.models
    assert known.models["tycho"].stands_on == "mistral-small-latest"
    assert known.found == ["MISTRAL_API_KEY is set: models of mistral joined"]


def test_personas_stand_on_the_first_configured_of_the_chat_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("MISTRAL_API_KEY", "GROQ_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "k")
    known = catalogue(Settings())
    assert {known.models[name].stands_on for name in PERSONAS} == {"gpt-4o-mini"}
    monkeypatch.delenv("OPENAI_API_KEY")
    known = catalogue(Settings())
    assert {known.models[name].stands_on for name in PERSONAS} == {"gpt-oss-120b"}


def test_a_blank_key_adds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "  ")
    assert "gpt-4o" not in catalogue(Settings()).models


def test_own_yaml_is_laid_over_the_builtin(load: Load) -> None:
    known = load(
        """
default: house
providers: {vllm: {kind: openai, base_url: "http://10.0.0.5:8000/v1"}}
models:
  house:
    price: {input: 0.0375, output: 1}
    routes: [{provider: vllm, model: qwen, parameters: {x: 1}}]
  tycho: {description: ours, over: chat, persona: P}
aliases: {h: house}
chat: [house]
"""
    )
    house = known.find("h")
    assert house is not None
    assert house.price.input == 37_500_000
    assert known.default == "house"
    assert known.providers["vllm"].base_url == "http://10.0.0.5:8000/v1"
    assert known.models["tycho"].spec.description == "ours"
    assert {known.models[name].stands_on for name in PERSONAS} == {"house"}
    assert "builtin/eliza" in known.models


@pytest.mark.parametrize(
    ("yaml", "words"),
    [
        ("models: {m: {routes: [{provider: nowhere, model: x}]}}", "models.m.*'nowhere'"),
        ("aliases: {a: nothing}", "aliases.a.*'nothing'"),
        ("default: nothing", "default.*'nothing'"),
        ("models: {m: {colour: red}}", "models.m.colour"),
        ("models: {m: {price: {input: -1}}}", "models.m.price.input"),
        ("models: {m: {price: {input: 1e-10}}}", "models.m.price.input"),
        ("models: {m: {price: {input: .nan}}}", "models.m.price.input"),
        ("providers: {p: {kind: telepathy}}", "providers.p.kind"),
        ("models: [", "not YAML"),
        ("- a list", "own.yaml"),
        (
            "models: {m: {routes: [{provider: simulator, model: s, price: {output: -1}}]}}",
            "models.m.routes.0.price.output",
        ),
        ("tiers: {gold: {requests_per_minute: many}}", "tiers.gold.requests_per_minute"),
        ("tiers: {gold: {colour: red}}", "tiers.gold.colour"),
        ("default_tier: nothing", "default_tier.*'nothing'"),
    ],
)
def test_a_mistake_is_an_error_that_says_where(load: Load, yaml: str, words: str) -> None:
    with pytest.raises(CatalogueError, match=words):
        load(yaml)


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"gone\.yaml cannot be read"):
        catalogue(Settings(catalogue=tmp_path / "gone.yaml"))


def test_a_default_without_its_key_is_an_error(load: Load) -> None:
    with pytest.raises(CatalogueError, match="no callable model is named 'gpt-4o'"):
        load("default: gpt-4o")


def test_an_alias_of_a_model_without_its_key_is_left_out() -> None:
    known = catalogue(Settings())
    assert set(known.aliases.values()) <= set(known.models)
    assert known.find("llama-3.1-8b") is None


@contextmanager
def ollama(body: object) -> Iterator[str]:
    """The address of a server that answers as an Ollama does when asked for its models."""
    told = body if isinstance(body, bytes) else json.dumps(body).encode()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/api/tags"
            self.send_response(200)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_local_ollama_joins_with_its_models() -> None:
    with ollama({"models": [{"name": "llama3:8b"}, {"name": "qwen"}]}) as url:
        known = catalogue(Settings(ollama_url=url))
    qwen = known.models["qwen"]
    assert qwen.routes[0].provider == "ollama"
    assert qwen.price == qwen.cost_of(qwen.routes[0]) == Price()
    assert not qwen.builtin
    assert known.providers["ollama"].base_url == f"{url}/v1"
    assert known.models["tycho"].stands_on == "llama3:8b"
    assert known.found == [f"Ollama answers at {url}: 2 models joined"]


@pytest.mark.parametrize(
    ("told", "does"),
    [
        ({"capabilities": ["embedding"]}, "embedding"),
        ({"details": {"family": "nomic-bert"}}, "embedding"),
        ({"capabilities": ["completion", "tools"], "details": {"family": "qwen3"}}, "chat"),
        ({"capabilities": None, "details": None}, "chat"),
    ],
)
def test_an_ollama_tells_what_a_model_is_for(told: dict[str, object], does: str) -> None:
    with ollama({"models": [{"name": "first", **told}, {"name": "second"}]}) as url:
        known = catalogue(Settings(ollama_url=url))
    assert known.models["first"].spec.does == does
    assert known.models["tycho"].stands_on == ("second" if does == "embedding" else "first")


def test_an_ollama_is_not_asked_for_what_it_would_drop() -> None:
    with ollama({"models": [{"name": "qwen"}]}) as url:
        known = catalogue(Settings(ollama_url=url))
    model = known.models["qwen"]
    assert known.unable(model, model.routes[0], {"logit_bias": {"1": 5}}) == "logit_bias"
    assert known.unable(model, model.routes[0], {"temperature": 0.5, "seed": 1}) is None


@pytest.mark.parametrize("body", [b"not json", {"models": 1}, {"models": [1]}, {}, []])
def test_whatever_else_answers_there_is_no_ollama(body: object) -> None:
    with ollama(body) as url:
        known = catalogue(Settings(ollama_url=url))
    assert "ollama" not in known.providers
    assert known.found == []


def test_nobody_there_is_no_ollama() -> None:
    with ollama({}) as url:
        pass
    assert "ollama" not in catalogue(Settings(ollama_url=url)).providers


def test_an_own_provider_named_ollama_is_left_alone(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text('providers: {ollama: {kind: openai, base_url: "http://far:1/v1"}}')
    with ollama({"models": [{"name": "qwen"}]}) as url:
        known = catalogue(Settings(catalogue=own, ollama_url=url))
    assert known.providers["ollama"].base_url == "http://far:1/v1"
    assert "qwen" not in known.models


@pytest.fixture
def all_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MISTRAL_API_KEY", "GROQ_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "k")


@pytest.mark.usefixtures("all_keys")
def test_the_operators_price_stands_over_the_known_one_and_the_cost_stays(load: Load) -> None:
    known = load(
        """
models:
  gpt-4o-mini: {price: {input: 9, output: 10}, routes: [{provider: openai, model: gpt-4o-mini}]}
  gpt-4o:
    routes:
      - {provider: openai, model: gpt-4o, price: {input: 7}, cost: {input: 0.5}}
      - {provider: groq, model: of-their-own}
"""
    )
    mini, big = known.models["gpt-4o-mini"], known.models["gpt-4o"]
    assert mini.price_of(mini.routes[0]).input == 9 * 10**9
    assert mini.cost_of(mini.routes[0]).input == 150_000_000
    assert known.models["tycho"].cost(1, 0, 0).total == 9000
    assert [big.price_of(route).input for route in big.routes] == [7 * 10**9, 7 * 10**9]
    assert [big.cost_of(route).input for route in big.routes] == [5 * 10**8, 7 * 10**9]
    sources = {e.model: e.source for e in known.price_list()}
    assert (sources["gpt-4o-mini"], sources["gpt-4.1"]) == ("catalogue", "genai-prices")


@pytest.mark.usefixtures("all_keys")
def test_without_a_price_each_route_costs_what_its_provider_takes(load: Load) -> None:
    known = load(
        """
providers: {house: {kind: openai, base_url: "http://10.0.0.5/v1"}}
models:
  m:
    routes:
      - {provider: house, model: llama}
      - {provider: groq, model: llama-3.1-8b-instant}
      - {provider: openai, model: gpt-4o}
  unknown: {routes: [{provider: house, model: llama}]}
"""
    )
    m = known.models["m"]
    assert [m.price_of(route).input for route in m.routes] == [5 * 10**7, 5 * 10**7, 25 * 10**8]
    assert m.price.input == 5 * 10**7
    assert m.hold(1, 1, 1) == 2500 + 10000
    assert known.models["unknown"].hold(100, 100, 1) == 0


def test_a_personas_own_price_stands_over_that_of_its_ground(load: Load) -> None:
    known = load("models: {tycho: {over: chat, persona: P, price: {output: 3}}}")
    tycho, plain = known.models["tycho"], known.models["lunaby-pro"]
    assert tycho.cost(0, 0, 1, tycho.routes[0]).total == 3000
    assert tycho.price.output == 3 * 10**9
    assert plain.cost(0, 0, 1, plain.routes[0]).total == 400
    assert tycho.cost_of(tycho.routes[0]) == Price()


def test_a_model_of_dearer_tiers_is_told_to_the_operator(load: Load) -> None:
    address = "https://generativelanguage.googleapis.com/v1beta/openai"
    known = load(
        f"""
providers: {{gemini: {{kind: openai, base_url: "{address}"}}}}
models: {{g: {{routes: [{{provider: gemini, model: gemini-2.5-pro}}]}}}}
"""
    )
    model = known.models["g"]
    assert known.found == ["g has dearer tiers: its base price is charged, the dearest is held"]
    assert model.hold(1, 1, 1) > model.cost(1, 0, 1).total > 0


def test_a_price_that_is_not_whole_nano_dollars_is_an_error(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    from genai_prices.data_snapshot import DataSnapshot, get_snapshot, set_custom_snapshot
    from genai_prices.types import ClauseEquals, ModelInfo, ModelPrice, Provider

    odd = ModelPrice(input_mtok=Decimal("0.18000000000000002"), output_mtok=Decimal(1))
    info = ModelInfo(id="odd", match=ClauseEquals("odd"), prices=odd)
    seller = Provider(id="openai", name="", api_pattern="https://api.openai", models=[info])
    set_custom_snapshot(DataSnapshot([seller, *get_snapshot().providers], False))
    try:
        with pytest.raises(CatalogueError, match=r"models\.m: genai-prices.*whole nano-dollars"):
            load("models: {m: {routes: [{provider: openai, model: odd}]}}")
        priced = load(
            "models: {m: {price: {input: 1}, "
            "routes: [{provider: openai, model: odd, cost: {input: 1}}]}}"
        )
    finally:
        set_custom_snapshot(None)
    assert priced.models["m"].price.input == 10**9


def test_only_models_that_need_no_key_are_for_test_keys(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(catalogue(Settings()).test_models) == PERSONAS | WITHOUT_A_KEY
    monkeypatch.setenv("GROQ_API_KEY", "k")
    known = load(
        """
models:
  m: {routes: [{provider: builtin, model: eliza}, {provider: groq, model: x}]}
  n: {routes: [{provider: builtin, model: eliza}, {provider: simulator, model: x}]}
"""
    )
    assert set(known.test_models) == {"n"} | WITHOUT_A_KEY


def test_the_builtin_tiers_are_those_of_the_contract() -> None:
    known = catalogue(Settings())
    told = {
        name: (limits.requests_per_minute, limits.tokens_per_day, limits.sessions)
        for name, limits in known.tiers.items()
    }
    assert told == {
        "free": (20, 10_000, 1),
        "starter": (60, 100_000, 10),
        "professional": (300, 1_000_000, 100),
        "enterprise": (10**6, 10**12, None),
    }
    assert known.default_tier == "enterprise"
    assert known.limits_of("gone") == known.tiers["free"]


def test_own_tiers_are_laid_over_the_builtin_by_name(load: Load) -> None:
    known = load(
        """
default_tier: gold
tiers:
  gold: {requests_per_minute: 7, tokens_per_day: null, sessions: 2}
  free: {requests_per_minute: 1, tokens_per_day: 1, sessions: 1}
"""
    )
    assert known.default_tier == "gold"
    assert known.limits_of("gold").tokens_per_day is None
    assert known.limits_of("gold").requests_per_minute == 7
    assert known.limits_of("nobody").tokens_per_day == 1
    assert known.limits_of("starter").sessions == 10


def test_genai_prices_is_imported_only_when_a_model_needs_it() -> None:
    program = (
        "import sys; from app.catalogue.load import catalogue; from app.settings import Settings;"
        "catalogue(Settings()); print('genai_prices' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert told.stdout == b"False\n"
