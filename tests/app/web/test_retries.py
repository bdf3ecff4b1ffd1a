"""Dead letters at their door: listed with their attempts, made again one by one and in bulk."""

import time
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from app.db.connect import Connection
from app.jobs import store
from app.jobs.model import EndState
from tests.app.events.parts import until
from tests.app.line import assert_proven, claim_one, draft, funds, outcome, tenant
from tests.app.web.doors import Caller

ASKED = {"model": "lunaby-pro", "messages": [{"role": "user", "content": "Hello."}]}


def dead(
    connection: Connection, tenant_id: str, code: str = "all_providers_failed",
    state: EndState = "failed", **fields: Any,
) -> str:  # fmt: skip
    """A job that ended badly; returns its id."""
    one = draft(tenant_id, 1000, request=orjson.dumps({**ASKED, **fields}).decode())
    one.model = fields.get("model", "lunaby-pro")
    assert store.admit_group(connection, [one]) == ["admitted"]
    told = outcome(claim_one(connection), 0, state)
    told.error = orjson.dumps({"message": "no", "code": code}).decode()
    store.settle_group(connection, "wrk_a", [told])
    return one.id


def test_a_dead_letter_is_made_again_and_answered(
    caller: Caller, connection: Connection, mine: str, working: None
) -> None:
    job_id = dead(connection, mine, stream=True)
    answer = caller.post(f"/v1/jobs/{job_id}/retry", None)
    assert answer.status_code == 202, answer.text
    made = answer.get_json()
    assert (made["retry_of"], made["lane"]) == (job_id, "background")
    assert answer.headers["Location"] == f"/v1/jobs/{made['id']}"
    assert caller.get(f"/v1/jobs/{job_id}").get_json()["retried_by"] == made["id"]
    until(lambda: caller.get(made["urls"]["self"]).get_json()["status"] == "completed")
    assert caller.get(made["urls"]["self"]).get_json()["result"]["choices"]
    again = caller.post(f"/v1/jobs/{job_id}/retry", None)
    assert (again.status_code, again.get_json()["error"]["code"]) == (409, "already_retried")
    assert again.get_json()["error"]["job_id"] == made["id"]
    assert caller.post(f"/v1/jobs/{job_id}/retry", {"force": True}).status_code == 202
    until(lambda: funds(connection, mine)[1] == 0)
    assert_proven(connection)


