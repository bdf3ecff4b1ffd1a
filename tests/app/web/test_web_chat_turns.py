"""Turns of web chats: one at a time, once, and within what may be spent."""

import json

import gevent
import pytest
from flask import Flask

from app.db.connect import Connection
from app.ids import new_id
from app.webchat.model import new_token, token_hash
from app.webchat.store import begin, give_turn_back, known_turn, take_turn
from tests.app.line import assert_proven, tenant, transfers
from tests.app.web.chat_pages import ASKED, CHAT, Page, link, only, set_chat
from tests.app.web.doors import Caller


def test_one_turn_at_a_time_and_a_message_that_comes_twice_is_one(
    app: Flask, caller: Caller, connection: Connection, mine: str
) -> None:
    """Without workers, so that answers stay on their way."""
    job = caller.post(CHAT, {**ASKED, "background": True}).get_json()
    token = new_token()
    digest = token_hash(token)
    [[key_id]] = connection.execute("SELECT key_id FROM job").fetchall()
    begin(connection, "wch_x", mine, key_id, job["id"], digest, "", 10**9, 60)
    page = Page(app, f"/chat/{token}")
    early = page.say("too early")
    assert (early.status_code, early.get_json()["error"]["code"]) == (409, "turn_open")
    caller.post(f"/v1/jobs/{job['id']}/cancel", {})
    first = page.say("one", "same")
    assert (first.status_code, page.say("one", "same").get_json()) == (201, first.get_json())
    assert page.say("other", "same").status_code == 422
    # The visitor's key is none of the tenant's.
    assert connection.execute("SELECT FROM idempotency WHERE key = 'same'").fetchone() is None
    assert page.say("two").status_code == 409
    assert connection.execute("SELECT count(*) FROM open_job").fetchone() == (1,)
    assert page.post("/stop").get_json()["stopped"] is True
    assert page.messages()[-1]["status"] == "cancelled"
    assert page.post("/stop").get_json()["stopped"] is False
    assert page.say("two").get_json()["turn"] == 2


def test_the_budget_is_a_hard_stop_and_the_ledger_shows_it(
    page: Page, connection: Connection, mine: str
) -> None:
    set_chat(connection, b"budget = 100000")
    number, refused = 0, None
    while refused is None:
        answer = page.say("x" * 100)
        if answer.status_code == 201:
            number = answer.get_json()["turn"]
            assert page.answered()["status"] == "completed"
        else:
            refused = answer
    assert refused.status_code == 402
    assert refused.get_json()["error"]["code"] == "budget_exceeded"
    assert 1 <= number < 40
    jobs = connection.execute("SELECT job_id FROM web_chat_turn ORDER BY ordinal").fetchall()
    moved = [transfers(connection, job_id) for (job_id,) in jobs]
    spent = sum(one["settle"] for one in moved)
    assert len(moved) == number
    assert spent <= 100_000
    assert spent + moved[-1]["hold"] > 100_000 - moved[-1]["hold"]
    assert all(
        sum(m["settle"] for m in moved[:at]) + one["hold"] <= 100_000
        for at, one in enumerate(moved)
    )
    assert page.say("x" * 100).status_code == 402
    assert connection.execute("SELECT count(*) FROM job").fetchone() == (number + 1,)
    assert_proven(connection)


@pytest.mark.parametrize("own", [{}, {"max_tokens": 4000}, {"max_completion_tokens": 4000}])
def test_a_turn_is_bound_to_what_the_budget_has_left(
    working: None, app: Flask, caller: Caller, connection: Connection, own: dict[str, int]
) -> None:
    asked = {name: value for name, value in ASKED.items() if name != "max_tokens"}
    page = Page(app, link(caller.post(CHAT, {**asked, **own})))
    set_chat(connection, b"budget = 1000000")
    assert page.say("And the tide?").status_code == 201
    assert page.answered()["status"] == "completed"
    row = connection.execute(
        "SELECT j.request, j.hold FROM web_chat_turn AS t JOIN job AS j ON j.id = t.job_id"
    ).fetchone()
    assert row is not None
    request, hold = json.loads(row[0]), row[1]
    # One token of the answer costs 400, a byte of the prompt up to 100, in nano-dollars.
    assert 1_000_000 - 400 - 100 * 60 < hold <= 1_000_000
    [field] = own or {"max_tokens": 0}
    assert 256 <= request[field] < 1_000_000 // 400
    assert own.keys() | {"max_tokens"} >= request.keys() & {"max_tokens", "max_completion_tokens"}
    set_chat(connection, b"budget = 100000")
    over = page.say("And now?")
    assert (over.status_code, over.get_json()["error"]["code"]) == (402, "budget_exceeded")
    assert_proven(connection)


