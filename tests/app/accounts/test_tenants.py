"""Tenants: a name each, two empty accounts, and overrides that are set and taken away."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from app.accounts.audit import audit_page
from app.accounts.tenants import (
    change_tenant,
    create_tenant,
    find_tenant,
    list_tenants,
    live_tenant,
    tenant,
)
from app.db.connect import Connection, connect
from app.errors import Conflict, InvalidRequest
from app.ledger.store import add_credit, balance, debit
from tests.app.line import assert_proven
from tests.waiting import wait_for


@pytest.fixture
def other_connection(books: str) -> Iterator[Connection]:
    with connect(books) as opened:
        yield opened


def test_a_tenant_begins_with_two_empty_accounts(connection: Connection) -> None:
    mine = create_tenant(connection, "moon", tier="starter", actor="key_boss")
    assert (balance(connection, mine).wallet, balance(connection, mine).held) == (0, 0)
    assert find_tenant(connection, "moon") == find_tenant(connection, mine) == mine
    assert find_tenant(connection, "Moon") is None
    row = tenant(connection, mine)
    assert row is not None
    assert (row.name, row.tier, row.overdraft, row.disabled_at) == ("moon", "starter", 0, None)
    [entry] = audit_page(connection, mine, None, 10)
    assert (entry.actor, entry.action, entry.target) == ("key_boss", "tenant.create", mine)
    assert_proven(connection)


def test_a_name_is_given_once(connection: Connection) -> None:
    create_tenant(connection, "moon")
    sun = create_tenant(connection, "sun")
    with pytest.raises(Conflict) as refused:
        create_tenant(connection, "moon")
    assert refused.value.param == "name"
    with pytest.raises(Conflict):
        change_tenant(connection, sun, {"name": "moon"})
    assert change_tenant(connection, sun, {"name": "sun"}) == tenant(connection, sun)
    assert len(list_tenants(connection, None, 10)) == 2
    assert_proven(connection)


def test_a_name_is_given_once_to_two_at_a_time(
    connection: Connection, other_connection: Connection
) -> None:
    """The second waits for the first to commit, and is refused then as if it had come later."""
    refused: list[Exception] = []

    def second() -> None:
        try:
            create_tenant(other_connection, "moon")
        except Exception as error:
            refused.append(error)

    def waits() -> bool:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'",
            (other_connection.info.backend_pid,),
        ).fetchone()
        return row == (1,)

    thread = threading.Thread(target=second)
    with connection.transaction():
        create_tenant(connection, "moon")
        thread.start()
        # The statistics that a transaction has seen stay as they were until it asks anew.
        wait_for(lambda: connection.execute("SELECT pg_stat_clear_snapshot()") and waits())
    thread.join(20)
    assert [type(error) for error in refused] == [Conflict]


def test_a_name_is_never_anothers_id(connection: Connection) -> None:
    mine = create_tenant(connection, "moon")
    with pytest.raises(InvalidRequest) as refused:
        create_tenant(connection, mine)
    assert refused.value.param == "name"
    with pytest.raises(InvalidRequest):
        change_tenant(connection, mine, {"name": "ten_x"})


@pytest.mark.parametrize(
    "changes",
    [{"name": "sun"}, {"tier": "free"}, {"requests_per_minute": 2**40}, {"tokens_per_day": None},
     {"sessions": None, "retention_days": 3650}, {"overdraft": 7}],
)  # fmt: skip
def test_only_what_is_named_is_changed(connection: Connection, changes: dict[str, Any]) -> None:
    before = {"name": "moon", "tier": "starter", "requests_per_minute": 1, "tokens_per_day": 2,
              "sessions": 3, "retention_days": 4, "overdraft": 5}  # fmt: skip
    mine = create_tenant(connection, "moon", tier="starter")
    other = create_tenant(connection, "other")
    untouched = tenant(connection, other)
    change_tenant(connection, mine, {name: before[name] for name in before if name != "name"})
    row = change_tenant(connection, mine, changes, actor="key_boss")
    assert row is not None
    assert {name: getattr(row, name) for name in before} == {**before, **changes}
    assert row == tenant(connection, mine)
    assert tenant(connection, other) == untouched
    [entry] = audit_page(connection, mine, None, 1)
    assert (entry.actor, entry.action, entry.detail) == ("key_boss", "tenant.change", changes)


def test_a_tenant_is_disabled_and_enabled(connection: Connection) -> None:
    mine = create_tenant(connection, "moon")
    assert live_tenant(connection, "moon") == live_tenant(connection, mine)
    disabled = change_tenant(connection, mine, {"disabled": True})
    assert disabled is not None
    assert disabled.disabled_at is not None
    assert live_tenant(connection, "moon") is live_tenant(connection, mine) is None
    again = change_tenant(connection, mine, {"disabled": True})
    assert again == disabled
    assert change_tenant(connection, mine, {"tier": "free"}) is not None
    assert live_tenant(connection, mine) is None
    change_tenant(connection, mine, {"disabled": False})
    assert live_tenant(connection, mine) is not None


def test_an_overdraft_covers_what_is_owed(connection: Connection) -> None:
    mine = create_tenant(connection, "moon")
    add_credit(connection, mine, 10, "test")
    change_tenant(connection, mine, {"overdraft": 5})
    debit(connection, mine, 13, "test")
    written = len(audit_page(connection, mine, None, 100))
    with pytest.raises(Conflict) as refused:
        change_tenant(connection, mine, {"name": "sun", "overdraft": 2})
    assert refused.value.param == "postpaid_limit_usd"
    row = tenant(connection, mine)
    assert row is not None
    assert (row.name, row.overdraft) == ("moon", 5)
    assert len(audit_page(connection, mine, None, 100)) == written
    assert change_tenant(connection, mine, {"overdraft": 3}) is not None
    assert_proven(connection)


def test_a_change_of_nobody_or_of_nothing_is_not_written_down(connection: Connection) -> None:
    mine = create_tenant(connection, "moon")
    assert change_tenant(connection, "ten_nobody", {"name": "sun", "overdraft": 1}) is None
    assert change_tenant(connection, mine, {}) == tenant(connection, mine)
    assert len(audit_page(connection, None, None, 100)) == 1


def test_tenants_are_listed_oldest_first_a_page_at_a_time(connection: Connection) -> None:
    made = sorted(create_tenant(connection, name) for name in ("c", "a", "b"))
    assert [row.id for row in list_tenants(connection, None, 2)] == made[:2]
    assert [row.id for row in list_tenants(connection, made[1], 2)] == made[2:]
