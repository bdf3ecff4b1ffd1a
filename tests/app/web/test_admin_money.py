"""The operator's bookings over HTTP: exact, once, and the books balance."""

from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from app.db.connect import line_connection
from app.jobs.store import settle_group
from app.ledger.store import balance
from app.ledger.verify import verify
from app.money import NANOS
from app.settings import Settings
from app.web.admin_money import admin_money_routes
from app.web.auth import needs
from tests.app.line import outcome, running
from tests.app.web.access import Caller, Door, open_door, problem

NOTE = {"note": "test"}


@pytest.fixture
def door(
    line_settings: Callable[..., Settings], gevent_sockets: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Door]:
    rooms = (admin_money_routes, needs("admin"))
    with open_door(line_settings(), monkeypatch, rooms) as opened:
        yield opened
        assert opened.run(verify) == []


@pytest.fixture
def boss(door: Door) -> Caller:
    return door.caller(door.tenant(), scopes=["admin"])


@pytest.fixture
def moon(door: Door) -> str:
    return door.tenant()


def wallet(door: Door, tenant_id: str) -> int:
    found: int = door.run(lambda c: balance(c, tenant_id)).wallet
    return found


def charged(door: Door, books: str, tenant_id: str, cost: int) -> str:
    """A job of the tenant that has ended and was charged this much."""
    with line_connection(books, "test") as connection:
        job = running(connection, tenant_id, hold=cost)
        assert settle_group(connection, "wrk_a", [outcome(job, cost)]) == [True]
    return job.id


def test_credit_and_debits_are_booked_with_who_and_why(door: Door, boss: Caller, moon: str) -> None:
    at = f"/v1/admin/tenants/{moon}"
    first = boss.made(f"{at}/credit", {"amount_usd": "12.5", "note": "invoice 7"})
    assert (first["object"], first["kind"], first["direction"]) == ("billing.entry", "credit", "in")
    assert (first["amount_nanos"], first["note"]) == (12_500_000_000, "invoice 7")
    boss.made(f"{at}/debit", {"amount_usd": 2.25, **NOTE})
    assert wallet(door, moon) == 10_250_000_000
    refused = boss.post(f"{at}/debit", {"amount_usd": "10.250000001", **NOTE})
    assert problem(refused) == (402, "insufficient_quota", "amount_usd")
    assert wallet(door, moon) == 10_250_000_000
    written = [entry for entry in door.audit(moon) if entry.action != "tenant.create"]
    assert len(written) == 2
    assert {entry.actor for entry in written} == {boss.id}


def test_a_test_key_moves_no_money(door: Door, boss: Caller, moon: str, books: str) -> None:
    paid = boss.made(f"/v1/admin/tenants/{moon}/credit", {"amount_usd": 1, **NOTE})["id"]
    job = charged(door, books, moon, 300)
    before, test = wallet(door, moon), door.caller(moon, scopes=["admin"], mode="test")
    body = {"amount_usd": "0.0000001", **NOTE}
    for path, asked in (
        (f"tenants/{moon}/credit", body), (f"tenants/{moon}/debit", body),
        (f"jobs/{job}/refund", body), (f"entries/{paid}/reverse", NOTE),
    ):  # fmt: skip
        answer = test.post(f"/v1/admin/{path}", asked)
        assert problem(answer)[:2] == (403, "permission_denied"), path
    assert wallet(door, moon) == before


def test_a_credit_that_is_sent_again_is_booked_once(door: Door, boss: Caller, moon: str) -> None:
    at, body = f"/v1/admin/tenants/{moon}/credit", {"amount_usd": 1, **NOTE}
    first, again = (boss.post(at, body, "once") for _ in range(2))
    assert first.status_code == again.status_code == 201
    assert first.data == again.data
    assert wallet(door, moon) == NANOS
    assert boss.post(at, {"amount_usd": 2, **NOTE}, "once").status_code == 422
    boss.post(at, body, "another")
    assert wallet(door, moon) == 2 * NANOS


