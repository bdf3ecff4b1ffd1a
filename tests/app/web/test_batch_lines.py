"""Lines of batches as the jobs that they are."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openai.types.responses import Response

from app.db.connect import Connection
from app.events.log import stream_key
from app.jobs.forget import sweep_undelivered
from app.redis import Wire
from app.settings import Settings
from tests.app.events.parts import until
from tests.app.line import assert_proven
from tests.app.web.batching import (
    AT,
    CATALOGUE,
    batch_worker,
    body,
    ended,
    lines_of,
    told,
)
from tests.app.web.doors import Caller
from workers.inference.desk import Desk


@pytest.fixture
def settings(
    gevent_sockets: None, folder: Path, line_settings: Callable[..., Settings]
) -> Settings:
    path = folder / "catalogue.yaml"
    path.write_text(CATALOGUE)
    return line_settings(catalogue=path)


@pytest.fixture
def serving(settings: Settings) -> Iterator[Desk]:
    with batch_worker(settings) as desk:
        yield desk


def test_a_line_is_a_job_that_writes_no_events_and_is_told_all_the_same(
    caller: Caller, serving: Desk, connection: Connection, wire: Wire
) -> None:
    asked = {"requests": [{"custom_id": "a", "params": body()}]}
    batch = ended(caller, told(caller.post(AT, asked))["id"])
    row = connection.execute("SELECT id FROM job WHERE batch_id = %s", (batch["id"],)).fetchone()
    assert row is not None
    assert wire.call(("EXISTS", stream_key(row[0]))) == [0]
    job = told(caller.get(f"/v1/jobs/{row[0]}"))
    assert (job["status"], job["lane"], job["usage"]["batch_factor"]) == ("completed", "batch", 0.5)
    frames = caller.get(f"/v1/jobs/{row[0]}/events").text
    assert "event: completed" in frames


def test_a_line_that_is_not_to_be_stored_is_forgotten_once_its_batch_has_ended(
    caller: Caller, serving: Desk, connection: Connection, redis: str
) -> None:
    slow = body(metadata={"sim_tokens": "500", "sim_tokens_per_second": "2"})
    requests = [{"custom_id": "a", "params": body(store=False)}]
    made = told(caller.post(AT, {"requests": [*requests, {"custom_id": "b", "params": slow}]}))
    at = f"{AT}/{made['id']}"
    until(lambda: len(told(caller.get(f"{at}/results"))["data"]) == 1)
    assert sweep_undelivered(connection, redis, after_s=-60) == []
    caller.post(f"{at}/cancel", {})
    for job_id in list(serving.running):
        serving.cancel(job_id)
    batch = ended(caller, made["id"])
    assert len(sweep_undelivered(connection, redis, after_s=-60)) == 1
    [kept] = lines_of(caller, batch["output_file_id"])
    assert kept["response"]["status_code"] == 200
    [left] = told(caller.get(f"{at}/results?limit=1"))["data"]
    assert left["response"]["status_code"] == 410


def test_a_line_that_is_cancelled_as_a_job_while_it_runs_tells_what_it_cost(
    caller: Caller, serving: Desk, connection: Connection
) -> None:
    slow = body(metadata={"sim_tokens": "500", "sim_tokens_per_second": "2"})
    made = told(caller.post(AT, {"requests": [{"custom_id": "a", "params": slow}]}))
    until(lambda: connection.execute("SELECT FROM job WHERE batch_id IS NOT NULL").rowcount)
    row = connection.execute("SELECT id FROM job WHERE batch_id IS NOT NULL").fetchone()
    assert row is not None
    until(lambda: row[0] in serving.running)
    serving.cancel(row[0])
    batch = ended(caller, made["id"])
    [line] = lines_of(caller, batch["error_file_id"])
    assert (line["response"]["status_code"], line["error"]) == (499, None)
    assert line["response"]["body"]["error"]["code"] == "cancelled"
    cost = line["response"]["body"]["usage"]["total_cost_usd"]
    assert round(cost * 10**9) == batch["cost_nanos"] > 0


def test_pages_of_results_are_bounded_by_bytes_and_lead_on(
    caller: Caller, serving: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.batches.store.PAGE_BYTES", 1)
    requests = [{"custom_id": f"q{n}", "params": body()} for n in range(3)]
    batch = ended(caller, told(caller.post(AT, {"requests": requests}))["id"])
    assert len(lines_of(caller, batch["output_file_id"])) == 3
    at = f"{AT}/{batch['id']}/results"
    assert len(caller.get(f"{at}?format=jsonl").data.splitlines()) == 3
    page, found = told(caller.get(at)), []
    while page["has_more"]:
        found += [one["custom_id"] for one in page["data"]]
        page = told(caller.get(f"{at}?after={page['last_id']}"))
    assert found + [one["custom_id"] for one in page["data"]] == ["q0", "q1", "q2"]


def test_a_line_of_responses_is_the_response_that_its_door_gives(
    caller: Caller, serving: Desk, connection: Connection
) -> None:
    responses = "/v1/responses"
    asked: dict[str, Any] = {
        "model": "priced", "input": "moon", "instructions": "Be brief.", "max_output_tokens": 2,
    }  # fmt: skip
    line = {"custom_id": "a", "params": asked}
    batch = ended(caller, told(caller.post(AT, {"endpoint": responses, "requests": [line]}))["id"])
    [one] = lines_of(caller, batch["output_file_id"])
    answer = one["response"]["body"]
    Response.model_validate(answer)
    assert answer == told(caller.get(f"{responses}/{answer['id']}"))
    assert (answer["status"], answer["instructions"]) == ("incomplete", "Be brief.")
    assert answer["incomplete_details"] == {"reason": "max_output_tokens"}
    assert round(answer["usage"]["total_cost_usd"] * 10**9) == batch["cost_nanos"] > 0
    assert_proven(connection)


def test_a_line_of_responses_is_refused_by_the_names_of_its_door(
    caller: Caller, serving: Desk
) -> None:
    bad: list[dict[str, Any]] = [
        {"previous_response_id": "auto"}, {"stream": True}, {"input": []},
        {"include": ["message.output_text.logprobs"], "model": "builtin/eliza"},
    ]  # fmt: skip
    requests = [
        {"custom_id": str(n), "params": {"model": "builtin/eliza", "input": "a", **one}}
        for n, one in enumerate(bad)
    ]
    asked = {"endpoint": "/v1/responses", "requests": requests}
    batch = ended(caller, told(caller.post(AT, asked))["id"])
    assert [(error["code"], error["param"]) for error in batch["errors"]["data"]] == [
        ("unsupported_parameter", "body.previous_response_id"),
        ("unsupported_parameter", "body.stream"),
        ("invalid_request", "body.input"),
        ("unsupported_parameter", "body.include"),
    ]


def test_images_come_as_base64_with_the_usage_of_their_door(caller: Caller, serving: Desk) -> None:
    images = "/v1/images/generations"
    params: dict[str, Any] = {"prompt": "moon", "n": 1}
    asked = {"endpoint": images, "requests": [{"custom_id": "a", "params": params}]}
    batch = ended(caller, told(caller.post(AT, asked))["id"])
    [one] = lines_of(caller, batch["output_file_id"])
    answer = one["response"]["body"]
    assert answer["usage"]["input_tokens"] == answer["usage"]["prompt_tokens"]
    assert [name for name in answer["data"][0] if name in ("b64_json", "url")] == ["b64_json"]
    params["response_format"] = "url"
    failed = ended(caller, told(caller.post(AT, asked))["id"])
    [error] = failed["errors"]["data"]
    assert (error["code"], error["param"]) == ("unsupported_parameter", "body.response_format")
