"""The door of files, over a real directory."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.db.connect import Connection
from app.errors import Unavailable
from app.files.storage.base import PIECE_BYTES
from app.settings import Settings
from app.web import files as room
from tests.app.files.parts import rows
from tests.app.line import tenant
from tests.app.web.doors import Caller, web_process

AT = "/v1/files"
LIMIT = 3_000_000


@pytest.fixture
def settings(gevent_sockets: None, line_settings: Callable[..., Settings]) -> Settings:
    return line_settings(file_limit=LIMIT, file_quota=2 * LIMIT, body_limit=10_000)


def upload(
    caller: Caller, content: bytes = b'{"a": 1}\n', name: str = "in.jsonl", key: str = "",
    **fields: Any,
) -> TestResponse:  # fmt: skip
    form = {
        "purpose": "batch",
        **{field.replace("_after_", "_after[") + "]" * ("_after_" in field): value
           for field, value in fields.items()},
        "file": (BytesIO(content), name, "application/jsonl"),
    }  # fmt: skip
    headers = {"Idempotency-Key": key} if key else {}
    return caller.open(AT, "POST", data=form, headers=headers)


def uploaded(caller: Caller, *args: Any, **fields: Any) -> dict[str, Any]:
    answer = upload(caller, *args, **fields)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.get_json()
    return told


def lying(settings: Settings) -> list[Path]:
    return [path for path in (settings.home / "files").rglob("*") if path.is_file()]


def refused(answer: TestResponse) -> tuple[int, str | None, str | None]:
    error = answer.get_json()["error"]
    assert set(error) >= {"message", "type", "param", "code"}
    return answer.status_code, error["code"], error["param"]


def test_a_file_is_uploaded_shown_read_and_deleted(caller: Caller, settings: Settings) -> None:
    content = b"moon\n" * 100_000
    made = uploaded(caller, content, "Lune d’été.jsonl")
    assert made.pop("created_at") > 0
    assert made.pop("expires_at") > 0
    file_id = made["id"]
    assert made == {
        "id": file_id, "object": "file", "bytes": len(content), "filename": "Lune d’été.jsonl",
        "purpose": "batch", "status": "processed", "status_details": None,
    }  # fmt: skip
    assert file_id.startswith("file_")
    shown = caller.get(f"{AT}/{file_id}").get_json()
    assert {name: shown[name] for name in made} == made
    read = caller.get(f"{AT}/{file_id}/content")
    assert (read.status_code, read.data, read.content_length) == (200, content, len(content))
    assert read.headers["Content-Type"] == "application/octet-stream"
    assert "UTF-8''Lune%20d%E2%80%99%C3%A9t%C3%A9.jsonl" in read.headers["Content-Disposition"]
    gone = caller.open(f"{AT}/{file_id}", "DELETE")
    assert gone.get_json() == {"id": file_id, "object": "file", "deleted": True}
    for path in (f"{AT}/{file_id}", f"{AT}/{file_id}/content"):
        assert caller.get(path).status_code == 404
    assert caller.open(f"{AT}/{file_id}", "DELETE").status_code == 404
    assert lying(settings) == []


def test_ranges_of_a_file_are_read(caller: Caller) -> None:
    content = bytes(range(256)) * 3_000
    path = f"{AT}/{uploaded(caller, content)['id']}/content"
    size = len(content)

    def read(asked: str, **headers: str) -> tuple[int, bytes, str | None]:
        answer = caller.get(path, headers={"Range": asked, **headers})
        assert answer.content_length == len(answer.data)
        return answer.status_code, answer.data, answer.headers.get("Content-Range")

    for asked, start, stop in (
        ("bytes=0-0", 0, 1),
        ("bytes=300000-599999", 300_000, 600_000),
        ("bytes=767990-", 767_990, size),
        ("bytes=767990-999999", 767_990, size),
        ("bytes=-10", size - 10, size),
        ("bytes=-9999999", 0, size),
    ):
        told = f"bytes {start}-{stop - 1}/{size}"
        assert read(asked) == (206, content[start:stop], told), asked
    for asked in ("bytes=2-1", "bytes=-", "bytes=0-1,3-4", "lines=1-2"):
        assert read(asked) == (200, content, None), asked
    tag = caller.get(path).headers["ETag"]
    assert read("bytes=0-1", **{"If-Range": tag})[0] == 206
    assert read("bytes=0-1", **{"If-Range": '"other"'})[0] == 200
    beyond = caller.get(path, headers={"Range": f"bytes={size}-"})
    assert refused(beyond) == (416, "range_not_satisfiable", "Range")


def test_an_empty_file_is_a_file(caller: Caller) -> None:
    made = uploaded(caller, b"")
    assert made["bytes"] == 0
    assert caller.get(f"{AT}/{made['id']}/content").data == b""


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"purpose": "batches"}, "purpose"),
        ({"purpose": "batch_output"}, "purpose"),
        ({"expires_after_anchor": "now", "expires_after_seconds": "3600"}, "expires_after[anchor]"),
        ({"expires_after_anchor": "created_at", "expires_after_seconds": "3599"},
         "expires_after[seconds]"),
        ({"expires_after_anchor": "created_at", "expires_after_seconds": "2592001"},
         "expires_after[seconds]"),
        ({"colour": "red"}, "colour"),
        ({"name": "\x01"}, "file"),
        ({"name": "a" * 256}, "file"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_and_nothing_is_kept(
    caller: Caller, settings: Settings, connection: Connection, fields: Any, param: str | None
) -> None:
    assert refused(upload(caller, **fields)) == (
        400, "unknown_parameter" if param == "colour" else None, param,
    )  # fmt: skip
    assert (rows(connection), lying(settings)) == ({}, [])


@pytest.mark.parametrize(
    ("fields", "missing"),
    [
        ({"expires_after_anchor": "created_at"}, "expires_after[seconds]"),
        ({"expires_after_seconds": "3600"}, "expires_after[anchor]"),
    ],
)
def test_of_half_an_expiry_the_other_half_is_named(
    caller: Caller, fields: Any, missing: str
) -> None:
    assert refused(upload(caller, **fields)) == (400, "missing_required_parameter", missing)


def test_fields_may_come_after_the_file_or_be_missing(
    caller: Caller, settings: Settings, connection: Connection
) -> None:
    file = (BytesIO(b"moon"), "C:\\dir\\../a.txt", "text/plain")
    late = {"file": file, "purpose": "user_data"}
    answer = caller.open(AT, "POST", data=late)
    assert answer.status_code == 200, answer.text
    told = answer.get_json()
    assert (told["filename"], told["purpose"], told["expires_at"]) == ("a.txt", "user_data", None)
    for form in ({"purpose": "batch"}, {"file": (BytesIO(b"moon"), "a.txt")}):
        missing = caller.open(AT, "POST", data=form, content_type="multipart/form-data")
        assert refused(missing)[0] == 400
    wrong = {"file": (BytesIO(b"moon"), "a.txt"), "purpose": "wrong"}
    assert refused(caller.open(AT, "POST", data=wrong)) == (400, None, "purpose")
    assert len(rows(connection)) == len(lying(settings)) == 1


def test_a_file_expires_when_its_form_says(caller: Caller) -> None:
    hours = {"expires_after_anchor": "created_at", "expires_after_seconds": "7200"}
    made = uploaded(caller, purpose="vision", **hours)
    assert made["expires_at"] - made["created_at"] in (7199, 7200, 7201)


def test_the_same_key_and_file_is_one_file(
    caller: Caller, settings: Settings, connection: Connection
) -> None:
    first = upload(caller, key="k")
    again = upload(caller, key="k")
    assert (again.status_code, again.get_json()) == (200, first.get_json())
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    for other in ({"content": b"other"}, {"name": "b.jsonl"}, {"purpose": "user_data"}):
        changed: dict[str, Any] = other
        assert refused(upload(caller, key="k", **changed))[:2] == (422, "idempotency_key_reused")
    assert list(rows(connection)) == [first.get_json()["id"]]
    assert len(lying(settings)) == 1
    assert uploaded(caller, key="l")["id"] != first.get_json()["id"]


def test_the_limit_and_the_quota_are_told(
    caller: Caller, settings: Settings, connection: Connection
) -> None:
    assert refused(upload(caller, bytes(LIMIT + 1))) == (413, "request_too_large", "file")
    for _ in range(2):
        uploaded(caller, bytes(LIMIT))
    assert refused(upload(caller, b"x")) == (413, "file_quota_exceeded", "file")
    assert len(rows(connection)) == len(lying(settings)) == 2


class Body:
    """What a client sends, looked at while it does; then the line is cut."""

    def __init__(self, content: bytes, look: Callable[[], None]) -> None:
        head = (
            b'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        )
        self.size = len(head) + len(content)
        self._left, self._look = BytesIO(head + content), look

    def read(self, size: int) -> bytes:
        piece = self._left.read(size)
        if not piece:
            self._look()
        return piece


def test_a_file_goes_to_its_storage_while_it_comes_and_a_cut_one_leaves_nothing(
    connection: Connection, caller: Caller, settings: Settings
) -> None:
    seen = []

    def look() -> None:
        [part] = lying(settings)
        seen.append(part.stat().st_size)

    body = Body(bytes(5 * PIECE_BYTES), look)
    told = {"CONTENT_TYPE": "multipart/form-data; boundary=x", "CONTENT_LENGTH": str(body.size + 9)}
    answer = caller.open(AT, "POST", environ_overrides={"wsgi.input": body, **told})
    assert answer.status_code == 400, answer.text
    assert seen[0] >= 4 * PIECE_BYTES
    assert (rows(connection), lying(settings)) == ({}, [])


def test_files_are_listed_newest_first(app: Flask, caller: Caller, connection: Connection) -> None:
    ids = [uploaded(caller, purpose=purpose)["id"] for purpose in ("batch", "vision", "batch")]
    other = Caller(app, connection, tenant(connection))
    assert other.get(AT).get_json()["data"] == []

    def listed(query: str = "") -> tuple[list[str], bool]:
        found = caller.get(f"{AT}{query}").get_json()
        assert found["object"] == "list"
        return [one["id"] for one in found["data"]], found["has_more"]

    assert listed() == (ids[::-1], False)
    assert listed("?order=asc&limit=2") == (ids[:2], True)
    assert listed(f"?order=asc&after={ids[1]}") == (ids[2:], False)
    assert listed(f"?after={ids[2]}&limit=1") == ([ids[1]], True)
    assert listed("?purpose=vision") == ([ids[1]], False)
    for wrong, param in (("limit=0", "limit"), ("limit=10001", "limit"), ("order=up", "order"),
                         ("purpose=none", "purpose"), ("before=x", "before")):  # fmt: skip
        status, _, named = refused(caller.get(f"{AT}?{wrong}"))
        assert (status, named) == (400, param)


def test_trouble_with_the_storage_is_told_before_the_answer_begins(
    caller: Caller, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_id = uploaded(caller)["id"]
    [place] = lying(settings)
    place.unlink()
    assert refused(caller.get(f"{AT}/{file_id}/content"))[0] == 404

    def away(*_: Any) -> bytes:
        raise Unavailable("The storage of files does not answer.", retry_after=30)

    monkeypatch.setattr("app.files.storage.local._opened", away)
    answer = caller.get(f"{AT}/{file_id}/content")
    assert refused(answer) == (503, "unavailable", None)


def test_only_so_many_files_arrive_at_once(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, connection: Connection, mine: str
) -> None:
    monkeypatch.setattr(room, "UPLOADS_MAX", 0)
    with web_process(settings) as app:
        answer = upload(Caller(app, connection, mine))
    assert refused(answer) == (503, "overloaded", None)
    assert answer.headers["Retry-After"] == "5"
