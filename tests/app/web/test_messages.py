"""`/v1/messages` over real servers: whole, streamed, as a job; errors in Anthropic's shape."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.db.connect import Connection
from app.events.log import Event, EventId
from app.settings import Settings
from app.web.messages import MessageFrames
from tests.app.dialects.told import delta, snapshot
from tests.app.line import assert_proven, draft, tenant
from tests.app.web.doors import Caller, web_process, workers
from tests.waiting import wait_for

MESSAGES = "/v1/messages"


@pytest.fixture
def settings(gevent_sockets: None, line_settings: Callable[..., Settings]) -> Settings:
    return line_settings()


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    with web_process(settings) as made, workers(settings):
        yield made


@pytest.fixture
def caller(app: Flask, connection: Connection) -> Caller:
    return Caller(app, connection, tenant(connection, 10**9))


def asked(**fields: Any) -> dict[str, Any]:
    return {
        "model": "builtin/sim", "max_tokens": 100, "metadata": {"sim_tokens": "3"},
        "messages": [{"role": "user", "content": "Hello"}], **fields,
    }  # fmt: skip


def made(caller: Caller, **fields: Any) -> dict[str, Any]:
    answer = caller.post(MESSAGES, asked(**fields))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def events(body: str) -> list[dict[str, Any]]:
    """The events of a stream, whose names are their types."""
    found = []
    for frame in body.split("\n\n"):
        name, _, data = frame.partition("\n")
        if data:
            event = json.loads(data.removeprefix("data: "))
            assert name == f"event: {event['type']}"
            found.append(event)
    return found


def problem(answer: TestResponse) -> tuple[int, str, str | None]:
    body = answer.get_json()
    assert set(body) - {"retry_after"} == {"type", "error", "request_id", "detail"}
    assert body["type"] == "error"
    assert body["request_id"] == answer.headers["request-id"] == answer.headers["x-request-id"]
    error = body["error"]
    assert {"type", "message", "param", "code"} <= set(error)
    assert error["message"] == body["detail"]
    return answer.status_code, error["type"], error["param"]


def test_a_whole_message_is_billed(caller: Caller, connection: Connection) -> None:
    answer = caller.post(MESSAGES, asked())
    message = answer.get_json()
    assert (message["type"], message["role"], message["model"]) == (
        "message", "assistant", "builtin/sim",
    )  # fmt: skip
    assert message["id"].startswith("msg_")
    assert (message["stop_reason"], message["stop_sequence"]) == ("end_turn", None)
    [block] = message["content"]
    assert len(block["text"].split()) == 3
    assert message["usage"]["output_tokens"] == 3
    assert message["usage"]["total_cost_usd"] > 0
    assert answer.headers["request-id"] == answer.headers["x-request-id"]
    assert_proven(connection)


def test_a_stream_says_what_the_whole_says(caller: Caller) -> None:
    [block] = made(caller)["content"]
    answer = caller.post("/messages", asked(stream=True))
    assert answer.content_type.startswith("text/event-stream")
    assert answer.headers["request-id"].startswith("req_")
    told = events(answer.text)
    assert [e["type"] for e in told[:2]] == ["message_start", "content_block_start"]
    assert told[-1] == {"type": "message_stop"}
    texts = [e["delta"]["text"] for e in told if e["type"] == "content_block_delta"]
    assert "".join(texts) == block["text"]
    assert told[-2]["delta"]["stop_reason"] == "end_turn"
    assert told[-2]["usage"]["output_tokens"] == 3


def test_a_message_that_is_cut_says_so(caller: Caller) -> None:
    assert made(caller, max_tokens=2)["stop_reason"] == "max_tokens"


def test_a_tool_is_called_with_an_object(caller: Caller) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    fields = {
        "tools": [{"name": "weather", "input_schema": schema}], "tool_choice": {"type": "any"},
        "metadata": {},
    }  # fmt: skip
    message = made(caller, **fields)
    assert message["stop_reason"] == "tool_use"
    block = message["content"][-1]
    assert (block["type"], block["name"]) == ("tool_use", "weather")
    assert "city" in block["input"]
    told = events(caller.post(MESSAGES, asked(stream=True, **fields)).text)
    parts = [e["delta"].get("partial_json", "") for e in told if e["type"].endswith("delta")]
    assert "city" in json.loads("".join(parts))


def test_thinking_is_a_block_of_its_own(caller: Caller) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    message = made(caller, max_tokens=2000, thinking=thinking)
    assert [block["type"] for block in message["content"]] == ["thinking", "text"]


def test_a_message_may_be_a_job(caller: Caller) -> None:
    answer = caller.post(MESSAGES, asked(background=True))
    assert answer.status_code == 202
    job = answer.get_json()
    assert (job["object"], job["kind"]) == ("job", "message")
    here = f"/v1/jobs/{job['id']}"
    result = wait_for(lambda: caller.get(here).get_json()["result"], 20, "the job's result")
    assert (result["type"], result["id"]) == ("message", job["id"].replace("job_", "msg_"))


def test_the_same_key_gives_the_same_message(caller: Caller) -> None:
    first = caller.post(MESSAGES, asked(), **{"Idempotency-Key": "once"})
    again = caller.post(MESSAGES, asked(), **{"Idempotency-Key": "once"})
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.get_json() == first.get_json()


def test_tokens_are_counted_without_a_job(caller: Caller, connection: Connection) -> None:
    def count(**fields: Any) -> int:
        body = {"model": "builtin/sim", "messages": asked()["messages"], **fields}
        answer = caller.post(f"{MESSAGES}/count_tokens", body)
        assert answer.status_code == 200, answer.text
        assert answer.get_json()["estimated"] is True
        return int(answer.get_json()["input_tokens"])

    bare = count()
    assert 0 < bare < 10
    assert count(system="You are a poet. " * 4) > bare + 10
    assert count(tools=[{"name": "f", "input_schema": {"type": "object"}}]) > bare
    image = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    assert count(messages=[{"role": "user", "content": [image]}]) == 1600
    assert connection.execute("SELECT count(*) FROM job").fetchone() == (0,)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"temperature": 2}, "temperature"),
        ({"container": "c"}, "container"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools.0.type"),
        ({"model": "builtin/eliza", "metadata": {}, "output_config": {
            "format": {"type": "json_schema", "schema": {}}}}, "output_config.format"),
        ({"model": "builtin/eliza", "metadata": {}, "thinking": {"type": "adaptive"}}, "thinking"),
        ({"stream": True, "metadata": {"sim_status": "422"}}, None),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_a_refusal_has_anthropic_s_shape(
    caller: Caller, fields: dict[str, Any], param: str | None
) -> None:
    answer = caller.post(MESSAGES, asked(**fields))
    assert problem(answer) == (400, "invalid_request_error", param)


def test_errors_of_all_kinds_have_anthropic_s_types(
    app: Flask, caller: Caller, connection: Connection
) -> None:
    nobody = app.test_client()
    assert problem(nobody.post(MESSAGES, json={}))[:2] == (401, "authentication_error")
    assert problem(nobody.get("/messages"))[:2] == (405, "invalid_request_error")
    assert problem(caller.get(f"{MESSAGES}/msg_none"))[:2] == (404, "not_found_error")
    assert problem(caller.post(MESSAGES, asked(model="none")))[:2] == (404, "not_found_error")
    poor = Caller(app, connection, tenant(connection, 0))
    assert problem(poor.post(MESSAGES, asked()))[:2] == (402, "billing_error")
    busy = caller.post(MESSAGES, asked(metadata={"sim_status": "429", "sim_retry_after": "30"}))
    assert problem(busy)[:2] == (429, "rate_limit_error")
    assert busy.headers["Retry-After"] == "30"
    down = caller.post(MESSAGES, asked(metadata={"sim_status": "500"}))
    assert problem(down)[:2] == (502, "api_error")
    chat = nobody.post("/v1/chat/completions", json={})
    assert set(chat.get_json()) == {"error", "detail"}


def frames(*told: tuple[str, bytes]) -> list[dict[str, Any]]:
    """The events that the form of the door makes of a job's."""
    form = MessageFrames(draft("ten_x"))
    body = b"".join(form.frame(Event(EventId(1, at), *event)) for at, event in enumerate(told, 1))
    assert form.over
    return events(body.decode())


