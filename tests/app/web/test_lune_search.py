"""Searches in lunes, and chats that cite them, with the workers that answer."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from flask import Flask

from app.db.connect import Connection, connect
from app.lunes.finding import service
from tests.app.line import tenant
from tests.app.lunes.finding.parts import Bags, document, lune
from tests.app.web.doors import Caller

AT = "/v1/lunes/search"
CHAT = "/v1/chat/completions"
URL = "https://docs.example/tides"
QUESTION = "When does the tide turn?"


@pytest.fixture(autouse=True)
def bags(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors without the model."""
    monkeypatch.setattr(service, "embedder", lambda settings: Bags())


@pytest.fixture
def plain(books: str) -> Iterator[Connection]:
    with connect(books, "test") as connection:
        yield connection


@pytest.fixture
def docs(plain: Connection, mine: str) -> str:
    """The id of a lune with two documents."""
    seq, lune_id = lune(plain, mine)
    document(plain, seq, ["The tide turns at noon."], url=URL, title="Tides", heading="Tides")
    document(plain, seq, ["The harbour sleeps."], metadata={"kind": "poem"})
    return lune_id


def chat(caller: Caller, **fields: Any) -> Any:
    messages = [{"role": "user", "content": QUESTION}]
    return caller.post(CHAT, {"model": "builtin/sim", "messages": messages, **fields})


def test_a_search_tells_passages_their_documents_and_scores(caller: Caller, docs: str) -> None:
    answer = caller.post(f"/v1/lunes/{docs}/search", {"query": QUESTION})
    assert answer.status_code == 200, answer.text
    [first, second] = answer.get_json()["data"]
    assert first == {
        "object": "lune.passage",
        "lune_id": docs,
        "document_id": first["document_id"],
        "ordinal": 0,
        "title": "Tides",
        "heading": "Tides",
        "text": "The tide turns at noon.",
        "url": URL,
        "page": None,
        "start": 0,
        "end": 23,
        "metadata": {},
        "score": 1.0,
        "parts": {"meaning": 0.5, "words": 0.5},
    }
    assert second["score"] < 1
    narrowed = {"query": QUESTION, "lunes": ["docs"], "metadata": {"kind": "poem"}, "limit": 1}
    [only] = caller.post(AT, narrowed).get_json()["data"]
    assert only["document_id"] == second["document_id"]
    weighed = {"query": QUESTION, "lunes": [docs], "fusion": {"meaning": 0, "words": 1}}
    assert caller.post(AT, weighed).get_json()["data"][0]["parts"] == {"meaning": 0, "words": 1}


def test_searches_count_among_the_requests_of_the_minute(
    app: Flask, connection: Connection, mine: str, docs: str
) -> None:
    few = Caller(app, connection, mine, limits=(2, None, None))
    asked = {"query": QUESTION, "lunes": [docs]}
    first, second = few.post(f"/v1/lunes/{docs}/search", {"query": QUESTION}), few.post(AT, asked)
    left = [answer.headers["X-RateLimit-Remaining"] for answer in (first, second)]
    assert (first.status_code, second.status_code, left) == (200, 200, ["1", "0"])
    refused = few.post(AT, asked)
    assert refused.status_code == 429
    assert refused.get_json()["error"]["limit"] == "requests_per_minute"
    assert int(refused.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "query"),
        ({"query": "a", "limit": 101}, "limit"),
        ({"query": "a", "fusion": {"meaning": 0, "words": 0}}, "fusion"),
        ({"query": "a", "fusion": {"meaning": 2, "words": 0}}, "fusion.meaning"),
        ({"query": "a", "unheard_of": 1}, "unheard_of"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused_by_its_field(
    caller: Caller, docs: str, body: dict[str, Any], param: str
) -> None:
    answer = caller.post(f"/v1/lunes/{docs}/search", body)
    assert answer.status_code == 400
    assert answer.get_json()["error"]["param"] == param


def test_a_lune_that_is_not_there_or_anothers_is_told_before_a_job_is_made(
    app: Flask, caller: Caller, plain: Connection, connection: Connection, docs: str
) -> None:
    other = Caller(app, connection, tenant(connection, 10**9))
    for name in ("docs", docs):
        for answer in (
            other.post(AT, {"query": QUESTION, "lunes": [name]}),
            chat(other, lunes=[name]),
        ):
            assert answer.status_code == 404
            assert answer.get_json()["error"]["param"] == "lunes"
        assert other.post(f"/v1/lunes/{name}/search", {"query": QUESTION}).status_code == 404
    assert chat(caller, lunes=["docs", "nothing"]).status_code == 404
    assert plain.execute("SELECT count(*) FROM job").fetchone() == (0,)


def test_a_whole_answer_and_a_stream_tell_the_same_references(
    working: None, caller: Caller, docs: str
) -> None:
    asked: dict[str, Any] = {
        "lunes": ["docs"],
        "include_references": True,
        "metadata": {"sim_cites": "true", "sim_tokens": "3"},
    }
    told = chat(caller, **asked).get_json()
    message = told["choices"][0]["message"]
    assert message["content"].endswith(" [1] [2]")
    notes = [note["url_citation"] for note in message["annotations"]]
    assert [note["url"] for note in notes] == told["url_references"]
    assert told["url_references"][0] == URL
    assert told["url_references"][1].startswith(f"/v1/lunes/{docs}/documents/doc_")
    marks = [message["content"][note["start_index"] : note["end_index"]] for note in notes]
    assert marks == ["[1]", "[2]"]
    lines = chat(caller, stream=True, **asked).text.split("\n\n")
    chunks = [orjson.loads(line.removeprefix("data: ")) for line in lines if "{" in line]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["url_references"] == told["url_references"]
    assert chunks[-1]["choices"][0]["delta"]["annotations"] == message["annotations"]
    assert all("url_references" not in chunk for chunk in chunks[:-1])


def test_eliza_quotes_what_she_was_given_and_cites_it(
    working: None, caller: Caller, docs: str
) -> None:
    asked: dict[str, Any] = {"model": "builtin/eliza", "lunes": ["docs"]}
    told = chat(caller, include_references=True, **asked).get_json()
    content = told["choices"][0]["message"]["content"]
    assert content == 'My source says: "The tide turns at noon." [1]'
    assert told["url_references"] == [URL]
    assert "url_references" not in chat(caller, **asked).get_json()


def test_a_stream_of_a_style_alone_is_json_to_its_end(working: None, caller: Caller) -> None:
    lines = chat(caller, stream=True, emotion_style="calm").text.split("\n\n")
    chunks = [orjson.loads(line.removeprefix("data: ")) for line in lines if "{" in line]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_what_passages_may_take_is_held_of_the_wallet(
    caller: Caller, connection: Connection, docs: str
) -> None:
    def held(**fields: Any) -> int:
        job = chat(caller, background=True, model="lunaby-pro", **fields).get_json()
        row = connection.execute("SELECT hold FROM job WHERE id = %s", (job["id"],)).fetchone()
        assert row is not None
        return int(row[0])

    assert held(lunes=["docs"], lune_tokens=100) < held(lunes=["docs"], lune_tokens=1000)