def test_a_turn_that_was_lost_before_its_admission_is_admitted_once_when_it_comes_again(
    page: Page, connection: Connection
) -> None:
    chat_id, job_id = only(connection, b"id"), new_id("job")
    assert take_turn(connection, chat_id, 1, job_id, "same", 1) == ("taken", 1)
    again = [gevent.spawn(page.say, "Are you there?", "same") for _ in range(3)]
    gevent.joinall(again)
    assert [(one.value.status_code, one.value.get_json()["turn"]) for one in again] == [
        (201, 1)
    ] * 3
    assert page.answered()["status"] == "completed"
    jobs = connection.execute("SELECT id FROM job WHERE id <> %s", (only(connection, b"job_id"),))
    assert jobs.fetchall() == [(job_id,)]
    assert page.say("Are you there?", "same").get_json()["turn"] == 1
    assert page.say("Is anybody?", "same").status_code == 422
    assert take_turn(connection, chat_id, 1, job_id, "same", 1) == ("known", 1)
    give_turn_back(connection, chat_id, job_id)
    assert known_turn(connection, chat_id, "same") == 1
    assert_proven(connection)


def test_a_turn_that_was_lost_and_left_behind_is_not_admitted_any_more(
    page: Page, connection: Connection
) -> None:
    chat_id = only(connection, b"id")
    take_turn(connection, chat_id, 1, new_id("job"), "lost", 1)
    connection.execute("UPDATE web_chat_turn SET created_at = now() - interval '2 minutes'")
    assert page.say("Go on.").get_json()["turn"] == 2
    page.answered()
    assert page.say("Are you there?", "lost").status_code == 409
    assert connection.execute("SELECT count(*) FROM job").fetchone() == (2,)


def test_the_tenants_limits_and_credit_bound_it(
    working: None, app: Flask, connection: Connection
) -> None:
    poor = tenant(connection, 60_000)
    caller = Caller(app, connection, poor, limits=(3, None, None))
    page = Page(app, link(caller.post(CHAT, {**ASKED, "max_tokens": 1})))
    assert page.say("two").status_code == 201
    page.answered()
    broke = page.say("x" * 30_000)
    assert (broke.status_code, broke.get_json()["error"]["code"]) == (402, "insufficient_quota")
    assert "$" not in broke.text
    many = page.say("four")
    assert (many.status_code, many.get_json()["error"]["limit"]) == (429, "requests_per_minute")
    assert int(many.headers["Retry-After"]) > 0
    assert [m["text"] for m in page.messages() if m["role"] == "user"] == ["Moon?", "two"]


def test_a_test_key_goes_on_for_nothing(
    working: None, app: Flask, connection: Connection, mine: str
) -> None:
    page = Page(app, link(Caller(app, connection, mine, mode="test").post(CHAT, ASKED)))
    assert page.say("free?").status_code == 201
    page.answered()
    assert connection.execute("SELECT sum(cost) FROM result").fetchone() == (0,)


def test_a_conversation_whose_lune_or_model_is_gone_says_so_without_its_name(
    working: None, app: Flask, caller: Caller, connection: Connection
) -> None:
    assert caller.post("/v1/lunes", {"name": "inner-docs"}).status_code == 201
    page = Page(app, link(caller.post(CHAT, {**ASKED, "lunes": ["inner-docs"]})))
    assert caller.open("/v1/lunes/inner-docs", "DELETE").status_code == 200
    gone = page.say("And now?")
    assert (gone.status_code, "inner-docs" in gone.text) == (410, False)
    page = Page(app, link(caller.post(CHAT, ASKED)))
    connection.execute("UPDATE job SET request = replace(request, 'builtin/sim', 'inner-sim')")
    gone = page.say("And now?")
    assert (gone.status_code, "inner-sim" in gone.text) == (410, False)
