"""The audit log: written with the change or not at all, and never changed."""

import pytest

from app.accounts.audit import audit_page, record
from app.db.connect import Connection


def test_a_change_is_written_with_who_and_what(connection: Connection) -> None:
    record(connection, "key_a", "key.revoke", "key_b", "ten_x", {"n": 1, "list": ["a"]})
    [entry] = audit_page(connection, "ten_x", None, 10)
    assert (entry.actor, entry.action, entry.target) == ("key_a", "key.revoke", "key_b")
    assert (entry.tenant_id, entry.detail) == ("ten_x", {"n": 1, "list": ["a"]})
    record(connection, "cli", "price.new", "p", None)
    [latest] = audit_page(connection, None, None, 1)
    assert (latest.tenant_id, latest.detail) == (None, None)


def test_what_is_undone_was_never_written(connection: Connection) -> None:
    with connection.transaction(force_rollback=True):
        record(connection, "key_a", "key.revoke", "key_b", "ten_x")
    assert audit_page(connection, None, None, 10) == []


def test_entries_are_read_newest_first_and_by_tenant(connection: Connection) -> None:
    for number in range(4):
        record(connection, "cli", f"change.{number}", "x", f"ten_{number % 2}")
    found = audit_page(connection, "ten_1", None, 10)
    assert [entry.action for entry in found] == ["change.3", "change.1"]
    everything = audit_page(connection, None, None, 2)
    assert [entry.action for entry in everything] == ["change.3", "change.2"]
    rest = audit_page(connection, None, everything[-1].seq, 10)
    assert [entry.action for entry in rest] == ["change.1", "change.0"]


@pytest.mark.parametrize(
    "statement", ["UPDATE audit SET actor = 'x'", "DELETE FROM audit", "TRUNCATE audit"]
)
def test_nobody_rewrites_it(connection: Connection, statement: str) -> None:
    record(connection, "cli", "a.b", "x", None)
    with pytest.raises(Exception, match="never changed"):
        connection.execute(statement.encode())
    assert len(audit_page(connection, None, None, 10)) == 1
