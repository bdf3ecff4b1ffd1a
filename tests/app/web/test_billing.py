"""Billing over HTTP: the balance, the entries and the statements of a tenant, and of no other."""

import csv
import io
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from werkzeug.test import TestResponse

from app.accounts.tenants import change_tenant
from app.db.connect import Connection
from app.jobs import store
from app.ledger.store import add_credit, debit, refund, reverse
from app.money import usd_text
from app.settings import Settings
from app.web.auth import needs
from app.web.billing import billing_routes
from app.web.statement import LABELS
from tests.app.ledger.history import paid_job, shifted
from tests.app.line import admit, assert_proven, outcome, running
from tests.app.web.access import Caller, Door, open_door, problem

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
SUMS = ("opening", "credits", "debits", "charges", "refunds", "reversals", "closing")


@pytest.fixture
def door(
    line_settings: Callable[..., Settings], gevent_sockets: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Door]:
    with open_door(line_settings(), monkeypatch, (billing_routes, needs("billing"))) as opened:
        yield opened


@pytest.fixture
def mine(door: Door) -> str:
    return door.tenant()


@pytest.fixture
def me(door: Door, mine: str) -> Caller:
    return door.caller(mine, scopes=["billing"])


def told(caller: Caller, path: str) -> dict[str, Any]:
    """What billing answers to a request that must go well."""
    answer = caller.get(f"/v1/billing/{path}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def entries(caller: Caller, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = told(caller, f"entries?limit=100&{query}")["data"]
    return found


def accepting(caller: Caller, accept: str, path: str) -> TestResponse:
    headers = {"Authorization": f"Bearer {caller.credential}", "Accept": accept}
    return caller.client.get(f"/v1/billing/{path}", headers=headers)


@pytest.fixture
def past(connection: Connection, mine: str) -> list[str]:
    """Three jobs of March in the books, the last in April; some money was given and taken."""
    day = timedelta(days=1)
    shifted(connection, add_credit(connection, mine, 5000, "start"), MARCH - day)
    jobs = [
        paid_job(connection, mine, MARCH, 30, model="small", app_id="shop", key_id="key_a"),
        paid_job(connection, mine, MARCH + day, 0, model="small", app_id="blog", state="failed"),
        paid_job(connection, mine, MARCH + day, 50, model="big", app_id="shop"),
    ]
    shifted(connection, add_credit(connection, mine, 200, "more"), MARCH + 2 * day)
    shifted(connection, debit(connection, mine, 9, "fee"), MARCH + 3 * day)
    back = shifted(connection, refund(connection, jobs[0], 20, "sorry"), MARCH + 4 * day)
    shifted(connection, reverse(connection, back.id, "undone"), MARCH + 5 * day)
    jobs.append(paid_job(connection, mine, MARCH + 31 * day, 7, model="big", app_id="shop"))
    assert_proven(connection)
    return jobs


def test_the_balance_of_a_prepaid_tenant(connection: Connection, mine: str, me: Caller) -> None:
    add_credit(connection, mine, 2_500_000_000, "test")
    admit(connection, mine, hold=500_000_000)
    assert told(me, "balance") == {
        "object": "balance", "currency": "usd", "prepaid": True,
        "wallet_usd": 2.0, "wallet_nanos": 2_000_000_000,
        "held_usd": 0.5, "held_nanos": 500_000_000,
        "available_usd": 2.0, "available_nanos": 2_000_000_000,
        "postpaid_limit_usd": 0.0, "postpaid_limit_nanos": 0,
    }  # fmt: skip


def test_the_balance_of_a_tenant_that_owes(connection: Connection, mine: str, me: Caller) -> None:
    change_tenant(connection, mine, {"overdraft": 300})
    admit(connection, mine, hold=100)
    found = told(me, "balance")
    assert (found["prepaid"], found["wallet_nanos"], found["held_nanos"]) == (False, -100, 100)
    assert (found["available_nanos"], found["postpaid_limit_nanos"]) == (200, 300)


def test_an_entry_says_what_it_did_to_the_wallet(
    connection: Connection, mine: str, me: Caller
) -> None:
    given = add_credit(connection, mine, 1000, "hello")
    job = running(connection, mine)
    assert store.settle_group(connection, "wrk_a", [outcome(job)]) == [True]
    back = refund(connection, job.id, 10, "sorry")
    reverse(connection, back.id, "undone")
    debit(connection, mine, 5, "fee")
    found = entries(me, "order=asc")
    assert [
        (e["kind"], e["amount_nanos"], e["direction"], e["wallet_change_nanos"],
         e["held_change_nanos"])
        for e in found
    ] == [
        ("credit", 1000, "in", 1000, 0),
        ("hold", 100, "out", -100, 100),
        ("settle", 30, "none", 0, -30),
        ("release", 70, "in", 70, -70),
        ("refund", 10, "in", 10, 0),
        ("reversal", 10, "out", -10, 0),
        ("debit", 5, "out", -5, 0),
    ]  # fmt: skip
    assert found[0] == {
        "id": given.id, "object": "billing.entry", "kind": "credit", "amount_usd": 0.000001,
        "amount_nanos": 1000, "direction": "in", "wallet_change_nanos": 1000,
        "held_change_nanos": 0, "job_id": None, "reverses": None, "note": "hello",
        "created_at": int(given.created_at.timestamp()),
    }  # fmt: skip
    assert (found[4]["job_id"], found[5]["reverses"]) == (job.id, back.id)
    balance = told(me, "balance")
    assert sum(e["wallet_change_nanos"] for e in found) == balance["wallet_nanos"]
    assert sum(e["held_change_nanos"] for e in found) == balance["held_nanos"]


def test_entries_come_in_pages_newest_first(connection: Connection, mine: str, me: Caller) -> None:
    ids = [add_credit(connection, mine, amount, "test").id for amount in range(1, 6)]
    first = told(me, "entries?limit=2")
    assert [e["id"] for e in first["data"]] == ids[:2:-1]
    assert (first["object"], first["has_more"], first["last_id"]) == ("list", True, ids[3])
    rest = told(me, f"entries?limit=3&after={ids[3]}")
    assert [e["id"] for e in rest["data"]] == ids[2::-1]
    assert not rest["has_more"]
    up = told(me, f"entries?order=asc&limit=2&after={ids[0]}")
    assert [e["id"] for e in up["data"]] == ids[1:3]


def test_entries_can_be_narrowed(past: list[str], me: Caller) -> None:
    kinds = [e["kind"] for e in entries(me, f"job_id={past[0]}&order=asc")]
    assert kinds == ["hold", "settle", "release", "refund", "reversal"]
    assert {e["job_id"] for e in entries(me, "kind=settle")} == {past[0], past[2], past[3]}
    assert [e["note"] for e in entries(me, "kind=credit&from=2026-03-01")] == ["more"]
    assert [e["note"] for e in entries(me, "kind=credit&to=2026-03-01")] == ["start"]
    at = int((MARCH + timedelta(days=3)).timestamp())
    assert [e["note"] for e in entries(me, f"from={at}&to={at + 1}")] == ["fee"]
    assert entries(me, f"job_id={past[0]}&kind=credit") == []


def test_a_job_that_was_free_leaves_no_entries(
    connection: Connection, mine: str, me: Caller
) -> None:
    admit(connection, mine, hold=0)
    assert entries(me) == []


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("kind=cost", "kind"), ("kind=", "kind"), ("kind=credit&kind=debit", "kind"),
        ("order=up", "order"), ("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"),
        ("after=job_1", "after"), ("after=ent_x", "after"), ("after=ent_1%00", "after"),
        ("after=ent_99999999999999999999", "after"), ("from=yesterday", "from"),
        ("to=2026-13-01", "to"), ("from=-1", "from"), ("job_id=a%00b", "job_id"), ("x=1", "x"),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_refused_by_name(me: Caller, query: str, param: str) -> None:
    status, _, named = problem(me.get(f"/v1/billing/entries?{query}"))
    assert (status, named) == (400, param)


def test_a_statement_sums_a_month_up(past: list[str], me: Caller) -> None:
    march = told(me, "statement?month=2026-03")
    assert [march[f"{name}_nanos"] for name in SUMS] == [5000, 200, -9, -80, 20, -20, 5111]
    assert march["closing_usd"] == 0.000005111
    assert (march["object"], march["month"], march["currency"]) == (
        "billing.statement", "2026-03", "usd",
    )  # fmt: skip
    assert march["period_start"] == int(MARCH.timestamp())
    assert march["period_end"] == int(datetime(2026, 4, 1, tzinfo=UTC).timestamp())
    assert (march["final"], march["requests"]) == (True, 3)
    tokens = {"prompt_tokens": 20, "cached_tokens": 8, "completion_tokens": 10, "total_tokens": 30}
    assert march["by_app"][1] == {
        "app_id": "shop", "requests": 2, **tokens, "cost_usd": 0.00000008, "cost_nanos": 80,
    }  # fmt: skip
    assert [(s["model"], s["requests"], s["cost_nanos"]) for s in march["by_model"]] == [
        ("big", 1, 50), ("small", 2, 30),
    ]  # fmt: skip
    assert [(s["key_id"], s["requests"], s["cost_nanos"]) for s in march["by_key"]] == [
        ("key_a", 1, 30), ("key_x", 2, 50),
    ]  # fmt: skip
    assert [(s["day"], s["requests"], s["cost_nanos"]) for s in march["by_day"]] == [
        ("2026-03-01", 1, 30), ("2026-03-02", 2, 50),
    ]  # fmt: skip


def test_months_follow_each_other_without_a_gap(past: list[str], me: Caller) -> None:
    months = [told(me, f"statement?month=2026-{month:02}") for month in range(1, 7)]
    for month, then in zip(months, [*months[1:], None], strict=True):
        sums = [month[f"{name}_nanos"] for name in SUMS]
        assert sum(sums[:-1]) == sums[-1]
        assert then is None or then["opening_nanos"] == month["closing_nanos"]
        for split in ("by_model", "by_app", "by_key", "by_day"):
            assert sum(part["cost_nanos"] for part in month[split]) == -month["charges_nanos"]
            assert sum(part["requests"] for part in month[split]) == month["requests"]
    assert [month["requests"] for month in months] == [0, 0, 3, 1, 0, 0]
    assert months[0]["opening_nanos"] == 0
    assert months[-1]["closing_nanos"] == told(me, "balance")["wallet_nanos"]


def test_the_month_that_runs_is_not_final(
    past: list[str], connection: Connection, mine: str, me: Caller
) -> None:
    admit(connection, mine)
    running_month = told(me, "statement")
    now = datetime.now(UTC)
    assert running_month["month"] == now.strftime("%Y-%m")
    assert not running_month["final"]
    assert running_month["created_at"] == pytest.approx(now.timestamp(), abs=5)
    found = told(me, "balance")
    assert running_month["closing_nanos"] == found["wallet_nanos"] + found["held_nanos"]
    assert told(me, f"statement?month={running_month['month']}")["final"] is False


@pytest.mark.parametrize(
    "month",
    ["", "2026", "2026-00", "2026-13", "2026-3", "2026-03-01", "1969-12", "0000-01", "9999-12",
     "2026-03%00", "2026-03&month=2026-04", "٢٠٢٦-03", "-1", "March"],
)  # fmt: skip
def test_a_month_that_is_none_or_to_come_is_refused(me: Caller, month: str) -> None:
    answer = me.get(f"/v1/billing/statement?month={month}")
    assert problem(answer) == (400, None, "month")


def test_the_form_is_the_one_asked_for(past: list[str], me: Caller) -> None:
    for query, accept, expected in (
        ("", "*/*", "application/json"),
        ("", "text/csv", "text/csv"),
        ("", "text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
        ("", "image/png", "application/json"),
        ("&format=json", "text/html", "application/json"),
        ("&format=csv", "text/html", "text/csv"),
        ("&format=html", "*/*", "text/html"),
    ):
        answer = accepting(me, accept, f"statement?month=2026-03{query}")
        assert (answer.status_code, answer.mimetype) == (200, expected)
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    refused = me.get("/v1/billing/statement?format=pdf")
    assert problem(refused) == (400, None, "format")


def test_a_csv_has_the_sums_and_the_charges(past: list[str], me: Caller) -> None:
    answer = me.get("/v1/billing/statement?month=2026-03&format=csv")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="statement-2026-03.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    sums = {row["name"]: int(row["amount_nanos"]) for row in rows if row["section"] == "total"}
    assert sums == dict(zip(SUMS, [5000, 200, -9, -80, 20, -20, 5111], strict=True))
    amounts = {row["name"]: row["amount_usd"] for row in rows if row["section"] == "total"}
    assert (amounts["closing"], amounts["debits"]) == ("0.000005111", "-0.000000009")
    shop = next(row for row in rows if (row["section"], row["name"]) == ("app", "shop"))
    assert shop == {
        "section": "app", "name": "shop", "requests": "2", "prompt_tokens": "20",
        "cached_tokens": "8", "completion_tokens": "10", "amount_usd": "0.000000080",
        "amount_nanos": "80",
    }  # fmt: skip
    assert {row["section"] for row in rows} == {"total", "model", "app", "key", "day"}


EVIL = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '<script>alert("x")</script>', '",=1')


def test_names_are_neither_formulas_nor_markup(
    connection: Connection, mine: str, me: Caller
) -> None:
    add_credit(connection, mine, 1000, "test")
    for name in EVIL:
        paid_job(connection, mine, MARCH, 1, model=name, app_id=name, key_id=name)
    text = me.get("/v1/billing/statement?month=2026-03&format=csv").text
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    names = {row["name"] for row in rows if row["section"] == "app"}
    assert names == {"'" + name for name in EVIL[:6]} | set(EVIL[6:])
    told_html = me.get("/v1/billing/statement?month=2026-03&format=html").text
    assert "<script" not in told_html
    assert "&lt;script&gt;" in told_html


class Page(HTMLParser):
    """The tags, addresses and words of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [v or "" for name, v in attrs if name in ("href", "src", "action")]
        self.addresses += [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())


def test_the_page_to_print_needs_nothing_else(past: list[str], me: Caller) -> None:
    answers = [me.get("/v1/billing/statement?month=2026-03&format=html") for _ in range(2)]
    text, page = answers[0].text, Page(answers[0].text)
    assert page.addresses == []
    assert not page.tags & {"script", "link", "img", "iframe", "form", "base", "object", "embed"}
    assert "@media print" in text
    assert not re.search(r"@import|url\(|http", text)
    nonces = [re.search(r'<style nonce="([\w-]+)">', answer.text) for answer in answers]
    for nonce, answer in zip(nonces, answers, strict=True):
        assert nonce is not None
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith(f"default-src 'none'; style-src 'nonce-{nonce[1]}';")
        assert "unsafe" not in policy
    assert nonces[0] != nonces[1]
    assert answers[0].text.count(nonces[0][1] if nonces[0] else "") == 1
    sums = [5000, 200, -9, -80, 20, -20, 5111]
    for name, nanos in zip(SUMS, sums, strict=True):
        place = page.words.index(LABELS[name])
        assert usd_text(nanos) in page.words[place : place + 3]
    assert "this month is not over" not in text
    running_month = me.get("/v1/billing/statement?format=html").text
    assert "this month is not over" in running_month


def test_nothing_is_told_of_another_tenant(door: Door, past: list[str], me: Caller) -> None:
    other = door.caller(door.tenant(), scopes=["billing"])
    assert told(other, "balance")["wallet_nanos"] == 0
    assert entries(other) == []
    assert entries(other, f"job_id={past[0]}") == []
    march = told(other, "statement?month=2026-03")
    assert [march[f"{name}_nanos"] for name in SUMS] == [0] * 7
    assert (march["requests"], march["by_model"]) == (0, [])
    newest = entries(me)[0]["id"]
    assert told(other, f"entries?after={newest}")["data"] == []


@pytest.mark.parametrize("path", ["balance", "entries", "statement"])
def test_only_those_who_may_read_the_bill_see_it(door: Door, mine: str, path: str) -> None:
    stranger = door.caller(mine, scopes=["inference", "manage"])
    assert stranger.get(f"/v1/billing/{path}").status_code == 403
    assert door.nobody().get(f"/v1/billing/{path}").status_code == 401
