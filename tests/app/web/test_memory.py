"""`/v1/memory`, with the workers that store and forget."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.db.connect import Connection
from app.settings import Settings
from app.web import memory as room
from tests.app.events.parts import until
from tests.app.line import assert_proven, funds, tenant
from tests.app.memory.parts import shelf
from tests.app.web.doors import Caller

AT = "/v1/memory"
STORE = f"{AT}/store"
SEED = {
    "session_id": "user-123",
    "memory_type": "episodic",
    "content": "User prefers technical explanations with real-world examples",
    "importance": 0.8,
    "emotional_context": {"valence": 0.7, "associated_emotion": "engaged"},
}
"""As AstraLucent's documentation has it."""


@pytest.fixture
def settings(gevent_sockets: None, home: Path, line_settings: Callable[..., Settings]) -> Settings:
    return line_settings(data_dir=home)


def stored(caller: Caller, **fields: Any) -> dict[str, Any]:
    """A memory, stored while the client waits."""
    answer = caller.post(STORE, {"content": "The moon is far.", **fields}, Prefer="wait=20")
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.get_json()
    return told


def ids(answer: TestResponse) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.get_json()["data"]]


def ended(caller: Caller, job_id: str) -> dict[str, Any]:
    """A job once it has ended."""

    def found() -> dict[str, Any] | None:
        job: dict[str, Any] = caller.get(f"/v1/jobs/{job_id}").get_json()
        return job if job["finished_at"] is not None else None

    return until(found) or {}


def test_the_seeds_request_becomes_a_job_and_then_a_memory(
    working: None, caller: Caller, connection: Connection, mine: str
) -> None:
    before = funds(connection, mine)
    answer = caller.post(STORE, SEED)
    job = answer.get_json()
    assert (answer.status_code, job["object"], job["kind"]) == (202, "job", "memory.store")
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    told = ended(caller, job["id"])
    assert told["status"] == "completed"
    memory = caller.get(f"{AT}/{job['memory_id']}").get_json()
    assert memory == {key: told["result"][key] for key in memory}
    assert {key: memory[key] for key in SEED} == SEED
    assert (memory["id"], memory["object"]) == (job["memory_id"], "memory")
    assert (memory["user"], memory["metadata"], memory["expires_at"]) == (None, {}, None)
    assert (memory["put_away_at"], memory["summary_id"], memory["uses"]) == (None, None, 0)
    assert told["result"]["merged"] is False
    assert funds(connection, mine) == before, "it costs nothing"
    assert_proven(connection)


def test_who_waits_gets_the_memory(working: None, caller: Caller) -> None:
    told = stored(caller, user="u", metadata={"of": "astronomy"}, ttl=60)
    assert told["memory_id"] == told["id"]
    assert (told["user"], told["metadata"], told["merged"]) == ("u", {"of": "astronomy"}, False)
    assert told["expires_at"] - told["created_at"] == 60
    assert told["importance"] == 0.5


def test_what_says_the_same_is_merged_and_the_job_tells_into_which(
    working: None, caller: Caller
) -> None:
    first = stored(caller, user="u", importance=0.4)
    again = stored(caller, user="u", importance=0.9, content=" the MOON is  far. ")
    assert (again["id"], again["merged"]) == (first["id"], True)
    assert again["memory_id"] != again["id"]
    assert again["importance"] == 0.9
    other = stored(caller, user="v")
    assert other["id"] != first["id"], "of another user"
    assert ids(caller.get(f"{AT}?user=u")) == [first["id"]]


def test_a_list_is_stored_by_one_job(working: None, caller: Caller, mine: str) -> None:
    wanted = [{"content": f"Fact number {n}: {'x' * n}", "user": f"u{n % 2}"} for n in range(5)]
    wanted.append(wanted[0])
    job = caller.post(STORE, {"memories": wanted}).get_json()
    assert len(set(job["memory_ids"])) == 6
    told = ended(caller, job["id"])["result"]
    assert [one["merged"] for one in told["data"]] == [False] * 5 + [True]
    assert [one["id"] for one in told["data"]] == [*job["memory_ids"][:5], job["memory_ids"][0]]
    assert sorted(ids(caller.get(AT))) == sorted(job["memory_ids"][:5])
    assert ids(caller.get(f"{AT}?user=u1")) == [job["memory_ids"][3], job["memory_ids"][1]]


