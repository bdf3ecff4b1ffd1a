"""`store: false` at every door: content goes once its end has been sent, and not before."""

import re
import socket
import time
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import pytest
from flask import Flask

from app.db.connect import Connection
from app.events.log import Event, EventId, stream_key
from app.jobs import store
from app.jobs.forget import sweep_undelivered
from app.jobs.tail import FIRST_LOOK_S
from app.redis import Wire
from app.settings import Settings
from app.web.job_stream import JobStream
from app.web.openai_stream import Chunks
from tests.app.events.parts import until
from tests.app.line import assert_proven, draft, tenant
from tests.app.retention.parts import SECRET, ended_jobs, with_content
from tests.app.web.doors import Caller, web_process, workers

CHAT = "/v1/chat/completions"


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    with web_process(settings) as made, workers(settings):
        yield made


def asked(**fields: Any) -> dict[str, Any]:
    """A request whose content is not to be stored; `sim` goes to the simulator."""
    sim = {f"sim_{name}": str(value) for name, value in fields.pop("sim", {"tokens": 3}).items()}
    messages = [{"role": "user", "content": SECRET}]
    body = {"model": "builtin/sim", "messages": messages, "metadata": sim}
    return {**body, "store": False, **fields}


def text_of(stream: bytes) -> str:
    """The text in a stream of chunks that ended well."""
    *frames, done = [f.removeprefix(b"data: ") for f in stream.split(b"\n\n") if f]
    assert done == b"[DONE]"
    return "".join(orjson.loads(f)["choices"][0]["delta"].get("content", "") for f in frames)


def names_of(stream: bytes) -> list[str]:
    """The names of a job's events."""
    return re.findall(r"^event: (\w+)$", stream.decode(), re.M)


def forgotten(connection: Connection, wire: Wire, job_id: str) -> bool:
    """Whether nothing of a job is left."""
    row = connection.execute(
        "SELECT j.forgotten_at, j.request, r.body FROM job AS j JOIN result AS r ON r.id = j.id "
        "WHERE j.id = %s",
        (job_id,),
    ).fetchone()
    if row is None or row[0] is None:
        return False
    assert (row[1], row[2]) == ("", None)
    return wire.call(("EXISTS", stream_key(job_id))) == [0]


def ended(connection: Connection, wire: Wire, job_id: str) -> None:
    """Waits until a job has ended and its worker has said so."""

    def told() -> bool:
        [last] = wire.call(("XREVRANGE", stream_key(job_id), "+", "-", "COUNT", 1))
        return bool(last) and last[0][1][1] in (b"completed", b"failed", b"cancelled")

    until(told)
    assert store.ended_among(connection, [job_id])


def test_a_whole_answer_is_forgotten_once_sent(
    caller: Caller, connection: Connection, wire: Wire
) -> None:
    answer = caller.post(CHAT, asked())
    assert answer.status_code == 200
    assert answer.content_length == len(answer.data)
    assert answer.get_json()["choices"][0]["message"]["content"]
    job_id = answer.headers["x-job-id"]
    until(lambda: forgotten(connection, wire, job_id))
    assert with_content(connection, wire) == set()
    job = caller.get(f"/v1/jobs/{job_id}").get_json()
    assert (job["status"], job["result"], job["metadata"]) == ("completed", None, {})
    assert time.time() - 60 < job["content_deleted_at"] <= time.time() + 1
    assert job["usage"]["completion_tokens"] == 3
    assert_proven(connection)


def test_a_stream_is_forgotten_once_its_last_frame_is_sent(
    caller: Caller, connection: Connection, wire: Wire
) -> None:
    answer = caller.post(CHAT, asked(stream=True))
    assert text_of(answer.data)
    until(lambda: forgotten(connection, wire, answer.headers["x-job-id"]))


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_is_an_end_that_is_sent_too(
    caller: Caller, connection: Connection, wire: Wire, stream: bool
) -> None:
    answer = caller.post(CHAT, asked(stream=stream, sim={"status": 400}))
    assert answer.status_code == 400
    [job] = caller.get("/v1/jobs").get_json()["data"]
    until(lambda: forgotten(connection, wire, job["id"]))
    assert caller.get(f"/v1/jobs/{job['id']}").get_json()["error"] == {
        "message": "deleted", "type": "invalid_request_error", "param": None,
        "code": "provider_refused",
    }  # fmt: skip


