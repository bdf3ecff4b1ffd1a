"""The door for embeddings, with its workers."""

import base64
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from flask import Flask

from app.db.connect import Connection
from app.settings import Settings
from app.web.schemas.embeddings import INPUTS_MAX, EmbeddingsRequest
from tests.app.events.parts import until
from tests.app.line import assert_proven, funds, transfers
from tests.app.web.doors import Caller, web_process, workers
from tests.workers.providers.server import Peer, Server

PATH = "/v1/embeddings"
MODEL = "all-MiniLM-L6-v2"
LONG = "moon " * 255
OTHER = """
providers: {{other: {{kind: openai, base_url: "{base}"}}}}
models:
  other-embedding:
    does: embedding
    price: {{input: 1}}
    routes: [{{provider: other, model: theirs}}]
"""


@pytest.fixture
def settings(
    gevent_sockets: None, home: Path, line_settings: Callable[..., Settings]
) -> Callable[..., Settings]:
    return lambda **more: line_settings(data_dir=home, **more)


@pytest.fixture
def app(settings: Callable[..., Settings]) -> Iterator[Flask]:
    chosen = settings()
    with web_process(chosen) as made, workers(chosen):
        yield made


def vectors_in(answer: Any) -> list[Any]:
    assert answer.status_code == 200, answer.text
    return [one["embedding"] for one in answer.get_json()["data"]]


@pytest.mark.parametrize("path", [PATH, "/embeddings"])
def test_texts_have_vectors_which_are_charged_by_the_token(
    caller: Caller, connection: Connection, mine: str, path: str
) -> None:
    asked = {"model": MODEL, "input": ["The moon is bright.", "x"], "user": "u"}
    answer = caller.post(path, asked)
    body = answer.get_json()
    assert answer.status_code == 200, answer.text
    assert (body["object"], body["model"]) == ("list", MODEL)
    assert [(one["object"], one["index"]) for one in body["data"]] == [
        ("embedding", 0), ("embedding", 1),
    ]  # fmt: skip
    assert [len(vector) for vector in vectors_in(answer)] == [384, 384]
    usage = body["usage"]
    assert (usage["prompt_tokens"], usage["total_tokens"]) == (10, 10)
    assert usage["total_cost_usd"] == usage["input_cost_usd"] == pytest.approx(1e-7)
    spent = transfers(connection, answer.headers["x-job-id"])["settle"]
    assert spent == 100
    assert funds(connection, mine) == (10**9 - spent, 0)
    assert_proven(connection)


def test_without_a_model_the_default_one_answers(caller: Caller) -> None:
    answer = caller.post(PATH, {"input": "moon", "dimensions": 8})
    assert answer.get_json()["model"] == MODEL
    assert [len(vector) for vector in vectors_in(answer)] == [8]


def test_base64_and_floats_are_the_same_numbers(caller: Caller) -> None:
    [floats] = vectors_in(caller.post(PATH, {"input": "moon", "encoding_format": "float"}))
    [packed] = vectors_in(caller.post(PATH, {"input": "moon", "encoding_format": "base64"}))
    assert list(struct.unpack("<384f", base64.b64decode(packed))) == pytest.approx(floats, rel=1e-7)
    assert vectors_in(caller.post(PATH, {"input": "moon"})) == [floats]


def test_a_background_job_keeps_its_vectors(caller: Caller) -> None:
    asked = {"input": ["moon", "sea"], "background": True, "metadata": {"of": "water"}}
    accepted = caller.post(PATH, asked)
    assert accepted.status_code == 202, accepted.text
    job = accepted.get_json()
    assert (job["kind"], job["metadata"]) == ("embedding", {"of": "water"})
    until(lambda: caller.get(job["urls"]["self"]).get_json()["status"] == "completed")
    result = caller.get(job["urls"]["self"]).get_json()["result"]
    again = caller.post(PATH, {"input": ["moon", "sea"]}).get_json()
    assert result["data"] == again["data"]


def test_the_same_key_gives_the_same_answer(caller: Caller, connection: Connection) -> None:
    first, again = (
        caller.post(PATH, {"input": "moon"}, **{"Idempotency-Key": "k", "X-App-ID": "shop"})
        for _ in range(2)
    )
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["x-job-id"] == first.headers["x-job-id"]
    assert again.get_json() == first.get_json()
    job = caller.get(f"/v1/jobs/{first.headers['x-job-id']}").get_json()
    assert job["app_id"] == "shop"
    assert_proven(connection)