def test_a_key_makes_it_again_once(caller: Caller, connection: Connection, mine: str) -> None:
    path = f"/v1/jobs/{dead(connection, mine)}/retry"
    first, second = (caller.post(path, {}, **{"Idempotency-Key": "k"}) for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.get_json()["id"] == second.get_json()["id"]
    assert second.headers["Idempotent-Replayed"] == "true"
    other = caller.post(path, {"force": True}, **{"Idempotency-Key": "k"})
    assert other.status_code == 422


def test_what_cannot_be_made_again_is_told_apart(
    caller: Caller, connection: Connection, mine: str
) -> None:
    done = dead(connection, mine, state="completed")
    forgotten = dead(connection, mine)
    store.forget(connection, [forgotten], None)
    theirs = dead(connection, tenant(connection))
    unknown = dead(connection, mine, model="none/such")
    for job_id, status in ((done, 409), (forgotten, 410), (theirs, 404), (unknown, 404)):
        assert caller.post(f"/v1/jobs/{job_id}/retry", None).status_code == status
    wrong = caller.post(f"/v1/jobs/{done}/retry", {"farce": True})
    assert wrong.get_json()["error"]["param"] == "farce"


def test_what_the_router_was_to_answer_is_made_again_while_a_candidate_is_there(
    caller: Caller, connection: Connection, mine: str, working: None
) -> None:
    later = {**ASKED, "model": "auto", "background": True, "run_at": time.time() + 900}
    job_id = caller.post("/v1/chat/completions", later).get_json()["id"]
    assert caller.post(f"/v1/jobs/{job_id}/cancel", None).get_json()["status"] == "cancelled"
    answer = caller.post(f"/v1/jobs/{job_id}/retry", None)
    assert answer.status_code == 202, answer.text
    at = answer.get_json()["urls"]["self"]
    until(lambda: caller.get(at).get_json()["status"] == "completed")
    assert caller.get(at).get_json()["result"]["routing"]["answered_model"]
    gone = dead(connection, mine, model="auto", asked={"router": {"candidates": ["none/such"]}})
    refused = caller.post(f"/v1/jobs/{gone}/retry", None)
    assert (refused.status_code, refused.get_json()["error"]["code"]) == (404, "model_not_found")


def test_credit_is_needed_as_for_a_new_request(
    caller: Caller, connection: Connection, mine: str
) -> None:
    job_id = dead(connection, mine)
    connection.execute("UPDATE account SET balance = 10 WHERE id = %s", (f"{mine}/wallet",))
    answer = caller.post(f"/v1/jobs/{job_id}/retry", None)
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (402, "insufficient_quota")


def test_a_job_made_again_moves_no_money_if_it_or_its_caller_is_a_test_keys(
    caller: Caller, connection: Connection, mine: str
) -> None:
    tester = Caller(caller._client.application, connection, mine, mode="test")
    before, job_id = funds(connection, mine), dead(connection, mine)
    made = tester.post(f"/v1/jobs/{job_id}/retry", None)
    assert made.status_code == 202
    assert funds(connection, mine) == before
    # What cost nothing is not made a live job that costs nothing.
    caller.post(f"/v1/jobs/{made.get_json()['id']}/cancel", None)
    again = caller.post(f"/v1/jobs/{made.get_json()['id']}/retry", None)
    assert again.status_code == 202
    keys = connection.execute(
        "SELECT k.mode FROM job AS j JOIN api_key AS k ON k.id = j.key_id WHERE j.id = %s",
        (again.get_json()["id"],),
    ).fetchall()
    assert (keys, funds(connection, mine)) == ([("test",)], before)


def test_a_test_keys_job_stays_at_builtin_models_whoever_makes_it_again(
    caller: Caller, connection: Connection, mine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tester = Caller(caller._client.application, connection, mine, mode="test")
    made = tester.post(f"/v1/jobs/{dead(connection, mine)}/retry", None).get_json()["id"]
    caller.post(f"/v1/jobs/{made}/cancel", None)
    # Its name stands for another model by now.
    monkeypatch.setattr(
        "app.web.retries._models", lambda front, origin: [SimpleNamespace(builtin=False)]
    )
    assert caller.post(f"/v1/jobs/{made}/retry", None).status_code == 403


def test_many_are_made_again_and_what_is_refused_stops_no_other(
    caller: Caller, connection: Connection, mine: str
) -> None:
    good, done = dead(connection, mine), dead(connection, mine, state="completed")
    answer = caller.post("/v1/jobs/retry", {"ids": [good, done, "job_none", good]})
    assert answer.status_code == 202, answer.text
    told = answer.get_json()
    assert [job["retry_of"] for job in told["data"]] == [good]
    assert [(one["job_id"], one["status"]) for one in told["refused"]] == [
        (done, 409), ("job_none", 404),
    ]  # fmt: skip
    assert_proven(connection)


def test_a_filter_passes_over_newer_ones_that_it_cannot_make_again(
    caller: Caller, connection: Connection, mine: str
) -> None:
    old, again = dead(connection, mine), dead(connection, mine)
    assert caller.post(f"/v1/jobs/{again}/retry", None).status_code == 202
    lines, chore, forgotten = (dead(connection, mine) for _ in range(3))
    connection.execute("UPDATE job SET lane = 'batch' WHERE id = %s", (lines,))
    connection.execute("UPDATE job SET kind = 'content.deletion' WHERE id = %s", (chore,))
    store.forget(connection, [forgotten], None)
    told = caller.post("/v1/jobs/retry", {"filter": {}, "limit": 1}).get_json()
    assert ([job["retry_of"] for job in told["data"]], told["refused"]) == ([old], [])
    forced = {"filter": {}, "limit": 2, "force": True}
    told = caller.post("/v1/jobs/retry", forced).get_json()
    assert [job["retry_of"] for job in told["data"]] == [again, old]


def test_a_filter_finds_those_that_are_not_made_again_yet(
    caller: Caller, connection: Connection, mine: str
) -> None:
    slow = [dead(connection, mine, "deadline_exceeded") for _ in range(3)]
    other = dead(connection, mine)
    wanted = {"filter": {"error_code": "deadline_exceeded", "since": time.time() - 60}, "limit": 2}
    rounds = [caller.post("/v1/jobs/retry", wanted).get_json()["data"] for _ in range(3)]
    assert [len(made) for made in rounds] == [2, 1, 0]
    assert {job["retry_of"] for made in rounds for job in made} == set(slow)
    assert caller.get(f"/v1/jobs/{other}").get_json()["retried_by"] is None
    [cancelled] = caller.post(
        "/v1/jobs/retry", {"filter": {"status": ["failed"], "model": "lunaby-pro"}}
    ).get_json()["data"]
    assert cancelled["retry_of"] == other


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "ids"),
        ({"ids": ["job_x"], "filter": {}}, "filter"),
        ({"ids": []}, "ids"),
        ({"filter": {"status": ["completed"]}}, "filter.status.0"),
        ({"filter": {"error_code": "'"}}, "filter.error_code"),
        ({"filter": {}, "limit": 101}, "limit"),
    ],
)
def test_a_wrong_field_is_named(caller: Caller, body: dict[str, Any], param: str | None) -> None:
    answer = caller.post("/v1/jobs/retry", body)
    assert (answer.status_code, answer.get_json()["error"]["param"]) == (400, param)


def test_dead_letters_are_listed_with_their_attempts(
    caller: Caller, connection: Connection, mine: str
) -> None:
    job_id = dead(connection, mine)
    dead(connection, mine, state="completed")
    path = "/v1/jobs?status=failed,expired&include=attempts&kind=chat.completion&model=lunaby-pro"
    [listed] = caller.get(f"{path}&since=2026-01-01T00:00:00Z&until=9999999999").get_json()["data"]
    assert listed["id"] == job_id
    [attempt] = listed["attempt_list"]
    assert (attempt["attempt"], attempt["outcome"]) == (1, "failed")
    for query in ("status=dead", "include=all", "since=soon", "error_code='", "model=%00"):
        answer = caller.get(f"/v1/jobs?{query}")
        assert (answer.status_code, answer.get_json()["error"]["param"]) == (
            400, query.partition("=")[0],
        )  # fmt: skip