def background(caller: Caller, **fields: Any) -> str:
    answer = caller.post(CHAT, asked(background=True, **fields))
    assert answer.status_code == 202
    job_id: str = answer.get_json()["id"]
    return job_id


def test_a_background_job_is_forgotten_once_its_end_is_shown(
    caller: Caller, connection: Connection, wire: Wire
) -> None:
    job_id = background(caller)
    ended(connection, wire, job_id)
    assert caller.open(f"/v1/jobs/{job_id}", "HEAD").status_code == 200
    assert caller.get(f"/v1/jobs/{job_id}/attempts").status_code == 200
    assert with_content(connection) == {job_id}, "nobody has seen the answer"
    shown = caller.get(f"/v1/jobs/{job_id}").get_json()
    assert shown["result"]["choices"]
    assert shown["content_deleted_at"] is None
    until(lambda: forgotten(connection, wire, job_id))


def test_a_background_job_is_forgotten_once_its_terminal_event_is_sent(
    caller: Caller, connection: Connection, wire: Wire
) -> None:
    job_id = background(caller)
    assert names_of(caller.get(f"/v1/jobs/{job_id}/events").data)[-1] == "completed"
    until(lambda: forgotten(connection, wire, job_id))


def test_the_events_of_a_forgotten_job_tell_its_end_without_a_text(
    caller: Caller, connection: Connection, wire: Wire
) -> None:
    job_id = caller.post(CHAT, asked(stream=True)).headers["x-job-id"]
    until(lambda: forgotten(connection, wire, job_id))
    began = time.monotonic()
    told = caller.get(f"/v1/jobs/{job_id}/events").data
    assert time.monotonic() - began < FIRST_LOOK_S, "no reader waits for a log that is gone"
    assert names_of(told) == ["queued", "usage", "completed"]


@pytest.mark.parametrize("fields", [{"store": True}, {"store": None}], ids=["true", "absent"])
@pytest.mark.parametrize("door", [{}, {"stream": True}, {"background": True}])
def test_what_is_to_be_stored_stays(
    caller: Caller, connection: Connection, wire: Wire,
    fields: dict[str, Any], door: dict[str, Any],
) -> None:  # fmt: skip
    answer = caller.post(CHAT, asked(**fields, **door))
    job_id = answer.headers["x-job-id"]
    assert answer.data
    ended(connection, wire, job_id)
    for path in ("", "/events"):
        assert caller.get(f"/v1/jobs/{job_id}{path}").data
    last = caller.get(f"/v1/jobs/{job_id}").get_json()
    assert last["result"]["choices"]
    assert last["content_deleted_at"] is None
    assert with_content(connection) == {job_id}


@pytest.fixture
def broken() -> Iterator[socket.socket]:
    """The server's side of a connection that the client has closed."""
    ours, theirs = socket.socketpair()
    theirs.close()
    yield ours
    ours.close()


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_has_left_has_not_been_sent_anything(
    caller: Caller, connection: Connection, wire: Wire, settings: Settings,
    broken: socket.socket, stream: bool,
) -> None:  # fmt: skip
    answer = caller.open(
        CHAT, "POST", json=asked(stream=stream, cancel_on_disconnect=False),
        environ_overrides={"gunicorn.sock": broken},
    )  # fmt: skip
    assert answer.data is not None
    [job] = caller.get("/v1/jobs").get_json()["data"]
    ended(connection, wire, job["id"])
    assert with_content(connection) == {job["id"]}
    assert sweep_undelivered(connection, settings.redis, after_s=0) == [job["id"]]
    assert with_content(connection, wire) == set()


