"""`/v1/lunes`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app.db.connect import Connection
from app.settings import Settings
from tests.app.line import tenant
from tests.app.web.doors import Caller
from tests.app.web.lunes import AT, GUIDE, TABLES, WAIT, added, counted_right, made, rows


@pytest.fixture
def settings(gevent_sockets: None, home: Path, line_settings: Callable[..., Settings]) -> Settings:
    return line_settings(data_dir=home)


def test_a_lune_is_made_found_by_id_and_name_and_changed(caller: Caller) -> None:
    body = {"name": "my-docs", "description": "What we know.", "metadata": {"a": "b"},
            "fusion": {"meaning": 0.7, "words": 0.3}}  # fmt: skip
    answer = caller.post(AT, body)
    lune = answer.get_json()
    assert (answer.status_code, lune["object"]) == (201, "lune")
    assert {field: lune[field] for field in body} == body
    assert set(lune["documents"].values()) == {lune["passages"]} == {lune["bytes"]} == {0}
    assert caller.get(f"{AT}/{lune['id']}").get_json() == lune
    assert caller.get(f"{AT}/my-docs").get_json() == lune
    changed = caller.post(f"{AT}/my-docs", {"name": "ours", "fusion": None}).get_json()
    assert (changed["id"], changed["name"], changed["fusion"]) == (lune["id"], "ours", None)
    assert (changed["description"], changed["metadata"]) == (body["description"], {"a": "b"})
    assert caller.get(f"{AT}/my-docs").status_code == 404


def test_a_name_is_one_lunes_of_a_tenant(
    app: Flask, caller: Caller, connection: Connection
) -> None:
    first = made(caller, "docs")
    other = made(caller, "other")
    for answer in (caller.post(AT, {"name": "docs"}),
                   caller.post(f"{AT}/{other}", {"name": "docs"})):  # fmt: skip
        assert (answer.status_code, answer.get_json()["error"]["param"]) == (409, "name")
    made(Caller(app, connection, tenant(connection, 10**9)), "docs")
    assert caller.open(f"{AT}/{first}", "DELETE").get_json()["deleted"] is True
    assert made(caller, "docs") != first


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": "My Docs"}, "name"),
        ({"name": "search"}, "name"),
        ({"name": "lune_x"}, "name"),
        ({"name": "x", "fusion": {"meaning": 0, "words": 0}}, "fusion"),
        ({"name": "x", "fusion": {"meaning": 1}}, "fusion.words"),
        ({"name": "x", "metadata": {"a": 1}}, "metadata.a"),
        ({"name": "x", "colour": 1}, "colour"),
    ],
)
def test_what_is_wrong_is_named(caller: Caller, body: dict[str, Any], param: str) -> None:
    answer = caller.post(AT, body)
    assert (answer.status_code, answer.get_json()["error"]["param"]) == (400, param)


def test_lunes_come_in_pages_newest_first(caller: Caller) -> None:
    ids = [made(caller, name) for name in ("a", "b", "c")]
    first = caller.get(f"{AT}?limit=2").get_json()
    assert ([one["id"] for one in first["data"]], first["has_more"]) == (ids[:0:-1], True)
    rest = caller.get(f"{AT}?limit=2&after={first['last_id']}").get_json()
    assert [one["id"] for one in rest["data"]] == ids[:1]


def test_others_see_and_change_nothing(app: Flask, caller: Caller, connection: Connection) -> None:
    lune = made(caller)
    other = Caller(app, connection, tenant(connection, 10**9))
    for name in (lune, "docs"):
        assert other.get(f"{AT}/{name}").status_code == 404
        assert other.post(f"{AT}/{name}", {"description": "theirs"}).status_code == 404
        assert other.open(f"{AT}/{name}", "DELETE").status_code == 404
    assert other.get(AT).get_json()["data"] == []
    assert caller.get(f"{AT}/{lune}").get_json()["description"] is None


@pytest.mark.parametrize("by_job", [False, True])
def test_a_deleted_lune_leaves_nothing_behind(
    working: None, caller: Caller, connection: Connection, monkeypatch: pytest.MonkeyPatch,
    by_job: bool,
) -> None:  # fmt: skip
    kept, lune = made(caller, "kept"), made(caller, "docs")
    added(caller, kept, text="The sun is far.")
    added(caller, lune, text=GUIDE, media_type="text/markdown")
    added(caller, lune, text="The xylophone is far.", title="Moon")
    if by_job:
        monkeypatch.setattr("app.web.lunes.AT_ONCE", 3)
        monkeypatch.setattr("app.lunes.erasing.store.STEP", 2)
        monkeypatch.setattr("app.lunes.erasing.steps.DOCUMENTS", 1)
    answer = caller.open(f"{AT}/{lune}", "DELETE", headers=WAIT)
    assert (answer.status_code, answer.get_json()["deleted"]) == (200, True)
    assert answer.get_json().get("passages_deleted") == (4 if by_job else None)
    assert caller.get(f"{AT}/{lune}").status_code == 404
    assert caller.post(f"{AT}/{lune}/documents", {"text": "x"}).status_code == 404
    for table in ("lune", "lune_document", "lune_version", "lune_passage"):
        assert rows(connection, table) == 1, table
    assert counted_right(connection)
    assert caller.open(f"{AT}/{kept}", "DELETE").status_code == 200
    assert [rows(connection, table) for table in ("lune", "lune_document", *TABLES)] == [0] * 7
