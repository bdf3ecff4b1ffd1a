"""Jobs with a time of their own, and with an address that is told of their end."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from app.db.connect import Connection
from app.jobs.upkeep import Upkeep
from app.settings import Settings
from app.webhooks.courier import Courier
from tests.app.events.parts import until
from tests.app.line import assert_proven, funds, state
from tests.app.web.doors import Caller
from tests.webhook_receiver import Receiver

CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "Hello."}]
SAID: dict[str, Any] = {"model": "lunaby-pro", "messages": MESSAGES}
DOORS: dict[str, dict[str, Any]] = {
    CHAT: SAID,
    "/v1/completions": {"model": "lunaby-pro", "prompt": "Hello."},
    "/v1/embeddings": {"input": "Hello."},
    "/v1/images/generations": {"prompt": "A moon."},
    "/v1/messages": {**SAID, "max_tokens": 20},
    "/v1/responses": {"model": "lunaby-pro", "input": "Hello."},
}


def planned(caller: Caller, path: str = CHAT, **fields: Any) -> Any:
    return caller.post(path, {**DOORS[path], "background": True, **fields})


def in_s(seconds: float) -> int:
    return int(time.time() + seconds)


def test_every_door_takes_a_time_and_an_address(caller: Caller, connection: Connection) -> None:
    at = in_s(3600)
    fields = {"run_at": at, "not_after": at + 60, "webhook_url": "https://1.1.1.1/hook"}
    for path in DOORS:
        answer = planned(caller, path, **fields)
        assert answer.status_code in (200, 202), answer.text
        job_id = answer.headers["x-job-id"]
        assert state(connection, job_id) == "scheduled", path
        job = caller.get(f"/v1/jobs/{job_id}").get_json()
        told = (job["status"], job["run_at"], job["not_after"], job["queue_position"])
        assert told == ("queued", at, at + 60, None)
    listed = caller.get("/v1/jobs?status=queued").get_json()["data"]
    assert len(listed) == len(DOORS)
    urls = connection.execute("SELECT DISTINCT webhook_url FROM job").fetchall()
    assert urls == [("https://1.1.1.1/hook",)]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"run_at": 1}, "run_at"),
        ({"run_at": "2026-01-31T06:00:00"}, "run_at"),
        ({"run_at": "soon"}, "run_at"),
        ({"run_at": 1e12}, "run_at"),
        ({"not_after": 1}, "not_after"),
        ({"run_at": [1]}, "run_at"),
        ({"webhook_url": "http://h.example.com/"}, "webhook_url"),
        ({"webhook_url": "https://10.0.0.1/"}, "webhook_url"),
        ({"webhook_url": "https://127.1/"}, "webhook_url"),
        ({"webhook_url": ""}, "webhook_url"),
    ],
)
def test_a_wrong_field_is_named(caller: Caller, fields: dict[str, Any], param: str) -> None:
    answer = planned(caller, **fields)
    assert answer.status_code == 400
    assert answer.get_json()["error"]["param"] == param


def test_a_client_that_waits_has_no_plan(caller: Caller) -> None:
    for fields, headers in (
        ({"run_at": in_s(60)}, {}),
        ({"not_after": in_s(60), "stream": True}, {}),
        ({"webhook_url": "https://1.1.1.1/"}, {}),
        ({"run_at": in_s(60)}, {"Prefer": "wait=3"}),
    ):
        answer = caller.post(CHAT, {**SAID, **fields}, **headers)
        assert answer.status_code == 400, answer.text
        assert answer.get_json()["error"]["param"] in fields
    both = {"run_at": in_s(60), "background": True, "stream": True}
    assert caller.post(CHAT, {**SAID, **both}).get_json()["error"]["param"] == "stream"
    answer = caller.post("/v1/responses", {**DOORS["/v1/responses"], **both})
    assert answer.get_json()["error"]["param"] == "run_at"


def test_a_job_runs_at_its_time_and_its_address_is_told(
    settings: Settings, caller: Caller, connection: Connection, mine: str, working: None
) -> None:
    with Receiver() as receiver:
        chosen = settings.model_copy(update={"webhook_allow": receiver.allow})
        at = datetime.fromtimestamp(in_s(3600), UTC).isoformat()
        job = planned(caller, run_at=at).get_json()
        wallet, held = funds(connection, mine)
        assert held > 0
        connection.execute(
            "UPDATE job SET webhook_url = %s WHERE id = %s", (receiver.url, job["id"])
        )
        connection.execute("UPDATE open_job SET tells = true, run_at = now()")
        Upkeep(chosen).round(connection)
        until(lambda: caller.get(job["urls"]["self"]).get_json()["status"] == "completed")
        assert funds(connection, mine)[1] == 0
        assert funds(connection, mine)[0] >= wallet
        assert_proven(connection)
        Courier(chosen).turn()
        secret = (
            caller_of_all(caller, connection, mine)
            .get("/v1/webhook_endpoints/job_secret")
            .get_json()["secret"]
        )
        [heard] = receiver.heard
        event = Webhook(secret).verify(heard.body, heard.headers)
        assert (event["type"], event["data"]["id"]) == ("job.completed", job["id"])


def caller_of_all(caller: Caller, connection: Connection, mine: str) -> Caller:
    """The same client with a key that may do all."""
    return Caller(caller._client.application, connection, mine, scopes=["inference", "manage"])


def test_it_is_cancelled_while_it_waits(caller: Caller, connection: Connection, mine: str) -> None:
    before = funds(connection, mine)
    job = planned(caller, run_at=in_s(3600)).get_json()
    assert caller.post(job["urls"]["cancel"], None).get_json()["status"] == "cancelled"
    assert funds(connection, mine) == before
    assert caller.get(job["urls"]["self"]).get_json()["run_at"] == job["run_at"]
    assert_proven(connection)


def test_what_is_not_begun_in_time_expires(
    settings: Settings, caller: Caller, connection: Connection
) -> None:
    job = planned(caller, not_after=in_s(60)).get_json()
    connection.execute("UPDATE open_job SET not_after = now() - interval '1 s'")
    Upkeep(settings).round(connection)
    now = caller.get(job["urls"]["self"]).get_json()
    assert (now["status"], now["error"]["code"]) == ("expired", "not_after")
    listed = caller.get("/v1/jobs?status=expired,failed&error_code=not_after").get_json()
    assert [one["id"] for one in listed["data"]] == [job["id"]]


def test_a_key_stands_for_its_job_also_after_its_time(
    caller: Caller, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {**SAID, "background": True, "run_at": in_s(3600)}
    first = caller.post(CHAT, body, **{"Idempotency-Key": "k"})
    monkeypatch.setattr("app.jobs.planned.moments.time.time", lambda: 2e9)
    again = caller.post(CHAT, body, **{"Idempotency-Key": "k"})
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (202, "true")
    assert again.get_json()["id"] == first.get_json()["id"]
    other = caller.post(CHAT, body, **{"Idempotency-Key": "l"})
    assert other.get_json()["error"]["param"] == "run_at"
