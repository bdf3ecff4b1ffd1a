"""`/v1/data/deletions`: from the request to the proof, with workers that do it."""

import hashlib
from typing import Any

import orjson
import pytest
from flask import Flask

from app.db.connect import Connection
from app.events.log import stream_key
from app.jobs import store
from app.redis import Wire
from tests.app.events.parts import until
from tests.app.line import assert_proven, tenant
from tests.app.retention.parts import SECRET, books_of, ended_jobs, with_content
from tests.app.web.doors import Caller

DELETIONS = "/v1/data/deletions"


def done(caller: Caller, job_id: str) -> dict[str, Any]:
    """A deletion once it has ended."""

    def ended() -> dict[str, Any] | None:
        job: dict[str, Any] = caller.get(f"{DELETIONS}/{job_id}").get_json()
        return job if job["finished_at"] is not None else None

    return until(ended) or {}


def test_content_goes_and_the_deletion_can_be_watched_and_proven(
    working: None, caller: Caller, connection: Connection, wire: Wire, mine: str
) -> None:
    ids = ended_jobs(connection, mine, 3, wire=wire)
    spared = ended_jobs(connection, tenant(connection), 2)
    answer = caller.post("/v1/chat/completions", {
        "model": "builtin/sim", "messages": [{"role": "user", "content": SECRET}], "user": "u1",
    })  # fmt: skip
    ids.append(answer.headers["x-job-id"])
    before = books_of(connection)[0]
    accepted = caller.post(DELETIONS, {"user": "u1"})
    assert accepted.status_code == 202
    job = accepted.get_json()
    assert accepted.headers["Location"] == f"/v1/jobs/{job['id']}" == job["urls"]["self"]
    assert accepted.headers["x-job-id"] == job["id"]
    assert (job["object"], job["kind"], job["lane"]) == ("job", "content.deletion", "system")
    told = done(caller, job["id"])
    assert told["status"] == "completed"
    assert told == caller.get(f"/v1/jobs/{job['id']}").get_json()
    result = told["result"]
    assert (result["deleted"], result["remaining"], result["redis_keys_remaining"]) == (4, 0, 0)
    lines = "".join(f"{job_id}\n" for job_id in sorted(ids))
    assert result["proof"]["jobs_sha256"] == hashlib.sha256(lines.encode()).hexdigest()
    assert with_content(connection) == set(spared)
    events = caller.get(f"/v1/jobs/{job['id']}/events").data
    assert b"event: progress\n" in events
    assert b'{"matched":4,"deleted":4,"remaining":0}' in events
    assert books_of(connection)[0] == before
    assert_proven(connection)
    gone = caller.get(f"/v1/jobs/{ids[0]}").get_json()
    assert (gone["result"], gone["metadata"]) == (None, {})
    assert gone["content_deleted_at"] is not None
    assert gone["usage"] is not None


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, None),
        ({"user": None}, None),
        ({"reason": "retention"}, "reason"),
        ({"user": ""}, "user"),
        ({"user": 1}, "user"),
        ({"before": -1}, "before"),
        ({"before": 10**12}, "before"),
        ({"before": "1"}, "before"),
        ({"job_ids": []}, "job_ids"),
        ({"job_ids": ["job_x"]}, "job_ids.0"),
        ({"since": 0, "user": "u"}, "since"),
    ],
)
def test_a_body_that_does_not_say_what_is_refused(
    caller: Caller, connection: Connection, body: dict[str, Any], param: str | None
) -> None:
    answer = caller.post(DELETIONS, body)
    assert answer.status_code == 400
    assert answer.get_json()["error"]["param"] == param
    assert "Value error" not in answer.get_json()["detail"]
    assert connection.execute("SELECT count(*) FROM job").fetchone() == (0,)


def test_the_selection_stands_in_the_job(caller: Caller, connection: Connection, mine: str) -> None:
    [meant] = ended_jobs(connection, mine)
    body = {"before": 5, "app_id": "a", "user": "ü", "session_id": "s", "job_ids": [meant]}
    job_id = caller.post(DELETIONS, body).get_json()["id"]
    [claimed] = store.claim(connection, "system", "wrk_a", 9)
    assert claimed.id == job_id
    assert orjson.loads(claimed.request) == {**body, "since": None, "reason": "request"}
    assert (claimed.kind, claimed.door, claimed.hold) == ("content.deletion", "background", 0)


