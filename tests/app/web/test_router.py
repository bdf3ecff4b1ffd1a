"""The model `auto` and `/v1/router`: what is chosen, told, held and charged."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from flask import Flask
from structlog.testing import capture_logs

from app.catalogue.load import catalogue
from app.db.connect import Connection, connect
from app.ledger.budgets import create_budget
from app.ledger.store import balance
from app.settings import Settings
from app.uniroute.shelf import shipped
from app.uniroute.store import seen_since
from tests.app.events.parts import until
from tests.app.line import assert_proven, tenant
from tests.app.lunes.finding.parts import document, lune
from tests.app.web.doors import Caller, workers
from tests.app.web.routers import ALL, AT, CHAT, SEED, THREE_MODELS, chunks, refused, routed
from workers.inference.desk import Desk

CATALOGUE = THREE_MODELS


@pytest.fixture
def settings(gevent_sockets: None, home: Path, line_settings: Callable[..., Settings]) -> Settings:
    return line_settings(data_dir=home, catalogue=home / "catalogue.yaml")


def test_the_seeds_request_is_answered_and_says_why(desks: list[Desk], caller: Caller) -> None:
    told = routed(caller)
    assert told["id"].startswith("router-")
    assert told["object"] == "chat.completion"
    [choice] = told["choices"]
    assert choice["message"]["content"]
    routing = told["routing"]
    assert told["model"] == routing["selected_model"] == routing["answered_model"] == "gpt-4o"
    assert routing["selected_provider"] == routing["answered_provider"] == "east"
    assert routing["cost_adjusted_score"] == routing["expected_error"] > 0
    assert sorted(one["model"] for one in routing["scores"]) == ALL
    assert routing["scores"][0]["expected_error"] == routing["expected_error"]
    assert routing["clusters"][str(routing["cluster_id"])] == max(routing["clusters"].values())
    assert (routing["excluded"], routing["profile"]) == ([], shipped()[0])
    assert routing["reasoning"]
    assert (routing["cached"], routed(caller)["routing"]["cached"]) == (False, True)


def test_a_model_that_is_dear_must_be_worth_it(desks: list[Desk], caller: Caller) -> None:
    told = routed(caller, cost_weight=100)
    assert told["model"] == "mistral-small-latest"
    scores = {one["model"]: one for one in told["routing"]["scores"]}
    # Blended as the catalogue compares prices: three tokens in to each that comes out.
    assert scores["gpt-4o"]["cost"] == 1.0
    assert scores["gpt-4o-mini"]["cost"] == pytest.approx(
        (3 * 0.15 + 0.6) / (3 * 2.5 + 10), abs=1e-5
    )


def test_only_what_is_named_is_chosen_from(desks: list[Desk], caller: Caller) -> None:
    told = routed(caller, models=["mistral-small-latest", "gpt-4o-mini"])
    assert told["model"] == "gpt-4o-mini"
    assert {one["model"] for one in told["routing"]["scores"]} == {told["model"], ALL[2]}
    forced = routed(caller, models=["gpt-4o-mini", "gpt-4o"], provider="east")
    assert forced["routing"]["answered_provider"] == "east"
    west = routed(caller, provider="west")
    assert [one["model"] for one in west["routing"]["scores"]] == ["gpt-4o-mini"]
    assert west["routing"]["answered_provider"] == "west"


def test_models_that_cannot_do_it_are_left_out_and_named(desks: list[Desk], caller: Caller) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    [lacks] = routed(caller, tools=[tool])["routing"]["excluded"]
    assert lacks == {"model": ALL[2], "reason": f"{ALL[2]} does not take tools"}
    long = [{"role": "user", "content": "moon " * 5000}]
    [short] = routed(caller, messages=long)["routing"]["excluded"]
    assert short["model"] == ALL[2]
    assert "room for 4000 tokens" in short["reason"]
    assert refused(caller, messages=long, max_tokens=9_000_000) == (400, "messages")


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"models": ["gpt-4o"]}, 400, "models"),
        ({"models": ["gpt-4o", "gpt-4o"]}, 400, "models"),
        ({"models": ["gpt-4o", "nothing"]}, 404, "models"),
        ({"models": ["gpt-4o", "builtin/sim"]}, 400, "models"),
        ({"models": ["gpt-4o", "lunaby-pro"]}, 400, "models"),
        ({"model": "gpt-4o"}, 400, "model"),
        ({"cost_weight": -1}, 400, "cost_weight"),
        ({"fallbacks": ["gpt-4o"]}, 400, "fallbacks"),
        ({"include_web_chat": True}, 400, "include_web_chat"),
        ({"messages": []}, 400, "messages"),
        ({"audio": {"voice": "x"}}, 400, "audio"),
        ({"provider": "nobody"}, 404, "provider"),
    ],
)
def test_what_cannot_be_chosen_is_refused_by_name(
    caller: Caller, fields: dict[str, Any], status: int, param: str
) -> None:
    assert refused(caller, **fields) == (status, param)
    assert refused(caller, execute=False, **fields) == (status, param)


def test_what_is_the_routers_is_refused_elsewhere(caller: Caller) -> None:
    fixed = {"model": "gpt-4o"}
    assert refused(caller, CHAT, **fixed, models=ALL) == (400, "models")
    assert refused(caller, CHAT, **fixed, cost_weight=0.0) == (400, "cost_weight")
    assert refused(caller, CHAT, **fixed, execute=True) == (400, "execute")


def test_a_decision_alone_costs_nothing_and_asks_nobody(
    desks: list[Desk], caller: Caller, connection: Connection, mine: str
) -> None:
    before = balance(connection, mine)
    told = routed(caller, execute=False, models=ALL[:2])
    assert (told["object"], told["model"]) == ("routing", "gpt-4o")
    assert told["id"].startswith("router-")
    assert told["routing"]["selected_model"] == "gpt-4o"
    assert "choices" not in told
    literal = routed(caller, extra_body={"execute": False, "models": ALL[:2]})
    assert literal["object"] == "routing"
    job_id = told["id"].replace("router-", "job_")
    job = caller.get(f"/v1/jobs/{job_id}").get_json()
    assert (job["kind"], job["status"], job["result"]) == ("routing", "completed", told)
    assert balance(connection, mine) == before
    later = caller.post(AT, {**SEED, "execute": False, "background": True})
    assert (later.status_code, later.get_json()["object"]) == (202, "job")


def test_a_decision_is_kept_and_planned_as_its_request_says(
    desks: list[Desk], caller: Caller, connection: Connection
) -> None:
    alone: dict[str, Any] = {**SEED, "execute": False}
    asked = {**alone, "metadata": {"a": "b"}, "store": False}
    told = caller.post(AT, asked, **{"X-App-ID": "shop"}).get_json()
    assert told["object"] == "routing"
    job_id = told["id"].replace("router-", "job_")
    job = caller.get(f"/v1/jobs/{job_id}").get_json()
    assert job["kind"] == "routing"

    def forgotten() -> Any:
        row = connection.execute("SELECT request, app_id, forgotten_at FROM job").fetchone()
        return row if row and row[2] else None

    assert (until(forgotten) or ())[:2] == ("", "shop")
    kept = caller.post(AT, {**alone, "metadata": {"a": "b"}}).get_json()
    job = caller.get(f"/v1/jobs/{kept['id'].replace('router-', 'job_')}").get_json()
    assert job["metadata"] == {"a": "b"}
    later: dict[str, Any] = {"run_at": time.time() + 3600}
    assert refused(caller, execute=False, **later) == (400, "run_at")
    assert refused(caller, execute=False, webhook_url="https://a.example") == (400, "webhook_url")
    planned = caller.post(AT, {**alone, **later, "background": True})
    assert planned.status_code == 202
    row = connection.execute(
        "SELECT state FROM open_job WHERE id = %s", (planned.get_json()["id"],)
    ).fetchone()
    assert row == ("scheduled",)


def test_chat_takes_the_model_auto_in_every_form(desks: list[Desk], caller: Caller) -> None:
    whole = routed(caller, CHAT, cost_weight=100)
    assert whole["id"].startswith("chatcmpl-")
    assert whole["model"] == whole["routing"]["answered_model"] == ALL[2]
    parts = chunks(caller, CHAT, model="auto", extra_body={"cost_weight": 100})
    assert {part["model"] for part in parts} == {ALL[2]}
    assert [bool(part["choices"][0]["finish_reason"]) for part in parts] == [
        "routing" in part for part in parts
    ]
    assert parts[-1]["routing"]["selected_model"] == ALL[2]
    text = caller.post("/v1/completions", {"model": "auto", "prompt": "Say hi", "max_tokens": 3})
    assert text.get_json()["model"] == text.get_json()["routing"]["answered_model"]


def test_a_routed_answer_tells_what_it_cites_whole_and_streamed(
    desks: list[Desk], caller: Caller, books: str, mine: str
) -> None:
    with connect(books, "test") as plain:
        document(plain, lune(plain, mine)[0], ["A haiku has three lines."], url="https://a.example")
    cites = {"sim_cites": "true"}
    asked: dict[str, Any] = {"lunes": ["docs"], "include_references": True, "metadata": cites}
    whole = routed(caller, CHAT, **asked)
    last = chunks(caller, CHAT, model="auto", **asked)[-1]
    assert whole["url_references"] == last["url_references"] == ["https://a.example"]
    assert whole["routing"]["selected_model"] == last["routing"]["selected_model"]
    assert last["choices"][0]["delta"]["annotations"]


def test_the_routers_stream_and_its_job_tell_the_same(desks: list[Desk], caller: Caller) -> None:
    parts = chunks(caller, AT)
    assert {part["id"].split("-")[0] for part in parts} == {"router"}
    assert {part["model"] for part in parts} == {"gpt-4o"}
    job_id = parts[0]["id"].replace("router-", "job_")
    job = caller.get(f"/v1/jobs/{job_id}").get_json()
    assert (job["model"], job["result"]["id"]) == ("auto", parts[0]["id"])
    assert job["result"]["routing"] == parts[-1]["routing"]
    events = caller.get(f"/v1/jobs/{job_id}/events").text
    assert f'"selected_model":"{job["result"]["model"]}"' in events
    [attempt] = caller.get(f"/v1/jobs/{job_id}/attempts").get_json()["data"]
    assert [call["model"] for call in attempt["calls"]] == ["a"]


def test_a_broken_model_is_left_out_and_its_like_answers(
    desks: list[Desk], caller: Caller, home: Path, settings: Settings
) -> None:
    way = catalogue(settings).models["gpt-4o"]
    for desk in desks:
        watched = desk._parts.routing.board.watch(f"{way.routes[0].provider}/a")
        watched.breaker.open(1e12)
    told = routed(caller)
    assert told["model"] == "gpt-4o-mini"
    assert told["routing"]["excluded"] == [{"model": "gpt-4o", "reason": "its routes are failing"}]


def test_another_candidate_stands_in_for_one_that_fails(
    desks: list[Desk], caller: Caller, connection: Connection, mine: str
) -> None:
    """The simulator fails its first calls, which are of the model that was chosen."""
    failing: dict[str, Any] = {"metadata": {"sim_fail_attempts": "1"}}
    told = routed(caller, **failing)
    assert told["routing"]["selected_model"] == "gpt-4o"
    assert told["model"] == told["routing"]["answered_model"] == "gpt-4o-mini"
    job_id = told["id"].replace("router-", "job_")
    [attempt] = caller.get(f"/v1/jobs/{job_id}/attempts").get_json()["data"]
    assert attempt["calls"][0]["model"] == "a"
    parts = chunks(caller, AT, **failing)
    assert {part["model"] for part in parts} == {"gpt-4o-mini"}
    assert_proven(connection)


def test_the_hold_is_that_of_the_dearest_and_the_charge_that_of_who_answered(
    desks: list[Desk], caller: Caller, connection: Connection, mine: str, settings: Settings
) -> None:
    before = balance(connection, mine).wallet
    told = routed(caller, cost_weight=100, max_tokens=50)
    cheap = catalogue(settings).models[ALL[2]]
    used = told["usage"]
    cost = cheap.cost(used["prompt_tokens"], 0, used["completion_tokens"]).total
    assert balance(connection, mine).wallet == before - cost < before
    row = connection.execute("SELECT hold, model FROM job WHERE tenant_id = %s", (mine,)).fetchone()
    dear = catalogue(settings).models["gpt-4o"]
    bytes_sent = len(orjson.dumps({**SEED, "cost_weight": 100, "max_tokens": 50}))
    assert row is not None
    assert row[1] == "auto"
    assert dear.hold(bytes_sent, 50, 1) <= row[0] <= dear.hold(bytes_sent + 40, 50, 1)
    assert_proven(connection)


def test_what_the_wallet_or_a_budget_does_not_cover_is_left_out(
    app: Flask, desks: list[Desk], connection: Connection, settings: Settings
) -> None:
    models = catalogue(settings).models
    left = models["gpt-4o-mini"].hold(300, 1000, 1)
    poor = Caller(app, connection, tenant(connection, left))
    told = routed(poor, max_tokens=1000)
    assert told["model"] == "gpt-4o-mini"
    [out] = told["routing"]["excluded"]
    assert out["model"] == "gpt-4o"
    assert "more than is left" in out["reason"]
    rich = tenant(connection, 10**9)
    budget = create_budget(connection, rich, "tenant", rich, "day", None, left, actor="test")
    told = routed(Caller(app, connection, rich), max_tokens=1000)
    assert [one["model"] for one in told["routing"]["excluded"]] == ["gpt-4o"]
    none = Caller(app, connection, tenant(connection, 1))
    assert none.post(AT, SEED).status_code == 402
    connection.execute("UPDATE budget SET spent = hard WHERE id = %s", (budget.id,))
    over = Caller(app, connection, rich).post(AT, SEED)
    assert (over.status_code, over.get_json()["error"]["code"]) == (402, "budget_exceeded")
    assert_proven(connection)


def test_a_routed_answer_is_rated_by_its_id(desks: list[Desk], caller: Caller) -> None:
    told = routed(caller)
    given = caller.post("/v1/feedback", {"completion_id": told["id"], "rating": -1})
    assert (given.status_code, given.get_json()["model"]) == (201, "auto")


def test_nobody_reads_anothers_decision(
    app: Flask, desks: list[Desk], caller: Caller, connection: Connection
) -> None:
    told = routed(caller, execute=False)
    other = Caller(app, connection, tenant(connection))
    path = f"/v1/jobs/{told['id'].replace('router-', 'job_')}"
    assert other.get(path).status_code == 404
    assert caller.get(path).status_code == 200


def test_a_key_makes_one_job_of_two_requests(desks: list[Desk], caller: Caller) -> None:
    first, again = (
        caller.post(AT, {**SEED, "execute": False}, **{"Idempotency-Key": "k"}) for _ in range(2)
    )
    assert again.headers["Idempotent-Replayed"] == "true"
    assert first.get_json() == again.get_json()


def test_a_test_key_chooses_from_builtin_models(
    app: Flask, desks: list[Desk], connection: Connection, mine: str
) -> None:
    told = routed(Caller(app, connection, mine, mode="test"))
    assert told["model"] == "gpt-4o"
    assert told["usage"]["total_cost_usd"] == 0


def test_profiles_are_listed_as_the_seed_says(caller: Caller) -> None:
    told = caller.get("/v1/router/profiles").get_json()
    version, models = shipped()
    assert told["profiles"] == list(models)
    assert (told["count"], told["active"]) == (len(models), version)
    [only] = told["versions"]
    assert (only["version"], only["origin"], only["active"]) == (version, "shipped", True)
    assert caller.get("/router/profiles").get_json() == told


def test_shadow_mode_counts_what_would_have_been_chosen_and_changes_nothing(
    settings: Settings, caller: Caller, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.inference.shadow.FLUSH_S", 0.0)
    fixed = {**SEED, "model": "gpt-4o-mini", "metadata": {"sim_seed": "1"}}
    watching = settings.model_copy(update={"router_shadow": True})
    with workers(watching), capture_logs() as logs:
        told = caller.post(CHAT, fixed).get_json()
        assert told["model"] == "gpt-4o-mini"
        assert "routing" not in told
        assert caller.post(CHAT, {**SEED, "model": "builtin/sim"}).status_code == 200
        [(_, asked, chosen, seen)] = until(lambda: seen_since(connection, 1)) or []
    assert (asked, chosen, seen.requests) == ("gpt-4o-mini", "gpt-4o", 1)
    assert 0 < seen.chosen_error < seen.asked_error
    assert seen.asked_cost < seen.chosen_cost == 1.0
    [line] = [one for one in logs if one["event"] == "routing shadow"]
    assert (line["asked"], line["chosen"]) == (asked, chosen)
    assert "haiku" not in str(line)


def test_a_prompt_that_cannot_be_read_is_answered_all_the_same(
    desks: list[Desk], caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise OSError("no weights")

    monkeypatch.setattr("app.embedding.minilm.Embedder.tokens", broken)
    told = routed(caller, messages=[{"role": "user", "content": "Never asked before."}])
    assert told["model"] == "gpt-4o"
    assert told["routing"]["cluster_id"] is None
    assert told["routing"]["clusters"] == {}


def test_what_left_the_catalogue_or_the_profile_is_no_candidate_any_more(
    desks: list[Desk],
) -> None:
    choices = desks[0]._parts.choices
    assert choices is not None
    asked = {"candidates": ["gone", "builtin/sim", "gpt-4o-mini"], "excluded": [], "routed": True}
    choice = choices.of(asked, "Hello", 0.0)
    assert choice is not None
    assert choice.model is not None
    assert (choice.model.id, choice.fallbacks) == ("gpt-4o-mini", [])
    left = {"model": "builtin/sim", "reason": "it has no profile any more"}
    assert choice.routing["excluded"] == [left]
    only = choices.of({**asked, "candidates": ["builtin/sim"]}, "Hello", 0.0)
    assert only is not None
    assert only.model is not None
    assert only.model.id == "builtin/sim"
    assert choices.of({**asked, "candidates": ["gone"]}, "Hello", 0.0) is None
