"""What the router may choose from where its models cannot be called: judged, told, or refused."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app.db.connect import Connection
from app.settings import Settings
from app.uniroute.shelf import shipped
from tests.app.web.doors import Caller, web_process, workers
from tests.app.web.routers import AT, CHAT, SEED, refused, routed
from tests.conftest import short_folder
from workers.inference.choice import Choices
from workers.inference.desk import Desk

MIXED = """
providers:
  east: {kind: sim}
  far: {kind: openai, base_url: "http://127.0.0.1:9/v1"}
models:
  gpt-3.5-turbo:
    price: {input: 0.5, output: 1.5}
    routes: [{provider: east, model: a, parameters: {tokens: 4}}]
  gpt-4o-mini:
    price: {input: 0.15, output: 0.60}
    routes: [{provider: far, model: gpt-4o-mini}]
  mistral-small-latest:
    price: {input: 0.1, output: 0.3}
    routes: [{provider: far, model: small}]
"""
"""One model of the profile at the simulator, two that need a provider, all others missing."""

HERE, KEYED = "gpt-3.5-turbo", ["gpt-4o-mini", "mistral-small-latest"]
SEEDS = ["gpt-4o", "gpt-4o-mini", "gpt-4-turbo", HERE, "mistral-large-latest", KEYED[1]]


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A data directory in which the model is built once."""
    with short_folder() as folder:
        (folder / "mixed.yaml").write_text(MIXED)
        yield folder


@pytest.fixture
def settings(gevent_sockets: None, home: Path, line_settings: Callable[..., Settings]) -> Settings:
    """Of a machine without keys and catalogue."""
    return line_settings(data_dir=home)


@pytest.fixture
def mixed(
    settings: Settings, home: Path, connection: Connection, mine: str
) -> Iterator[Callable[..., Caller]]:
    """Makes callers where some models can be called: `mixed(mode="test")`."""
    with_some = settings.model_copy(update={"catalogue": home / "mixed.yaml"})
    with web_process(with_some) as app, workers(with_some):
        yield lambda **key: Caller(app, connection, mine, **key)


def scores(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["model"]: one for one in told["routing"]["scores"]}


@pytest.mark.parametrize("path", [AT, CHAT])
def test_without_a_model_that_can_be_called_the_default_answers_and_the_profile_is_told(
    working: None, caller: Caller, path: str
) -> None:
    told = routed(caller, path)
    routing = told["routing"]
    assert told["model"] == routing["answered_model"] == "lunaby-pro"
    assert routing["answered_provider"] == "builtin"
    assert (routing["selected_model"], routing["selected_provider"]) == ("gpt-4o", "openai")
    assert 0 < routing["expected_error"] == routing["cost_adjusted_score"] < 1
    assert routing["clusters"][str(routing["cluster_id"])] == max(routing["clusters"].values())
    assert (routing["profile"], routing["excluded"]) == (shipped()[0], [])
    assert {one["model"]: one["available"] for one in routing["scores"]} == dict.fromkeys(
        shipped()[1], False
    )
    assert "not available here" in routing["reasoning"]
    assert routing["reasoning"].endswith("lunaby-pro answers")


def test_a_decision_judges_what_cannot_be_called_by_the_prices_that_are_known(
    working: None, caller: Caller
) -> None:
    told = routed(caller, execute=False, models=["gpt-4o", "gpt-4o-mini"])
    assert told["model"] == told["routing"]["selected_model"] == "gpt-4o"
    assert (told["routing"]["selected_provider"], told["routing"]["excluded"]) == ("openai", [])
    assert [one["available"] for one in told["routing"]["scores"]] == [False, False]
    assert scores(told)["gpt-4o-mini"]["cost"] == pytest.approx(
        (3 * 0.15 + 0.6) / (3 * 2.5 + 10), abs=1e-5
    )
    assert "answers" not in told["routing"]["reasoning"]
    cheap = routed(caller, execute=False, models=SEEDS, cost_weight=100)
    assert cheap["model"] in ("gpt-4o-mini", "mistral-small-latest")
    assert scores(cheap).keys() == set(SEEDS)
    # Of the second genai-prices knows no price; the profile has 0.1 for a token of either kind.
    profiles = routed(caller, execute=False, models=["gpt-4o", "ministral-3b-latest"])
    assert scores(profiles)["ministral-3b-latest"]["cost"] == pytest.approx(0.4 / 17.5, abs=1e-5)


@pytest.mark.parametrize("path", [AT, CHAT])
def test_none_of_the_named_models_here_is_refused_and_says_what_to_do(
    caller: Caller, path: str
) -> None:
    answer = caller.post(path, {**SEED, "model": "auto", "models": ["gpt-4o", "gpt-4-turbo"]})
    error = answer.get_json()["error"]
    assert (answer.status_code, error["param"]) == (404, "models")
    assert error["code"] == "model_not_found"
    assert "OPENAI_API_KEY" in error["message"]
    unknown = ["gpt-4o", "nothing"]
    assert refused(caller, execute=False, models=unknown) == (404, "models")
    assert refused(caller, execute=False, models=["gpt-4o"] * 2) == (400, "models")


def test_one_of_the_named_models_here_answers_and_the_decision_is_the_same(
    mixed: Callable[..., Caller],
) -> None:
    caller = mixed()
    asked: dict[str, Any] = {"models": [HERE, "gpt-4o"], "cost_weight": 0.5}
    told = routed(caller, **asked)
    assert told["model"] == told["routing"]["answered_model"] == HERE
    assert told["routing"]["excluded"] == [
        {"model": "gpt-4o", "reason": "it is not configured here"}
    ]
    decided = routed(caller, execute=False, **asked)
    # The other errs less, and is not to be had.
    assert decided["model"] == HERE
    assert decided["routing"]["cost_adjusted_score"] == told["routing"]["cost_adjusted_score"]
    better = scores(decided)["gpt-4o"]
    assert better["expected_error"] < decided["routing"]["expected_error"]
    assert (scores(decided)[HERE]["cost"], better["cost"] > 1) == (1.0, True)
    assert (scores(decided)[HERE]["available"], better["available"]) == (True, False)
    assert "not available here: gpt-4o" in decided["routing"]["reasoning"]


def test_a_test_key_is_never_answered_by_a_model_beside_those_that_it_names(
    mixed: Callable[..., Caller],
) -> None:
    caller = mixed(mode="test")
    assert refused(caller, models=KEYED) == (403, "models")
    assert refused(caller, CHAT, model="auto", models=KEYED) == (403, "models")
    told = routed(caller, models=[HERE, KEYED[0]])
    assert told["model"] == HERE
    [out] = told["routing"]["excluded"]
    assert (out["model"], "test key" in out["reason"]) == (KEYED[0], True)
    decided = routed(caller, models=KEYED, execute=False)
    assert decided["model"] in KEYED
    assert [one["available"] for one in decided["routing"]["scores"]] == [False, False]


def test_the_clock_of_the_first_decision_starts_once_the_model_is_loaded(
    app: Flask, settings: Settings, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, decide = [], Choices.decide

    def watched(choices: Choices, *asked: Any) -> Any:
        loaded.append(choices._embedder._session is not None)
        return decide(choices, *asked)

    monkeypatch.setattr(Choices, "decide", watched)
    with workers(settings) as desks:
        forget_model(desks)
        routed(caller, execute=False)
    assert loaded == [True]


def forget_model(desks: list[Desk]) -> None:
    for desk in desks:
        assert desk._parts.choices is not None
        desk._parts.choices._embedder._session = None
