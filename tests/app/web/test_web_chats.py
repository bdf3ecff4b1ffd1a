"""Web chats: the link in an answer, the page behind it, and what the page may and may not."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from app.db.connect import Connection
from app.events.log import Event, EventId
from app.ids import new_id
from app.jobs.store import forget
from app.web.assets import asset_url
from app.web.web_chat_page import page_frame
from app.webchat.model import new_token, token_hash
from app.webchat.store import begin
from tests.app.line import tenant
from tests.app.web.chat_pages import ASKED, CHAT, SAYS, Page, link, only, set_chat
from tests.app.web.doors import Caller


def test_the_answer_tells_the_link_however_it_is_fetched_and_the_token_is_nowhere_at_rest(
    working: None, app: Flask, caller: Caller, connection: Connection
) -> None:
    answer = caller.post(CHAT, ASKED, **{"Idempotency-Key": "one"})
    path, job_id = link(answer), answer.headers["x-job-id"]
    again = caller.post(CHAT, ASKED, **{"Idempotency-Key": "one"})
    assert again.headers["Idempotent-Replayed"] == "true"
    assert link(again) == path
    job = caller.get(f"/v1/jobs/{job_id}").get_json()
    assert job["result"]["web_chat"] == answer.get_json()["web_chat"]
    streamed = caller.post(CHAT, {**ASKED, "stream": True}).text
    [last] = [line for line in streamed.split("\n") if '"finish_reason":"' in line]
    other = json.loads(last.removeprefix("data: "))["web_chat"]["url"]
    assert "web_chat" not in streamed.replace(last, "")
    assert Page(app, other.removeprefix("http://localhost")).get().status_code == 200
    told = caller.get(f"/v1/jobs/{job_id}/events").text
    token = path.rpartition("/")[2]
    rows = connection.execute(
        "SELECT j::text, r::text, w::text FROM job AS j JOIN result AS r USING (id) "
        "LEFT JOIN web_chat AS w ON w.job_id = j.id"
    ).fetchall()
    assert token not in told + str(rows)


def test_the_conversation_goes_on_with_the_fields_of_its_request(
    page: Page, connection: Connection
) -> None:
    begun = page.messages()
    assert [(m["role"], m["text"]) for m in begun[:1]] == [("user", "Moon?")]
    said = page.post("/messages", {"content": "And the tide?"}, **{"X-App-ID": "a-visitor's"})
    assert (said.status_code, said.get_json()["turn"]) == (201, 1)
    answer = page.answered()
    assert (answer["status"], answer["turn"]) == ("completed", 1)
    row = connection.execute(
        "SELECT j.request, j.key_id = w.key_id AND j.tenant_id = w.tenant_id, j.lane, j.app_id "
        "FROM web_chat_turn AS t JOIN web_chat AS w ON w.id = t.web_chat_id "
        "JOIN job AS j ON j.id = t.job_id"
    ).fetchone()
    assert row is not None
    request, is_its_keys, lane, app_id = row
    assert (is_its_keys, lane, app_id) == (True, "interactive", "Unknown")
    assert json.loads(request) == {
        "model": "builtin/sim", "stop": ["never"], "max_tokens": 64,
        "metadata": {"sim_tokens": "4"},
        "messages": [*SAYS, {"role": "assistant", "content": begun[1]["text"]},
                     {"role": "user", "content": "And the tide?"}],
    }  # fmt: skip
    assert [m["text"] for m in page.messages() if m["role"] == "user"] == ["Moon?", "And the tide?"]
    events = page.get("/events?turn=1").text
    assert "".join(json.loads(text)["text"] for text in re.findall(r"delta\ndata: (.*)", events)) \
        == answer["text"]  # fmt: skip
    ids = re.findall(r"id: (\S+)", events)
    rest = page.get("/events?turn=1", **{"Last-Event-ID": ids[1]}).text
    assert re.findall(r"id: (\S+)", rest) == ids[2:]
    assert len(ids) >= 3
    assert "secret" not in page.get("/messages").text + events
    assert "usage" not in events


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {},
    ],
    ids=["cross-site", "same-site", "another origin", "no origin", "nothing told"],
)
def test_a_post_that_is_not_from_the_page_is_refused(
    app: Flask, path: str, headers: dict[str, str]
) -> None:
    client = app.test_client()
    for below, body in (("messages", {"content": "x"}), ("stop", None)):
        answer = client.post(f"{path}/{below}", json=body, headers=headers)
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (403, "cross_site")
    if headers:
        assert client.get(f"{path}/messages", headers=headers).status_code == 403
    assert len(Page(app, path).messages()) == 2


def ends(connection: Connection) -> dict[str, Callable[[], Any]]:
    return {
        "expired": lambda: set_chat(connection, b"expires_at = now()"),
        "revoked": lambda: set_chat(connection, b"revoked_at = now()"),
        "its key revoked": lambda: connection.execute("UPDATE api_key SET revoked_at = now()"),
        "its key expired": lambda: connection.execute("UPDATE api_key SET expires_at = now()"),
        "tenant disabled": lambda: connection.execute("UPDATE tenant SET disabled_at = now()"),
    }


@pytest.mark.parametrize("how", ends(None))  # type: ignore[arg-type]
def test_a_link_that_has_ended_is_as_one_that_never_was(
    app: Flask, page: Page, connection: Connection, how: str
) -> None:
    html = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    assert page.get(**html).status_code == 200
    ends(connection)[how]()
    for never in (Page(app, "/chat/" + "x" * 43), Page(app, "/chat/short")):
        for below in ("", "/messages", "/events?turn=0"):
            for headers in (html, {}):
                gone, wrong = page.get(below, **headers), never.get(below, **headers)
                assert (gone.status_code, gone.data) == (404, wrong.data)
                assert list(gone.headers.keys()) == list(wrong.headers.keys())
    assert page.say("still there?").status_code == 404


def test_a_retried_attempt_leaves_one_live_link(
    app: Flask, page: Page, connection: Connection, mine: str
) -> None:
    token = new_token()
    key_id, job_id = only(connection, b"key_id"), only(connection, b"job_id")
    kept, _ = begin(connection, new_id("wch"), mine, key_id, job_id, token_hash(token), "", 1, 60)
    assert kept == only(connection, b"id")
    assert page.get().status_code == 404
    assert Page(app, f"/chat/{token}").get().status_code == 200


def test_one_of_the_bearer_of_a_jwt_needs_no_key_and_one_of_a_key_does(
    page: Page, connection: Connection
) -> None:
    connection.execute("UPDATE web_chat SET key_id = 'jwt_abc'")
    assert page.say("two").status_code == 201
    page.answered()
    connection.execute("UPDATE web_chat SET key_id = 'key_abc'")
    assert page.get().status_code == 404


def test_what_was_deleted_is_gone_here_too(page: Page, connection: Connection) -> None:
    page.say("Never mind.")
    page.answered()
    [[said]] = connection.execute("SELECT job_id FROM web_chat_turn").fetchall()
    assert forget(connection, [said], None) == [said]
    assert [m["role"] for m in page.messages()] == ["user", "assistant", "deleted"]
    assert page.say("Go on.").status_code == 201
    page.answered()
    first = only(connection, b"job_id")
    assert forget(connection, [first], None) == [first]
    told = page.get("/messages").get_json()
    assert (told["goes_on"], told["messages"][0]) == (False, {"role": "deleted", "turn": 0})
    assert page.say("And now?").status_code == 410


def test_the_page_loads_nothing_from_elsewhere_and_tells_nobody_where_it_is(page: Page) -> None:
    answer = page.get(Accept="text/html")
    policy = dict(
        part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";")
    )
    assert policy.pop("default-src") == policy.pop("form-action") == "'none'"
    assert policy.pop("base-uri") == policy.pop("frame-ancestors") == "'none'"
    assert set(policy.values()) == {"'self'"}
    for text in (answer, page.get("/messages")):
        assert text.headers["Referrer-Policy"] == "no-referrer"
        assert text.headers["Cache-Control"] == "no-store"
        assert text.headers["X-Robots-Tag"] == "noindex, nofollow"
        assert "Access-Control-Allow-Origin" not in text.headers
    assert "<script>" not in answer.text
    assert " style=" not in answer.text
    for address in re.findall(r'(?:src|href)="([^"]+)"', answer.text):
        assert address.startswith("/static/")
        file = page.client.get(address)
        assert file.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        known = page.client.get(address, headers={"If-None-Match": file.headers["ETag"]})
        assert known.status_code == 304
    other = page.client.get("/static/old/moon.svg")
    assert other.headers["Cache-Control"] == "no-cache"
    assert page.client.get(asset_url("moon.svg").replace("moon", "sun")).status_code == 404


def test_an_event_tells_the_page_nothing_of_costs_memories_and_prompts() -> None:
    at = EventId(1, 2)
    told = {"emotion_state": {"valence": 0.5, "primary_emotion": "calm"}, "memory": "private",
            "debug": {"system": "private"}, "routing": "private"}  # fmt: skip
    frames = [
        page_frame(Event(at, "context", json.dumps(told).encode())),
        page_frame(Event(at, "snapshot", json.dumps({"text": "so far", **told}).encode())),
        page_frame(Event(at, "failed", b'{"error":{"code":"x","message":"private"}}')),
        page_frame(Event(at, "usage", b'{"cost_usd":1}')),
    ]
    assert b"private" not in b"".join(frames)
    assert b"usd" not in b"".join(frames)
    assert b'"primary_emotion":"calm"' in frames[0]
    assert b'"text":"so far"' in frames[1]


def test_an_answer_that_is_not_kept_cannot_go_on(caller: Caller) -> None:
    answer = caller.post(CHAT, {**ASKED, "store": False})
    assert (answer.status_code, answer.get_json()["error"]["param"]) == (400, "include_web_chat")


def test_an_answer_that_failed_leaves_no_web_chat_to_list(
    working: None, caller: Caller, connection: Connection
) -> None:
    failing = {**ASKED, "metadata": {"sim_failure_rate": "1"}}
    assert caller.post(CHAT, failing).status_code == 502
    assert connection.execute("SELECT count(*) FROM web_chat").fetchone() == (1,)
    assert caller.get("/v1/web_chats").get_json()["data"] == []
    link(caller.post(CHAT, ASKED))
    assert len(caller.get("/v1/web_chats").get_json()["data"]) == 1


def test_a_tenant_lists_its_web_chats_and_ends_them(
    page: Page, app: Flask, caller: Caller, connection: Connection
) -> None:
    page.say("one more")
    page.answered()
    [chat] = caller.get("/v1/web_chats").get_json()["data"]
    assert (chat["status"], chat["turns"], chat["budget_usd"]) == ("open", 1, 1.0)
    assert 0 < chat["spent_usd"] < 0.01
    assert page.path.rpartition("/")[2] not in str(chat)
    stranger = Caller(app, connection, tenant(connection))
    assert stranger.get("/v1/web_chats").get_json()["data"] == []
    assert stranger.open(f"/v1/web_chats/{chat['id']}", "DELETE").status_code == 404
    assert page.get().status_code == 200
    for _ in range(2):
        assert caller.open(f"/v1/web_chats/{chat['id']}", "DELETE").get_json()["deleted"] is True
    assert page.get().status_code == 404
    assert caller.get("/v1/web_chats").get_json()["data"][0]["status"] == "revoked"
    noted = connection.execute("SELECT target FROM audit WHERE action = 'web_chat.revoke'")
    assert noted.fetchall() == [(chat["id"],)]
