"""The model `auto` at the doors in other dialects and in lines of batches."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.catalogue.load import catalogue
from app.db.connect import Connection
from app.ledger.store import balance
from app.settings import Settings
from tests.app.events.parts import until
from tests.app.line import assert_proven, funds, tenant
from tests.app.web.batching import AT as BATCHES
from tests.app.web.batching import CREDIT, batch_worker, ended, lines_of, told
from tests.app.web.doors import Caller
from tests.app.web.routers import ALL, CHAT, HAIKU, THREE_MODELS
from workers.inference.desk import Desk

CATALOGUE = THREE_MODELS
RESPONSES, MESSAGES = "/v1/responses", "/v1/messages"
ASKED: dict[str, dict[str, Any]] = {
    RESPONSES: {"model": "auto", "input": HAIKU[0]["content"]},
    MESSAGES: {"model": "auto", "messages": HAIKU, "max_tokens": 50},
}
DOORS = pytest.mark.parametrize("path", ASKED)
TOOL = {
    RESPONSES: {"type": "function", "name": "f", "parameters": {"type": "object"}},
    MESSAGES: {"name": "f", "input_schema": {"type": "object"}},
}


@pytest.fixture
def settings(gevent_sockets: None, home: Path, line_settings: Callable[..., Settings]) -> Settings:
    return line_settings(data_dir=home, catalogue=home / "catalogue.yaml")


def answer(caller: Caller, path: str, **fields: Any) -> dict[str, Any]:
    """A whole answer."""
    return told(caller.post(path, {**ASKED[path], **fields}))


def streamed(
    caller: Caller, path: str, headers: dict[str, str] | None = None, **fields: Any
) -> list[dict[str, Any]]:
    """The events of a stream."""
    return events_of(caller.post(path, {**ASKED[path], "stream": True, **fields}, **headers or {}))


def events_of(got: TestResponse) -> list[dict[str, Any]]:
    lines = [line for line in got.text.splitlines() if line.startswith("data: ")]
    return [orjson.loads(line.removeprefix("data: ")) for line in lines]


def job_of(caller: Caller, told_id: str) -> dict[str, Any]:
    return told(caller.get(f"/v1/jobs/job_{told_id.partition('_')[2]}"))


@DOORS
def test_each_door_answers_with_the_model_that_was_chosen_and_says_why(
    desks: list[Desk], caller: Caller, path: str
) -> None:
    whole = answer(caller, path)
    assert whole["model"] == whole["routing"]["selected_model"] == "gpt-4o"
    cheap = answer(caller, path, cost_weight=100, tools=[TOOL[path]])
    assert cheap["model"] == cheap["routing"]["answered_model"] == "gpt-4o-mini"
    [lacks] = cheap["routing"]["excluded"]
    assert lacks == {"model": ALL[2], "reason": f"{ALL[2]} does not take tools"}
    few = answer(caller, path, models=ALL[1:])["routing"]
    assert sorted(one["model"] for one in few["scores"]) == ALL[1:]
    job = job_of(caller, whole["id"])
    assert (job["model"], job["result"]["model"]) == ("auto", "gpt-4o")
    assert job["result"]["routing"] == whole["routing"]


def test_a_stream_of_a_response_ends_with_what_was_chosen(
    desks: list[Desk], caller: Caller
) -> None:
    events = streamed(caller, RESPONSES, cost_weight=100)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[0]["response"]["model"] == "auto"
    last = events[-1]
    assert (last["type"], last["response"]["model"]) == ("response.completed", ALL[2])
    assert last["response"]["routing"]["answered_model"] == ALL[2]
    read = f"{RESPONSES}/{last['response']['id']}"
    assert told(caller.get(read)) == last["response"]
    again = caller.get(f"{read}?stream=true&starting_after={events[-2]['sequence_number']}")
    assert events_of(again) == [last]


def test_a_stream_of_a_message_begins_with_what_was_chosen(
    desks: list[Desk], caller: Caller
) -> None:
    first, *_, last = streamed(caller, MESSAGES, cost_weight=100)
    assert (first["type"], last["type"]) == ("message_start", "message_stop")
    assert first["message"]["model"] == ALL[2]
    assert first["message"]["routing"]["answered_model"] == ALL[2]


@DOORS
def test_a_stream_that_is_sent_again_names_who_answered(
    desks: list[Desk], caller: Caller, path: str
) -> None:
    for _ in range(2):
        first, *_, last = streamed(caller, path, {"Idempotency-Key": "k"}, cost_weight=100)
        message = first["message"] if path == MESSAGES else last["response"]
        assert (message["model"], message["routing"]["answered_model"]) == (ALL[2], ALL[2])


@DOORS
def test_a_job_in_the_background_is_chosen_for_when_it_runs(
    desks: list[Desk], caller: Caller, path: str
) -> None:
    made = caller.post(path, {**ASKED[path], "background": True}).get_json()
    assert made["model"] == "auto"
    until(lambda: job_of(caller, made["id"])["status"] == "completed")
    assert job_of(caller, made["id"])["result"]["model"] == "gpt-4o"


@DOORS
def test_what_is_sent_twice_is_chosen_for_and_charged_once(
    desks: list[Desk], caller: Caller, connection: Connection, mine: str, path: str
) -> None:
    both = [caller.post(path, ASKED[path], **{"Idempotency-Key": "k"}) for _ in range(2)]
    assert both[1].headers["Idempotent-Replayed"] == "true"
    assert told(both[0]) == told(both[1])
    cost = round(told(both[0])["usage"]["total_cost_usd"] * 10**9)
    assert balance(connection, mine).wallet == CREDIT - cost
    assert_proven(connection)


@DOORS
def test_the_dearest_is_held_for_and_who_answered_is_paid(
    app: Flask, desks: list[Desk], connection: Connection, settings: Settings, path: str
) -> None:
    models, bound = catalogue(settings).models, "max_output_tokens"
    fields = {"max_tokens" if path == MESSAGES else bound: 1000, "cost_weight": 100}
    left = models["gpt-4o-mini"].hold(500, 1000, 1)
    poor, rich = tenant(connection, left), tenant(connection, CREDIT)
    out = answer(Caller(app, connection, poor), path, **fields)["routing"]["excluded"]
    assert [one["model"] for one in out] == ["gpt-4o"]
    paid = answer(Caller(app, connection, rich), path, **fields)["usage"]
    cost = models[ALL[2]].cost(paid["input_tokens"], 0, paid["output_tokens"]).total
    assert balance(connection, rich).wallet == CREDIT - cost < CREDIT
    row = connection.execute("SELECT hold FROM job WHERE tenant_id = %s", (rich,)).fetchone()
    assert row is not None
    assert row[0] > models["gpt-4o"].hold(0, 1000, 1)
    assert_proven(connection)


@pytest.mark.parametrize(
    ("path", "fields", "status", "param"),
    [
        (RESPONSES, {"fallbacks": ["gpt-4o"]}, 400, "fallbacks"),
        (RESPONSES, {"models": ["gpt-4o"]}, 400, "models"),
        (RESPONSES, {"models": ["gpt-4o", "nothing"]}, 404, "models"),
        (RESPONSES, {"model": "gpt-4o", "cost_weight": 1}, 400, "cost_weight"),
        (RESPONSES, {"max_output_tokens": 9_000_000}, 400, "input"),
        (MESSAGES, {"model": "gpt-4o", "models": ALL}, 400, "models"),
        (MESSAGES, {"max_tokens": 9_000_000}, 400, "messages"),
    ],
)
def test_what_cannot_be_chosen_is_refused_as_its_door_names_it(
    caller: Caller, path: str, fields: dict[str, Any], status: int, param: str
) -> None:
    got = caller.post(path, {**ASKED[path], **fields})
    assert (got.status_code, got.get_json()["error"]["param"]) == (status, param)


def test_tokens_are_counted_for_a_model_that_is_not_chosen_yet(caller: Caller) -> None:
    count = told(caller.post(f"{MESSAGES}/count_tokens", {"model": "auto", "messages": HAIKU}))
    assert count["input_tokens"] > 0


def test_what_is_no_text_is_not_chosen_for_and_told_where_it_is(caller: Caller) -> None:
    doors = {"/v1/embeddings": {"input": "a"}, "/v1/images/generations": {"prompt": "a"}}
    for path, asked in doors.items():
        got = caller.post(path, {**asked, "model": "auto"})
        assert (got.status_code, got.get_json()["error"]["param"]) == (404, "model")
        assert RESPONSES in got.get_json()["error"]["message"]


@pytest.mark.parametrize(
    ("endpoint", "asked"),
    [
        (CHAT, {"messages": HAIKU}),
        ("/v1/completions", {"prompt": "Say hi", "max_tokens": 3}),
        (RESPONSES, {"input": "Say hi"}),
    ],
)
def test_lines_of_a_batch_are_chosen_for_one_by_one_at_the_prices_of_batches(
    caller: Caller, settings: Settings, connection: Connection, mine: str, endpoint: str,
    asked: dict[str, Any],
) -> None:  # fmt: skip
    lines = [{"model": "auto", **asked, "cost_weight": weight} for weight in (0, 100)]
    requests = [{"custom_id": str(n), "params": line} for n, line in enumerate(lines)]
    with batch_worker(settings):
        made = told(caller.post(BATCHES, {"endpoint": endpoint, "requests": requests}))
        batch = ended(caller, made["id"])
    assert (batch["status"], batch["model"]) == ("completed", "auto"), batch
    bodies = [one["response"]["body"] for one in lines_of(caller, batch["output_file_id"])]
    assert [body["model"] for body in bodies] == ["gpt-4o", ALL[2]]
    assert [body["routing"]["answered_model"] for body in bodies] == ["gpt-4o", ALL[2]]
    models, paid = catalogue(settings).in_batches.models, 0
    for body in bodies:
        used = body["usage"]
        prompt = used.get("prompt_tokens") or used["input_tokens"]
        said = used.get("completion_tokens") or used["output_tokens"]
        cost = models[body["model"]].cost(prompt, 0, said)
        assert (round(used["total_cost_usd"] * 10**9), used["batch_factor"]) == (cost.total, 0.5)
        paid += cost.total
    assert batch["cost_nanos"] == paid > 0
    assert funds(connection, mine) == (CREDIT - paid, 0)
    held = connection.execute("SELECT hold FROM job WHERE batch_id = %s", (batch["id"],)).fetchall()
    bound = asked.get("max_tokens")
    assert all(hold > models["gpt-4o"].hold(0, bound, 1) for (hold,) in held)
    assert_proven(connection)


def test_a_line_is_not_chosen_for_among_what_the_wallet_does_not_cover(
    app: Flask, settings: Settings, connection: Connection
) -> None:
    left = catalogue(settings).in_batches.models["gpt-4o-mini"].hold(500, 1000, 1)
    poor = tenant(connection, left)
    asked = {"model": "auto", "messages": HAIKU, "max_tokens": 1000}
    caller = Caller(app, connection, poor)
    with batch_worker(settings):
        line = {"custom_id": "a", "params": asked}
        batch = ended(caller, told(caller.post(BATCHES, {"requests": [line]}))["id"])
    assert batch["status"] == "completed", batch
    [one] = lines_of(caller, batch["output_file_id"])
    answered = one["response"]["body"]
    assert answered["model"] == "gpt-4o-mini"
    [out] = answered["routing"]["excluded"]
    assert (out["model"], "more than is left" in out["reason"]) == ("gpt-4o", True)
    assert funds(connection, poor) == (left - batch["cost_nanos"], 0)
    assert_proven(connection)


def test_a_line_that_cannot_be_chosen_for_fails_its_batch_by_its_field(
    caller: Caller, settings: Settings
) -> None:
    bad: list[dict[str, Any]] = [
        {"messages": HAIKU, "models": ["gpt-4o", "nothing"]},
        {"messages": HAIKU, "max_tokens": 9_000_000},
        {"messages": HAIKU, "fallbacks": ["gpt-4o"]},
        {"messages": HAIKU, "audio": {"voice": "x"}},
        {"messages": HAIKU, "model": "gpt-4o", "cost_weight": 1},
    ]
    requests = [
        {"custom_id": str(n), "params": {"model": "auto", **one}} for n, one in enumerate(bad)
    ]
    vectors = [{"custom_id": "a", "params": {"model": "auto", "input": "a"}}]
    with batch_worker(settings):
        batch = ended(caller, told(caller.post(BATCHES, {"requests": requests}))["id"])
        other = {"endpoint": "/v1/embeddings", "requests": vectors}
        none = ended(caller, told(caller.post(BATCHES, other))["id"])
    assert batch["status"] == "failed"
    assert [(e["code"], e["line"], e["param"]) for e in batch["errors"]["data"]] == [
        ("model_not_found", 1, "body.models"),
        ("context_length_exceeded", 2, "body.messages"),
        ("invalid_request", 3, "body.fallbacks"),
        ("unsupported_parameter", 4, "body.audio"),
        ("invalid_request", 5, "body.cost_weight"),
    ]
    [error] = none["errors"]["data"]
    assert (error["code"], error["param"]) == ("model_not_found", "body.model")
    assert RESPONSES in error["message"]