def test_a_key_stores_once_and_tells_the_same_ids(
    working: None, caller: Caller, connection: Connection
) -> None:
    first = caller.post(STORE, SEED, **{"Idempotency-Key": "k"}).get_json()
    ended(caller, first["id"])
    again = caller.post(STORE, SEED, **{"Idempotency-Key": "k"})
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.get_json()["id"] == first["id"]
    assert again.get_json()["memory_id"] == first["memory_id"]
    waited = caller.post(STORE, SEED, **{"Idempotency-Key": "k", "Prefer": "wait=5"})
    assert (waited.status_code, waited.get_json()["id"]) == (200, first["memory_id"])
    other = caller.post(STORE, {**SEED, "importance": 0.1}, **{"Idempotency-Key": "k"})
    assert other.status_code == 422
    assert connection.execute("SELECT count(*) FROM memory").fetchone() == (1,)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "content"),
        ({"content": ""}, "content"),
        ({"content": " \n"}, "content"),
        ({"content": "a\0b"}, None),
        ({"content": "x" * 32_001}, "content"),
        ({"content": "x", "memory_type": "dream"}, "memory_type"),
        ({"content": "x", "importance": 1.1}, "importance"),
        ({"content": "x", "importance": "1"}, "importance"),
        ({"content": "x", "emotional_context": {"valence": -2}}, "emotional_context.valence"),
        ({"content": "x", "emotional_context": {"a": "b" * 5000}}, "emotional_context"),
        ({"content": "x", "session_id": ""}, "session_id"),
        ({"content": "x", "user": "u" * 257}, "user"),
        ({"content": "x", "metadata": {"a": 1}}, "metadata.a"),
        ({"content": "x", "ttl": 0}, "ttl"),
        ({"content": "x", "mood": 1}, "mood"),
        ({"memories": []}, "memories"),
        ({"memories": [{"content": "x"}] * 257}, "memories"),
        ({"memories": [{"content": "x"}, {"content": ""}]}, "memories.1.content"),
        ({"memories": [{"content": "x"}], "content": "y"}, "content"),
        ({"memories": [{"content": "x"}], "user": "u"}, "user"),
    ],
)
def test_a_memory_that_cannot_be_is_refused_by_its_field(
    caller: Caller, connection: Connection, body: dict[str, Any], param: str | None
) -> None:
    answer = caller.post(STORE, body)
    assert answer.status_code == 400
    assert answer.get_json()["error"]["param"] == param
    assert connection.execute("SELECT count(*) FROM job").fetchone() == (0,)


def test_the_longest_content_is_kept_whole(working: None, caller: Caller) -> None:
    text = "é" * 32_000
    assert stored(caller, content=text)["content"] == text


def test_a_search_finds_what_fits_and_tells_why(working: None, caller: Caller) -> None:
    kitten, *others = ["Melanie has a kitten.", "The train to Rome is late.", "It rains."]
    wanted = [{"content": text, "user": "u"} for text in (kitten, *others)]
    ended(caller, caller.post(STORE, {"memories": wanted}).get_json()["id"])
    question = f"{AT}/search?query=Which+pet+does+Melanie+have%3F&user=u"
    found = caller.get(f"{question}&limit=2").get_json()
    assert found["object"] == "list"
    assert len(found["data"]) <= 2
    first = found["data"][0]
    assert first["content"] == kitten
    assert first["score"] == pytest.approx(sum(first["parts"].values()), abs=1e-4)
    assert {"meaning", "words", "recency", "importance"} <= set(first["parts"])
    floor = first["score"] - 1e-4
    high = caller.get(f"{question}&min_score={floor}")
    assert ids(high) == [first["id"]]
    assert ids(caller.get(f"{AT}/search?query=Melanie&user=u&type=preference")) == []
    assert ids(caller.get(f"{AT}/search?query=Melanie&user=v")) == []
    assert ids(caller.get(f"{AT}/search?query=Melanie")) == [], "of nobody in particular"


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ("", "query"),
        ("query=", "query"),
        (f"query={'x' * 4001}", "query"),
        ("query=%00", "query"),
        ("query=a&query=b", "query"),
        ("query=a&limit=0", "limit"),
        ("query=a&limit=101", "limit"),
        ("query=a&min_score=nan", "min_score"),
        ("query=a&type=dream", "type"),
        ("query=a&user=", "user"),
        ("query=a&top_k=3", "top_k"),
    ],
)
def test_a_search_that_cannot_be_is_refused_by_its_parameter(
    caller: Caller, parameters: str, param: str
) -> None:
    answer = caller.get(f"{AT}/search?{parameters}")
    assert answer.status_code == 400
    assert answer.get_json()["error"]["param"] == param