@given(st.integers(1, 2**40), st.booleans())
@examples(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_an_amount_is_booked_to_the_nano_dollar(
    door: Door, boss: Caller, moon: str, nanos: int, as_text: bool
) -> None:
    before = wallet(door, moon)
    amount = Decimal(nanos).scaleb(-9)
    sent = f"{amount:f}" if as_text else float(amount)
    boss.made(f"/v1/admin/tenants/{moon}/credit", {"amount_usd": sent, **NOTE})
    assert wallet(door, moon) - before == nanos


@pytest.mark.parametrize(
    "amount",
    [b"0", b"-1", b"true", b"null", b"[]", b'""', b'"-1"', b'"1e3"', b'"1_0"', b'" 1"', b'"nan"',
     b'"Infinity"', b'"0.0000000001"', b"1e-10", b'"9223372036.854775808"',
     b"9223372037", b"12345678.123456789", '"١"'.encode()],
)  # fmt: skip
@pytest.mark.parametrize("room", ["credit", "debit"])
def test_what_is_no_amount_is_refused(
    door: Door, boss: Caller, moon: str, room: str, amount: bytes
) -> None:
    body = b'{"note":"x","amount_usd":' + amount + b"}"
    answer = boss.post(f"/v1/admin/tenants/{moon}/{room}", body)
    assert problem(answer)[::2] == (400, "amount_usd")
    assert wallet(door, moon) == 0


def test_a_booking_has_a_note_and_nothing_else(door: Door, boss: Caller, moon: str) -> None:
    at = f"/v1/admin/tenants/{moon}/credit"
    for body, param in (
        ({"amount_usd": 1}, "note"), ({"amount_usd": 1, "note": ""}, "note"),
        ({"amount_usd": 1, "note": "x\x01"}, "note"), ({"note": "x"}, "amount_usd"),
        ({"amount_usd": 1, "note": "x", "actor": "cli"}, "actor"),
        ({"amount_usd": 1, "note": "x", "amount_nanos": 5}, "amount_nanos"),
    ):  # fmt: skip
        assert problem(boss.post(at, body))[::2] == (400, param)
    assert wallet(door, moon) == 0


def test_a_job_is_refunded_up_to_what_it_cost(
    door: Door, boss: Caller, moon: str, books: str
) -> None:
    boss.made(f"/v1/admin/tenants/{moon}/credit", {"amount_usd": "0.000001", **NOTE})
    job = charged(door, books, moon, 300)
    at = f"/v1/admin/jobs/{job}/refund"
    some = boss.made(at, {"amount_usd": "0.0000001", **NOTE})
    assert (some["kind"], some["job_id"], some["amount_nanos"]) == ("refund", job, 100)
    refused = boss.post(at, {"amount_usd": "0.000000201", **NOTE})
    assert problem(refused) == (409, "conflict", "amount_usd")
    assert boss.made(at, {"amount_usd": None, **NOTE})["amount_nanos"] == 200
    assert problem(boss.post(at, NOTE))[:2] == (409, "conflict")
    assert wallet(door, moon) == 1000


def test_an_entry_is_reversed_once(door: Door, boss: Caller, moon: str) -> None:
    made = boss.made(f"/v1/admin/tenants/{moon}/credit", {"amount_usd": 1, **NOTE})
    at = f"/v1/admin/entries/{made['id']}/reverse"
    undone = boss.made(at, NOTE)
    assert (undone["kind"], undone["reverses"], undone["direction"]) == (
        "reversal", made["id"], "out",
    )  # fmt: skip
    assert problem(boss.post(at, NOTE))[:2] == (409, "conflict")
    assert wallet(door, moon) == 0


def test_who_is_not_there_is_not_found(boss: Caller) -> None:
    money = {"amount_usd": 1, **NOTE}
    for path, body in (
        ("tenants/ten_x/credit", money), ("tenants/ten_x/debit", money),
        ("entries/ent_x/reverse", NOTE), ("entries/ent_999/reverse", NOTE),
        ("jobs/job_x/refund", NOTE), ("jobs/%00/refund", NOTE),
    ):  # fmt: skip
        assert problem(boss.post(f"/v1/admin/{path}", body))[:2] == (404, "not_found"), path


def test_only_an_admin_key_books(door: Door, moon: str) -> None:
    owner = door.caller(moon, scopes=["inference", "billing", "manage"])
    money = {"amount_usd": 1, **NOTE}
    for path in (f"tenants/{moon}/credit", f"tenants/{moon}/debit", "jobs/j/refund",
                 "entries/e/reverse"):  # fmt: skip
        assert problem(owner.post(f"/v1/admin/{path}", money))[:2] == (403, "permission_denied")
        assert door.nobody().post(f"/v1/admin/{path}", money).status_code == 401
    assert wallet(door, moon) == 0
