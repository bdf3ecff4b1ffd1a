"""Console users: passwords slow and salted, sessions that end with what they stand on."""

import hashlib
import time
from collections.abc import Iterator
from typing import Any

import pytest

from app.accounts import users
from app.accounts.audit import audit_page
from app.accounts.scopes import ROLES
from app.accounts.store import SESSION_PREFIX, create_key, find_key
from app.accounts.tenants import change_tenant, create_tenant
from app.accounts.users import (
    UserRow,
    change_user,
    create_user,
    hash_password,
    list_users,
    open_session,
    password_fits,
    user_by_email,
    user_by_id,
    user_of_session,
)
from app.db.connect import Connection, connect
from app.errors import Conflict

PASSWORD = "correct horse battery"


@pytest.fixture
def mine(connection: Connection) -> str:
    return create_tenant(connection, "moon")


@pytest.fixture
def ada(connection: Connection, mine: str) -> UserRow:
    return create_user(connection, mine, "Ada@Example.org", "owner", "kept", actor="key_boss")


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords that are quick to hash."""
    monkeypatch.setattr(users, "LOG2_N", 4)


@pytest.fixture
def other(books: str) -> Iterator[Connection]:
    with connect(books) as opened:
        yield opened


def test_a_password_is_kept_at_the_cost_that_owasp_asks_for() -> None:
    kept = hash_password(PASSWORD)
    assert kept.split("$")[:4] == ["scrypt", "17", "8", "1"]
    assert PASSWORD not in kept
    assert password_fits(PASSWORD, kept)
    assert not password_fits(PASSWORD + " ", kept)


@pytest.mark.usefixtures("cheap")
def test_a_password_is_salted_and_compared_whole() -> None:
    kept = hash_password(PASSWORD)
    assert kept != hash_password(PASSWORD)
    for wrong in ("", PASSWORD[:-1], PASSWORD.upper(), PASSWORD + " ", kept):
        assert not password_fits(wrong, kept)
    assert not password_fits("", None)


def test_a_password_kept_at_another_cost_still_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "LOG2_N", 4)
    kept = hash_password(PASSWORD)
    monkeypatch.setattr(users, "LOG2_N", 5)
    assert password_fits(PASSWORD, kept)


def test_nobody_is_refused_as_slowly_as_somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both do the same work once: the time cannot tell who has an account."""
    monkeypatch.setattr(users, "LOG2_N", 4)
    kept, asked = hash_password(PASSWORD), []
    scrypt = hashlib.scrypt

    def counted(password: bytes, **cost: Any) -> bytes:
        asked.append({name: cost[name] for name in ("n", "r", "p", "dklen")})
        return scrypt(password, **cost)

    monkeypatch.setattr(hashlib, "scrypt", counted)
    assert not password_fits("wrong", kept)
    assert not password_fits("wrong", None)
    assert len(asked) == 2
    assert asked[0] == asked[1]


def test_a_user_is_found_by_id_and_by_address_in_any_case(
    connection: Connection, mine: str, ada: UserRow
) -> None:
    assert ada.email == "ada@example.org"
    assert user_by_id(connection, ada.id) == user_by_email(connection, "ADA@example.ORG") == ada
    assert user_by_id(connection, "user_x") is user_by_email(connection, "b@example.org") is None
    [entry] = audit_page(connection, mine, None, 1)
    assert (entry.actor, entry.action, entry.target) == ("key_boss", "user.create", ada.id)
    assert entry.detail == {"email": "ada@example.org", "role": "owner"}


def test_an_address_is_one_users(connection: Connection, mine: str, ada: UserRow) -> None:
    sun = create_tenant(connection, "sun")
    with pytest.raises(Conflict) as refused:
        create_user(connection, sun, "ADA@example.org", "viewer", "kept")
    assert refused.value.param == "email"
    assert list_users(connection, sun, "", 10) == []
    assert [entry.action for entry in audit_page(connection, sun, None, 10)] == ["tenant.create"]


def test_users_are_listed_by_tenant_a_page_at_a_time(connection: Connection, mine: str) -> None:
    made = [create_user(connection, mine, f"{n}@b.c", "viewer", "kept") for n in range(3)]
    made.sort(key=lambda user: user.id)
    create_user(connection, create_tenant(connection, "sun"), "x@b.c", "viewer", "kept")
    assert list_users(connection, mine, "", 2) == made[:2]
    assert list_users(connection, mine, made[1].id, 2) == made[2:]