def test_memories_are_listed_in_pages_newest_first(
    caller: Caller, connection: Connection, mine: str
) -> None:
    made = shelf(connection, mine, 5, user="u", session_id="s")
    shelf(connection, mine, 1, user="v", memory_type="preference")
    first = caller.get(f"{AT}?user=u&limit=2").get_json()
    assert [one["id"] for one in first["data"]] == made[:2:-1]
    assert (first["has_more"], first["last_id"]) == (True, made[3])
    rest = caller.get(f"{AT}?user=u&after={made[3]}").get_json()
    assert [one["id"] for one in rest["data"]] == made[2::-1]
    assert rest["has_more"] is False
    assert ids(caller.get(f"{AT}?session_id=s")) == made[::-1]
    assert len(ids(caller.get(f"{AT}?type=preference"))) == 1
    assert ids(caller.get(f"{AT}?type=semantic")) == []
    for wrong in ("limit=0", "after=%00", "type=x", "put_away=7", "who=u"):
        assert caller.get(f"{AT}?{wrong}").status_code == 400


def test_an_export_has_all_also_what_was_put_away(
    caller: Caller, connection: Connection, mine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "WINDOW", 2)
    made = shelf(connection, mine, 5, user="u")
    shelf(connection, mine, 1, user="v")
    connection.execute("UPDATE memory SET forgotten_at = now() WHERE id = %s", (made[0],))
    answer = caller.get(f"{AT}/export?user=u")
    assert answer.mimetype == "application/x-ndjson"
    lines = [orjson.loads(line) for line in answer.data.splitlines()]
    assert [line["id"] for line in lines] == made[::-1]
    assert lines[-1]["put_away_at"] is not None
    assert lines[0] == caller.get(f"{AT}/{made[-1]}").get_json()
    assert caller.get(f"{AT}/export?user=nobody").data == b""
    assert len(caller.get(f"{AT}/export").data.splitlines()) == 6


def test_a_deleted_memory_is_gone_at_once_and_for_good(
    caller: Caller, connection: Connection, mine: str
) -> None:
    gone, stays = shelf(connection, mine, 2)
    answer = caller.open(f"{AT}/{gone}", "DELETE")
    assert answer.get_json() == {"id": gone, "object": "memory", "deleted": True}
    assert caller.get(f"{AT}/{gone}").status_code == 404
    assert caller.open(f"{AT}/{gone}", "DELETE").status_code == 404
    assert connection.execute("SELECT id FROM memory").fetchall() == [(stays,)]


def test_what_was_put_away_is_listed_apart_and_can_be_taken_back(
    caller: Caller, connection: Connection, mine: str
) -> None:
    away, there = shelf(connection, mine, 2, user="u")
    connection.execute("UPDATE memory SET forgotten_at = now() WHERE id = %s", (away,))
    assert ids(caller.get(f"{AT}?user=u")) == [there]
    assert ids(caller.get(f"{AT}?user=u&put_away=true")) == [away]
    back = caller.post(f"{AT}/{away}/restore", {})
    assert (back.status_code, back.get_json()["put_away_at"]) == (200, None)
    assert ids(caller.get(f"{AT}?user=u")) == [there, away]
    again = caller.post(f"{AT}/{away}/restore", {})
    assert again.get_json() == back.get_json()


def test_what_is_remembered_again_is_not_taken_back(
    caller: Caller, connection: Connection, mine: str
) -> None:
    [away] = shelf(connection, mine, 1)
    connection.execute("UPDATE memory SET forgotten_at = now() WHERE id = %s", (away,))
    [again] = shelf(connection, mine, 1)
    assert again != away
    assert caller.post(f"{AT}/{away}/restore", {}).status_code == 409
    assert ids(caller.get(AT)) == [again]


def test_what_has_expired_is_not_there(caller: Caller, connection: Connection, mine: str) -> None:
    [gone] = shelf(connection, mine, 1, ttl_s=60)
    assert ids(caller.get(AT)) == [gone]
    connection.execute("UPDATE memory SET expires_at = now() - interval '1 s'")
    assert ids(caller.get(AT)) == []
    assert caller.get(f"{AT}/{gone}").status_code == 404
    assert caller.get(f"{AT}/export").data == b""


