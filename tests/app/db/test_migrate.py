"""Migrations: each script once, in order, and two starts at once do not meet."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from app.db import migrate as room
from app.db.connect import connect
from app.db.migrate import migrate, pending
from tests.conftest import other_database

NAMES = ["0001_tenants_and_ledger.sql", "0002_jobs.sql", "0003_accounts.sql", "0004_money.sql"]


@pytest.fixture
def bare(database: str) -> str:
    """A database with nothing in it."""
    with connect(database) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return database


def test_applies_each_script_once_in_order(bare: str) -> None:
    with connect(bare) as connection:
        assert pending(connection)[: len(NAMES)] == NAMES
    applied = migrate(bare)
    assert applied[: len(NAMES)] == NAMES
    assert migrate(bare) == []
    with connect(bare) as connection:
        assert pending(connection) == []
        lanes = connection.execute("SELECT count(*) FROM lane").fetchone()
        assert lanes == (4,)


def test_two_starts_at_once_apply_each_script_once(bare: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(migrate, [bare] * 4))
    assert [names for names in applied if names] == [applied_by_one(applied)]
    assert applied_by_one(applied)[: len(NAMES)] == NAMES


def applied_by_one(applied: list[list[str]]) -> list[str]:
    return max(applied, key=len)


def test_a_script_that_fails_leaves_what_came_before(
    bare: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = {"1.sql": "CREATE TABLE one ()", "2.sql": "CREATE TABLE two (); SELECT 1 / 0"}
    monkeypatch.setattr(room, "_scripts", lambda: scripts)
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(bare)
    with connect(bare) as connection:
        assert pending(connection) == ["2.sql"]
        tables = connection.execute("SELECT to_regclass('one'), to_regclass('two')").fetchone()
    assert tables == ("one", None)
    scripts["2.sql"] = "CREATE TABLE two ()"
    assert migrate(bare) == ["2.sql"]


def test_a_database_that_is_not_there_is_said(postgres_url: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="nowhere"):
        migrate(other_database(postgres_url, "nowhere"))