def test_an_answer_whose_write_fails_has_not_been_sent(
    caller: Caller, connection: Connection, wire: Wire
) -> None:
    answer = caller.open(CHAT, "POST", json=asked(), buffered=False)
    assert next(iter(answer.response))
    answer.close()
    job_id = answer.headers["x-job-id"]
    ended(connection, wire, job_id)
    assert caller.get("/v1/jobs").get_json()["data"][0]["result"]["choices"]
    assert with_content(connection) == {job_id}


def test_a_stream_that_is_closed_in_the_middle_has_not_been_sent(
    caller: Caller, connection: Connection, wire: Wire
) -> None:
    body = asked(
        stream=True, cancel_on_disconnect=False, sim={"tokens": 9, "tokens_per_second": 100}
    )
    answer = caller.open(CHAT, "POST", json=body, buffered=False)
    frames = iter(answer.response)
    assert next(frames)
    answer.close()
    job_id = answer.headers["x-job-id"]
    ended(connection, wire, job_id)
    assert with_content(connection) == {job_id}


@pytest.mark.parametrize("door", [{}, {"stream": True}, {"background": True}])
def test_a_replay_of_what_was_deleted_is_gone(
    caller: Caller, connection: Connection, wire: Wire, door: dict[str, Any]
) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = caller.post(CHAT, asked(**door), **headers)
    job_id = first.headers["x-job-id"]
    assert first.data
    if door.get("background"):
        ended(connection, wire, job_id)
        again = caller.post(CHAT, asked(**door), **headers)
        assert (again.status_code, again.get_json()["id"]) == (202, job_id)
        caller.get(f"/v1/jobs/{job_id}")
    until(lambda: forgotten(connection, wire, job_id))
    gone = caller.post(CHAT, asked(**door), **headers)
    assert gone.status_code == 410
    error = gone.get_json()["error"]
    assert (error["code"], error["job_id"]) == ("deleted", job_id)
    assert "new Idempotency-Key" in error["message"]
    assert caller.post(CHAT, asked(), **{"Idempotency-Key": "k2"}).status_code == 200


def test_another_tenant_delivers_nothing(
    app: Flask, caller: Caller, connection: Connection, wire: Wire
) -> None:
    [job_id] = ended_jobs(connection, tenant(connection), store=False, wire=wire)
    assert caller.get(f"/v1/jobs/{job_id}").status_code == 404
    assert caller.get(f"/v1/jobs/{job_id}/events").status_code == 404
    assert with_content(connection, wire) == {job_id}


class Told:
    """A tail that has its events already."""

    def __init__(self, told: Sequence[Event]) -> None:
        self._told = [list(told[:1]), list(told[1:])]
        self.ended = False

    def wait(self, _: float) -> list[Event]:
        told = self._told.pop(0)
        self.ended = not self._told
        return told

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("names", "sent"),
    [
        (["delta", "usage", "completed"], True),
        (["delta", "usage", "failed"], True),
        (["delta", "cancelled"], True),
        (["delta", "restarted", "delta", "usage", "completed"], False),
    ],
)
def test_a_stream_that_breaks_off_where_the_job_goes_on_has_not_told_its_end(
    names: list[str], sent: bool
) -> None:
    choice = b'{"index":0,"delta":{"content":"x"}}'
    told = [Event(EventId(1, n), name, choice if name == "delta" else b'{"error":null}')
            for n, name in enumerate(names, 2)]  # fmt: skip
    calls: list[bool] = []
    tail: Any = Told(told)
    one = draft("ten_x")
    chunks = JobStream(tail, one, Chunks(one, False), False, {}, lambda: calls.append(True))
    frames = chunks.started()
    assert [next(frames) != b"" for _ in range(2)] == [True, True]
    assert calls == [], "not before the last frame has been taken"
    assert list(frames) == []
    assert calls == ([True] if sent else [])


def test_a_listing_delivers_nothing(caller: Caller, connection: Connection, wire: Wire) -> None:
    job_id = background(caller)
    ended(connection, wire, job_id)
    assert caller.get("/v1/jobs").get_json()["data"][0]["id"] == job_id
    assert with_content(connection) == {job_id}