def test_forgetting_a_user_leaves_nothing_of_it(
    working: None, caller: Caller, connection: Connection
) -> None:
    job = caller.post(STORE, {"content": "A canary sings.", "user": "u", "session_id": "s"})
    ended(caller, job.get_json()["id"])
    stays = stored(caller, content="Another canary.", user="v", session_id="s")
    told = caller.post(f"{AT}/forget", {"user": "u"}, Prefer="wait=20").get_json()
    assert (told["object"], told["deleted"], told["remaining"]) == ("memory.forgetting", 1, 0)
    assert told["jobs_forgotten"] == 1
    assert ids(caller.get(AT)) == [stays["id"]]
    job = caller.get(f"/v1/jobs/{job.get_json()['id']}").get_json()
    assert job["result"] is None
    for table in ("memory", "memory_word", "job", "result"):
        left = connection.execute(
            b"SELECT count(*) FROM %b AS t WHERE t::text LIKE '%%canary sings%%'" % table.encode()
        ).fetchone()
        assert left == (0,), table


@pytest.mark.parametrize("method", ["POST", "DELETE"])
@pytest.mark.parametrize(
    ("asked", "left"),
    [
        ({"session_id": "s"}, ["u", None]),
        ({"user": "u", "session_id": "s"}, ["u", "v", None]),
        ({"all": True}, []),
    ],
)
def test_forgetting_meets_what_is_given(
    working: None, caller: Caller, connection: Connection, mine: str,
    asked: dict[str, Any], left: list[str | None], method: str,
) -> None:  # fmt: skip
    for user, session_id in (("u", "s"), ("u", "t"), ("v", "s"), (None, None)):
        shelf(connection, mine, 1, user=user, session_id=session_id)
    if method == "POST":
        answer = caller.post(f"{AT}/forget", asked, Prefer="wait=20")
    else:
        said = urlencode({name: str(value).lower() for name, value in asked.items()})
        answer = caller.open(f"{AT}?{said}", method, headers={"Prefer": "wait=20"})
    told = answer.get_json()
    assert told["deleted"] == 4 - len(left)
    users = [one["user"] for one in caller.get(AT).get_json()["data"]]
    assert sorted(users, key=str) == sorted(left, key=str)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "user"),
        ({"all": False}, "all"),
        ({"all": True, "user": "u"}, "user"),
        ({"everything": True}, "everything"),
    ],
)
def test_a_forgetting_that_does_not_say_what_is_refused(
    caller: Caller, connection: Connection, body: dict[str, Any], param: str | None
) -> None:
    answer = caller.post(f"{AT}/forget", body)
    assert answer.status_code == 400
    assert answer.get_json()["error"]["param"] == param
    assert connection.execute("SELECT count(*) FROM job").fetchone() == (0,)


@pytest.mark.parametrize(
    ("asked", "param"),
    [("", "user"), ("?all=false", "user"), ("?all=true&user=u", "user"), ("?users=u", "users"),
     ("?user=", "user"), ("?all=x", "all")],
)  # fmt: skip
def test_a_deletion_that_does_not_say_whose_is_refused(
    caller: Caller, connection: Connection, asked: str, param: str
) -> None:
    answer = caller.open(f"{AT}{asked}", "DELETE")
    assert answer.status_code == 400
    assert answer.get_json()["error"]["param"] == param
    assert connection.execute("SELECT count(*) FROM job").fetchone() == (0,)


def test_another_tenant_reaches_and_moves_nothing(
    working: None, app: Flask, caller: Caller, connection: Connection, mine: str
) -> None:
    [mine_id] = shelf(connection, mine, 1, user="u", session_id="s", content="The moon is far.")
    stranger = Caller(app, connection, tenant(connection))
    for path in (AT, f"{AT}?user=u", f"{AT}?session_id=s", f"{AT}/search?query=moon&user=u",
                 f"{AT}/search?query=moon&session_id=s"):  # fmt: skip
        assert ids(stranger.get(path)) == [], path
    assert ids(caller.get(f"{AT}/search?query=moon&session_id=s")) == [mine_id]
    assert stranger.get(f"{AT}/export").data == b""
    assert stranger.get(f"{AT}/{mine_id}").status_code == 404
    assert stranger.open(f"{AT}/{mine_id}", "DELETE").status_code == 404
    assert stranger.post(f"{AT}/{mine_id}/restore", {}).status_code == 404
    same = stored(stranger, user="u", session_id="s", content="The moon is far.")
    assert (same["merged"], same["id"] == mine_id) == (False, False)
    told = stranger.post(f"{AT}/forget", {"all": True}, Prefer="wait=20").get_json()
    assert told["deleted"] == 1
    assert ids(caller.get(AT)) == [mine_id]
