"""`/v1/lunes/{id}/documents`, with the workers that take documents in."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app.db.connect import Connection
from app.lunes.erasing.steps import sweep
from app.settings import Settings
from tests.app.events.parts import until
from tests.app.line import assert_proven, funds, tenant
from tests.app.web.doors import Caller
from tests.app.web.lunes import (
    AT,
    GUIDE,
    TABLES,
    WAIT,
    added,
    counted_right,
    made,
    rows,
    texts,
    uploaded,
)


@pytest.fixture
def settings(gevent_sockets: None, home: Path, line_settings: Callable[..., Settings]) -> Settings:
    return line_settings(data_dir=home)


@pytest.fixture
def lune(caller: Caller) -> str:
    return made(caller)


def document(caller: Caller, lune_id: str, document_id: str) -> dict[str, Any]:
    answer = caller.get(f"{AT}/{lune_id}/documents/{document_id}")
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.get_json()
    return told


def test_a_text_becomes_a_job_and_then_passages(
    working: None, caller: Caller, connection: Connection, mine: str, lune: str
) -> None:
    before = funds(connection, mine)
    body = {"text": GUIDE, "media_type": "text/markdown", "url": "https://moon.example/guide",
            "metadata": {"of": "astronomy"}}  # fmt: skip
    answer = caller.post(f"{AT}/{lune}/documents", body)
    job = answer.get_json()
    assert (answer.status_code, job["object"], job["kind"]) == (202, "job", "lune.ingest")

    def done() -> dict[str, Any] | None:
        found: dict[str, Any] = caller.get(f"/v1/jobs/{job['id']}").get_json()
        return found if found["finished_at"] is not None else None

    told = until(done) or {}
    assert told["status"] == "completed", told["error"]
    assert (told["result"]["id"], told["result"]["passages"]) == (job["document_id"], 3)
    found = document(caller, lune, job["document_id"])
    assert (found["status"], found["error"], found["passages"]) == ("completed", None, 3)
    assert (found["title"], found["media_type"]) == ("Guide", "text/markdown")
    assert (found["url"], found["metadata"]) == (body["url"], {"of": "astronomy"})
    assert found["bytes"] == len(GUIDE)
    passages = caller.get(f"{AT}/{lune}/documents/{found['id']}/passages").get_json()["data"]
    assert [one["heading"] for one in passages] == ["Guide", "Guide > Install", "Guide > Use"]
    assert passages[2]["text"] == "Walk slowly. Plant a flag."
    assert funds(connection, mine) == before, "it costs nothing"
    assert rows(connection, "lune_intake") == 0
    assert counted_right(connection)
    assert_proven(connection)


def test_its_progress_is_told(working: None, caller: Caller, lune: str) -> None:
    told = added(caller, lune, text=GUIDE, title="Guide")
    job_id = document(caller, lune, told["id"])["job_id"]
    events = caller.get(f"/v1/jobs/{job_id}/events").text
    assert f'"bytes":{len(GUIDE)}' in events
    assert f'"embedded":{told["passages"]}' in events


@pytest.mark.parametrize(
    ("name", "media_type", "content", "title", "said"),
    [
        ("a.txt", "application/octet-stream", b"Plain words.", "a.txt", "Plain words."),
        ("b.md", "text/plain", b"# Head\n\nMarked *words*.", "Head", "Marked words."),
        ("c.html", "text/html", b"<title>T</title><nav>no</nav><p>Words.", "T", "Words."),
        ("d.csv", "text/csv", b"a,b\n1,2", "d.csv", "a,b\n1,2"),
    ],
)
def test_files_of_every_form_are_read(
    working: None, caller: Caller, lune: str, name: str, media_type: str, content: bytes,
    title: str, said: str,
) -> None:  # fmt: skip
    answer = uploaded(caller, lune, (io.BytesIO(content), name, media_type), metadata='{"a": "b"}')
    assert answer.status_code == 200, answer.text
    found = document(caller, lune, answer.get_json()["id"])
    assert (found["title"], found["metadata"]) == (title, {"a": "b"})
    assert texts(caller, lune, found["id"]) == [said]


def test_the_same_document_comes_again(
    working: None, caller: Caller, connection: Connection, lune: str
) -> None:
    first = added(caller, lune, text="The moon is far.", title="Moon", metadata={"a": "1"})
    seqs = connection.execute("SELECT array_agg(seq) FROM lune_passage").fetchone()
    again = added(caller, lune, text="The moon is far.", title="Moon", metadata={"a": "2"})
    assert again["id"] == first["id"]
    assert connection.execute("SELECT array_agg(seq) FROM lune_passage").fetchone() == seqs
    assert document(caller, lune, first["id"])["metadata"] == {"a": "2"}
    changed = added(caller, lune, text="The moon is near.", title="Moon")
    assert changed["id"] == first["id"]
    assert texts(caller, lune, first["id"]) == ["The moon is near."]
    assert document(caller, lune, first["id"])["metadata"] == {"a": "2"}
    other = added(caller, lune, text="The moon is near.", title="Moon", external_id="m")
    assert other["id"] != first["id"]
    assert rows(connection, "lune_passage") == rows(connection, "lune_version") == 2
    assert caller.get(f"{AT}/{lune}").get_json()["documents"]["total"] == 2
    assert counted_right(connection)


def test_a_key_takes_in_once_and_tells_the_same_document(
    working: None, caller: Caller, connection: Connection, lune: str
) -> None:
    body, key = {"text": "The moon is far."}, {"Idempotency-Key": "k", **WAIT}
    first = caller.post(f"{AT}/{lune}/documents", body, **key)
    assert first.status_code == 200, first.text
    again = caller.post(f"{AT}/{lune}/documents", body, **key)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.get_json() == first.get_json()
    caller.open(f"{AT}/{lune}/documents/{first.get_json()['id']}", "DELETE")
    late = caller.post(f"{AT}/{lune}/documents", body, **key)
    assert late.get_json()["document_id"] == first.get_json()["id"]
    assert [rows(connection, table) for table in ("lune_document", *TABLES)] == [0] * 6
    other = caller.post(f"{AT}/{lune}/documents", {"text": "The sun."}, **key)
    assert other.status_code == 422
    assert rows(connection, "lune_intake") == rows(connection, "lune_document") == 0


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "text"),
        ({"text": " \n"}, "text"),
        ({"text": "a\0b"}, None),
        ({"text": "x", "media_type": "image/png"}, "media_type"),
        ({"text": "x", "media_type": "application/pdf"}, "media_type"),
        ({"text": "x", "url": "javascript:alert(1)"}, "url"),
        ({"text": "x", "title": "a\nb"}, "title"),
        ({"text": "x", "metadata": {"a": 1}}, "metadata.a"),
        ({"url": "https://example.com", "media_type": "text/html"}, "media_type"),
        ({"text": "x", "colour": 1}, "colour"),
    ],
)
def test_what_is_wrong_is_named(
    caller: Caller, connection: Connection, lune: str, body: dict[str, Any], param: str | None
) -> None:
    answer = caller.post(f"{AT}/{lune}/documents", body)
    assert answer.status_code == 400, answer.text
    assert answer.get_json()["error"]["param"] == param
    assert rows(connection, "lune_document") == 0


@pytest.mark.parametrize(
    ("file", "fields", "param"),
    [
        ((io.BytesIO(b""), "a.txt", "text/plain"), {}, "file"),
        ((io.BytesIO(b"GIF89a"), "a.gif", "image/gif"), {}, "file"),
        ((io.BytesIO(b"words"), "a.pdf", "application/pdf"), {}, "file"),
        ((io.BytesIO(b"<p>" * 3_000_000), "a.html", "text/html"), {}, "file"),
        ((io.BytesIO(b"x"), "a.txt", "text/plain"), {"metadata": "{"}, "metadata"),
        ((io.BytesIO(b"x"), "a.txt", "text/plain"), {"colour": "blue"}, "colour"),
    ],
)
def test_what_is_wrong_with_a_form_is_named(
    caller: Caller, lune: str, file: Any, fields: dict[str, str], param: str
) -> None:
    answer = uploaded(caller, lune, file, **fields)
    assert answer.status_code == 400, answer.text
    assert answer.get_json()["error"]["param"] == param


def test_there_is_no_room_for_more_than_the_operator_gives(
    settings: Settings, working: None, app: Flask, caller: Caller, lune: str
) -> None:
    added(caller, lune, text="x" * 90)
    front = app.extensions["moonpool"]
    object.__setattr__(front, "settings", settings.model_copy(update={"lune_bytes": 100}))
    answer = caller.post(f"{AT}/{lune}/documents", {"text": "y" * 11})
    assert (answer.status_code, answer.get_json()["error"]["param"]) == (400, "text")
    assert "10 bytes" in answer.get_json()["detail"]


def test_what_waits_takes_room_too_and_what_comes_again_only_what_is_more(
    settings: Settings, app: Flask, caller: Caller, connection: Connection, lune: str
) -> None:
    front = app.extensions["moonpool"]
    object.__setattr__(front, "settings", settings.model_copy(update={"lune_bytes": 100}))

    def sent(length: int, name: str) -> int:
        body = {"text": "x" * length, "external_id": name}
        return caller.post(f"{AT}/{lune}/documents", body).status_code

    assert [sent(60, "a"), sent(41, "b"), sent(40, "b")] == [202, 400, 202]
    assert rows(connection, "lune_intake") == 2
    connection.execute("DELETE FROM lune_intake")
    connection.execute("UPDATE lune_document SET bytes = 45")
    connection.execute("UPDATE lune SET bytes = 90")
    assert [sent(56, "a"), sent(55, "a"), sent(46, "b"), sent(45, "b")] == [400, 202, 400, 202]


def test_a_broken_file_fails_alone_and_its_earlier_version_stays(
    working: None, caller: Caller, connection: Connection, lune: str
) -> None:
    first = added(caller, lune, text="The moon is far.", external_id="moon")
    answer = uploaded(
        caller, lune, (io.BytesIO(b"%PDF-1.7 nonsense"), "a.pdf", "application/pdf"),
        external_id="moon",
    )  # fmt: skip
    error = answer.get_json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (
        400, "document_unreadable", "file",
    )  # fmt: skip
    found = document(caller, lune, first["id"])
    assert (found["status"], found["error"]["reason"]) == ("failed", "unreadable")
    assert texts(caller, lune, first["id"]) == ["The moon is far."]
    assert caller.get(f"{AT}/{lune}").get_json()["documents"]["failed"] == 1
    assert rows(connection, "lune_intake") == 0
    failed = caller.get(f"{AT}/{lune}/documents?status=failed").get_json()["data"]
    assert [one["id"] for one in failed] == [first["id"]]
    added(caller, lune, text="The moon is near.", external_id="moon")
    assert document(caller, lune, first["id"])["error"] is None


def test_a_text_that_cannot_be_taken_in_is_told_by_its_own_field(
    working: None, caller: Caller, lune: str
) -> None:
    body = {"text": "<nav>only", "media_type": "text/html"}
    answer = caller.post(f"{AT}/{lune}/documents", body, **WAIT)
    error = answer.get_json()["error"]
    assert (answer.status_code, error["reason"], error["param"]) == (400, "no_text", "text")


def test_a_job_that_is_cancelled_while_it_waits_fails_its_document(
    caller: Caller, connection: Connection, lune: str
) -> None:
    job = caller.post(f"{AT}/{lune}/documents", {"text": "The moon is far."}).get_json()
    assert document(caller, lune, job["document_id"])["status"] == "queued"
    assert caller.post(f"/v1/jobs/{job['id']}/cancel", {}).status_code == 200
    assert document(caller, lune, job["document_id"])["status"] == "failed"
    counted = caller.get(f"{AT}/{lune}").get_json()["documents"]
    assert (counted["failed"], counted["queued"]) == (1, 0)


def test_a_document_that_comes_again_is_queued_by_its_new_job_until_that_begins(
    caller: Caller, connection: Connection, lune: str
) -> None:
    def seen() -> tuple[Any, ...]:
        found = document(caller, lune, first["document_id"])
        counted = caller.get(f"{AT}/{lune}").get_json()["documents"]
        listed = caller.get(f"{AT}/{lune}/documents?status={found['status']}").get_json()["data"]
        assert (counted[found["status"]], counted["total"], len(listed)) == (1, 1, 1)
        return found["status"], found["job_id"], found["error"] and found["error"]["code"]

    def ask() -> Any:
        body = {"text": "The moon is far.", "title": "Moon"}
        return caller.post(f"{AT}/{lune}/documents", body).get_json()

    first = ask()
    connection.execute("UPDATE lune_document SET state = 'completed'")
    connection.execute("DELETE FROM lune_intake")
    assert seen() == ("completed", first["id"], None)
    second = ask()
    assert second["document_id"] == first["document_id"]
    assert seen() == ("queued", second["id"], None)
    assert caller.post(f"/v1/jobs/{second['id']}/cancel", {}).status_code == 200
    assert seen()[:2] == ("failed", second["id"])
    connection.execute("UPDATE lune_intake SET created_at = now() - interval '2 days'")
    sweep(connection)
    assert rows(connection, "lune_intake") == 0
    assert seen()[:2] == ("failed", second["id"])


def test_a_refused_job_leaves_nothing_behind(
    caller: Caller, connection: Connection, lune: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Settings, "backlog", lambda *_: 0)
    answer = caller.post(f"{AT}/{lune}/documents", {"text": "The moon is far."})
    assert answer.status_code == 503, answer.text
    assert rows(connection, "lune_intake") == rows(connection, "lune_document") == 0


def test_a_deleted_document_leaves_nothing_behind(
    working: None, caller: Caller, connection: Connection, lune: str
) -> None:
    kept = added(caller, lune, text="The sun is far.", title="Sun")
    told = added(caller, lune, text="The xylophone is far.", title="Moon")
    at = f"{AT}/{lune}/documents/{told['id']}"
    answer = caller.open(at, "DELETE")
    assert answer.get_json() == {"id": told["id"], "object": "lune.document", "deleted": True}
    assert caller.get(at).status_code == 404
    assert caller.open(at, "DELETE").status_code == 404
    assert texts(caller, lune, kept["id"]) == ["The sun is far."]
    for table in ("lune_document", "lune_version", "lune_passage"):
        assert rows(connection, table) == 1, table
    assert counted_right(connection)
    assert not connection.execute("SELECT 1 FROM lune_lexeme WHERE lexeme LIKE 'xyl%'").fetchall()
    stored = connection.execute(
        "SELECT request FROM job UNION ALL SELECT body FROM result"
    ).fetchall()
    assert not [text for (text,) in stored if "xylophone" in (text or "") or "Moon" in (text or "")]


def test_a_long_document_is_deleted_by_a_job(
    working: None, caller: Caller, connection: Connection, lune: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("app.web.lune_documents.AT_ONCE", 2)
    monkeypatch.setattr("app.lunes.erasing.store.STEP", 2)
    told = added(caller, lune, text=GUIDE, media_type="text/markdown", title="Guide")
    at = f"{AT}/{lune}/documents/{told['id']}"
    answer = caller.open(at, "DELETE", headers=WAIT)
    assert answer.status_code == 200, answer.text
    assert (answer.get_json()["deleted"], answer.get_json()["passages_deleted"]) == (True, 3)
    assert [rows(connection, table) for table in ("lune_document", *TABLES)] == [0] * 6
    assert counted_right(connection)


@pytest.mark.parametrize("whole", [False, True])
def test_a_deletion_that_is_refused_changes_nothing_and_the_next_one_deletes(
    working: None, caller: Caller, connection: Connection, lune: str,
    monkeypatch: pytest.MonkeyPatch, whole: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr("app.web.lune_documents.AT_ONCE", 0)
    monkeypatch.setattr("app.web.lunes.AT_ONCE", 0)
    told = added(caller, lune, text="The moon is far.")
    at = f"{AT}/{lune}" if whole else f"{AT}/{lune}/documents/{told['id']}"
    with monkeypatch.context() as busy:
        busy.setattr(Settings, "backlog", lambda *_: 0)
        assert caller.open(at, "DELETE").status_code == 503
    assert texts(caller, lune, told["id"]) == ["The moon is far."]
    answer = caller.open(at, "DELETE")
    assert (answer.status_code, answer.get_json()["object"]) == (202, "job")
    assert caller.get(at).status_code == 404
    until(lambda: rows(connection, "lune_document") == 0)
    assert counted_right(connection)


def test_others_see_and_change_nothing(
    working: None, app: Flask, caller: Caller, connection: Connection, lune: str
) -> None:
    told = added(caller, lune, text="The moon is far.")
    other = Caller(app, connection, tenant(connection, 10**9))
    theirs = made(other, "docs")
    for at in (f"{AT}/{lune}", f"{AT}/{theirs}"):
        path = f"{at}/documents/{told['id']}"
        assert other.get(path).status_code == 404
        assert other.get(f"{path}/passages").status_code == 404
        assert other.post(f"{path}/refresh", {}).status_code == 404
        assert other.open(path, "DELETE").status_code == 404
    assert other.post(f"{AT}/{lune}/documents", {"text": "x"}).status_code == 404
    assert other.get(f"{AT}/{lune}/documents").status_code == 404
    assert texts(caller, lune, told["id"]) == ["The moon is far."]


def test_documents_and_passages_come_in_pages(working: None, caller: Caller, lune: str) -> None:
    ids = [added(caller, lune, text=f"Moon number {n}.")["id"] for n in range(3)]
    first = caller.get(f"{AT}/{lune}/documents?limit=2").get_json()
    assert ([d["id"] for d in first["data"]], first["has_more"]) == (ids[:0:-1], True)
    rest = caller.get(f"{AT}/{lune}/documents?limit=2&after={first['last_id']}").get_json()
    assert ([d["id"] for d in rest["data"]], rest["has_more"]) == (ids[:1], False)
    told = added(caller, lune, text=GUIDE, media_type="text/markdown")
    at = f"{AT}/{lune}/documents/{told['id']}/passages"
    one = caller.get(f"{at}?limit=1").get_json()
    two = caller.get(f"{at}?after={one['last_id']}").get_json()
    assert [p["ordinal"] for p in one["data"] + two["data"]] == [0, 1, 2]


def test_what_was_sent_is_not_fetched_again(working: None, caller: Caller, lune: str) -> None:
    told = added(caller, lune, text="The moon is far.", url="https://moon.example")
    assert caller.post(f"{AT}/{lune}/documents/{told['id']}/refresh", {}).status_code == 409
