"""Keys: shown once, found by the whole key alone, within their time, and revoked for good."""

from typing import Any

import psycopg
import pytest

from app.accounts import store
from app.accounts.audit import audit_page
from app.accounts.scopes import TENANT_SCOPES
from app.accounts.store import (
    PREFIXES,
    SHOWN,
    change_key,
    create_key,
    find_key,
    key_by_id,
    list_keys,
    revoke_key,
    rotate_key,
)
from app.accounts.tenants import change_tenant, create_tenant
from app.accounts.users import create_user
from app.db.connect import Connection
from app.errors import InvalidRequest

LIMITS = (60, 5000, 2)


@pytest.fixture
def mine(connection: Connection) -> str:
    return create_tenant(connection, "moon")


def actions(connection: Connection, tenant_id: str) -> list[str]:
    """What the audit log says of a tenant, oldest first."""
    return [entry.action for entry in audit_page(connection, tenant_id, None, 100)][::-1]


def test_a_key_opens_its_tenant(connection: Connection, mine: str) -> None:
    other = create_tenant(connection, "sun")
    made, theirs = create_key(connection, mine, "ci"), create_key(connection, other, "ci")
    for key, tenant_id in ((made, mine), (theirs, other)):
        found = find_key(connection, key.key)
        assert found is not None
        assert (found.id, found.tenant_id) == (key.id, tenant_id)


def test_a_key_is_found_with_all_that_is_set_for_it_and_its_tenant(
    connection: Connection, mine: str
) -> None:
    change_tenant(
        connection, mine, {"tier": "starter", "requests_per_minute": 7, "tokens_per_day": 8}
    )
    made = create_key(
        connection, mine, "ci", mode="test", scopes=["billing"], app_id="shop", limits=LIMITS,
        expires_in_s=100,
    )  # fmt: skip
    found = find_key(connection, made.key)
    assert found is not None
    assert (found.mode, found.scopes, found.app_id) == ("test", ["billing"], "shop")
    assert (found.limits, found.tier, found.tenant_limits) == (LIMITS, "starter", (7, 8, None))
    assert found.valid_s is not None
    assert 90 < found.valid_s <= 100


def test_a_key_may_by_default_do_what_a_tenant_may(connection: Connection, mine: str) -> None:
    found = find_key(connection, create_key(connection, mine, "ci").key)
    assert found is not None
    assert set(found.scopes) == TENANT_SCOPES
    assert (found.mode, found.valid_s, found.limits) == ("live", None, (None, None, None))


def test_a_key_is_not_kept(connection: Connection, mine: str) -> None:
    made = create_key(connection, mine, "ci")
    revoke_key(connection, made.id)
    for table in ("api_key", "audit"):
        rows = connection.execute(f"SELECT {table}::text FROM {table}").fetchall()
        assert rows
        assert made.key not in str(rows)
    assert made.key.startswith(made.prefix)
    assert len(made.prefix) == SHOWN < len(made.key) - 32


def test_nothing_but_the_whole_key_opens(connection: Connection, mine: str) -> None:
    made = create_key(connection, mine, "ci")
    stored = store.key_hash(made.key)
    for wrong in (stored.hex(), made.prefix, made.key[:-1], made.key + "x", made.key.upper(), ""):
        assert find_key(connection, wrong) is None