@pytest.mark.parametrize("role", ROLES)
def test_a_session_is_a_key_with_the_scopes_of_the_role(
    connection: Connection, mine: str, role: users.Role
) -> None:
    user = create_user(connection, mine, "a@b.c", role, "kept")
    session = open_session(connection, user)
    assert session is not None
    assert session.token.startswith(SESSION_PREFIX)
    found = find_key(connection, session.token)
    assert found is not None
    assert (found.tenant_id, found.mode) == (mine, "live")
    assert set(found.scopes) == set(session.scopes) == ROLES[role]
    assert found.valid_s is not None
    assert 0 <= users.SESSION_S - found.valid_s < 5
    assert session.expires_at.timestamp() == pytest.approx(time.time() + users.SESSION_S, abs=30)
    assert user_of_session(connection, found.id) == user


def test_a_plain_key_is_nobodys_session(connection: Connection, mine: str, ada: UserRow) -> None:
    assert user_of_session(connection, create_key(connection, mine, "ci").id) is None


@pytest.mark.parametrize(
    "changes", [{"disabled": True}, {"role": "viewer"}, {"password_hash": "new"}]
)
def test_a_change_ends_the_users_sessions_and_no_others(
    connection: Connection, mine: str, ada: UserRow, changes: dict[str, object]
) -> None:
    bob = create_user(connection, mine, "bob@example.org", "owner", "kept")
    session, kept = open_session(connection, ada), open_session(connection, bob)
    plain = create_key(connection, mine, "ci")
    assert session is not None
    assert kept is not None
    row = change_user(connection, ada.id, changes, actor="key_boss")
    assert row == user_by_id(connection, ada.id)
    assert find_key(connection, session.token) is None
    assert find_key(connection, kept.token) is not None
    assert find_key(connection, plain.key) is not None
    assert user_by_id(connection, bob.id) == bob
    [entry] = audit_page(connection, mine, None, 1)
    assert (entry.actor, entry.action, entry.target) == ("key_boss", "user.change", ada.id)
    assert entry.detail["sessions_ended"] == 1
    assert entry.detail["new_password"] is ("password_hash" in changes)
    assert "password_hash" not in entry.detail
    assert "new" not in entry.detail.values()


@pytest.mark.parametrize("changes", [{"disabled": True}, {"password_hash": "new"}])
def test_who_was_changed_since_the_password_fitted_gets_no_session(
    connection: Connection, ada: UserRow, changes: dict[str, object]
) -> None:
    change_user(connection, ada.id, changes)
    assert open_session(connection, ada) is None


def test_a_session_has_the_role_of_now(connection: Connection, ada: UserRow) -> None:
    change_user(connection, ada.id, {"role": "viewer"})
    session = open_session(connection, ada)
    assert session is not None
    assert session.scopes == ["billing"]


def test_a_user_of_a_disabled_tenant_gets_no_session(
    connection: Connection, mine: str, ada: UserRow
) -> None:
    change_tenant(connection, mine, {"disabled": True})
    assert open_session(connection, ada) is None


def test_who_is_being_disabled_gets_no_session(
    connection: Connection, other: Connection, ada: UserRow
) -> None:
    """A session is either ended with the user's others or not opened at all."""
    other.execute("SET lock_timeout = '50ms'")
    with connection.transaction():
        change_user(connection, ada.id, {"disabled": True})
        with pytest.raises(Exception, match="lock timeout"):
            open_session(other, ada)
    assert open_session(other, ada) is None


def test_who_is_enabled_again_may_sign_in(connection: Connection, ada: UserRow) -> None:
    change_user(connection, ada.id, {"disabled": True})
    row = change_user(connection, ada.id, {"disabled": False})
    assert row == ada
    assert open_session(connection, ada) is not None


def test_a_change_of_nobody_or_of_nothing_is_not_written_down(
    connection: Connection, mine: str, ada: UserRow
) -> None:
    session = open_session(connection, ada)
    assert session is not None
    written = len(audit_page(connection, None, None, 100))
    assert change_user(connection, "user_nobody", {"disabled": True}) is None
    assert change_user(connection, ada.id, {}) == ada
    assert find_key(connection, session.token) is not None
    assert len(audit_page(connection, None, None, 100)) == written
