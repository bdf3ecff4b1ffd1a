"""The catalogue as it is put together: the built-in file, the operator's, and what is found."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from app.catalogue.load import CatalogueError, catalogue
from app.catalogue.model import Catalogue
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
    assert set(known.models) == {*PERSONAS, "builtin/eliza", "builtin/sim"}
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
    assert {known.models[name].stands_on for name in PERSONAS} == {"llama-3.3-70b-versatile"}


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
    assert known.aliases == {}
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
    assert known.models["qwen"].routes[0].provider == "ollama"
    assert known.providers["ollama"].base_url == f"{url}/v1"
    assert known.models["tycho"].stands_on == "llama3:8b"
    assert known.found == [f"Ollama answers at {url}: 2 models joined"]


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
