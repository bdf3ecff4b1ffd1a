"""Documents by URL: what may be fetched, and what becomes of what was.

The guard's own table is in tests/app/test_outbound.py, and how redirects, size and time are bounded
in tests/app/lunes/intake/test_fetch.py; here are the door and the job.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app.db.connect import Connection
from app.settings import Settings
from tests.app.web.doors import Caller
from tests.app.web.lunes import AT, WAIT, added, counted_right, made, rows, texts
from tests.page_server import Page, Pages


@pytest.fixture
def pages() -> Iterator[Pages]:
    with Pages() as running:
        yield running


@pytest.fixture
def settings(
    gevent_sockets: None, home: Path, pages: Pages, line_settings: Callable[..., Settings]
) -> Settings:
    return line_settings(data_dir=home, lune_allow=pages.allow, lune_bytes=9_000_000)


@pytest.fixture
def lune(caller: Caller) -> str:
    return made(caller)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/", "ftp://example.com/", "https://user:secret@example.com/",
        "https://example.com:8000/", "https://10.1.2.3/", "https://192.168.0.1/",
        "https://169.254.169.254/", "https://100.64.0.1/", "https://224.0.0.1/",
        "https://2130706433/", "https://0x7f.1/", "https://127.1/", "https://１２７.0.0.1/",
        "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/", "https://[2001:0:7f00:1::]/", "https://[fec0::1]/",
        "https://localhost/",
    ],
)  # fmt: skip
def test_the_door_refuses_what_may_not_be_asked(
    caller: Caller, connection: Connection, lune: str, url: str
) -> None:
    answer = caller.post(f"{AT}/{lune}/documents", {"url": url})
    assert answer.status_code == 400, answer.text
    assert answer.get_json()["error"]["param"] == "url"
    assert rows(connection, "lune_document") == rows(connection, "lune_intake") == 0


def test_a_page_is_fetched_and_cited_by_its_url(
    working: None, caller: Caller, pages: Pages, lune: str
) -> None:
    pages.put("/moon", b"<title>Moon</title><h1>Moon</h1><p>It is far.", "text/html")
    told = added(caller, lune, url=pages.url("/moon#top"))
    found = caller.get(f"{AT}/{lune}/documents/{told['id']}").get_json()
    assert (found["origin"], found["url"]) == ("fetched", pages.url("/moon"))
    assert (found["title"], found["media_type"]) == ("Moon", "text/html")
    assert texts(caller, lune, told["id"]) == ["It is far."]


def test_a_refreshed_page_is_the_new_one_and_one_that_has_not_changed_stays(
    working: None, caller: Caller, connection: Connection, pages: Pages, lune: str
) -> None:
    pages.put("/moon", b"It is far.", "text/plain", ETag='"1"')
    told = added(caller, lune, url=pages.url("/moon"), title="Moon", metadata={"a": "b"})
    at = f"{AT}/{lune}/documents/{told['id']}"
    seqs = connection.execute("SELECT array_agg(seq) FROM lune_passage").fetchone()
    same = caller.post(f"{at}/refresh", {}, **WAIT)
    assert (same.status_code, same.get_json()["status"]) == (200, "completed")
    assert pages.asked[-1][1]["if-none-match"] == '"1"'
    assert connection.execute("SELECT array_agg(seq) FROM lune_passage").fetchone() == seqs
    pages.put("/moon", b"It is near.", "text/plain", ETag='"2"')
    assert caller.post(f"{at}/refresh", {}, **WAIT).status_code == 200
    assert texts(caller, lune, told["id"]) == ["It is near."]
    found = caller.get(at).get_json()
    assert (found["title"], found["metadata"]) == ("Moon", {"a": "b"})
    again = added(caller, lune, url=pages.url("/moon"))
    assert again["id"] == told["id"]
    assert counted_right(connection)


def test_a_page_that_has_not_changed_is_made_anew_for_a_new_title_or_form(
    working: None, caller: Caller, connection: Connection, pages: Pages, lune: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def headings() -> list[str]:
        at = f"{AT}/{lune}/documents/{told['id']}/passages"
        return [one["heading"] for one in caller.get(at).get_json()["data"]]

    pages.put("/moon", b"It is far.", "text/plain", ETag='"1"')
    told = added(caller, lune, url=pages.url("/moon"), title="Moon")
    added(caller, lune, url=pages.url("/moon"), title="Luna")
    assert "if-none-match" not in pages.asked[-1][1]
    assert headings() == ["Luna"]
    added(caller, lune, url=pages.url("/moon"), title="Luna")
    assert pages.asked[-1][1]["if-none-match"] == '"1"'
    monkeypatch.setattr("app.lunes.intake.form.FORM", b"next")
    [before] = connection.execute("SELECT max(seq) FROM lune_passage").fetchall()
    added(caller, lune, url=pages.url("/moon"))
    assert "if-none-match" not in pages.asked[-1][1]
    [after] = connection.execute("SELECT max(seq) FROM lune_passage").fetchall()
    assert after > before


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (Page(b"gone", 404), "fetch_failed"),
        (Page(b"GIF89a", headers={"Content-Type": "image/gif"}), "media_type"),
        (Page(b"x" * 8_000_001, headers={"Content-Type": "text/html"}), "too_large"),
        (Page(b"x" * 9_000_001, headers={"Content-Type": "text/plain"}), "no_room"),
        (Page(b"x", headers={"Content-Type": "application/pdf"}), "unreadable"),
        (Page(b"<nav>only", headers={"Content-Type": "text/html"}), "no_text"),
        (Page(status=302, headers={"Location": "https://10.0.0.1/"}), "fetch_refused"),
    ],
    ids=["404", "a picture", "a huge page", "no room", "no PDF", "no text", "leads inside"],
)
def test_a_page_that_cannot_be_read_fails_and_the_earlier_one_stays(
    working: None, caller: Caller, pages: Pages, lune: str, page: Page, reason: str
) -> None:
    pages.put("/moon", b"It is far.", "text/plain")
    told = added(caller, lune, url=pages.url("/moon"))
    pages.pages["/moon"] = page
    answer = caller.post(f"{AT}/{lune}/documents", {"url": pages.url("/moon")}, **WAIT)
    error: dict[str, Any] = answer.get_json()["error"]
    assert (answer.status_code, error["param"], error["reason"]) == (400, "url", reason)
    found = caller.get(f"{AT}/{lune}/documents/{told['id']}").get_json()
    assert (found["status"], found["error"]["reason"]) == ("failed", reason)
    assert texts(caller, lune, told["id"]) == ["It is far."]


def test_a_name_that_turns_to_this_machine_is_refused_by_the_job(
    working: None, app: Flask, caller: Caller, lune: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: public when the door looks, 127.0.0.1 when the worker does."""
    found = iter([["93.184.216.34"]])
    monkeypatch.setattr("socket.getaddrinfo", lambda host, port, **_: [
        (None, None, None, "", (address, port)) for address in next(found, ["127.0.0.1"])
    ] if host == "moon.example" else pytest.fail(host))  # fmt: skip
    answer = caller.post(f"{AT}/{lune}/documents", {"url": "https://moon.example/"}, **WAIT)
    assert answer.get_json()["error"]["reason"] == "fetch_refused"


def test_a_document_may_move_and_become_another_sort(
    working: None, caller: Caller, pages: Pages, lune: str
) -> None:
    pages.put("/old", b"It is far.", "text/plain", ETag='"1"')
    pages.put("/new", b"It is near.", "text/plain", ETag='"1"')
    told = added(caller, lune, text="It is there.", external_id="moon")
    at = f"{AT}/{lune}/documents/{told['id']}"
    for path, said in (("/old", "It is far."), ("/new", "It is near.")):
        assert added(caller, lune, url=pages.url(path), external_id="moon")["id"] == told["id"]
        found = caller.get(at).get_json()
        assert (found["origin"], found["url"]) == ("fetched", pages.url(path))
        assert texts(caller, lune, told["id"]) == [said]
    assert caller.post(f"{at}/refresh", {}, **WAIT).status_code == 200
