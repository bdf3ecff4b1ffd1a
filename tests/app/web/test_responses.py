"""`/v1/responses` over real servers: whole, streamed, in the background, resumed, deleted."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.db.connect import Connection
from app.redis import Wire
from app.settings import Settings
from tests.app.line import assert_proven, tenant
from tests.app.web.doors import Caller, web_process, workers
from tests.waiting import wait_for

RESPONSES = "/v1/responses"
SLOW = {"sim_tokens": "2000", "sim_tokens_per_second": "50"}


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
    return {"model": "builtin/sim", "input": "Hello", "metadata": {"sim_tokens": "3"}, **fields}


def made(caller: Caller, **fields: Any) -> dict[str, Any]:
    answer = caller.post(RESPONSES, asked(**fields))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def ended(caller: Caller, response_id: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = caller.get(f"{RESPONSES}/{response_id}").get_json()
        return None if found["status"] in ("queued", "in_progress") else found

    return wait_for(look, 20, "the response's end") or {}


def events(answer: TestResponse) -> list[dict[str, Any]]:
    """The events of a stream, whose names are their types."""
    assert answer.content_type.startswith("text/event-stream"), answer.text
    found = []
    for frame in answer.text.split("\n\n"):
        name, _, data = frame.partition("\n")
        if data:
            event = json.loads(data.removeprefix("data: "))
            assert name == f"event: {event['type']}"
            found.append(event)
    return found


def text_of(response: dict[str, Any]) -> str:
    return "".join(
        part["text"]
        for item in response["output"]
        if item["type"] == "message"
        for part in item["content"]
    )


def problem(answer: TestResponse) -> tuple[int, str | None]:
    return answer.status_code, answer.get_json()["error"]["param"]


def test_a_whole_response_is_billed_and_echoes_what_was_asked(
    caller: Caller, connection: Connection
) -> None:
    response = made(
        caller, instructions="Be brief.", temperature=0.5, max_output_tokens=2, user="me",
        text={"verbosity": "low"}, prompt_cache_retention="24h",
    )  # fmt: skip
    assert response["prompt_cache_retention"] == "24h"
    assert response["object"] == "response"
    assert response["id"].startswith("resp_")
    assert (response["status"], response["error"]) == ("incomplete", None)
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert len(text_of(response).split()) == 2
    assert response["output"][-1]["status"] == "incomplete"
    assert (response["instructions"], response["temperature"]) == ("Be brief.", 0.5)
    assert (response["max_output_tokens"], response["user"]) == (2, "me")
    assert response["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    usage = response["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["total_cost_usd"] > 0
    assert caller.get(f"{RESPONSES}/{response['id']}").get_json() == response
    assert_proven(connection)


def test_a_stream_says_what_the_whole_says_and_can_be_read_again(caller: Caller) -> None:
    whole = made(caller)
    live = events(caller.post("/responses", asked(stream=True)))
    assert [e["sequence_number"] for e in live] == list(range(len(live)))
    assert [e["type"] for e in live[:2]] == ["response.created", "response.in_progress"]
    assert live[-1]["type"] == "response.completed"
    last = live[-1]["response"]
    assert text_of(last) == text_of(whole)
    assert "".join(e["delta"] for e in live if e["type"].endswith("text.delta")) == text_of(last)
    here = f"{RESPONSES}/{last['id']}"
    stored = caller.get(here).get_json()
    assert stored["output"] == last["output"]
    assert stored["usage"] == last["usage"]
    assert events(caller.get(f"{here}?stream=true")) == live
    for after in (0, 3, len(live) - 2, len(live) - 1):
        rest = events(caller.get(f"{here}?stream=true&starting_after={after}"))
        assert rest == live[after + 1 :]


def test_reasoning_calls_and_forms_are_told_alike_whole_and_streamed(caller: Caller) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tool = {"type": "function", "name": "weather", "parameters": schema}
    wanted: list[dict[str, Any]] = [
        {"reasoning": {"effort": "low"}},
        {"tools": [tool], "tool_choice": "required"},
        {"text": {"format": {"type": "json_schema", "name": "place", "schema": schema}}},
    ]
    for fields in wanted:
        whole = made(caller, metadata={}, **fields)
        live = events(caller.post(RESPONSES, asked(metadata={}, stream=True, **fields)))
        streamed = live[-1]["response"]
        assert [item["type"] for item in whole["output"]] == [
            item["type"] for item in streamed["output"]
        ]
        assert text_of(whole) == text_of(streamed)
        assert (
            caller.get(f"{RESPONSES}/{streamed['id']}").get_json()["output"] == (streamed["output"])
        )
        last = whole["output"][-1]
        if "tools" in fields:
            assert (last["type"], last["name"]) == ("function_call", "weather")
            assert "city" in json.loads(last["arguments"])
            assert whole["tools"][0]["name"] == "weather"
        elif "text" in fields:
            assert "city" in json.loads(text_of(whole))
            assert whole["text"]["format"]["schema"] == schema
        else:
            assert whole["output"][0]["type"] == "reasoning"
            assert whole["usage"]["output_tokens_details"]["reasoning_tokens"] > 0


def test_a_whole_response_can_be_read_as_a_stream(caller: Caller) -> None:
    whole = made(caller)
    told = events(caller.get(f"{RESPONSES}/{whole['id']}?stream=true"))
    assert [e["sequence_number"] for e in told] == list(range(len(told)))
    assert told[-1]["response"]["output"] == whole["output"]


def test_a_stream_is_told_by_postgres_once_its_log_is_gone(
    caller: Caller, wire: Wire, connection: Connection
) -> None:
    live = events(caller.post(RESPONSES, asked(stream=True)))
    name = live[-1]["response"]["id"]
    wire.call(("FLUSHALL",))
    told = events(caller.get(f"{RESPONSES}/{name}?stream=true"))
    assert [e["sequence_number"] for e in told] == list(range(len(told)))
    assert told[-1]["response"]["output"] == live[-1]["response"]["output"]
    connection.execute("UPDATE result SET finished_at = now() - interval '1 hour'")
    for after in (3, 500):
        anew = events(caller.get(f"{RESPONSES}/{name}?stream=true&starting_after={after}"))
        assert [e["type"] for e in anew] == [e["type"] for e in told]
        assert [e["sequence_number"] for e in anew] == [
            e["sequence_number"] + after + 1 for e in told
        ]


def test_a_background_response_is_answered_at_once_and_followed(caller: Caller) -> None:
    queued = made(caller, background=True)
    assert queued["status"] in ("queued", "in_progress", "completed")
    assert queued["background"] is True
    response = ended(caller, queued["id"])
    assert response["status"] == "completed"
    told = events(caller.get(f"{RESPONSES}/{queued['id']}?stream=true"))
    assert [e["type"] for e in told[:3]] == [
        "response.created", "response.queued", "response.in_progress",
    ]  # fmt: skip
    assert told[-1]["response"]["output"] == response["output"]


def test_a_background_response_may_be_streamed_at_once(caller: Caller) -> None:
    live = events(caller.post(RESPONSES, asked(background=True, stream=True)))
    assert live[0]["response"]["status"] == "queued"
    assert live[-1]["type"] == "response.completed"
    again = caller.get(f"{RESPONSES}/{live[0]['response']['id']}?stream=true&starting_after=4")
    assert events(again) == live[5:]


def test_a_preference_is_answered_with_the_job(caller: Caller) -> None:
    answer = caller.post(RESPONSES, asked(), Prefer="respond-async")
    assert answer.status_code == 202
    job = answer.get_json()
    assert (job["object"], job["kind"]) == ("job", "response")

    def result() -> Any:
        return caller.get(f"/v1/jobs/{job['id']}").get_json()["result"]

    told = wait_for(result, 20, "the job's result")
    assert told["object"] == "response"
    assert told == caller.get(f"{RESPONSES}/{told['id']}").get_json()


def test_a_running_response_is_cancelled(caller: Caller) -> None:
    queued = made(caller, background=True, metadata=SLOW)
    here = f"{RESPONSES}/{queued['id']}"
    answer = caller.post(f"{here}/cancel", None)
    assert answer.status_code == 200
    assert ended(caller, queued["id"])["status"] == "cancelled"
    assert caller.post(f"{here}/cancel", None).get_json()["status"] == "cancelled"
    last = events(caller.get(f"{here}?stream=true"))[-1]
    assert (last["type"], last["response"]["status"]) == ("response.failed", "cancelled")


def test_a_failed_response_tells_why(caller: Caller) -> None:
    queued = made(caller, background=True, metadata={"sim_status": "422"})
    response = ended(caller, queued["id"])
    assert response["status"] == "failed"
    assert (response["error"]["code"], response["error"]["reason"]) == (
        "invalid_prompt", "provider_refused",
    )  # fmt: skip
    last = events(caller.get(f"{RESPONSES}/{queued['id']}?stream=true"))[-1]
    assert (last["type"], last["response"]["error"]) == ("response.failed", response["error"])


def test_a_stream_that_fails_before_its_first_word_is_a_status(caller: Caller) -> None:
    answer = caller.post(RESPONSES, asked(stream=True, metadata={"sim_status": "422"}))
    assert answer.status_code == 400
    assert answer.get_json()["error"]["code"] == "provider_refused"


def test_a_conversation_goes_on_from_a_response(caller: Caller) -> None:
    first = made(caller, instructions="Be brief.")
    second = made(caller, previous_response_id=first["id"], input=[
        {"role": "user", "content": [{"type": "input_text", "text": "And then?"}]},
    ])  # fmt: skip
    assert second["previous_response_id"] == first["id"]
    assert second["instructions"] is None
    more = second["usage"]["input_tokens"] - first["usage"]["input_tokens"]
    assert more > 0
    items = caller.get(f"{RESPONSES}/{second['id']}/input_items").get_json()
    [item] = items["data"]
    assert item["content"] == [{"type": "input_text", "text": "And then?"}]
    assert items["has_more"] is False


def test_input_items_come_in_pages_either_way(caller: Caller) -> None:
    given = [{"role": "user", "content": f"{number}"} for number in range(5)]
    response = made(caller, input=given)
    here = f"{RESPONSES}/{response['id']}/input_items"

    def texts(found: dict[str, Any]) -> list[str]:
        return [item["content"][0]["text"] for item in found["data"]]

    assert texts(caller.get(here).get_json()) == ["4", "3", "2", "1", "0"]
    page = caller.get(f"{here}?order=asc&limit=2").get_json()
    assert (texts(page), page["has_more"]) == (["0", "1"], True)
    rest = caller.get(f"{here}?order=asc&after={page['last_id']}").get_json()
    assert texts(rest) == ["2", "3", "4"]
    assert problem(caller.get(f"{here}?after=msg_other")) == (400, "after")


def test_one_cannot_go_on_from_what_is_not_there(caller: Caller) -> None:
    def refusal(previous: str) -> tuple[int, str | None]:
        return problem(caller.post(RESPONSES, asked(previous_response_id=previous)))

    assert refusal("resp_none") == (400, "previous_response_id")
    running = made(caller, background=True, metadata=SLOW)["id"]
    assert refusal(running) == (400, "previous_response_id")
    caller.post(f"{RESPONSES}/{running}/cancel", None)
    gone = made(caller)["id"]
    assert caller.open(f"{RESPONSES}/{gone}", "DELETE").status_code == 200
    assert refusal(gone) == (400, "previous_response_id")


def test_deleting_forgets_what_was_asked_and_answered(
    caller: Caller, connection: Connection
) -> None:
    response = made(caller, input="a secret")
    here = f"{RESPONSES}/{response['id']}"
    assert caller.open(here, "DELETE").get_json() == {
        "id": response["id"], "object": "response", "deleted": True,
    }  # fmt: skip
    for path in (here, f"{here}/input_items", f"{here}?stream=true"):
        assert problem(caller.get(path)) == (404, "response_id")
    assert caller.open(here, "DELETE").status_code == 404
    row = connection.execute("SELECT request, forgotten_at FROM job").fetchone()
    assert row is not None
    assert row[0] == ""
    assert row[1] is not None


def test_a_running_response_is_not_deleted(caller: Caller) -> None:
    running = made(caller, background=True, metadata=SLOW)["id"]
    assert caller.open(f"{RESPONSES}/{running}", "DELETE").status_code == 409
    caller.post(f"{RESPONSES}/{running}/cancel", None)


def test_what_is_not_to_be_stored_is_gone_once_it_was_delivered(caller: Caller) -> None:
    response = made(caller, store=False)
    assert response["store"] is False
    here = f"{RESPONSES}/{response['id']}"
    wait_for(lambda: caller.get(here).status_code == 404, 10, "the content being forgotten")


def test_another_door_s_job_is_no_response(caller: Caller) -> None:
    chat = caller.post("/v1/chat/completions", {
        "model": "builtin/sim", "messages": [{"role": "user", "content": "Hello"}],
    })  # fmt: skip
    name = chat.headers["x-job-id"].replace("job_", "resp_")
    assert problem(caller.get(f"{RESPONSES}/{name}")) == (404, "response_id")
    assert problem(caller.get(f"{RESPONSES}/{chat.headers['x-job-id']}")) == (404, "response_id")


def test_the_same_key_gives_the_same_response(caller: Caller) -> None:
    headers = {"Idempotency-Key": "once"}
    first = caller.post(RESPONSES, asked(), **headers)
    again = caller.post(RESPONSES, asked(), **headers)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.get_json() == first.get_json()
    live = events(caller.post(RESPONSES, asked(stream=True), **{"Idempotency-Key": "stream"}))
    same = events(caller.post(RESPONSES, asked(stream=True), **{"Idempotency-Key": "stream"}))
    assert same[-1] == live[-1] | {"sequence_number": same[-1]["sequence_number"]}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools.0.type"),
        ({"temprature": 1}, "temprature"),
        ({"truncation": "auto"}, "truncation"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"input": []}, "input"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input.0.type"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format.type"),
        ({"include": ["everything"]}, "include.0"),
        ({"reasoning": {"summary": "detailed"}}, "reasoning.summary"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice.type"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_cannot_be_done_is_refused_by_name(
    caller: Caller, fields: dict[str, Any], param: str
) -> None:
    assert problem(caller.post(RESPONSES, asked(**fields))) == (400, param)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "function", "name": "f"}]}, "tools"),
        ({"text": {"format": {"type": "json_object"}}}, "text.format"),
        ({"reasoning": {"effort": "high"}}, "reasoning.effort"),
        ({"include": ["message.output_text.logprobs"]}, "include"),
        ({"input": [{"role": "user", "content": [
            {"type": "input_image", "image_url": "https://example.com/a.png"}]}]}, "input"),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_what_no_route_can_do_is_refused_in_the_words_of_this_door(
    caller: Caller, fields: dict[str, Any], param: str
) -> None:
    answer = caller.post(RESPONSES, asked(model="builtin/eliza", metadata={}, **fields))
    assert problem(answer) == (400, param)
    assert param in answer.get_json()["detail"]


@pytest.mark.parametrize(
    ("query", "param"),
    [("stream=yes", "stream"), ("stream=true&starting_after=-1", "starting_after"), ("x=1", "x")],
)
def test_a_wrong_query_is_refused_by_name(caller: Caller, query: str, param: str) -> None:
    name = made(caller)["id"]
    assert problem(caller.get(f"{RESPONSES}/{name}?{query}")) == (400, param)