def test_an_answer_that_begins_anew_ends_the_stream_with_an_error() -> None:
    began = ("started", b"{}"), delta({"content": "lost"})
    for again in (("restarted", b"{}"), snapshot({"content": "whole"})):
        last = frames(*began, again)[-1]
        assert last["type"] == "error"
        assert (last["error"]["type"], last["error"]["code"]) == ("api_error", "stream_interrupted")


def test_a_snapshot_that_goes_on_where_the_stream_stood_is_no_break() -> None:
    told = frames(
        ("started", b"{}"), delta({"content": "so "}), snapshot({"content": "so far"}, "stop"),
        ("usage", b'{"completion_tokens":2}'), ("completed", b"{}"),
    )  # fmt: skip
    texts = [e["delta"]["text"] for e in told if e["type"] == "content_block_delta"]
    assert texts == ["so ", "far"]
    assert told[-1]["type"] == "message_stop"


def test_calls_that_come_mixed_end_the_stream_with_an_error() -> None:
    def call(index: int) -> dict[str, Any]:
        function = {"name": f"f{index}", "arguments": "1"}
        return {"tool_calls": [{"index": index, "function": function}]}

    last = frames(delta(call(0)), delta(call(1)), delta(call(0)))[-1]
    assert last["error"]["code"] == "stream_interrupted"


def test_a_failure_in_mid_answer_is_an_error_event() -> None:
    error = orjson.dumps({"error": {"message": "Too long.", "code": "deadline_exceeded"}})
    last = frames(delta({"content": "so"}), ("failed", error))[-1]
    assert (last["error"]["type"], last["error"]["message"]) == ("timeout_error", "Too long.")
    assert last["request_id"].startswith("req_")