def test_keys_that_begin_alike_are_told_apart(
    connection: Connection, mine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = iter(["aaaaaa1", "aaaaaa2"])
    monkeypatch.setattr("app.accounts.store.secrets.token_urlsafe", lambda _: next(ends))
    made = [create_key(connection, mine, "ci") for _ in range(2)]
    assert made[0].prefix == made[1].prefix
    found = [find_key(connection, key.key) for key in made]
    assert [one and one.id for one in found] == [key.id for key in made]


@pytest.mark.parametrize("mode", ["live", "test"])
def test_a_key_holds_256_random_bits(connection: Connection, mine: str, mode: store.Mode) -> None:
    keys = {create_key(connection, mine, "ci", mode=mode).key for _ in range(20)}
    assert len(keys) == 20
    start = PREFIXES[mode]
    assert all(key.startswith(start) and len(key) == len(start) + 43 for key in keys)


def test_a_revoked_key_opens_nothing_for_good(connection: Connection, mine: str) -> None:
    made = create_key(connection, mine, "ci")
    assert revoke_key(connection, made.id) is True
    assert find_key(connection, made.key) is None
    assert revoke_key(connection, made.id) is False
    assert revoke_key(connection, "key_nobody") is False
    [row] = list_keys(connection)
    assert row.revoked_at is not None
    assert actions(connection, mine) == ["tenant.create", "key.create", "key.revoke"]


def test_an_expired_key_opens_nothing(connection: Connection, mine: str) -> None:
    made = create_key(connection, mine, "ci", expires_in_s=60)
    assert find_key(connection, made.key) is not None
    connection.execute("UPDATE api_key SET expires_at = now()")
    assert find_key(connection, made.key) is None


def test_a_key_of_a_disabled_tenant_opens_nothing_until_it_is_enabled(
    connection: Connection, mine: str
) -> None:
    made = create_key(connection, mine, "ci")
    change_tenant(connection, mine, {"disabled": True})
    assert find_key(connection, made.key) is None
    change_tenant(connection, mine, {"disabled": False})
    assert find_key(connection, made.key) is not None


def test_a_key_ends_at_the_time_it_was_given(connection: Connection, mine: str) -> None:
    made = create_key(connection, mine, "ci", expires_at_s=4_000_000_000)
    row = key_by_id(connection, made.id)
    assert row is not None
    assert row.expires_at is not None
    assert row.expires_at.timestamp() == 4_000_000_000


def test_a_key_that_has_ended_before_it_began_is_not_made(
    connection: Connection, mine: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        create_key(connection, mine, "ci", expires_at_s=1_000)
    assert refused.value.param == "expires_at"
    assert list_keys(connection) == []
    assert actions(connection, mine) == ["tenant.create"]


def test_keys_are_listed_oldest_first_with_their_use(connection: Connection, mine: str) -> None:
    made = [create_key(connection, mine, f"k{n}") for n in range(3)]
    find_key(connection, made[1].key)
    rows = list_keys(connection)
    assert [row.id for row in rows] == sorted(key.id for key in made)
    assert [row.id for row in rows if row.last_used_at is not None] == [made[1].id]
    assert {(row.tenant, row.tenant_id) for row in rows} == {("moon", mine)}


def test_keys_are_listed_a_page_and_a_tenant_at_a_time(connection: Connection, mine: str) -> None:
    made = sorted(create_key(connection, mine, f"k{n}").id for n in range(3))
    create_key(connection, create_tenant(connection, "sun"), "theirs")
    assert [row.id for row in list_keys(connection, mine, limit=2)] == made[:2]
    assert [row.id for row in list_keys(connection, mine, made[1], 2)] == made[2:]


def test_a_key_is_read_by_its_tenant_alone(connection: Connection, mine: str) -> None:
    made, other = create_key(connection, mine, "ci"), create_tenant(connection, "sun")
    for tenant_id, there in ((mine, True), (None, True), (other, False)):
        assert (key_by_id(connection, made.id, tenant_id) is not None) is there


def test_a_session_is_no_key(connection: Connection, mine: str) -> None:
    user = create_user(connection, mine, "a@b.c", "owner", "scrypt$")
    made = create_key(connection, mine, "session", user_id=user.id)
    assert made.key.startswith(store.SESSION_PREFIX)
    assert find_key(connection, made.key) is not None
    assert list_keys(connection) == []
    assert key_by_id(connection, made.id) is None
    assert change_key(connection, made.id, {"requests_per_minute": 5}) is None
    assert rotate_key(connection, made.id) is None


def test_a_key_needs_a_tenant(connection: Connection) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        create_key(connection, "ten_nobody", "ci")


@pytest.mark.parametrize(
    "changes",
    [{"name": "new"}, {"app_id": None}, {"requests_per_minute": 9, "sessions": None},
     {"tokens_per_day": 2**40}],
)  # fmt: skip
def test_only_what_is_named_is_changed(
    connection: Connection, mine: str, changes: dict[str, Any]
) -> None:
    made = create_key(connection, mine, "ci", app_id="shop", limits=LIMITS)
    other = create_key(connection, mine, "ci", app_id="shop", limits=LIMITS)
    row = change_key(connection, made.id, changes, actor="key_boss")
    before = {"name": "ci", "app_id": "shop", "requests_per_minute": 60, "tokens_per_day": 5000,
              "sessions": 2}  # fmt: skip
    assert row is not None
    assert {name: getattr(row, name) for name in before} == {**before, **changes}
    untouched = key_by_id(connection, other.id)
    assert untouched is not None
    assert {name: getattr(untouched, name) for name in before} == before
    [entry] = audit_page(connection, mine, None, 1)
    assert (entry.actor, entry.action, entry.target) == ("key_boss", "key.change", made.id)
    assert entry.detail == changes


def test_a_change_of_nothing_is_no_change(connection: Connection, mine: str) -> None:
    made = create_key(connection, mine, "ci")
    assert change_key(connection, made.id, {}) == key_by_id(connection, made.id)
    assert change_key(connection, "key_nobody", {"name": "x"}) is None
    assert actions(connection, mine) == ["tenant.create", "key.create"]


def test_a_rotated_key_has_everything_but_the_secret(connection: Connection, mine: str) -> None:
    old = create_key(
        connection, mine, "ci", mode="test", scopes=["billing"], app_id="shop", limits=LIMITS,
        expires_in_s=1000,
    )  # fmt: skip
    before = key_by_id(connection, old.id)
    new = rotate_key(connection, old.id, actor="key_boss")
    assert before is not None
    assert new is not None
    assert new.key != old.key
    assert find_key(connection, old.key) is None
    row, was = key_by_id(connection, new.id), key_by_id(connection, old.id)
    assert row is not None
    assert was is not None
    for name in ("name", "tenant_id", "mode", "scopes", *store.KEY_FIELDS):
        assert getattr(row, name) == getattr(before, name), name
    assert row.expires_at is not None
    assert before.expires_at is not None
    assert abs((row.expires_at - before.expires_at).total_seconds()) < 0.01
    assert (was.rotated_to, row.created_by) == (new.id, "key_boss")
    assert was.revoked_at is not None
    assert actions(connection, mine)[2:] == ["key.create", "key.rotate"]


def test_a_rotated_key_opens_for_its_grace_but_not_beyond_its_own_end(
    connection: Connection, mine: str
) -> None:
    old = create_key(connection, mine, "ci", expires_in_s=1000)
    assert rotate_key(connection, old.id, 100) is not None
    found = find_key(connection, old.key)
    assert found is not None
    assert found.valid_s is not None
    assert 90 < found.valid_s <= 100
    short = create_key(connection, mine, "ci", expires_in_s=10)
    assert rotate_key(connection, short.id, 100) is not None
    found = find_key(connection, short.key)
    assert found is not None
    assert found.valid_s is not None
    assert found.valid_s <= 10


def test_a_dead_key_is_not_rotated(connection: Connection, mine: str) -> None:
    twice, revoked, expired = (create_key(connection, mine, "ci").id for _ in range(3))
    assert rotate_key(connection, twice, 100) is not None
    revoke_key(connection, revoked)
    connection.execute("UPDATE api_key SET expires_at = now() WHERE id = %s", (expired,))
    for key_id in (twice, revoked, expired, "key_nobody"):
        assert rotate_key(connection, key_id) is None