def test_a_key_replays_the_deletion_that_it_stands_for(
    caller: Caller, connection: Connection
) -> None:
    first = caller.post(DELETIONS, {"user": "u"}, **{"Idempotency-Key": "k"})
    again = caller.post(DELETIONS, {"user": "u"}, **{"Idempotency-Key": "k"})
    other = caller.post(DELETIONS, {"user": "v"}, **{"Idempotency-Key": "k"})
    assert again.get_json()["id"] == first.get_json()["id"]
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (202, "true")
    assert "Idempotent-Replayed" not in first.headers
    assert other.status_code == 422
    assert connection.execute("SELECT count(*) FROM job").fetchone() == (1,)
    for key in ("", "k" * 256):
        refused = caller.post(DELETIONS, {"user": "u"}, **{"Idempotency-Key": key})
        assert refused.get_json()["error"]["param"] == "Idempotency-Key"


def test_deletions_are_listed_in_pages_of_their_own(
    caller: Caller, connection: Connection, mine: str
) -> None:
    ended_jobs(connection, mine, 2)
    ids = sorted(
        (caller.post(DELETIONS, {"user": str(n)}).get_json()["id"] for n in range(3)), reverse=True
    )
    first = caller.get(f"{DELETIONS}?limit=2").get_json()
    assert [job["id"] for job in first["data"]] == ids[:2]
    assert (first["object"], first["last_id"], first["has_more"]) == ("list", ids[1], True)
    rest = caller.get(f"{DELETIONS}?limit=2&after={ids[1]}").get_json()
    assert ([job["id"] for job in rest["data"]], rest["has_more"]) == (ids[2:], False)
    assert caller.get(f"{DELETIONS}?limit=0").status_code == 400


def test_a_deletion_that_waits_can_be_cancelled(
    caller: Caller, connection: Connection, mine: str
) -> None:
    [kept] = ended_jobs(connection, mine)
    job_id = caller.post(DELETIONS, {"user": "u1"}).get_json()["id"]
    cancelled = caller.post(f"/v1/jobs/{job_id}/cancel", {}).get_json()
    assert cancelled["status"] == "cancelled"
    assert with_content(connection) == {kept}


def test_a_tenant_sees_its_own_deletions_alone(
    app: Flask, caller: Caller, connection: Connection, mine: str
) -> None:
    stranger = Caller(app, connection, tenant(connection))
    job_id = caller.post(DELETIONS, {"user": "u"}).get_json()["id"]
    assert caller.get(f"{DELETIONS}/{job_id}").status_code == 200
    assert stranger.get(f"{DELETIONS}/{job_id}").status_code == 404
    assert stranger.get(DELETIONS).get_json()["data"] == []
    [plain] = ended_jobs(connection, mine)
    assert caller.get(f"{DELETIONS}/{plain}").status_code == 404, "not a deletion"
    assert caller.get(f"{DELETIONS}/nothing").status_code == 404


def test_a_deletion_whose_log_is_lost_is_followed_to_its_end(
    working: None, caller: Caller, wire: Wire
) -> None:
    job_id = caller.post(DELETIONS, {"user": "u"}).get_json()["id"]
    done(caller, job_id)
    until(lambda: wire.call(("UNLINK", stream_key(job_id))) == [1])
    assert b"event: completed\n" in caller.get(f"/v1/jobs/{job_id}/events").data


def test_another_tenants_jobs_are_not_deleted_by_their_ids(
    working: None, caller: Caller, connection: Connection, wire: Wire
) -> None:
    [theirs] = ended_jobs(connection, tenant(connection), wire=wire)
    job_id = caller.post(DELETIONS, {"job_ids": [theirs]}).get_json()["id"]
    assert done(caller, job_id)["result"]["deleted"] == 0
    assert theirs in with_content(connection)


def test_it_takes_the_scope_manage(app: Flask, connection: Connection, mine: str) -> None:
    weak = Caller(app, connection, mine, scopes=["inference", "billing"])
    assert weak.post(DELETIONS, {"user": "u"}).status_code == 403
    assert weak.get(DELETIONS).status_code == 403
    manager = Caller(app, connection, mine, scopes=["manage"])
    job_id = manager.post(DELETIONS, {"user": "u"}).get_json()["id"]
    assert manager.get(f"{DELETIONS}/{job_id}").status_code == 200