def test_a_test_key_embeds_for_nothing(app: Flask, connection: Connection, mine: str) -> None:
    caller = Caller(app, connection, mine, mode="test")
    assert len(vectors_in(caller.post(PATH, {"input": "moon"}))) == 1
    assert funds(connection, mine) == (10**9, 0)


def test_2048_texts_go_at_once_and_no_more(caller: Caller) -> None:
    for form in ("moon", 1, [1]):
        body = orjson.dumps({"input": [form] * INPUTS_MAX})
        assert len(EmbeddingsRequest.model_validate_json(body).input) == 2048
        answer = caller.post(PATH, {"input": [form] * (INPUTS_MAX + 1)})
        assert (answer.status_code, answer.get_json()["error"]["param"]) == (400, "input")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": None}, "input"),
        ({"input": 7}, "input"),
        ({"input": {"text": "moon"}}, "input"),
        ({"input": ["moon", ""]}, "input.1"),
        ({"input": ["moon", 7]}, "input.1"),
        ({"input": ["moon", None]}, "input.1"),
        ({"input": [1, "moon"]}, "input.1"),
        ({"input": [1, -1]}, "input.1"),
        ({"input": [[1], []]}, "input.1"),
        ({"input": [[1], [2, 1.5]]}, "input.1.1"),
        ({"input": [1, 2]}, "input"),
        ({"input": [[1, 2]]}, "input"),
        ({"input": LONG}, "input"),
        ({"input": ["moon", LONG]}, "input.1"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": 385}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"inputs": "moon"}, "inputs"),
        ({"asked": {}}, "asked"),
        ({"stream": True}, "stream"),
        ({"model": "builtin/eliza"}, "model"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_done_is_refused_by_name(
    caller: Caller, connection: Connection, fields: dict[str, Any], param: str
) -> None:
    answer = caller.post(PATH, {"input": "moon", **fields})
    assert answer.status_code == 400, answer.text
    assert answer.get_json()["error"]["param"] == param
    assert_proven(connection)


def test_a_long_text_is_cut_where_that_is_asked_for(caller: Caller) -> None:
    answer = caller.post(PATH, {"input": LONG, "truncate": True})
    assert answer.status_code == 200, answer.text
    assert answer.get_json()["usage"]["prompt_tokens"] == 256
    assert caller.post(PATH, {"input": LONG, "truncate": False}).status_code == 400


def test_a_chat_with_a_model_of_embeddings_is_refused(caller: Caller) -> None:
    chat = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}
    answer = caller.post("/v1/chat/completions", chat)
    assert (answer.status_code, answer.get_json()["error"]["param"]) == (400, "model")


def test_other_providers_get_openais_fields_alone(
    folder: Path, connection: Connection, mine: str, settings: Callable[..., Settings]
) -> None:
    told = {
        "data": [{"index": 0, "embedding": [0.5]}],
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    }
    answer = orjson.dumps(told)

    def talk(peer: Peer) -> None:
        while True:
            peer.read()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)

    with Server(talk) as server:
        path = folder / "catalogue.yaml"
        path.write_text(OTHER.format(base=server.url.removesuffix("/chat")))
        chosen = settings(catalogue=path)
        with web_process(chosen) as app, workers(chosen):
            caller = Caller(app, connection, mine)
            asked = {"model": "other-embedding", "input": [1, 2, 3], "user": "u"}
            ours = {"truncate": False, "store": False, "metadata": {"a": "b"}}
            made = caller.post(PATH, asked | ours)
            refused = caller.post(PATH, asked | {"truncate": True})
    assert vectors_in(made) == [[0.5]]
    assert transfers(connection, made.headers["x-job-id"])["settle"] == 3000
    [heard] = server.requests
    sent = orjson.loads(heard.partition(b"\r\n\r\n")[2])
    assert sent == {"model": "theirs", "input": [1, 2, 3], "user": "u"}
    assert (refused.status_code, refused.get_json()["error"]["param"]) == (400, "truncate")
