"""The door for text completions, with its workers."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from flask import Flask

from app.db.connect import Connection
from app.dialects.completions import chat_request
from app.events.log import Event, EventId
from app.settings import Settings
from app.web.completions import TextChunks
from tests.app.events.parts import until
from tests.app.line import assert_proven, draft, funds, transfers
from tests.app.web.doors import Caller, web_process, workers

PATH = "/v1/completions"


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    with web_process(settings) as made, workers(settings):
        yield made


def sim(prompt: Any, tokens: int = 3, **fields: Any) -> dict[str, Any]:
    metadata = {"sim_tokens": str(tokens)}
    return {"model": "builtin/sim", "prompt": prompt, "metadata": metadata, **fields}


def frames_of(stream: bytes) -> list[dict[str, Any]]:
    *frames, done = [f.removeprefix(b"data: ") for f in stream.split(b"\n\n") if f]
    assert done == b"[DONE]"
    return [orjson.loads(frame) for frame in frames]


@pytest.mark.parametrize("path", [PATH, "/completions"])
def test_a_prompt_is_completed_and_charged(
    caller: Caller, connection: Connection, mine: str, path: str
) -> None:
    answer = caller.post(path, sim("Hello"))
    body = answer.get_json()
    assert answer.status_code == 200, answer.text
    assert body["id"] == "cmpl-" + answer.headers["x-job-id"].removeprefix("job_")
    assert (body["object"], body["model"]) == ("text_completion", "builtin/sim")
    [choice] = body["choices"]
    assert (choice["index"], choice["finish_reason"]) == (0, "stop")
    assert len(choice["text"].split()) == body["usage"]["completion_tokens"] == 3
    spent = transfers(connection, answer.headers["x-job-id"])["settle"]
    assert spent == round(body["usage"]["total_cost_usd"] * 10**9) > 0
    assert funds(connection, mine) == (10**9 - spent, 0)
    assert_proven(connection)


def test_sixteen_tokens_are_the_most_unless_more_are_asked_for(caller: Caller) -> None:
    [choice] = caller.post(PATH, sim("Hello", tokens=40)).get_json()["choices"]
    assert (len(choice["text"].split()), choice["finish_reason"]) == (16, "length")
    [choice] = caller.post(PATH, sim("Hello", tokens=40, max_tokens=50)).get_json()["choices"]
    assert (len(choice["text"].split()), choice["finish_reason"]) == (40, "stop")


def test_each_prompt_is_answered_as_it_is_alone(caller: Caller, connection: Connection) -> None:
    alone = [caller.post(PATH, sim(prompt)).get_json() for prompt in ("one", "two")]
    together = caller.post(PATH, sim(["one", "two"], n=2)).get_json()
    texts = [body["choices"][0]["text"] for body in alone]
    assert texts[0] != texts[1]
    assert [choice["text"] for choice in together["choices"]] == [
        texts[0], texts[0], texts[1], texts[1]
    ]  # fmt: skip
    assert [choice["index"] for choice in together["choices"]] == [0, 1, 2, 3]
    prompt_tokens = sum(body["usage"]["prompt_tokens"] for body in alone)
    assert together["usage"]["prompt_tokens"] == prompt_tokens
    assert together["usage"]["completion_tokens"] == 12
    assert_proven(connection)


@pytest.mark.parametrize("prompt", ["Hello", ["one", "two"]])
def test_a_stream_says_what_the_whole_answer_says(caller: Caller, prompt: Any) -> None:
    asked = sim(prompt, n=2, echo=True)
    whole = caller.post(PATH, asked).get_json()
    stream = caller.post(PATH, {**asked, "stream": True, "stream_options": {"include_usage": True}})
    assert stream.mimetype == "text/event-stream"
    *chunks, last = frames_of(stream.data)
    assert {chunk["object"] for chunk in chunks} == {"text_completion"}
    assert {chunk["id"][:5] for chunk in chunks} == {"cmpl-"}
    assert all(chunk["choices"] and chunk["usage"] is None for chunk in chunks)
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]
    texts: dict[int, str] = {}
    reasons: dict[int, str] = {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            texts[choice["index"]] = texts.get(choice["index"], "") + choice["text"]
            reasons[choice["index"]] = choice["finish_reason"]
    assert texts == {choice["index"]: choice["text"] for choice in whole["choices"]}
    assert set(reasons.values()) == {"stop"}
    first = prompt if isinstance(prompt, str) else prompt[0]
    assert texts[0].startswith(first)


def test_a_background_job_shows_a_text_completion(caller: Caller) -> None:
    accepted = caller.post(PATH, sim("Hello", background=True, echo=True))
    assert accepted.status_code == 202
    job = accepted.get_json()
    assert job["kind"] == "text_completion"
    until(lambda: caller.get(job["urls"]["self"]).get_json()["status"] == "completed")
    result = caller.get(job["urls"]["self"]).get_json()["result"]
    assert result["object"] == "text_completion"
    assert result["choices"][0]["text"].startswith("Hello")
    assert result["id"] == "cmpl-" + job["id"].removeprefix("job_")


def test_the_same_key_gives_the_same_completion(caller: Caller) -> None:
    asked = sim("Hello", echo=True)
    first = caller.post(PATH, asked, **{"Idempotency-Key": "k"})
    again = caller.post("/completions", asked, **{"Idempotency-Key": "k"})
    assert first.status_code == 200
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.get_json() == first.get_json()
    stream = caller.post(PATH, {**asked, "stream": True}, **{"Idempotency-Key": "s"})
    attached = caller.post(PATH, {**asked, "stream": True}, **{"Idempotency-Key": "s"})
    told = ["".join(c["text"] for f in frames_of(s.data) for c in f["choices"])
            for s in (stream, attached)]  # fmt: skip
    assert told[0] == told[1] == first.get_json()["choices"][0]["text"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": [[1, 2]]}, "prompt"),
        ({"prompt": ["a", 1]}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": ["a"] * 17}, "prompt"),
        ({"suffix": "end"}, "suffix"),
        ({"best_of": 2}, "best_of"),
        ({"best_of": 3, "n": 2}, "best_of"),
        ({"echo": True, "logprobs": 1}, "echo"),
        ({"logprobs": 6}, "logprobs"),
        ({"logprobs": True}, "logprobs"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": 5}, "stop"),
        ({"n": 17}, "n"),
        ({"messages": []}, "messages"),
        ({"asked": {}}, "asked"),
        ({"prompts": ["a"]}, "prompts"),
        ({"memory": True}, "memory"),
        ({"emotion_style": "warm"}, "emotion_style"),
        ({"personality_traits": {"humor": 0.5}}, "personality_traits"),
        ({"lunes": ["docs"]}, "lunes"),
        ({"include_references": True}, "include_references"),
        ({"extra_body": {"include_web_chat": True}}, "include_web_chat"),
        ({"stream": True, "background": True}, "stream"),
        ({"model": "builtin/eliza", "logprobs": 1}, "logprobs"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_refused_by_name(
    caller: Caller, fields: dict[str, Any], param: str
) -> None:
    answer = caller.post(PATH, sim("Hello") | fields)
    assert answer.status_code == 400, answer.text
    assert answer.get_json()["error"]["param"] == param


def test_values_that_ask_for_nothing_are_taken(caller: Caller) -> None:
    asked = sim("", suffix="", best_of=1, echo=False, logprobs=None, stop="\n", n=1)
    assert caller.post(PATH, asked).status_code == 200
    asked = sim("Hello", lunes=[], include_references=False, include_web_chat=None)
    assert caller.post(PATH, asked).status_code == 200
    asked = sim("Hello", suffix=None, best_of=None, stop=[], logit_bias={}, stream_options=None)
    assert caller.post(PATH, asked).status_code == 200


def told(name: str, text: str = "") -> Event:
    data: dict[str, Any] = {"created": 1, "error": None}
    if name == "delta":
        data = {"index": 0, "delta": {"content": text}}
    if name == "snapshot":
        data = {"choices": [{"index": 0, "message": {"content": text}, "finish_reason": None}]}
    return Event(EventId(1, 1), name, orjson.dumps(data))


def shown(*events: Event) -> str:
    """What a client of a stream has read after these events."""
    request = orjson.dumps(chat_request({"prompt": ["Hello "], "echo": True})).decode()
    form = TextChunks(draft("ten_x", request=request), False)
    frames = b"".join(form.frame(event) for event in events if not form.begins(event))
    return "".join(f["choices"][0]["text"] for f in frames_of(frames))


@pytest.mark.parametrize(
    "events",
    [
        [told("started"), told("delta", "moo"), told("delta", "n")],
        [told("started"), told("restarted"), told("delta", "moon")],
        [told("snapshot", "moo"), told("delta", "n")],
        [told("started"), told("snapshot", "moon")],
    ],
    ids=["all of it", "begun anew", "joined late", "over"],
)
def test_a_prompt_is_echoed_once_however_the_client_joined(events: list[Event]) -> None:
    assert shown(*events, told("completed")) == "Hello moon"


def test_fallbacks_that_lack_a_key_are_passed_over(caller: Caller, connection: Connection) -> None:
    known = ["claude-3-haiku", "openai/gpt-4o"]
    failing = sim("Hello", fallbacks=[*known, "builtin/eliza"])
    failing["metadata"]["sim_status"] = "500"
    assert caller.post(PATH, failing).status_code == 200
    asked = sim("Hello", extra_body={"fallbacks": known})
    job_id = caller.post(PATH, asked).headers["x-job-id"]
    # What was not held for must not answer, even if its key is set before the job is run.
    row = connection.execute("SELECT request FROM job WHERE id = %s", (job_id,)).fetchone()
    assert row is not None
    assert not any(name in row[0] for name in known)
    for other in ("claude-9", "openai/gpt-nothing", "opnai/gpt-4o", "anthropic/gpt-4o"):
        refused = caller.post(PATH, sim("Hello", fallbacks=[*known, other]))
        assert (refused.status_code, refused.get_json()["error"]["param"]) == (404, "fallbacks")
        assert other in refused.get_json()["error"]["message"]
