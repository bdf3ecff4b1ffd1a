"""Tenants and keys: a key is shown once, found by its hash alone, and revoked for good."""

import psycopg
import pytest

from app.accounts.store import (
    KEY_PREFIX,
    SHOWN,
    create_key,
    create_tenant,
    find_key,
    find_tenant,
    key_hash,
    list_keys,
    revoke_key,
)
from app.db.connect import Connection
from app.ledger.store import Balance, balance
from tests.app.line import assert_proven


def test_a_tenant_begins_with_two_empty_accounts(connection: Connection) -> None:
    mine = create_tenant(connection, "moon")
    assert balance(connection, mine) == Balance(0, 0)
    assert find_tenant(connection, "moon") == find_tenant(connection, mine) == mine
    assert find_tenant(connection, "Moon") is None
    assert_proven(connection)


def test_a_name_is_given_once(connection: Connection) -> None:
    create_tenant(connection, "moon")
    with pytest.raises(psycopg.errors.UniqueViolation):
        create_tenant(connection, "moon")
    assert_proven(connection)


def test_a_key_opens_its_tenant(connection: Connection) -> None:
    mine, other = create_tenant(connection, "moon"), create_tenant(connection, "sun")
    made, theirs = create_key(connection, mine, "ci"), create_key(connection, other, "ci")
    assert find_key(connection, key_hash(made.key)) == (made.id, mine)
    assert find_key(connection, key_hash(theirs.key)) == (theirs.id, other)


def test_a_key_is_not_kept(connection: Connection) -> None:
    made = create_key(connection, create_tenant(connection, "moon"), "ci")
    rows = connection.execute("SELECT api_key::text FROM api_key").fetchall()
    assert made.key not in str(rows)
    assert made.key.startswith(made.prefix)
    assert len(made.prefix) == SHOWN < len(made.key) - 32


def test_its_stored_hash_is_no_key(connection: Connection) -> None:
    made = create_key(connection, create_tenant(connection, "moon"), "ci")
    stored = key_hash(made.key)
    for wrong in (stored.hex(), made.prefix, made.key[:-1], made.key + "x", made.key.upper(), ""):
        assert find_key(connection, key_hash(wrong)) is None


def test_a_key_holds_256_random_bits(connection: Connection) -> None:
    mine = create_tenant(connection, "moon")
    keys = {create_key(connection, mine, "ci").key for _ in range(50)}
    assert len(keys) == 50
    assert all(key.startswith(KEY_PREFIX) and len(key) == len(KEY_PREFIX) + 43 for key in keys)


def test_a_revoked_key_opens_nothing_for_good(connection: Connection) -> None:
    made = create_key(connection, create_tenant(connection, "moon"), "ci")
    assert revoke_key(connection, made.id) is True
    assert find_key(connection, key_hash(made.key)) is None
    assert revoke_key(connection, made.id) is False
    assert revoke_key(connection, "key_nobody") is False
    [row] = list_keys(connection)
    assert row.revoked_at is not None


def test_keys_are_listed_oldest_first_with_their_use(connection: Connection) -> None:
    mine = create_tenant(connection, "moon")
    made = [create_key(connection, mine, f"k{n}") for n in range(3)]
    find_key(connection, key_hash(made[1].key))
    rows = list_keys(connection)
    assert sorted(row.id for row in rows) == [row.id for row in rows]
    assert {row.name: row.last_used_at is not None for row in rows} == {
        "k0": False, "k1": True, "k2": False,
    }  # fmt: skip
    assert {(row.tenant, row.tenant_id) for row in rows} == {("moon", mine)}


def test_a_key_needs_a_tenant(connection: Connection) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        create_key(connection, "ten_nobody", "ci")
