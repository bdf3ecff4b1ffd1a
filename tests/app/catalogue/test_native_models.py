"""The built-in models of vendors whose API is not OpenAI's."""

from typing import Any

import pytest

from app.catalogue.load import catalogue
from app.catalogue.model import Catalogue
from app.settings import Settings

REAL = {
    "claude-fable-5-1": ("anthropic", 10, 50),
    "claude-opus-5-5": ("anthropic", 4, 20),
    "claude-sonnet-5-5": ("anthropic", 2, 10),
    "claude-haiku-5-5": ("anthropic", 0.1, 0.5),
    "claude-haiku-4-5": ("anthropic", 1, 5),
    "gemini-4-argon": ("google", 2, 10),
    "gemini-3.8-flash": ("google", 0.75, 3.75),
    "gemini-3.5-flash-lite": ("google", 0.3, 2.5),
    "gemini-2.5-flash-lite": ("google", 0.1, 0.4),
    "gemini-nano-banana-2.1": ("google", 1.5, 0),
    "gemini-embedding-2": ("google", 0.2, 0),
    "gemini-embedding-001": ("google", 0.15, 0),
}
"""Dollars per million tokens; the data of another genai-prices may differ within a factor of 5."""


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    monkeypatch.setenv("GEMINI_API_KEY", "k")
    return catalogue(Settings())


def test_they_join_with_their_key(known: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    joined = {name for name, model in known.models.items() if not model.builtin}
    assert joined - {name for name in joined if known.models[name].stands_on} == set(REAL)
    monkeypatch.delenv("GEMINI_API_KEY")
    assert not [name for name in catalogue(Settings()).models if name.startswith("gemini")]


@pytest.mark.parametrize("name", REAL)
def test_their_prices_are_known(known: Catalogue, name: str) -> None:
    provider, dollars_in, dollars_out = REAL[name]
    [entry] = known.models[name].entries.values()
    source = "catalogue" if known.models[name].spec.does == "image" else "genai-prices"
    assert (entry.provider, entry.source) == (provider, source)
    assert (entry.image > 0) is (source == "catalogue")
    assert 0.2 <= entry.input / (dollars_in * 10**9) <= 5
    assert 0.2 * dollars_out <= entry.output / 10**9 <= 5 * dollars_out


def test_with_their_key_alone_personas_stand_on_them(known: Catalogue) -> None:
    assert known.models["lunaby-pro"].stands_on == "claude-haiku-5-5"


@pytest.mark.parametrize(
    ("alias", "name"),
    [("claude-3-haiku", "claude-haiku-5-5"), ("gemini-2.5-pro", "gemini-3.8-flash")],
)
def test_models_that_are_no_more_are_called_by_what_came_after(
    known: Catalogue, alias: str, name: str
) -> None:
    found = known.find(alias)
    assert found is not None
    assert found.id == name


@pytest.mark.parametrize(
    ("name", "request_", "field"),
    [
        ("claude-opus-5-5", {"temperature": 0.5}, "temperature"),
        ("claude-opus-5-5", {"temperature": 1, "top_p": 1.0, "n": 1}, None),
        ("claude-haiku-4-5", {"temperature": 0.5, "top_k": 3}, None),
        ("claude-haiku-4-5", {"seed": 1}, "seed"),
        ("claude-haiku-4-5", {"logprobs": True}, "logprobs"),
        ("gemini-4-argon", {"temperature": 0.5, "seed": 1, "n": 2}, None),
        ("gemini-4-argon", {"parallel_tool_calls": False}, "parallel_tool_calls"),
    ],
)
def test_what_they_cannot_do_is_known_before_they_are_called(
    known: Catalogue, name: str, request_: dict[str, Any], field: str | None
) -> None:
    model = known.models[name]
    assert known.unable(model, model.routes[0], {"messages": [], **request_}) == field
