"""The door of batches, from its input to the parsed output, over a real worker and dispatcher."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openai.types import Batch

from app.db.connect import Connection
from app.settings import Settings
from tests.app.events.parts import until
from tests.app.line import assert_proven, funds
from tests.app.web.batching import (
    AT,
    CATALOGUE,
    CHAT,
    CREDIT,
    batch_of,
    batch_worker,
    body,
    ended,
    failing,
    jsonl,
    line,
    lines_of,
    told,
    upload,
)
from tests.app.web.doors import Caller
from workers.chores import batch_reading
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


def refusals(caller: Caller, content: bytes, endpoint: str = CHAT) -> list[tuple[Any, ...]]:
    """Why a batch of this input fails: code, line and param."""
    batch = ended(caller, batch_of(caller, content, endpoint)["id"])
    assert batch["status"] == "failed"
    assert batch["failed_at"] is not None
    return [(error["code"], error["line"], error["param"]) for error in batch["errors"]["data"]]


def test_good_and_bad_lines_end_in_their_files_in_order(
    caller: Caller, serving: Desk, connection: Connection, mine: str
) -> None:
    lines = [line(f"c{n}", failing() if n % 5 == 0 else body(f"line {n}")) for n in range(1, 31)]
    made = batch_of(caller, jsonl(*lines))
    assert (made["object"], made["status"], made["request_counts"]["total"]) == (
        "batch", "validating", 0,
    )  # fmt: skip
    batch = ended(caller, made["id"])
    Batch.model_validate(batch, strict=True)
    assert batch["status"] == "completed"
    assert batch["model"] == "priced"
    assert batch["request_counts"] == {"total": 30, "completed": 24, "failed": 6}
    output = lines_of(caller, batch["output_file_id"])
    errors = lines_of(caller, batch["error_file_id"])
    assert [one["custom_id"] for one in output] == [f"c{n}" for n in range(1, 31) if n % 5]
    assert [one["custom_id"] for one in errors] == [f"c{n}" for n in range(5, 31, 5)]
    first = output[0]
    assert set(first) == {"id", "custom_id", "response", "error"}
    assert (first["response"]["status_code"], first["error"]) == (200, None)
    assert first["response"]["body"]["object"] == "chat.completion"
    assert errors[0]["response"]["status_code"] == 502
    assert errors[0]["response"]["body"]["error"]["code"] == "all_providers_failed"
    # Cost of the batch = sum of its lines = ledger, to the nano-dollar.
    paid = sum(round(one["response"]["body"]["usage"]["total_cost_usd"] * 10**9) for one in output)
    assert batch["cost_nanos"] == paid > 0
    assert funds(connection, mine) == (CREDIT - paid, 0)
    assert batch["usage"]["total_tokens"] == sum(
        one["response"]["body"]["usage"]["total_tokens"] for one in output
    )
    assert_proven(connection)


def test_a_line_costs_the_batch_factor_of_its_price(
    caller: Caller, serving: Desk, connection: Connection
) -> None:
    costs, usages = [], []
    for model in ("priced", "full"):
        asked = {"requests": [{"custom_id": "a", "params": body(model=model)}]}
        batch = ended(caller, told(caller.post(AT, asked))["id"])
        costs.append(batch["cost_nanos"])
        usages.append(lines_of(caller, batch["output_file_id"])[0]["response"]["body"]["usage"])
    assert costs[0] * 2 == costs[1]
    assert [usage["batch_factor"] for usage in usages] == [0.5, 1.0]
    assert_proven(connection)


def test_every_refusal_of_a_line_is_told_with_its_number(caller: Caller, serving: Desk) -> None:
    content = b"\n".join([
        jsonl(line("a", body())).strip(),
        b"{not json",
        jsonl(line("a", body())).strip(),
        jsonl({"custom_id": "b", "method": "POST", "url": CHAT}).strip(),
        jsonl(line("c", body(), method="GET")).strip(),
        jsonl(line("d", body(), url="/v1/embeddings")).strip(),
        jsonl(line("e", body(stream=True))).strip(),
        b"",
        jsonl(line("f", body(model="full"))).strip(),
        jsonl(line("g", body(model="nobody"))).strip(),
        jsonl(line("h", body(temperature=9))).strip(),
        jsonl(line("i", body(web_search_options={"a": 1}))).strip(),
        jsonl(line("j", body(run_at=4_000_000_000))).strip(),
        b"[1]",
    ])  # fmt: skip
    assert refusals(caller, content) == [
        ("invalid_json_line", 2, None),
        ("duplicate_custom_id", 3, "custom_id"),
        ("missing_required_parameter", 4, "body"),
        ("invalid_method", 5, "method"),
        ("url_mismatch", 6, "url"),
        ("unsupported_parameter", 7, "body.stream"),
        ("mismatched_model", 9, "body.model"),
        ("model_not_found", 10, "body.model"),
        ("invalid_request", 11, "body.temperature"),
        ("unsupported_parameter", 12, "body.web_search_options"),
        ("unsupported_parameter", 13, "body.run_at"),
        ("invalid_json_line", 14, None),
    ]


def test_inputs_without_lines_or_with_too_many_are_refused(
    caller: Caller, serving: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refusals(caller, b"\n\n") == [("empty_file", None, None)]
    monkeypatch.setattr(batch_reading, "BATCH_LINES_MAX", 3)
    monkeypatch.setattr(batch_reading, "ERRORS_MAX", 2)
    assert refusals(caller, jsonl(*[line(str(n), body()) for n in range(4)])) == [
        ("too_many_tasks", None, None)
    ]
    assert len(refusals(caller, b"no\n" * 50)) == 2


def test_a_batch_beyond_the_credit_fails_and_holds_nothing(
    caller: Caller, serving: Desk, connection: Connection, mine: str
) -> None:
    dear = [line(str(n), body(max_tokens=16_000)) for n in range(64)]
    assert refusals(caller, jsonl(*dear)) == [("insufficient_quota", None, None)]
    assert funds(connection, mine) == (CREDIT, 0)
    assert_proven(connection)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"endpoint": "/v1/moderations"}, "endpoint"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"input_file_id": "file_none"}, "input_file_id"),
        ({"priority": 10}, "priority"),
        ({"run_at": 1}, "run_at"),
        ({"not_after": 1}, "not_after"),
        ({"nonsense": 1}, "nonsense"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 1}},
         "output_expires_after.seconds"),
        ({"input_file_id": None}, "input_file_id"),
        ({"endpoint": None}, "endpoint"),
        ({"completion_window": None}, "completion_window"),
        ({"requests": [{"custom_id": "a", "params": {}}]}, "requests"),
    ],
)  # fmt: skip
def test_what_is_refused_at_once_names_its_field(
    caller: Caller, change: dict[str, Any], param: str | None
) -> None:
    asked = {"input_file_id": "file_x", "endpoint": CHAT, "completion_window": "24h"}
    answer = caller.post(AT, {**asked, **change})
    assert (answer.status_code, answer.get_json()["error"]["param"]) == (400, param)
    missing = answer.get_json()["error"]["code"] == "missing_required_parameter"
    assert missing == (None in change.values())


def test_a_batch_may_wait_for_its_time_and_its_window_begins_then(
    caller: Caller, serving: Desk, connection: Connection
) -> None:
    at = int(time.time()) + 3600
    asked = {"requests": [{"custom_id": "a", "params": body()}], "run_at": at}
    made = told(caller.post(AT, asked))
    assert (made["run_at"], made["expires_at"]) == (at, at + 86_400)
    until(lambda: told(caller.get(f"{AT}/{made['id']}"))["status"] == "in_progress")
    assert told(caller.get(f"{AT}/{made['id']}/results"))["data"] == []
    told(caller.post(f"{AT}/{made['id']}/cancel", {}))
    assert ended(caller, made["id"])["cost_nanos"] == 0
    assert_proven(connection)


def test_a_batch_expires_at_its_not_after(caller: Caller, serving: Desk) -> None:
    at = int(time.time()) + 3600
    asked: dict[str, Any] = {"requests": [{"custom_id": "a", "params": body()}], "not_after": at}
    assert told(caller.post(AT, asked))["expires_at"] == at
    late = told(caller.post(AT, {**asked, "not_after": at + 10 * 86_400}))
    assert late["expires_at"] < at + 2 * 86_400
    refused = caller.post(AT, {**asked, "run_at": at + 1})
    assert (refused.status_code, refused.get_json()["error"]["param"]) == (400, "not_after")


def test_a_file_of_another_purpose_is_refused_at_once(caller: Caller) -> None:
    other = upload(caller, jsonl(line("a", body())), "user_data")
    asked = {"input_file_id": other, "endpoint": CHAT, "completion_window": "24h"}
    answer = caller.post(AT, asked)
    assert (answer.status_code, answer.get_json()["error"]["param"]) == (400, "input_file_id")


@pytest.mark.parametrize(
    ("endpoint", "asked", "kind"),
    [
        ("/v1/completions", {"model": "priced", "prompt": "moon"}, "text_completion"),
        ("/v1/responses", {"model": "priced", "input": "moon"}, "response"),
        ("/v1/embeddings", {"model": "all-MiniLM-L6-v2", "input": "moon"}, "list"),
        ("/v1/images/generations", {"prompt": "moon", "n": 1}, None),
    ],
)
def test_each_endpoint_answers_as_its_door_does(
    caller: Caller, serving: Desk, endpoint: str, asked: dict[str, Any], kind: str | None
) -> None:
    made = batch_of(caller, jsonl(line("a", asked, url=endpoint)), endpoint)
    batch = ended(caller, made["id"])
    assert batch["request_counts"]["completed"] == 1, batch
    [one] = lines_of(caller, batch["output_file_id"])
    assert one["response"]["body"].get("object") == kind
    assert one["response"]["body"]["usage"]["total_cost_usd"] >= 0


def test_results_are_read_while_a_batch_runs_and_cancel_keeps_them(
    caller: Caller, serving: Desk, connection: Connection
) -> None:
    slow = body(metadata={"sim_tokens": "500", "sim_tokens_per_second": "2"})
    requests = [{"custom_id": f"q{n}", "params": body()} for n in range(3)]
    requests.append({"custom_id": "slow", "params": slow})
    made = told(caller.post(AT, {"requests": requests}))
    at = f"{AT}/{made['id']}"
    until(lambda: len(told(caller.get(f"{at}/results"))["data"]) == 3)
    page = told(caller.get(f"{at}/results?limit=2"))
    rest = told(caller.get(f"{at}/results?limit=2&after={page['last_id']}"))
    assert [one["custom_id"] for one in page["data"] + rest["data"]] == ["q0", "q1", "q2"]
    assert (page["has_more"], rest["has_more"]) == (True, False)
    assert len(caller.get(f"{at}/results?format=jsonl").data.splitlines()) == 3
    for _ in range(2):
        assert told(caller.post(f"{at}/cancel", {}))["status"] == "cancelling"
    until(lambda: serving.running != {})
    for job_id in list(serving.running):
        serving.cancel(job_id)
    batch = ended(caller, made["id"])
    assert (batch["status"], batch["request_counts"]["completed"]) == ("cancelled", 3)
    assert len(lines_of(caller, batch["output_file_id"])) == 3
    [left] = lines_of(caller, batch["error_file_id"])
    assert left["custom_id"] == "slow"
    assert told(caller.post(f"{at}/cancel", {}))["status"] == "cancelled"
    assert_proven(connection)


def test_lines_that_never_ran_are_told_as_such(
    caller: Caller, serving: Desk, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.batches.flight.store.dispatch", lambda *_: [])
    requests = [{"custom_id": f"q{n}", "params": body()} for n in range(3)]
    made = told(caller.post(AT, {"requests": requests}))
    until(lambda: told(caller.get(f"{AT}/{made['id']}"))["status"] == "in_progress")
    connection.execute("UPDATE batch SET expires_at = now()")
    batch = ended(caller, made["id"])
    assert (batch["status"], batch["output_file_id"]) == ("expired", None)
    assert batch["request_counts"] == {"total": 3, "completed": 0, "failed": 3}
    left = lines_of(caller, batch["error_file_id"])
    assert [(one["custom_id"], one["response"], one["error"]["code"]) for one in left] == [
        (f"q{n}", None, "batch_expired") for n in range(3)
    ]
    assert_proven(connection)


def test_failed_lines_are_tried_again_in_a_new_batch(
    caller: Caller, serving: Desk, connection: Connection
) -> None:
    lines = [line("good", body()), line("bad", failing()), line("worse", failing("404"))]
    first = ended(caller, batch_of(caller, jsonl(*lines))["id"])
    again = told(caller.post(f"{AT}/{first['id']}/retry", {}))
    assert (again["retry_of"], again["input_file_id"]) == (first["id"], first["input_file_id"])
    second = ended(caller, again["id"])
    assert second["request_counts"] == {"total": 2, "completed": 0, "failed": 2}
    # All lines failing is still completed.
    assert (second["status"], second["output_file_id"]) == ("completed", None)
    good = ended(caller, batch_of(caller, jsonl(line("a", body())))["id"])
    refused = caller.post(f"{AT}/{good['id']}/retry", {})
    assert refused.status_code == 409
    assert_proven(connection)


def test_lines_are_tried_again_once_and_then_by_a_retry_of_the_retry(
    caller: Caller, serving: Desk
) -> None:
    first = ended(caller, batch_of(caller, jsonl(line("bad", failing("404"))))["id"])
    at = f"{AT}/{first['id']}/retry"
    second = told(caller.post(at, {}))
    for _ in range(2):
        refused = caller.post(at, {})
        assert refused.status_code == 409
        error = refused.get_json()["error"]
        assert (error["code"], error["batch_id"]) == ("already_retried", second["id"])
        ended(caller, second["id"])
    third = told(caller.post(f"{AT}/{second['id']}/retry", {}))
    assert ended(caller, third["id"])["request_counts"]["total"] == 1
    told(caller.open(f"/v1/files/{first['input_file_id']}", "DELETE"))
    gone = caller.post(f"{AT}/{third['id']}/retry", {})
    assert (gone.status_code, gone.get_json()["error"]["param"]) == (400, "input_file_id")


def test_a_retry_that_was_refused_stands_in_no_ones_way(
    caller: Caller, serving: Desk, connection: Connection
) -> None:
    asked = {"requests": [{"custom_id": "bad", "params": failing("404")}]}
    first = ended(caller, told(caller.post(AT, asked))["id"])
    at = f"{AT}/{first['id']}/retry"
    connection.execute("UPDATE account SET balance = 0 WHERE kind = 'wallet'")
    assert ended(caller, told(caller.post(at, {}))["id"])["status"] == "failed"
    connection.execute("UPDATE account SET balance = %s WHERE kind = 'wallet'", (CREDIT,))
    assert ended(caller, told(caller.post(at, {}))["id"])["status"] == "completed"
    row = connection.execute(
        "SELECT input_job_id FROM batch WHERE id = %s", (first["id"],)
    ).fetchone()
    assert row is not None
    connection.execute("UPDATE job SET request = '' WHERE id = %s", (row[0],))
    connection.execute("DELETE FROM batch WHERE retry_of IS NOT NULL")
    gone = caller.post(at, {})
    assert (gone.status_code, gone.get_json()["error"]["param"]) == (400, "requests")


def test_the_events_of_a_batch_tell_its_progress_and_its_end(caller: Caller, serving: Desk) -> None:
    slow = body(metadata={"sim_ttft_ms": "500"})
    made = told(caller.post(AT, {"requests": [{"custom_id": "a", "params": slow}]}))
    frames = caller.get(f"{AT}/{made['id']}/events").text.strip().split("\n\n")
    names = [frame.split("\n")[1] for frame in frames if not frame.startswith(":")]
    assert names[0] == "event: progress"
    assert names[-1] == "event: completed"
    last = json.loads(frames[-1].split("\n")[2].removeprefix("data: "))
    assert last["request_counts"] == {"total": 1, "completed": 1, "failed": 0}


def test_events_tell_nothing_that_time_alone_has_changed(
    caller: Caller, serving: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.web.batches.TICK_S", 0.02)
    slow = body(metadata={"sim_ttft_ms": "600"})
    requests = [{"custom_id": "a", "params": body()}, {"custom_id": "b", "params": slow}]
    made = told(caller.post(AT, {"requests": requests}))
    frames = caller.get(f"{AT}/{made['id']}/events").text.strip().split("\n\n")
    datas = [frame.split("\n")[2] for frame in frames if not frame.startswith(":")]
    shown = [json.loads(data.removeprefix("data: ")) for data in datas]
    for one in shown:
        del one["progress"]["rate"], one["progress"]["estimated_end_at"]
    told_once = [json.dumps(one) for one in shown]
    assert len(told_once) == len(set(told_once)) >= 2


def test_a_replay_does_not_look_at_the_file_or_the_time_again(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = upload(caller, jsonl(line("a", body())))
    at = int(time.time()) - 30
    asked = {"input_file_id": file, "endpoint": CHAT, "completion_window": "24h", "run_at": at}
    first = caller.post(AT, asked, **{"Idempotency-Key": "k"})
    told(caller.open(f"/v1/files/{file}", "DELETE"))
    monkeypatch.setattr("app.jobs.planned.moments.PAST_S", 0.0)
    second = caller.post(AT, asked, **{"Idempotency-Key": "k"})
    assert told(first)["id"] == told(second)["id"]
    assert caller.post(AT, asked).status_code == 400


def test_the_same_idempotency_key_makes_one_batch(caller: Caller) -> None:
    asked = {"requests": [{"custom_id": "a", "params": body()}]}
    first, second = (caller.post(AT, asked, **{"Idempotency-Key": "k"}) for _ in range(2))
    assert told(first)["id"] == told(second)["id"]
    assert second.headers["Idempotent-Replayed"] == "true"
    assert [one["id"] for one in told(caller.get(AT))["data"]] == [told(first)["id"]]
